"""Whose objects are taken over, waited for, and left alone."""

from __future__ import annotations

from typing import Any

import pytest

from controller import ownership
from controller.ownership import Leaving, NameConflict
from tests.controller.samples import make_function

JSON = dict[str, Any]

FUNCTION = make_function()
OURS = {"created-by": "kubeless", "function": "hello"}


def live(labels: JSON | None = None, owner: JSON | None = None, **metadata: Any) -> JSON:
    references = [{"controller": True, **owner}] if owner else []
    return {
        "kind": "Service",
        "metadata": {"name": "hello", "labels": labels or {}, "ownerReferences": references, **metadata},
    }


@pytest.mark.parametrize(
    "obj",
    [
        live(OURS, {"kind": "Function", "name": "hello", "uid": "u1"}),
        live({}, {"kind": "Function", "name": "hello", "uid": "u1"}),
        live(OURS),
    ],
    ids=["ours", "ours, without its labels", "made by Kubeless"],
)
def test_what_is_ours(obj: JSON) -> None:
    ownership.check(obj, FUNCTION)


@pytest.mark.parametrize(
    "obj",
    [
        live({"app": "x"}),
        live({"created-by": "kubeless", "function": "other"}),
        live(OURS, {"kind": "CronJob", "name": "x", "uid": "u2"}),
        live(OURS, {"kind": "Function", "name": "other", "uid": "u2"}),
    ],
)
def test_what_is_not(obj: JSON) -> None:
    with pytest.raises(NameConflict, match="Service hello"):
        ownership.check(obj, FUNCTION)


@pytest.mark.parametrize(
    "obj",
    [
        live(OURS, deletionTimestamp="2024-05-01T11:00:00Z"),
        live(OURS, {"kind": "Function", "name": "hello", "uid": "of the one before"}),
    ],
)
def test_what_is_on_its_way_out(obj: JSON) -> None:
    with pytest.raises(Leaving):
        ownership.check(obj, FUNCTION)
