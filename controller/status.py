"""The status of a Function: conditions and counts, from what was accepted, written and seen of its pods."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from controller.pod_failures import Failure, find_failure
from controller.reasons import Condition, Reason
from controller.resources.metadata import TEMPLATE_ANNOTATION
from kubeless import naming
from kubeless.api.function import Function
from kubeless.conditions import Status, condition, find, merged

JSON = dict[str, Any]

_HASH_LABEL = "pod-template-hash"
_SLOW_STEPS = ("install", "compile")
_STARTING = ("ContainerCreating", "PodInitializing")
_GOES_ON = "the version before goes on serving"


@dataclass(frozen=True)
class Verdict:
    """A condition before it has a time."""

    type: Condition
    status: Status
    reason: str
    message: str


# ---- what is told of a Function


def refused(step: Condition, reason: str, message: str, deployment: JSON | None) -> list[Verdict]:
    """Of a Function that stopped at a step before there was anything to roll out."""
    if deployment is not None and ((deployment.get("status") or {}).get("availableReplicas") or 0) > 0:
        message = _going_on(message)
    verdicts = [Verdict(Condition.READY, "False", reason, message)]
    if step is not Condition.ACCEPTED:
        verdicts.append(_accepted())
    verdicts.append(Verdict(step, "False", reason, message))
    return verdicts


def deployed(
    function: Function, deployment: JSON, service: JSON, pods: Sequence[JSON], *, notice: str = "", hindrance: str = ""
) -> list[Verdict]:
    """Of a Function whose objects are all written.

    `notice` says that another runtime serves it, if so; `hindrance` what keeps the pod of `waiting_pod` from starting.
    """
    ready, provisioned = _rollout(function, deployment, service, pods, hindrance)
    verdicts = [ready, _accepted(), Verdict(Condition.DEPLOYED, "True", Reason.APPLIED, "")]
    if provisioned is not None:
        verdicts.append(provisioned)
    if notice:
        verdicts.append(Verdict(Condition.RUNTIME_REPLACED, "True", Reason.RUNTIME_REPLACED, notice))
    return verdicts


def make_status(
    obj: Mapping[str, Any], verdicts: Iterable[Verdict], deployment: JSON | None, runtime: str | None, now: datetime
) -> JSON:
    """The whole status; times of conditions that have not changed are those of `obj`, the Function as it is.

    `runtime` None keeps what is there.
    """
    generation = obj["metadata"].get("generation") or 0
    before = obj.get("status") or {}
    counts = (deployment or {}).get("status") or {}
    made = [condition(v.type, v.status, v.reason, v.message, generation=generation) for v in verdicts]
    status: JSON = {
        "observedGeneration": generation,
        "replicas": counts.get("replicas") or 0,
        "readyReplicas": counts.get("readyReplicas") or 0,
        "conditions": merged(before.get("conditions"), made, now),
    }
    serves = before.get("runtime") if runtime is None else runtime
    if serves:
        status["runtime"] = serves
    return status


def news(before: Mapping[str, Any], status: JSON) -> list[tuple[str, str, str]]:
    """Events to write for a changed status: type, reason, message."""
    told = []
    new, old = find({"status": status}, Condition.READY), find(dict(before), Condition.READY) or {}
    if new and (new["status"], new["reason"], new["message"]) != (
        old.get("status"),
        old.get("reason"),
        old.get("message"),
    ):
        if new["status"] == "False":
            told.append(("Warning", new["reason"], new["message"]))
        elif new["status"] == "True" and new["reason"] == Reason.READY and old.get("status") != "True":
            told.append(("Normal", new["reason"], new["message"]))
    replaced = find({"status": status}, Condition.RUNTIME_REPLACED)
    known = find(dict(before), Condition.RUNTIME_REPLACED) or {}
    if replaced and replaced["message"] != known.get("message"):
        told.append(("Warning", replaced["reason"], replaced["message"]))
    return told


# ---- how far a rollout is


def is_rolled_out(deployment: JSON) -> bool:
    """Whether nothing of an earlier version is left."""
    counts = deployment.get("status") or {}
    if not _is_observed(deployment):
        return False
    replicas, updated = counts.get("replicas") or 0, counts.get("updatedReplicas") or 0
    return replicas == updated and ((counts.get("availableReplicas") or 0) > 0 or wanted_replicas(deployment) == 0)


def wanted_replicas(deployment: JSON) -> int:
    replicas = (deployment.get("spec") or {}).get("replicas")
    return 1 if replicas is None else int(replicas)


def current_pods(deployment: JSON, pods: Iterable[JSON]) -> list[JSON]:
    """Pods of the newest version that are not being deleted."""
    template = deployment["spec"]["template"]["metadata"]
    digest = (template.get("annotations") or {}).get(TEMPLATE_ANNOTATION)
    same = [
        pod
        for pod in pods
        if not pod["metadata"].get("deletionTimestamp")
        and (pod["metadata"].get("annotations") or {}).get(TEMPLATE_ANNOTATION) == digest
    ]
    # After `kubectl rollout restart` pods of two ReplicaSets have the same digest; the newest pod is of the newer one.
    newest = max(same, key=lambda pod: str(pod["metadata"].get("creationTimestamp") or ""), default=None)
    return [pod for pod in same if newest is not None and _hash(pod) == _hash(newest)]


def waiting_pod(deployment: JSON, pods: Iterable[JSON]) -> JSON | None:
    """A pod of the newest version that has a node, and of which no container has been started yet.

    Why not, as of a Secret that does not exist, is only in Events.
    """
    for pod in current_pods(deployment, pods):
        told = pod.get("status") or {}
        states = [*(told.get("initContainerStatuses") or []), *(told.get("containerStatuses") or [])]
        if states and all((state.get("state") or {}).get("waiting", {}).get("reason") in _STARTING for state in states):
            return pod
    return None


def _rollout(
    function: Function, deployment: JSON, service: JSON, pods: Sequence[JSON], hindrance: str
) -> tuple[Verdict, Verdict | None]:
    """Ready and, where there are pods to tell it by, Provisioned."""
    if wanted_replicas(deployment) == 0:
        message = "no pod is wanted: the Deployment's replicas are 0"
        return Verdict(Condition.READY, "True", Reason.SCALED_TO_ZERO, message), None
    current = current_pods(deployment, pods)
    if is_rolled_out(deployment):
        return _ready(function, service), _provisioned()
    goes_on = bool((deployment.get("status") or {}).get("availableReplicas"))
    if _is_observed(deployment) and (failure := _failure(function, deployment, current, hindrance)):
        message = _going_on(failure.message) if goes_on else failure.message
        failed = Verdict(Condition.READY, "False", failure.reason, message)
        if failure.step is Condition.PROVISIONED:
            return failed, Verdict(Condition.PROVISIONED, "False", failure.reason, failure.message)
        return failed, _provisioned() if any(map(_is_provisioned, current)) else None
    if any(_is_at_slow_step(pod) for pod in current):
        message = "the dependencies are being installed"
        return Verdict(Condition.READY, "Unknown", Reason.PROVISIONING, message), None
    if goes_on:
        return Verdict(Condition.READY, "Unknown", Reason.ROLLING_OUT, "the version before is being replaced"), None
    return Verdict(Condition.READY, "Unknown", Reason.DEPLOYING, "the first pod is being started"), None


def _failure(function: Function, deployment: JSON, pods: Sequence[JSON], hindrance: str) -> Failure | None:
    if failure := find_failure(pods, function.name):
        return failure
    if hindrance:
        return Failure(Condition.READY, Reason.CONTAINER_NOT_CREATED, f"the pod cannot be started: {hindrance}")
    if not_made := find(deployment, "ReplicaFailure"):
        words = not_made.get("message", "")
        reason = Reason.QUOTA_EXCEEDED if "exceeded quota" in words else Reason.POD_NOT_CREATED
        return Failure(Condition.READY, reason, f"a pod cannot be created: {words}")
    progress = find(deployment, "Progressing")
    if progress and progress["status"] == "False":
        message = (
            f"no pod got ready in time ({progress.get('message', '')}); kubectl describe pods -l"
            f" function={function.name} shows what they wait for"
        )
        return Failure(Condition.READY, Reason.TOO_SLOW, message)
    return None


def _going_on(message: str) -> str:
    """In the first line, which is all that tables show."""
    summary, *details = message.split("\n", 1)
    return "\n".join([f"{summary.rstrip('.')} ({_GOES_ON})", *details])


def _ready(function: Function, service: JSON) -> Verdict:
    port = (service["spec"].get("ports") or [{}])[0].get("port", naming.PORT)
    url = naming.service_url(function.name, function.namespace, port)
    return Verdict(Condition.READY, "True", Reason.READY, f"calls to {url} are answered")


def _accepted() -> Verdict:
    return Verdict(Condition.ACCEPTED, "True", Reason.ACCEPTED, "")


def _provisioned() -> Verdict:
    return Verdict(Condition.PROVISIONED, "True", Reason.PROVISIONED, "")


def _is_observed(deployment: JSON) -> bool:
    seen = (deployment.get("status") or {}).get("observedGeneration") or 0
    return bool(seen >= (deployment["metadata"].get("generation") or 0))


def _is_provisioned(pod: JSON) -> bool:
    conditions = (pod.get("status") or {}).get("conditions") or []
    return any(entry["type"] == "Initialized" and entry["status"] == "True" for entry in conditions)


def _is_at_slow_step(pod: JSON) -> bool:
    states = (pod.get("status") or {}).get("initContainerStatuses") or []
    return any(state["name"] in _SLOW_STEPS and "running" in (state.get("state") or {}) for state in states)


def _hash(pod: JSON) -> str:
    return str((pod["metadata"].get("labels") or {}).get(_HASH_LABEL, ""))
