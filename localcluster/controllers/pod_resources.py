"""What a pod asks for: its requests and limits over all containers, and what of them has to hold at one time."""

from __future__ import annotations

from typing import Any

from localcluster import quantity
from localcluster.quantity import Quantity

JSON = dict[str, Any]
Amounts = dict[str, Quantity]


def _amounts(container: JSON, kind: str) -> Amounts:
    return {name: quantity.parse(value) for name, value in ((container.get("resources") or {}).get(kind) or {}).items()}


def add(total: Amounts, more: Amounts) -> None:
    for name, amount in more.items():
        total[name] = total[name] + amount if name in total else amount


def _raise(total: Amounts, floor: Amounts) -> None:
    for name, amount in floor.items():
        if name not in total or total[name] < amount:
            total[name] = amount


def of_pod(pod: JSON, kind: str) -> Amounts:
    """`kind` is ``requests`` or ``limits``: the sum over containers and sidecars, or what an init container needs if
    that is more (https://kubernetes.io/docs/concepts/workloads/pods/init-containers/#resource-sharing-within-containers)."""
    spec = pod["spec"]
    total: Amounts = {}
    for container in spec["containers"]:
        add(total, _amounts(container, kind))
    sidecars: Amounts = {}
    peak: Amounts = {}
    for container in spec.get("initContainers") or ():
        amounts = _amounts(container, kind)
        if container.get("restartPolicy") == "Always":
            add(total, amounts)
            add(sidecars, amounts)
            _raise(peak, sidecars)
        else:
            add(amounts, sidecars)
            _raise(peak, amounts)
    _raise(total, peak)
    total.update(_amounts(spec, kind))
    overhead = {name: quantity.parse(value) for name, value in (spec.get("overhead") or {}).items()}
    if kind == "requests" or total:
        add(total, overhead)
    return total
