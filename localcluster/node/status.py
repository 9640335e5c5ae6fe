"""The status of a pod as a kubelet reports it, from the states of its containers. Pure functions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

JSON = dict[str, Any]


def now_text() -> str:
    return f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"


@dataclass
class ContainerState:
    """One container as a status shows it. `state` and `last_state` have one key of waiting, running, terminated."""

    name: str
    state: JSON = field(default_factory=dict)
    last_state: JSON = field(default_factory=dict)
    restart_count: int = 0
    ready: bool = False
    started: bool = False
    container_id: str = ""
    image_id: str = ""

    @property
    def terminated(self) -> JSON | None:
        return self.state.get("terminated")

    @property
    def running(self) -> bool:
        return "running" in self.state


def is_sidecar(container: JSON) -> bool:
    """Whether an init container keeps running beside the others (`restartPolicy: Always`)."""
    return container.get("restartPolicy") == "Always"


def container_status(container: JSON, state: ContainerState, *, init: bool) -> JSON:
    """An entry of containerStatuses or initContainerStatuses."""
    status: JSON = {
        "name": container["name"],
        "state": state.state,
        "lastState": state.last_state,
        "ready": state.ready,
        "restartCount": state.restart_count,
        "image": container.get("image", ""),
        "imageID": state.image_id,
        "started": state.started and state.running,
    }
    if state.container_id:
        status["containerID"] = state.container_id
    if init and not is_sidecar(container):
        status["ready"] = (state.terminated or {}).get("exitCode") == 0
        status["started"] = state.running
    resources = container.get("resources") or {}
    if resources and state.container_id:
        status["resources"] = resources
        if resources.get("requests"):
            status["allocatedResources"] = resources["requests"]
    if state.container_id and container.get("volumeMounts"):
        status["volumeMounts"] = [_mount_status(mount) for mount in container["volumeMounts"]]
    return status


def _mount_status(mount: JSON) -> JSON:
    status = {"name": mount["name"], "mountPath": mount["mountPath"]}
    if mount.get("readOnly"):
        status |= {"readOnly": True, "recursiveReadOnly": "Disabled"}
    return status


def waiting(reason: str, message: str = "") -> JSON:
    return {"waiting": {"reason": reason, "message": message} if message else {"reason": reason}}


def pod_phase(spec: JSON, init: Sequence[ContainerState], main: Sequence[ContainerState], initialized: bool) -> str:
    """Pending, Running, Succeeded or Failed (https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/)."""
    policy = spec.get("restartPolicy", "Always")
    if not initialized:
        failed = [
            s
            for c, s in zip(spec.get("initContainers") or [], init, strict=True)
            if not is_sidecar(c) and s.terminated and s.terminated.get("exitCode") != 0
        ]
        return "Failed" if failed and policy == "Never" else "Pending"
    if any(s.state.get("waiting") and not s.last_state for s in main):
        return "Pending"
    if all(s.terminated for s in main):
        succeeded = all((s.terminated or {}).get("exitCode") == 0 for s in main)
        if policy == "Never" or (policy == "OnFailure" and succeeded):
            return "Succeeded" if succeeded else "Failed"
    return "Running"


@dataclass
class PodFacts:
    """What a status is made of besides the containers.

    Attributes:
        initialized: all init containers have done their part.
        sandbox: the pod has its address and folders.
        final_phase: set when nothing will run any more, whatever the restart policy.
    """

    pod_ip: str
    host_ip: str
    start_time: str
    initialized: bool
    sandbox: bool
    final_phase: str = ""
    reason: str = ""
    message: str = ""


def pod_status(
    pod: JSON,
    facts: PodFacts,
    init: Sequence[ContainerState],
    main: Sequence[ContainerState],
    previous: Mapping[str, JSON],
) -> JSON:
    """The whole status.

    Args:
        previous: the conditions last reported by type; their transition times are kept where the status is the same.
    """
    spec, generation = pod["spec"], pod["metadata"].get("generation")
    init_specs, main_specs = spec.get("initContainers") or [], spec["containers"]
    phase = facts.final_phase or pod_phase(spec, init, main, facts.initialized)
    status: JSON = {
        "phase": phase,
        "conditions": _conditions(pod, facts, phase, init, main, previous, generation),
        "hostIP": facts.host_ip,
        "hostIPs": [{"ip": facts.host_ip}],
        "startTime": facts.start_time,
        "qosClass": (pod.get("status") or {}).get("qosClass") or qos_class(spec),
        "containerStatuses": [container_status(c, s, init=False) for c, s in zip(main_specs, main, strict=True)],
    }
    if generation:
        status["observedGeneration"] = generation
    if init_specs:
        status["initContainerStatuses"] = [
            container_status(c, s, init=True) for c, s in zip(init_specs, init, strict=True)
        ]
    if facts.pod_ip:
        status |= {"podIP": facts.pod_ip, "podIPs": [{"ip": facts.pod_ip}]}
    if facts.reason:
        status["reason"] = facts.reason
    if facts.message:
        status["message"] = facts.message
    return status


def _conditions(
    pod: JSON,
    facts: PodFacts,
    phase: str,
    init: Sequence[ContainerState],
    main: Sequence[ContainerState],
    previous: Mapping[str, JSON],
    generation: int | None,
) -> list[JSON]:
    spec = pod["spec"]
    ended = phase in ("Succeeded", "Failed")
    unready = [s.name for s in main if not s.ready]
    unready = [
        *(s.name for c, s in zip(spec.get("initContainers") or [], init, strict=True) if is_sidecar(c) and not s.ready),
        *unready,
    ]
    containers_ready: tuple[bool, str, str] = (not unready, "", "")
    if ended:
        containers_ready = (False, "PodCompleted" if phase == "Succeeded" else "PodFailed", "")
    elif unready:
        containers_ready = (False, "ContainersNotReady", f"containers with unready status: [{' '.join(unready)}]")
    ready = containers_ready
    gates = [gate["conditionType"] for gate in spec.get("readinessGates") or []]
    told = {c["type"]: c.get("status") for c in (pod.get("status") or {}).get("conditions") or []}
    if ready[0] and (missing := [gate for gate in gates if told.get(gate) != "True"]):
        text = ", ".join(f'corresponding condition of pod readiness gate "{gate}" does not exist.' for gate in missing)
        ready = (False, "ReadinessGatesNotReady", text)
    initialized: tuple[bool, str, str] = (facts.initialized, "", "")
    if phase == "Succeeded":
        initialized = (True, "PodCompleted", "")
    elif not facts.initialized:
        pending = [
            s.name
            for c, s in zip(spec.get("initContainers") or [], init, strict=True)
            if not (s.started if is_sidecar(c) else (s.terminated or {}).get("exitCode") == 0)
        ]
        text = f"containers with incomplete status: [{' '.join(pending)}]"
        initialized = (False, "ContainersNotInitialized", text)
    wanted = [
        ("PodReadyToStartContainers", (facts.sandbox and not ended, "", "")),
        ("Initialized", initialized),
        ("Ready", ready),
        ("ContainersReady", containers_ready),
    ]
    conditions = [_condition(kind, *value, previous.get(kind), generation) for kind, value in wanted]
    scheduled = next(
        (c for c in (pod.get("status") or {}).get("conditions") or [] if c["type"] == "PodScheduled"), None
    )
    scheduled = previous.get("PodScheduled") or scheduled
    conditions.append(_condition("PodScheduled", True, "", "", scheduled, generation))
    return conditions


def _condition(kind: str, value: bool, reason: str, message: str, before: JSON | None, generation: int | None) -> JSON:
    condition: JSON = {"type": kind, "status": "True" if value else "False"}
    same = before is not None and before.get("status") == condition["status"]
    condition["lastTransitionTime"] = before["lastTransitionTime"] if same and before else now_text()
    if reason:
        condition["reason"] = reason
    if message:
        condition["message"] = message
    if generation:
        condition["observedGeneration"] = generation
    return condition


def qos_class(spec: JSON) -> str:
    """Guaranteed, Burstable or BestEffort, for servers that have not set it."""
    guaranteed, any_set = True, False
    for container in [*spec["containers"], *(spec.get("initContainers") or [])]:
        resources = container.get("resources") or {}
        limits, requests = resources.get("limits") or {}, resources.get("requests") or {}
        for name in ("cpu", "memory"):
            any_set = any_set or name in limits or name in requests
            if name not in limits or requests.get(name, limits[name]) != limits[name]:
                guaranteed = False
    if not any_set:
        return "BestEffort"
    return "Guaranteed" if guaranteed else "Burstable"
