"""Tables of pods and pod templates: STATUS, READY and RESTARTS are worked out from the pod's status."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from localcluster.apiserver.tables import cells
from localcluster.apiserver.tables.cells import JSON, NONE
from localcluster.apiserver.tables.columns import AGE, NAME, of_field, plain

POD_COLUMNS = (
    NAME,
    plain("Ready", "The aggregate readiness state of this pod for accepting traffic."),
    plain("Status", "The aggregate status of the containers in this pod."),
    plain(
        "Restarts",
        "The number of times the containers in this pod have been restarted and when the last container in this pod "
        "has restarted.",
    ),
    AGE,
    of_field("IP", "core.v1.PodStatus.podIP", priority=1),
    of_field("Node", "core.v1.PodSpec.nodeName", priority=1),
    of_field("Nominated Node", "core.v1.PodStatus.nominatedNodeName", priority=1),
    of_field("Readiness Gates", "core.v1.PodSpec.readinessGates", priority=1),
)
POD_TEMPLATE_COLUMNS = (
    NAME,
    plain("Containers", "Names of each container in the template."),
    plain("Images", "Images referenced by each container in the template."),
    plain("Pod Labels", "The labels for the pod template."),
)


class _Restarts:
    """Counts restarts and remembers when the last container ended before one."""

    def __init__(self) -> None:
        self.count = 0
        self.last: datetime | None = None

    def add(self, status: JSON) -> None:
        self.count += status.get("restartCount") or 0
        finished = ((status.get("lastState") or {}).get("terminated") or {}).get("finishedAt")
        when = cells.parse_time(finished) if finished else None
        if when is not None and (self.last is None or self.last < when):
            self.last = when

    def cell(self, now: datetime) -> str:
        if self.count and self.last is not None:
            return f"{self.count} ({cells.human_duration(now - self.last)} ago)"
        return str(self.count)


def _ending(terminated: JSON) -> str:
    if terminated.get("reason"):
        return str(terminated["reason"])
    if terminated.get("signal"):
        return f"Signal:{terminated['signal']}"
    return f"ExitCode:{terminated.get('exitCode', 0)}"


def _initialization(pod: JSON, sidecars: set[str], restarts: _Restarts, sidecar_restarts: _Restarts) -> tuple[str, int]:
    """The reason that a pod is still initializing (empty if it is not), and how many sidecars are ready."""
    ready = 0
    total = len(pod["spec"].get("initContainers") or ())
    for i, status in enumerate(pod.get("status", {}).get("initContainerStatuses") or ()):
        restarts.add(status)
        is_sidecar = status.get("name") in sidecars
        if is_sidecar:
            sidecar_restarts.add(status)
        state = status.get("state") or {}
        terminated, waiting = state.get("terminated"), state.get("waiting") or {}
        if terminated is not None and not terminated.get("exitCode"):
            continue
        if is_sidecar and status.get("started"):
            ready += bool(status.get("ready"))
            continue
        if terminated is not None:
            return f"Init:{_ending(terminated)}", ready
        if waiting.get("reason") and waiting["reason"] != "PodInitializing":
            return f"Init:{waiting['reason']}", ready
        return f"Init:{i}/{total}", ready
    return "", ready


def _running(status: JSON, reason: str, restarts: _Restarts) -> tuple[str, int]:
    """The reason that the containers' states give a pod past initialization, and how many of them are ready."""
    ready = 0
    failed = False
    for container in reversed(status.get("containerStatuses") or ()):
        restarts.add(container)
        state = container.get("state") or {}
        terminated, waiting = state.get("terminated"), state.get("waiting") or {}
        if waiting.get("reason"):
            reason = waiting["reason"]
        elif terminated is not None:
            # One failed container is the news, however many others completed.
            if terminated.get("exitCode") or not failed:
                reason = _ending(terminated)
            failed = failed or bool(terminated.get("exitCode"))
        elif container.get("ready") and state.get("running") is not None:
            ready += 1
    if reason == "Completed" and ready:
        is_ready = cells.condition_status(status.get("conditions"), "Ready") == "True"
        reason = "Running" if is_ready else "NotReady"
    return reason, ready


def pod_row(pod: JSON, now: datetime) -> list[Any]:
    spec, status = pod.get("spec") or {}, pod.get("status") or {}
    pod = {"spec": spec, "status": status, "metadata": pod["metadata"]}
    conditions = status.get("conditions") or []
    phase = status.get("phase", "")
    reason = status.get("reason") or phase
    if any(c.get("type") == "PodScheduled" and c.get("reason") == "SchedulingGated" for c in conditions):
        reason = "SchedulingGated"
    sidecars = {c["name"] for c in spec.get("initContainers") or () if c.get("restartPolicy") == "Always"}
    total = len(spec.get("containers") or ()) + len(sidecars)
    restarts, sidecar_restarts = _Restarts(), _Restarts()
    initializing, ready = _initialization(pod, sidecars, restarts, sidecar_restarts)
    reason = initializing or reason
    if not initializing or cells.condition_status(conditions, "Initialized") == "True":
        restarts = sidecar_restarts
        reason, running = _running(status, reason, restarts)
        ready += running
    if pod["metadata"].get("deletionTimestamp"):
        if status.get("reason") == "NodeLost":
            reason = "Unknown"
        elif phase not in ("Succeeded", "Failed"):
            reason = "Terminating"
    return [
        cells.name(pod),
        f"{ready}/{total}",
        reason,
        restarts.cell(now),
        cells.age(pod, now),
        next((ip.get("ip") for ip in status.get("podIPs") or () if ip.get("ip")), NONE),
        spec.get("nodeName") or NONE,
        status.get("nominatedNodeName") or NONE,
        _gates(spec, conditions),
    ]


def _gates(spec: JSON, conditions: list[JSON]) -> str:
    gates = spec.get("readinessGates") or ()
    if not gates:
        return NONE
    passed = sum(cells.condition_status(conditions, gate.get("conditionType", "")) == "True" for gate in gates)
    return f"{passed}/{len(gates)}"


_ROW_CONDITIONS = {
    "Succeeded": "The pod has completed successfully.",
    "Failed": "The pod failed.",
}


def pod_row_conditions(pod: JSON) -> list[JSON]:
    """The conditions of a row whose pod has ended, by which clients may hide it."""
    phase = (pod.get("status") or {}).get("phase", "")
    if phase not in _ROW_CONDITIONS:
        return []
    return [{"type": "Completed", "status": "True", "reason": phase, "message": _ROW_CONDITIONS[phase]}]


def pod_template_row(obj: JSON, now: datetime) -> list[Any]:
    template = obj.get("template") or {}
    names, images = cells.containers(template.get("spec"))
    return [cells.name(obj), names, images, cells.labels((template.get("metadata") or {}).get("labels"))]
