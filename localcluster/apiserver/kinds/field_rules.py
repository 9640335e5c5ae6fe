"""Rules of single fields that workloads share: counts of a status, percentages, fields that cannot change."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from localcluster.apiserver.errors import FieldError, invalid_value
from localcluster.apiserver.kinds import formats, metadata

JSON = dict[str, Any]
MAX_INT32 = 2**31 - 1


def not_negative_fields(obj: Mapping[str, Any], path: str, *names: str) -> list[FieldError]:
    return [error for name in names for error in formats.not_negative(f"{path}.{name}", obj.get(name))]


def not_above_replicas(status: Mapping[str, Any], *names: str) -> list[FieldError]:
    """Counts of a status that are parts of its ``replicas``."""
    total = status.get("replicas", 0)
    return [
        invalid_value(f"status.{name}", status[name], "cannot be greater than status.replicas")
        for name in names
        if status.get(name, 0) > total
    ]


def not_decremented(new: Mapping[str, Any], old: Mapping[str, Any], name: str) -> list[FieldError]:
    """A counter of a status that may only grow."""
    before, now = old.get(name), new.get(name)
    if before is None or (now is not None and now >= before):
        return []
    return [invalid_value(f"status.{name}", now or 0, "cannot be decremented")]


def _percent(value: Any) -> int | None:
    return int(value[:-1]) if isinstance(value, str) and not formats.percent(value) else None


def int_or_percent_value(value: Any) -> int:
    """The number of an int-or-percent, whatever its unit; 0 if it is malformed."""
    if isinstance(value, int):
        return value
    found = _percent(value)
    if found is not None:
        return found
    return int(value) if isinstance(value, str) and re.fullmatch(r"[+-]?[0-9]+", value) else 0


def positive_int_or_percent(path: str, value: Any) -> list[FieldError]:
    if isinstance(value, int):
        return formats.not_negative(path, value)
    return formats.check(path, value, formats.percent(value))


def at_most_100_percent(path: str, value: Any) -> list[FieldError]:
    found = _percent(value)
    return [invalid_value(path, value, "must not be greater than 100%")] if found is not None and found > 100 else []


def immutable(path: str, new: Any, old: Any, shown: Any = None) -> list[FieldError]:
    """Args: shown: what the message quotes, where that is not `new` itself."""
    if new == old:
        return []
    return [invalid_value(path, new if shown is None else shown, formats.IMMUTABLE)]


NAME_IN_PODS = (
    "metadata.name: this is used in Pod names and hostnames, which can result in surprising behavior; "
    "a DNS label is recommended: "
)


def pod_name_warnings(obj: JSON) -> list[str]:
    """The warning about a workload's name that will make bad hostnames."""
    messages = metadata.dns1123_label(obj["metadata"].get("name", ""))
    return [f"{NAME_IN_PODS}[{' '.join(messages)}]"] if messages else []
