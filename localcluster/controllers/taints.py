"""Taints of nodes and the tolerations of pods for them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

JSON = dict[str, Any]

NOT_READY = "node.kubernetes.io/not-ready"
UNREACHABLE = "node.kubernetes.io/unreachable"
UNSCHEDULABLE = "node.kubernetes.io/unschedulable"


def tolerates(toleration: JSON, taint: JSON) -> bool:
    if toleration.get("effect") and toleration["effect"] != taint["effect"]:
        return False
    if toleration.get("key") and toleration["key"] != taint["key"]:
        return False
    if toleration.get("operator", "Equal") == "Exists":
        return True
    return bool(toleration.get("key")) and toleration.get("value", "") == taint.get("value", "")


def untolerated(taints: Iterable[JSON], tolerations: Iterable[JSON], effects: Iterable[str]) -> JSON | None:
    """The first taint with one of the effects that nothing tolerates."""
    tolerations, effects = list(tolerations), set(effects)
    for taint in taints:
        if taint["effect"] in effects and not any(tolerates(t, taint) for t in tolerations):
            return taint
    return None


def eviction_seconds(taints: Iterable[JSON], tolerations: Iterable[JSON]) -> float | None:
    """How long a pod may stay on a node with these NoExecute taints; None for ever."""
    tolerations = list(tolerations)
    shortest: float | None = None
    for taint in taints:
        if taint["effect"] != "NoExecute":
            continue
        matching = [t for t in tolerations if tolerates(t, taint)]
        if not matching:
            return 0.0
        for toleration in matching:
            seconds = toleration.get("tolerationSeconds")
            if seconds is not None:
                shortest = max(0.0, float(seconds)) if shortest is None else min(shortest, max(0.0, float(seconds)))
    return shortest
