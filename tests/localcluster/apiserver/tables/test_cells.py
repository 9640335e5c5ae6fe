"""How ages, labels and lists are written in tables."""

from datetime import UTC, datetime, timedelta

import pytest

from localcluster.apiserver.tables import cells


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (-5, "<invalid>"),
        (-1, "0s"),
        (0, "0s"),
        (119, "119s"),
        (120, "2m"),
        (125, "2m5s"),
        (599, "9m59s"),
        (600, "10m"),
        (3 * 3600 - 1, "179m"),
        (3 * 3600, "3h"),
        (3 * 3600 + 120, "3h2m"),
        (8 * 3600 + 60, "8h"),
        (47 * 3600, "47h"),
        (48 * 3600, "2d"),
        (49 * 3600, "2d1h"),
        (8 * 86400, "8d"),
        (729 * 86400, "729d"),
        (731 * 86400, "2y1d"),
        (8 * 365 * 86400 + 86400, "8y"),
    ],
)
def test_human_durations(seconds: int, shown: str) -> None:
    assert cells.human_duration(timedelta(seconds=seconds)) == shown


def test_ages_of_missing_and_bad_times_are_unknown() -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    assert cells.since(None, now) == "<unknown>"
    assert cells.since("yesterday", now) == "<unknown>"
    assert cells.since("2025-12-31T23:59:00Z", now) == "60s"
    assert cells.since("2025-12-31T23:59:00.250000Z", now) == "59s"


def test_labels_are_sorted() -> None:
    assert cells.labels({"b": "1", "a": ""}) == "a=,b=1"
    assert cells.labels(None) == "<none>"


def test_selectors_are_ordered_by_key() -> None:
    selector = {
        "matchLabels": {"b": "1"},
        "matchExpressions": [
            {"key": "a", "operator": "DoesNotExist"},
            {"key": "c", "operator": "In", "values": ["z", "y"]},
        ],
    }
    assert cells.selector(selector) == "!a,b=1,c in (y,z)"
    assert cells.selector({}) == "<none>"


def test_long_lists_say_how_many_more_there_are() -> None:
    assert cells.some(["a", "b", "c", "d"], 4, "<none>") == "a,b,c + 1 more..."
    assert cells.some([], 0, "<unset>") == "<unset>"


def test_access_modes_are_abbreviated_in_a_fixed_order() -> None:
    assert cells.access_modes(["ReadWriteMany", "ReadWriteOnce", "ReadWriteOnce"]) == "RWO,RWX"
