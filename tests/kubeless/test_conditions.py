"""Conditions: when they changed, and what is left of old ones."""

from __future__ import annotations

from datetime import UTC, datetime

from kubeless.conditions import condition, find, merged

EARLY = datetime(2026, 1, 1, tzinfo=UTC)
LATE = datetime(2026, 1, 2, tzinfo=UTC)


def test_the_time_is_that_of_the_last_change_of_status() -> None:
    first = merged(None, [condition("Ready", "False", "Starting", "…", generation=1)], EARLY)
    assert first[0]["lastTransitionTime"] == "2026-01-01T00:00:00Z"
    same = merged(first, [condition("Ready", "False", "Crashed", "boom", generation=2)], LATE)
    assert (same[0]["lastTransitionTime"], same[0]["reason"]) == ("2026-01-01T00:00:00Z", "Crashed")
    other = merged(same, [condition("Ready", "True", "Served")], LATE)
    assert other[0]["lastTransitionTime"] == "2026-01-02T00:00:00Z"


def test_the_same_again_is_equal() -> None:
    new = [condition("Ready", "True", "Served", generation=1)]
    assert merged(merged([], new, EARLY), new, LATE) == merged([], new, EARLY)


def test_what_is_not_spoken_of_is_dropped() -> None:
    old = merged([], [condition("Old", "True", "X"), condition("Ready", "True", "Y")], EARLY)
    assert [entry["type"] for entry in merged(old, [condition("Ready", "True", "Y")], LATE)] == ["Ready"]


def test_find() -> None:
    obj = {"status": {"conditions": [condition("Ready", "True", "Y")]}}
    assert (find(obj, "Ready") or {})["reason"] == "Y"
    assert find(obj, "Other") is None
    assert find({}, "Ready") is None
