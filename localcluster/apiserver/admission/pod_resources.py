"""What a pod asks for and is limited to as a whole (https://kubernetes.io/docs/concepts/workloads/pods/init-containers/
#resource-sharing-within-containers)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from localcluster.quantity import Quantity, parse

JSON = dict[str, Any]
Amounts = dict[str, Quantity]


def amounts(given: Mapping[str, Any] | None) -> Amounts:
    return {name: parse(value) for name, value in (given or {}).items()}


def pod_total(spec: JSON, kind: Literal["requests", "limits"], with_pod_level: bool = True) -> Amounts:
    """Requests or limits of a pod: all containers together, or the largest init container if that is more.

    Args:
        with_pod_level: `spec.resources` counts where it is set.
    """
    total: Amounts = {}
    for container in spec.get("containers") or ():
        _add(total, amounts(container.get("resources", {}).get(kind)))
    sidecars: Amounts = {}
    largest: Amounts = {}
    for container in spec.get("initContainers") or ():
        own = amounts(container.get("resources", {}).get(kind))
        if container.get("restartPolicy") == "Always":
            # A sidecar goes on while the others run.
            _add(total, own)
            _add(sidecars, own)
            own = dict(sidecars)
        else:
            _add(own, sidecars)
        _raise_to(largest, own)
    _raise_to(total, largest)
    if with_pod_level:
        total.update(amounts((spec.get("resources") or {}).get(kind)))
    overhead = amounts(spec.get("overhead"))
    if kind == "requests":
        _add(total, overhead)
    else:
        _add(total, {name: value for name, value in overhead.items() if name in total})
    return total


def _add(total: Amounts, more: Amounts) -> None:
    for name, value in more.items():
        total[name] = total[name] + value if name in total else value


def _raise_to(total: Amounts, at_least: Amounts) -> None:
    for name, value in at_least.items():
        if name not in total or total[name] < value:
            total[name] = value
