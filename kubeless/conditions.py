"""Conditions of a status, as metav1.Condition has them: made, and merged into old ones."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, Literal

JSON = dict[str, Any]
Status = Literal["True", "False", "Unknown"]

MAX_MESSAGE = 32768
"""Characters that metav1.Condition has room for."""


def condition(type_: str, status: Status, reason: str, message: str = "", *, generation: int = 0) -> JSON:
    """Without a time, which `merged` sets; `generation` is the object's that the condition is about."""
    made: JSON = {"type": type_, "status": status, "reason": reason, "message": message[:MAX_MESSAGE]}
    if generation:
        made["observedGeneration"] = generation
    return made


def merged(old: Iterable[JSON] | None, new: Iterable[JSON], now: datetime) -> list[JSON]:
    """The new conditions; `lastTransitionTime` is the old one's where the status is the same.

    Conditions of `old` that `new` does not speak of are dropped.
    """
    time = now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    before = {entry.get("type"): entry for entry in old or []}
    result = []
    for entry in new:
        known = before.get(entry["type"], {})
        same = known.get("status") == entry["status"] and known.get("lastTransitionTime")
        result.append({**entry, "lastTransitionTime": known["lastTransitionTime"] if same else time})
    return result


def find(obj: JSON, type_: str) -> JSON | None:
    """An object's condition of a type."""
    for entry in (obj.get("status") or {}).get("conditions") or []:
        if entry.get("type") == type_:
            found: JSON = entry
            return found
    return None
