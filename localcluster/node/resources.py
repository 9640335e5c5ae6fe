"""CPU and memory of containers as their specs ask for them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from localcluster import quantity

JSON = dict[str, Any]


def amount(value: Any) -> float:
    """A quantity in its base unit: cores, bytes."""
    return float(quantity.parse(value))


def memory_limit_bytes(container: JSON) -> int | None:
    limit = ((container.get("resources") or {}).get("limits") or {}).get("memory")
    return None if limit is None else int(amount(limit))


def resource_value(ref: JSON, pod: JSON, container: JSON, allocatable: Mapping[str, str]) -> str:
    """What a `resourceFieldRef` names, in units of its divisor, rounded up; a missing limit is what the node has."""
    if ref.get("containerName"):
        everything = [*pod["spec"].get("containers", []), *(pod["spec"].get("initContainers") or [])]
        container = next((c for c in everything if c["name"] == ref["containerName"]), container)
    kind, _, name = ref["resource"].partition(".")
    resources = container.get("resources") or {}
    value = (resources.get(kind) or {}).get(name)
    if value is None and kind == "limits":
        value = allocatable.get(name)
    divisor = amount(ref.get("divisor") or "1") or 1.0
    return str(math.ceil(amount(value or "0") / divisor - 1e-9))
