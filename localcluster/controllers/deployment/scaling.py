"""How many replicas each ReplicaSet of a Deployment should have next
(https://kubernetes.io/docs/concepts/workloads/controllers/deployment/#strategy)."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

from localcluster.controllers.deployment.revisions import DESIRED_REPLICAS, MAX_REPLICAS, annotated_number, by_age

JSON = dict[str, Any]
Sizes = list[tuple[JSON, int]]
"""ReplicaSets with the size that each should get."""


def size(rs: JSON) -> int:
    return int(rs["spec"].get("replicas") or 0)


def total(replica_sets: Iterable[JSON]) -> int:
    return sum(size(rs) for rs in replica_sets)


def available(rs: JSON) -> int:
    return int(rs.get("status", {}).get("availableReplicas") or 0)


def active(replica_sets: Iterable[JSON]) -> list[JSON]:
    return [rs for rs in replica_sets if size(rs) > 0]


def is_rolling(deployment: JSON) -> bool:
    return bool(deployment["spec"].get("strategy", {}).get("type") == "RollingUpdate")


def bounds(deployment: JSON) -> tuple[int, int]:
    """maxSurge and maxUnavailable in pods: percentages of surge are rounded up, of unavailability down, and not both
    are 0."""
    replicas = size(deployment)
    if not is_rolling(deployment) or replicas == 0:
        rolling = deployment["spec"].get("strategy", {}).get("rollingUpdate") or {}
        return (_pods(rolling.get("maxSurge", 0), replicas, up=True) if is_rolling(deployment) else 0), 0
    rolling = deployment["spec"]["strategy"].get("rollingUpdate") or {}
    surge = _pods(rolling.get("maxSurge", "25%"), replicas, up=True)
    unavailable = _pods(rolling.get("maxUnavailable", "25%"), replicas, up=False)
    if surge == 0 and unavailable == 0:
        unavailable = 1
    return surge, min(unavailable, replicas)


def _pods(value: int | str, replicas: int, *, up: bool) -> int:
    if isinstance(value, int):
        return value
    share = int(value.rstrip("%")) * replicas
    return -(-share // 100) if up else share // 100


def new_size(deployment: JSON, replica_sets: Sequence[JSON], new_replicas: int) -> int:
    """What the new ReplicaSet may have while all together stay within the surge."""
    wanted = size(deployment)
    if not is_rolling(deployment) or new_replicas >= wanted:
        return wanted
    room = wanted + bounds(deployment)[0] - total(replica_sets)
    return new_replicas + max(0, min(room, wanted - new_replicas))


def old_sizes(deployment: JSON, new: JSON | None, old: Sequence[JSON]) -> Sizes:
    """What the old ReplicaSets may be reduced to without too few pods being available: first pods that are not."""
    if total(old) == 0:
        return []
    everything = [*old, new] if new is not None else list(old)
    minimum = size(deployment) - bounds(deployment)[1]
    new_unavailable = size(new) - available(new) if new is not None else 0
    excess = total(everything) - minimum - new_unavailable
    if excess <= 0:
        return []
    sizes = {rs["metadata"]["uid"]: size(rs) for rs in old}
    for rs in by_age(old):
        unhealthy = max(0, min(excess, sizes[rs["metadata"]["uid"]] - available(rs)))
        sizes[rs["metadata"]["uid"]] -= unhealthy
        excess -= unhealthy
    spare = sum(available(rs) for rs in everything) - minimum
    for rs in by_age(old):
        fewer = max(0, min(sizes[rs["metadata"]["uid"]], spare))
        sizes[rs["metadata"]["uid"]] -= fewer
        spare -= fewer
    return [(rs, sizes[rs["metadata"]["uid"]]) for rs in old if sizes[rs["metadata"]["uid"]] != size(rs)]


def is_scaling(deployment: JSON, replica_sets: Iterable[JSON]) -> bool:
    """Whether the Deployment's size was changed since its ReplicaSets were last sized."""
    return any(
        desired is not None and desired != size(deployment)
        for desired in (annotated_number(rs, DESIRED_REPLICAS) for rs in active(replica_sets))
    )


def is_saturated(deployment: JSON, rs: JSON | None) -> bool:
    """Whether the ReplicaSet alone is the whole Deployment."""
    if rs is None:
        return False
    wanted = size(deployment)
    return size(rs) == wanted and annotated_number(rs, DESIRED_REPLICAS) == wanted and available(rs) == wanted


def scaled(deployment: JSON, new: JSON | None, old: Sequence[JSON]) -> Sizes:
    """Sizes after a change of the Deployment's size, or while it is paused: in the midst of a rollout all active
    ReplicaSets grow or shrink in proportion."""
    wanted = size(deployment)
    everything = [rs for rs in (*old, new) if rs is not None]
    running = active(everything)
    if len(running) < 2:
        only = running[0] if running else (new if new is not None else (by_age(old)[-1] if old else None))
        return [] if only is None else [(only, wanted)]
    if is_saturated(deployment, new):
        return [(rs, 0) for rs in active(old)]
    if not is_rolling(deployment):
        return []
    allowed = wanted + bounds(deployment)[0] if wanted > 0 else 0
    to_add = allowed - total(running)
    # Growing favours newer ones of a size, shrinking older ones; the first gets what rounding leaves.
    ordered = by_age(running)
    if to_add > 0:
        ordered.reverse()
    ordered.sort(key=size, reverse=True)
    sizes: list[int] = []
    added = 0
    for rs in ordered:
        share = _proportion(deployment, rs, to_add, added) if to_add else 0
        added += share
        sizes.append(size(rs) + share)
    if to_add:
        sizes[0] = max(0, sizes[0] + to_add - added)
    return list(zip(ordered, sizes, strict=True))


def _proportion(deployment: JSON, rs: JSON, to_add: int, added: int) -> int:
    wanted = size(deployment)
    if size(rs) == 0:
        return 0
    if wanted == 0:
        share = -size(rs)
    else:
        annotated = annotated_number(rs, MAX_REPLICAS) or int(deployment.get("status", {}).get("replicas") or 0)
        if annotated <= 0:
            return 0
        exact = size(rs) * (wanted + bounds(deployment)[0]) / annotated
        share = math.floor(exact + 0.5) - size(rs)
    room = to_add - added
    return min(share, room) if to_add > 0 else max(share, room)
