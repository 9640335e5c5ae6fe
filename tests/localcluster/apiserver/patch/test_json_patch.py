"""JSON patches."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from localcluster.apiserver.errors import APIError
from localcluster.apiserver.patch import json_patch

DOC = {"data": {"k": "v", "l": "w"}, "list": ["a", "b"], "a/b": {"~": 1}}


@pytest.mark.parametrize(
    ("patch", "path", "expected"),
    [
        ([{"op": "add", "path": "/data/n", "value": "new"}], "data", {"k": "v", "l": "w", "n": "new"}),
        ([{"op": "replace", "path": "/data/nope", "value": "x"}], "data", {"k": "v", "l": "w", "nope": "x"}),
        ([{"op": "remove", "path": "/data/l"}], "data", {"k": "v"}),
        ([{"op": "move", "from": "/data/l", "path": "/data/m"}], "data", {"k": "v", "m": "w"}),
        ([{"op": "copy", "from": "/data/l", "path": "/data/m"}], "data", {"k": "v", "l": "w", "m": "w"}),
        ([{"op": "test", "path": "/data/k", "value": "v"}, {"op": "remove", "path": "/data/k"}], "data", {"l": "w"}),
        ([{"op": "test", "path": "/data/none", "value": None}], "data", {"k": "v", "l": "w"}),
        ([{"op": "replace", "path": "/a~1b/~0", "value": 2}], "a/b", {"~": 2}),
        ([{"op": "add", "path": "/list/0", "value": "x"}], "list", ["x", "a", "b"]),
        ([{"op": "add", "path": "/list/-", "value": "x"}], "list", ["a", "b", "x"]),
        ([{"op": "remove", "path": "/list/-1"}], "list", ["a"]),
        ([{"op": "replace", "path": "/list/1", "value": "x"}], "list", ["a", "x"]),
    ],
)
def test_operations(patch: list[Any], path: str, expected: Any) -> None:
    before = copy.deepcopy(DOC)
    assert json_patch.apply(DOC, patch)[path] == expected
    assert before == DOC


def test_the_whole_document_can_be_replaced() -> None:
    assert json_patch.apply(DOC, [{"op": "replace", "path": "", "value": {"x": 1}}]) == {"x": 1}


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "test", "path": "/data/k", "value": "other"},
        {"op": "remove", "path": "/data/nope"},
        {"op": "add", "path": "/nope/x/y", "value": 1},
        {"op": "add", "path": "/list/3", "value": 1},
        {"op": "remove", "path": "/list/9"},
        {"op": "dance", "path": "/data/k"},
        {"op": "add", "path": "/data/k"},
        {"op": "add", "path": "data", "value": 1},
        {"op": "move", "from": "/data", "path": "/data/x"},
        {"op": "test", "path": "/a~1b/~0", "value": True},
        "remove",
    ],
)
def test_what_cannot_be_done_is_a_plain_422(operation: Any) -> None:
    with pytest.raises(APIError) as caught:
        json_patch.apply(DOC, [operation])
    assert caught.value.status()["code"] == 422
    assert caught.value.status()["reason"] == "Invalid"
    assert caught.value.status()["details"] == {}
    assert caught.value.message == "the server rejected our request due to an error in our request"


def test_too_many_operations() -> None:
    with pytest.raises(APIError) as caught:
        json_patch.apply(DOC, [{"op": "test", "path": "/data/k", "value": "v"}] * 10_001)
    assert caught.value.code == 413


def test_copies_may_not_double_the_document_again_and_again() -> None:
    patch = [{"op": "copy", "from": "", "path": f"/data/{number}"} for number in range(30)]
    doc = {"data": {"k": "v" * 1000}}
    assert len(json_patch.apply(doc, patch[:8])["data"]) == 9
    with pytest.raises(APIError) as caught:
        json_patch.apply(doc, patch)
    assert (caught.value.code, caught.value.status()["details"]) == (422, {})


def test_operations_may_not_nest_without_end() -> None:
    patch = [{"op": "add", "path": "/a" * depth, "value": {}} for depth in range(1, 400)]
    assert json_patch.apply(DOC, patch[:100])
    with pytest.raises(APIError) as caught:
        json_patch.apply(DOC, patch)
    assert caught.value.code == 422
