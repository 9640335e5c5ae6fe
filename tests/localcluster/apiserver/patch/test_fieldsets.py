"""Sets of fields in the form of FieldsV1, and what typed values say of theirs."""

from __future__ import annotations

from typing import Any

import pytest

from localcluster.apiserver.patch import fieldsets
from localcluster.apiserver.patch.shapes import Shape, shape_of
from localcluster.apiserver.patch.typed_values import check, compare, field_set, merge, remove, with_structs
from localcluster.apiserver.schema import Schema

SCHEMA = Schema(
    {
        "type": "object",
        "properties": {
            "spec": {
                "type": "object",
                "properties": {
                    "n": {"type": "integer"},
                    "flag": {"type": "boolean"},
                    "plain": {"type": "array", "items": {"type": "string"}},
                    "set": {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}},
                    "map": {
                        "type": "array",
                        "x-kubernetes-list-type": "map",
                        "x-kubernetes-list-map-keys": ["id", "zone"],
                        "items": {
                            "type": "object",
                            "properties": {
                                "id": {"type": "string"},
                                "zone": {"type": "integer", "default": 1},
                                "v": {"type": "integer"},
                            },
                        },
                    },
                    "whole": {"type": "object", "x-kubernetes-map-type": "atomic"},
                    "tags": {"type": "object", "additionalProperties": {"type": "string"}},
                    "any": {"x-kubernetes-preserve-unknown-fields": True},
                },
            }
        },
    }
)
SHAPE: Shape = shape_of(SCHEMA)


def spec(**fields: Any) -> Any:
    return {"spec": fields}


def fields(value: Any) -> list[str]:
    return list(fieldsets.paths(field_set(value, SHAPE)))


def test_union_difference_and_intersection() -> None:
    left = {"f:a": {".": {}, "f:b": {}, "f:c": {}}, "f:d": {}}
    right = {"f:a": {"f:b": {}}, "f:d": {"f:e": {}}}
    assert fieldsets.union(left, right) == {"f:a": {".": {}, "f:b": {}, "f:c": {}}, "f:d": {".": {}, "f:e": {}}}
    assert fieldsets.difference(left, right) == {"f:a": {".": {}, "f:c": {}}, "f:d": {}}
    assert fieldsets.difference(left, {"f:a": {}}) == {"f:a": {"f:b": {}, "f:c": {}}, "f:d": {}}
    assert fieldsets.recursive_difference(left, {"f:a": {}}) == {"f:d": {}}
    assert fieldsets.intersection(left, right) == {"f:a": {"f:b": {}}}
    assert fieldsets.intersection(left, {"f:a": {".": {}, "f:x": {}}}) == {"f:a": {}}


def test_sets_of_paths() -> None:
    made = fieldsets.of_paths([("a", "b"), ("a",), ("c",)])
    assert made == {"f:a": {".": {}, "f:b": {}}, "f:c": {}}
    assert fieldsets.has(made, ("a", "b"))
    assert not fieldsets.has(made, ("a", "c"))
    assert not fieldsets.has({"f:a": {"f:b": {}}}, ("a",))


def test_paths_are_shown_with_the_keys_of_entries_and_leaves_first() -> None:
    made = {
        "f:ports": {'k:{"port":80,"protocol":"TCP"}': {".": {}, "f:name": {}}},
        "f:set": {'v:"a"': {}},
        "f:z": {},
    }
    assert list(fieldsets.paths(made)) == [
        ".z",
        '.ports[port=80,protocol="TCP"]',
        '.ports[port=80,protocol="TCP"].name',
        '.set[="a"]',
    ]


def test_fields_of_an_applied_object() -> None:
    value = spec(
        n=1,
        plain=["a"],
        set=["a"],
        map=[{"id": "x", "v": 1}],
        whole={"a": {"b": 1}},
        tags={"t": "1"},
        any={"x": {"y": 1}},
    )
    assert fields(value) == [
        ".spec.n",
        ".spec.plain",
        ".spec.whole",
        ".spec.any.x",
        ".spec.any.x.y",
        '.spec.map[id="x",zone=1]',
        '.spec.map[id="x",zone=1].id',
        '.spec.map[id="x",zone=1].v',
        '.spec.set[="a"]',
        ".spec.tags.t",
    ]
    assert fields(spec(tags={}, set=[], n=None)) == [".spec.n", ".spec.tags"]
    assert fields({"spec": {}}) == [".spec"]


def test_compare() -> None:
    old = spec(n=1, set=["a", "b"], map=[{"id": "x", "v": 1}, {"id": "y"}], tags={"t": "1"}, plain=["a"])
    new = spec(n=2, set=["c", "a"], map=[{"id": "x", "v": 2}, {"id": "z"}], whole={"a": 1}, plain=["b"])
    comparison = compare(old, new, SHAPE)
    assert list(fieldsets.paths(comparison.modified)) == [
        ".spec.n",
        ".spec.plain",
        '.spec.map[id="x",zone=1].v',
    ]
    assert list(fieldsets.paths(comparison.added)) == [
        ".spec.whole",
        '.spec.map[id="z",zone=1]',
        '.spec.map[id="z",zone=1].id',
        '.spec.set[="c"]',
    ]
    assert list(fieldsets.paths(comparison.removed)) == [
        ".spec.tags",
        '.spec.map[id="y",zone=1]',
        '.spec.map[id="y",zone=1].id',
        '.spec.set[="b"]',
        ".spec.tags.t",
    ]
    assert compare(spec(set=["a", "b"]), spec(set=["b", "a"]), SHAPE).all == {}


@pytest.mark.parametrize(
    ("live", "applied", "expected"),
    [
        (["a"], ["b"], ["a", "b"]),
        (["x"], ["z", "x"], ["z", "x"]),
        (["a", "b", "c"], ["c", "a"], ["b", "c", "a"]),
        (["a", "b", "c"], ["c"], ["a", "b", "c"]),
        (["a", "b"], ["n", "b", "a"], ["n", "b", "a"]),
        (["a", "b"], [], ["a", "b"]),
        (["a", "x", "b"], ["b", "n", "a"], ["x", "b", "n", "a"]),
    ],
)
def test_the_order_of_merged_lists(live: list[str], applied: list[str], expected: list[str]) -> None:
    assert merge(spec(set=live), spec(set=applied), SHAPE)["spec"]["set"] == expected


def test_merge() -> None:
    live = spec(n=1, plain=["a"], map=[{"id": "x", "v": 1}], whole={"a": 1}, any={"x": 1, "l": [1]})
    applied = spec(plain=["b"], map=[{"id": "x", "zone": 1, "v": 2}], whole={"b": 1}, any={"y": 2, "l": [2]})
    assert merge(live, applied, SHAPE)["spec"] == {
        "n": 1,
        "plain": ["b"],
        "map": [{"id": "x", "v": 2, "zone": 1}],
        "whole": {"b": 1},
        "any": {"x": 1, "y": 2, "l": [2]},
    }


def test_remove_leaves_what_was_emptied() -> None:
    value = spec(n=1, tags={"t": "1"}, map=[{"id": "x", "v": 1}, {"id": "y"}])
    gone = field_set(spec(n=1, tags={"t": "1"}, map=[{"id": "x"}]), SHAPE)
    assert remove(value, gone, SHAPE) == spec(tags={}, map=[{"id": "y"}])
    assert remove(value, with_structs(gone, SHAPE), SHAPE) == {}


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (spec(n="x"), ".spec.n: expected numeric (int or float), got string"),
        (spec(flag="x"), ".spec.flag: expected boolean, got &{x}"),
        (spec(plain=[5]), ".spec.plain[0]: expected string, got &value.valueUnstructured{Value:5}"),
        (spec(tags=[1]), ".spec.tags: expected map, got &{[1]}"),
        (spec(plain={"a": 1}), ".spec.plain: expected list, got &{map[a:1]}"),
        (spec(nope=1), ".spec.nope: field not declared in schema"),
        (spec(set=["a", "a"]), '.spec.set: duplicate entries for key [="a"]'),
        (spec(map=[{"id": "x"}, {"id": "x", "zone": 1}]), '.spec.map: duplicate entries for key [id="x",zone=1]'),
        (
            spec(map=[{"v": 1}]),
            '.spec.map: element 0: associative list with keys has an element that omits key field "id" '
            "(and doesn't have default value)",
        ),
        (spec(n="x", nope=1), "errors:\n  .spec.n: expected numeric (int or float), got string\n  "
         ".spec.nope: field not declared in schema"),
    ],
)  # fmt: skip
def test_values_that_do_not_fit(value: Any, problem: str) -> None:
    with pytest.raises(ValueError) as caught:
        check(value, SHAPE)
    assert str(caught.value) == problem


def test_values_that_fit() -> None:
    check(spec(n=1.5, any=[1, {"a": None}], whole={}, map=None), SHAPE)
    check({"apiVersion": "g/v1", "kind": "K", "metadata": {"labels": {"a": "b"}}}, SHAPE)
