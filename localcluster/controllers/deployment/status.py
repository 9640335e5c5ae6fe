"""The status of a Deployment: counts, and the conditions Available, Progressing and ReplicaFailure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from localcluster.controllers import conditions
from localcluster.controllers.deployment.scaling import available, bounds, size, total
from localcluster.controllers.times import format_time, seconds_since

JSON = dict[str, Any]

NO_DEADLINE = 2147483647
AVAILABLE = "NewReplicaSetAvailable"
TIMED_OUT = "ProgressDeadlineExceeded"
PAUSED = "DeploymentPaused"


def has_deadline(deployment: JSON) -> bool:
    return deployment["spec"].get("progressDeadlineSeconds", NO_DEADLINE) not in (None, NO_DEADLINE)


def condition(type: str, status: str, reason: str, message: str, now: datetime) -> JSON:
    moment = format_time(now)
    return {
        "type": type,
        "status": status,
        "lastUpdateTime": moment,
        "lastTransitionTime": moment,
        "reason": reason,
        "message": message,
    }


def put(present: Sequence[JSON], new: JSON) -> list[JSON]:
    """With the condition as the last one; unchanged if status and reason are as they were."""
    old = conditions.find(present, new["type"])
    if old is not None and old["status"] == new["status"]:
        if old.get("reason") == new["reason"]:
            return list(present)
        new = {**new, "lastTransitionTime": old.get("lastTransitionTime")}
    return [*conditions.without(present, new["type"]), new]


def counted(deployment: JSON, new: JSON | None, old: Sequence[JSON], now: datetime) -> JSON:
    """The status by what the ReplicaSets report, with the condition Available."""
    everything = [rs for rs in (*old, new) if rs is not None]
    up = sum(available(rs) for rs in everything)
    status: JSON = {
        "observedGeneration": deployment["metadata"].get("generation", 0),
        "replicas": _reported(everything, "replicas"),
        "updatedReplicas": _reported([new] if new is not None else [], "replicas"),
        "readyReplicas": _reported(everything, "readyReplicas"),
        "availableReplicas": up,
        "unavailableReplicas": max(0, total(everything) - up),
        "terminatingReplicas": _reported(everything, "terminatingReplicas"),
    }
    for key in ("replicas", "updatedReplicas", "readyReplicas", "availableReplicas", "unavailableReplicas"):
        if not status[key]:
            del status[key]
    if any("terminatingReplicas" not in rs.get("status", {}) for rs in everything):
        del status["terminatingReplicas"]
    if collisions := deployment.get("status", {}).get("collisionCount"):
        status["collisionCount"] = collisions
    if up >= size(deployment) - bounds(deployment)[1]:
        word = condition("Available", "True", "MinimumReplicasAvailable", "Deployment has minimum availability.", now)
    else:
        message = "Deployment does not have minimum availability."
        word = condition("Available", "False", "MinimumReplicasUnavailable", message, now)
    status["conditions"] = put(deployment.get("status", {}).get("conditions") or [], word)
    return status


def _reported(replica_sets: Iterable[JSON], key: str) -> int:
    return sum(int(rs.get("status", {}).get(key) or 0) for rs in replica_sets)


def is_complete(deployment: JSON, status: JSON) -> bool:
    """All replicas are of the newest template and available, and none besides."""
    wanted = size(deployment)
    return bool(
        status.get("updatedReplicas", 0) == wanted
        and status.get("replicas", 0) == wanted
        and status.get("availableReplicas", 0) == wanted
        and status.get("observedGeneration", 0) >= deployment["metadata"].get("generation", 0)
    )


def _is_progressing(before: JSON, after: JSON) -> bool:
    def number(status: JSON, key: str) -> int:
        return int(status.get(key) or 0)

    def old_replicas(status: JSON) -> int:
        return number(status, "replicas") - number(status, "updatedReplicas")

    return old_replicas(after) < old_replicas(before) or any(
        number(after, key) > number(before, key) for key in ("updatedReplicas", "readyReplicas", "availableReplicas")
    )


def _has_timed_out(deployment: JSON, now: datetime) -> bool:
    progressing = conditions.find(deployment.get("status", {}).get("conditions"), "Progressing")
    if not has_deadline(deployment) or progressing is None or progressing.get("reason") == AVAILABLE:
        return False
    if progressing.get("reason") == TIMED_OUT:
        return True
    deadline_seconds: int = deployment["spec"]["progressDeadlineSeconds"]
    return seconds_since(progressing.get("lastUpdateTime"), now) > deadline_seconds


def rollout(deployment: JSON, new: JSON | None, old: Sequence[JSON], now: datetime) -> JSON:
    """The status with how the rollout goes."""
    before = deployment.get("status") or {}
    status = counted(deployment, new, old, now)
    present = status["conditions"]
    current = conditions.find(before.get("conditions"), "Progressing")
    done = status.get("replicas", 0) == status.get("updatedReplicas", 0) and (current or {}).get("reason") == AVAILABLE
    if not has_deadline(deployment):
        present = conditions.without(present, "Progressing")
    elif not done:
        what = f'ReplicaSet "{new["metadata"]["name"]}"' if new is not None else None
        what = what or f'Deployment "{deployment["metadata"]["name"]}"'
        if is_complete(deployment, status):
            word = condition("Progressing", "True", AVAILABLE, f"{what} has successfully progressed.", now)
            present = put(present, word)
        elif _is_progressing(before, status):
            word = condition("Progressing", "True", "ReplicaSetUpdated", f"{what} is progressing.", now)
            if current is not None and current["status"] == "True":
                word["lastTransitionTime"] = current.get("lastTransitionTime")
            present = [*conditions.without(present, "Progressing"), word]
        elif _has_timed_out(deployment, now):
            word = condition("Progressing", "False", TIMED_OUT, f"{what} has timed out progressing.", now)
            present = put(present, word)
    failure = _replica_failure(new, old)
    present = put(present, failure) if failure is not None else conditions.without(present, "ReplicaFailure")
    status["conditions"] = present
    return status


def _replica_failure(new: JSON | None, old: Sequence[JSON]) -> JSON | None:
    for rs in (new, *old):
        found = conditions.find((rs or {}).get("status", {}).get("conditions"), "ReplicaFailure")
        if found is not None:
            moment = found.get("lastTransitionTime")
            word = {"type": "ReplicaFailure", "status": found["status"], "lastUpdateTime": moment}
            word |= {"lastTransitionTime": moment, "reason": found.get("reason"), "message": found.get("message")}
            return word
    return None


def paused_condition(deployment: JSON, now: datetime) -> JSON | None:
    """The condition Progressing of a Deployment that was paused or resumed since; None if nothing is new."""
    current = conditions.find(deployment.get("status", {}).get("conditions"), "Progressing")
    reason = (current or {}).get("reason")
    paused = bool(deployment["spec"].get("paused"))
    if not has_deadline(deployment) or reason == TIMED_OUT or paused == (reason == PAUSED):
        return None
    if paused:
        return condition("Progressing", "Unknown", PAUSED, "Deployment is paused", now)
    return condition("Progressing", "Unknown", "DeploymentResumed", "Deployment is resumed", now)


def seconds_to_deadline(deployment: JSON, status: JSON, now: datetime) -> float | None:
    """When to look again whether the rollout is stuck; None if it is complete or was found stuck."""
    current = conditions.find(status.get("conditions"), "Progressing")
    if not has_deadline(deployment) or current is None:
        return None
    if is_complete(deployment, status) or current.get("reason") in (TIMED_OUT, PAUSED):
        return None
    passed = seconds_since(current.get("lastUpdateTime"), now)
    return float(max(1.0, deployment["spec"]["progressDeadlineSeconds"] - passed + 1))
