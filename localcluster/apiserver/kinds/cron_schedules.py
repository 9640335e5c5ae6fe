"""Schedules of CronJobs: which ones are well formed, with the messages of the parser that Kubernetes uses.

The grammar and the texts are those of github.com/robfig/cron v3 `ParseStandard`: five fields, or a descriptor such as
``@daily`` or ``@every 5m``. Whether a schedule ever comes (``5 2 31 2 *`` never does) is not asked.
"""

from __future__ import annotations

import json
import re
import zoneinfo
from dataclasses import dataclass, field

_DESCRIPTORS = ("@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly")
_MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
_DAYS = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"]
_DURATION = re.compile(r"[+-]?((\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h))+|[+-]?0")
_ZONE_PART = re.compile(r"[A-Za-z.\-_0-9+]{1,14}")


@dataclass(frozen=True)
class _Bounds:
    low: int
    high: int
    names: dict[str, int] = field(default_factory=dict)


_FIELDS = (
    _Bounds(0, 59),
    _Bounds(0, 23),
    _Bounds(1, 31),
    _Bounds(1, 12, {name: i for i, name in enumerate(_MONTHS, 1)}),
    _Bounds(0, 6, {name: i for i, name in enumerate(_DAYS)}),
)


def problem(schedule: str) -> str:
    """What is wrong with a schedule; empty if nothing is."""
    try:
        _parse(schedule)
    except ValueError as error:
        return str(error)
    return ""


def _parse(schedule: str) -> None:
    if not schedule:
        raise ValueError("empty spec string")
    if schedule.startswith(("TZ=", "CRON_TZ=")):
        zone, _, schedule = schedule.partition("=")[2].partition(" ")
        if not is_time_zone(zone):
            raise ValueError(f"provided bad location {zone}: unknown time zone {zone}")
        schedule = schedule.strip()
    if schedule.startswith("@"):
        _parse_descriptor(schedule)
        return
    fields = schedule.split()
    if len(fields) != len(_FIELDS):
        raise ValueError(f"expected exactly 5 fields, found {len(fields)}: [{' '.join(fields)}]")
    for text, bounds in zip(fields, _FIELDS, strict=True):
        for expression in filter(None, text.split(",")):
            _parse_range(expression, bounds)


def _parse_descriptor(text: str) -> None:
    if text in _DESCRIPTORS:
        return
    if not text.startswith("@every "):
        raise ValueError(f"unrecognized descriptor: {text}")
    duration = text.removeprefix("@every ")
    if not _DURATION.fullmatch(duration):
        quoted = json.dumps(duration, ensure_ascii=False)
        raise ValueError(f"failed to parse duration {text}: {_duration_problem(duration, quoted)}")


def _duration_problem(duration: str, quoted: str) -> str:
    number = re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)", duration)
    if number:
        return f"time: missing unit in duration {quoted}"
    unit = re.fullmatch(r"[+-]?(?:\d+\.?\d*|\.\d+)([^\d.]+).*", duration)
    if unit:
        return f'time: unknown unit "{unit[1]}" in duration {quoted}'
    return f"time: invalid duration {quoted}"


def _parse_range(expression: str, bounds: _Bounds) -> None:
    extent, *steps = expression.split("/")
    low, *rest = extent.split("-")
    if low in ("*", "?"):
        start, end = bounds.low, bounds.high
    else:
        start = _number_or_name(low, bounds)
        if len(rest) > 1:
            raise ValueError(f"too many hyphens: {expression}")
        end = _number_or_name(rest[0], bounds) if rest else start
    step = 1
    if len(steps) > 1:
        raise ValueError(f"too many slashes: {expression}")
    if steps:
        step = _number(steps[0])
        if not rest:
            end = bounds.high
    if start < bounds.low:
        raise ValueError(f"beginning of range ({start}) below minimum ({bounds.low}): {expression}")
    if end > bounds.high:
        raise ValueError(f"end of range ({end}) above maximum ({bounds.high}): {expression}")
    if start > end:
        raise ValueError(f"beginning of range ({start}) beyond end of range ({end}): {expression}")
    if step == 0:
        raise ValueError(f"step of range should be a positive number: {expression}")


def _number_or_name(text: str, bounds: _Bounds) -> int:
    found = bounds.names.get(text.lower())
    return _number(text) if found is None else found


def _number(text: str) -> int:
    if not re.fullmatch(r"[+-]?[0-9]+", text):
        quoted = json.dumps(text, ensure_ascii=False)
        raise ValueError(f"failed to parse int from {text}: strconv.Atoi: parsing {quoted}: invalid syntax")
    number = int(text)
    if number < 0:
        raise ValueError(f"negative number ({number}) not allowed: {text}")
    return number


def is_time_zone(name: str) -> bool:
    """Whether a name is of the IANA time zone database (https://www.iana.org/time-zones)."""
    for part in name.split("/"):
        if part in (".", "..") or part.startswith("-") or not _ZONE_PART.fullmatch(part):
            return False
    try:
        zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True
