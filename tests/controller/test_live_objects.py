"""The local copy is never older than what was written or seen."""

from __future__ import annotations

from typing import Any

from controller.live_objects import LiveObjects

JSON = dict[str, Any]

KEY = ("ns", "a")


def obj(version: int, uid: str = "u", function: str = "f", **content: Any) -> JSON:
    labels = {"function": function}
    return {
        "metadata": {"namespace": "ns", "name": "a", "uid": uid, "resourceVersion": str(version), "labels": labels}
    } | content


def test_an_object_is_what_was_observed() -> None:
    objects = LiveObjects()
    assert objects.get(KEY) is None
    assert objects.observe(obj(1, data="x"))
    assert objects.get(KEY) == obj(1, data="x")
    assert objects.of_function(("ns", "f")) == [obj(1, data="x")]


def test_a_watch_that_is_behind_changes_nothing() -> None:
    objects = LiveObjects()
    objects.observe(obj(5, data="written"))
    assert not objects.observe(obj(4, data="before"))
    assert not objects.observe(obj(5, data="written"))
    assert objects.get(KEY) == obj(5, data="written")


def test_an_object_of_the_same_name_that_came_after_stays() -> None:
    objects = LiveObjects()
    objects.observe(obj(5))
    objects.observe(obj(7, uid="new"))
    objects.forget(obj(6))
    assert objects.get(KEY) == obj(7, uid="new")
    objects.forget(obj(8, uid="new"))
    assert objects.get(KEY) is None
    assert objects.of_function(("ns", "f")) == []


def test_what_is_not_needed_is_not_kept() -> None:
    objects = LiveObjects(lambda obj: {"metadata": {"name": obj["metadata"]["name"]}})
    objects.observe(obj(1, data="x"))
    assert objects.get(KEY) == {"metadata": {"name": "a"}}
