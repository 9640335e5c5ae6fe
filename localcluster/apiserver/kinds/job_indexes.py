"""Lists of completion indexes of an Indexed Job, written like ``1,3-5,7``."""

from __future__ import annotations

import json
import re


def intervals(text: str, completions: int) -> list[tuple[int, int]]:
    """First and last index of each interval.

    Raises:
        ValueError: the text is malformed, not in increasing order, or names an index beyond `completions`.
    """
    found: list[tuple[int, int]] = []
    for part in text.split(",") if text else ():
        first, last = _interval(part, completions)
        if found and found[-1][1] >= first:
            raise ValueError(f"non-increasing order, previous: {found[-1][1]}, current: {first}")
        found.append((first, last))
    return found


def count_indexes(text: str, completions: int) -> int:
    """How many indexes the text names. Raises ValueError as `intervals` does."""
    return sum(last - first + 1 for first, last in intervals(text, completions))


def _interval(text: str, completions: int) -> tuple[int, int]:
    limits = text.split("-")
    if len(limits) > 2:
        raise ValueError(f"the fragment {json.dumps(text)} violates the requirement that an index interval can have "
                         "at most two parts separated by '-'")  # fmt: skip
    first = _index(limits[0])
    if first >= completions:
        raise ValueError(f"too large index: {json.dumps(limits[0])}")
    if len(limits) == 1:
        return first, first
    last = _index(limits[1])
    if last >= completions:
        raise ValueError(f"too large index: {json.dumps(limits[1])}")
    if first >= last:
        raise ValueError(f"non-increasing order, previous: {first}, current: {last}")
    return first, last


def _index(text: str) -> int:
    if not re.fullmatch(r"[+-]?[0-9]+", text):
        quoted = json.dumps(text)
        raise ValueError(f"cannot convert string to integer for index: {quoted}")
    return int(text)
