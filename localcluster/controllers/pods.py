"""What controllers ask of pods: active, ready, available; which to delete first; and a new pod from a template."""

from __future__ import annotations

import copy
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from localcluster.controllers import conditions
from localcluster.controllers.times import parse_time, seconds_since

JSON = dict[str, Any]

DELETION_COST = "controller.kubernetes.io/pod-deletion-cost"


def phase(pod: JSON) -> str:
    return str(pod.get("status", {}).get("phase") or "")


def is_finished(pod: JSON) -> bool:
    return phase(pod) in ("Succeeded", "Failed")


def is_active(pod: JSON) -> bool:
    return not is_finished(pod) and not pod["metadata"].get("deletionTimestamp")


def is_terminating(pod: JSON) -> bool:
    return not is_finished(pod) and bool(pod["metadata"].get("deletionTimestamp"))


def is_ready(pod: JSON) -> bool:
    return conditions.is_true(pod.get("status", {}).get("conditions"), "Ready")


def ready_since(pod: JSON) -> str | None:
    """When the pod became ready; None if it is not."""
    ready = conditions.find(pod.get("status", {}).get("conditions"), "Ready")
    return ready.get("lastTransitionTime") if ready is not None and ready["status"] == "True" else None


def is_available(pod: JSON, min_ready_seconds: int, now: datetime) -> bool:
    """Ready for at least so long."""
    if not is_ready(pod):
        return False
    since = ready_since(pod)
    return not min_ready_seconds or (since is not None and seconds_since(since, now) >= min_ready_seconds)


def restarts(pod: JSON) -> int:
    """The most restarts of any container."""
    return max((s.get("restartCount", 0) for s in pod.get("status", {}).get("containerStatuses") or ()), default=0)


def deletion_order(pods: Sequence[JSON], related: Iterable[JSON], now: datetime) -> list[JSON]:
    """The pods, those to delete first in front
    (https://kubernetes.io/docs/concepts/workloads/controllers/replicaset/#scaling-down-a-replicaset).

    Args:
        related: the active pods of the same owner's owner, to take pods from crowded nodes first.
    """
    on_node = Counter(p["spec"]["nodeName"] for p in related if is_active(p) and p["spec"].get("nodeName"))

    def rank(pod: JSON) -> tuple[Any, ...]:
        ready = is_ready(pod)
        return (
            bool(pod["spec"].get("nodeName")),
            {"Pending": 0, "Unknown": 1}.get(phase(pod), 2),
            ready,
            _deletion_cost(pod),
            -on_node[pod["spec"].get("nodeName") or ""],
            _age_bucket(ready_since(pod), now) if ready else 0,
            -restarts(pod),
            _age_bucket(pod["metadata"].get("creationTimestamp"), now),
            pod["metadata"]["uid"],
        )

    return sorted(pods, key=rank)


def _deletion_cost(pod: JSON) -> int:
    try:
        return int((pod["metadata"].get("annotations") or {}).get(DELETION_COST, 0))
    except ValueError:
        return 0


def _age_bucket(text: str | None, now: datetime) -> int:
    """Ages count by powers of two, so that among pods of about one age chance (the uid) decides."""
    then = parse_time(text)
    if then is None:
        return -1
    return int(math.log2(max((now - then).total_seconds(), 1)))


def from_template(template: JSON, owner_reference: JSON, generate_name: str) -> JSON:
    """A pod to create, owned by `owner_reference`."""
    meta = template.get("metadata") or {}
    made: JSON = {"generateName": generate_name, "ownerReferences": [owner_reference]}
    for key in ("labels", "annotations", "finalizers"):
        if meta.get(key):
            made[key] = copy.deepcopy(meta[key])
    return {"apiVersion": "v1", "kind": "Pod", "metadata": made, "spec": copy.deepcopy(template["spec"])}
