"""Status conditions: found, and set so that lastTransitionTime moves only with the status."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from localcluster.controllers.times import format_time

JSON = dict[str, Any]


def find(conditions: Iterable[JSON] | None, type: str) -> JSON | None:
    return next((c for c in conditions or () if c["type"] == type), None)


def is_true(conditions: Iterable[JSON] | None, type: str) -> bool:
    condition = find(conditions, type)
    return condition is not None and condition["status"] == "True"


def without(conditions: Iterable[JSON] | None, *types: str) -> list[JSON]:
    return [c for c in conditions or () if c["type"] not in types]


def with_condition(
    conditions: Sequence[JSON] | None,
    type: str,
    status: str,
    reason: str,
    message: str,
    now: datetime,
    **more: Any,
) -> list[JSON]:
    """The conditions with this one changed in its place, or added last."""
    new: JSON = {"type": type, "status": status, "lastTransitionTime": format_time(now), **more}
    new["reason"], new["message"] = reason, message
    old = find(conditions, type)
    if old is None:
        return [*(conditions or ()), new]
    if old["status"] == status:
        new["lastTransitionTime"] = old.get("lastTransitionTime") or new["lastTransitionTime"]
    return [new if c is old else c for c in conditions or ()]
