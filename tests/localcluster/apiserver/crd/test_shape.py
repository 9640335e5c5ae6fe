"""Pruning, defaults and the metadata of custom resources."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from localcluster.apiserver.crd import defaulting, object_meta, pruning
from localcluster.apiserver.crd.served import ServedVersion
from localcluster.apiserver.errors import APIError

JSON = dict[str, Any]

RAW: JSON = {
    "type": "object",
    "properties": {
        "spec": {
            "type": "object",
            "default": {},
            "properties": {
                "size": {"type": "integer", "default": 3},
                "maybe": {"type": "string", "nullable": True, "default": "m"},
                "list": {"type": "array", "items": {"type": "object", "properties": {"a": {"type": "string"}}}},
                "map": {"type": "object", "additionalProperties": {"type": "object", "properties": {"a": {}}}},
                "free": {
                    "type": "object",
                    "x-kubernetes-preserve-unknown-fields": True,
                    "properties": {"known": {"type": "object", "properties": {"a": {}}}},
                },
                "pod": {
                    "type": "object",
                    "x-kubernetes-embedded-resource": True,
                    "properties": {"spec": {"type": "object"}},
                },
            },
        }
    },
}


def test_unknown_fields_go_wherever_they_are() -> None:
    obj = {
        "apiVersion": "g/v1", "kind": "K", "metadata": {"name": "n"}, "extra": 1,
        "spec": {
            "size": 1, "bad": 2, "list": [{"a": "x", "b": 1}], "map": {"k": {"a": 1, "b": 2}},
            "free": {"any": {"thing": 1}, "known": {"a": 1, "b": 2}},
            "pod": {"apiVersion": "v1", "kind": "Pod", "metadata": {"x": 1}, "spec": {"y": 1}, "z": 1},
        },
    }  # fmt: skip
    dropped = pruning.prune(obj, RAW, resource_root=True)
    assert dropped == [
        "extra", "spec.bad", "spec.free.known.b", "spec.list[0].b", "spec.map.k.b", "spec.pod.spec.y", "spec.pod.z",
    ]  # fmt: skip
    assert obj["metadata"] == {"name": "n"}
    assert obj["spec"]["free"] == {"any": {"thing": 1}, "known": {"a": 1}}
    assert obj["spec"]["pod"]["metadata"] == {"x": 1}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, {"spec": {"size": 3, "maybe": "m"}}),
        ({"spec": {"size": None, "maybe": None}}, {"spec": {"size": 3, "maybe": None}}),
        ({"spec": {"list": None}}, {"spec": {"size": 3, "maybe": "m"}}),
    ],
)
def test_defaults_and_nulls(given: JSON, expected: JSON) -> None:
    assert not defaulting.is_settled(given, RAW, resource_root=True)
    pruning.drop_nulls(given, RAW)
    defaulting.apply_defaults(given, RAW)
    assert given == expected
    assert defaulting.is_settled(given, RAW, resource_root=True)


def test_defaults_are_not_shared_between_objects() -> None:
    first: JSON = {}
    defaulting.apply_defaults(first, RAW)
    first["spec"]["size"] = 9
    second: JSON = {}
    defaulting.apply_defaults(second, RAW)
    assert second["spec"]["size"] == 3


@pytest.mark.parametrize(
    "obj",
    [
        {"spec": {"size": 1, "maybe": None}, "extra": 1},
        {"spec": {"size": 1, "maybe": "x", "list": [{"b": 1}]}},
        {"spec": {"size": 1, "maybe": "x", "map": {"k": {"b": 1}}}},
        {"spec": {"size": 1, "maybe": "x", "list": None}},
    ],
)
def test_settled_means_that_nothing_would_change(obj: JSON) -> None:
    before = copy.deepcopy(obj)
    pruning.prune(obj, RAW, resource_root=True)
    pruning.drop_nulls(obj, RAW)
    defaulting.apply_defaults(obj, RAW)
    assert obj != before
    assert not defaulting.is_settled(before, RAW, resource_root=True)
    assert defaulting.is_settled(obj, RAW, resource_root=True)


SERVED = ServedVersion("g.example", "v1", "ks", "K", RAW, RAW)


def test_conform_warns_of_unknown_fields_metadata_first() -> None:
    obj = {"metadata": {"name": "n", "lables": {}}, "spec": {"zzz": 1, "size": 1}, "aaa": 1}
    warnings = pruning.conform(obj, SERVED, field_validation="Warn", duplicates=[])
    assert warnings == [f'unknown field "{path}"' for path in ("metadata.lables", "aaa", "spec.zzz")]
    assert obj == {"metadata": {"name": "n"}, "spec": {"size": 1}}


def test_conform_refuses_unknown_fields_when_strict() -> None:
    with pytest.raises(APIError) as refused:
        pruning.conform({"metadata": {}, "x": 1}, SERVED, field_validation="Strict", duplicates=[])
    assert refused.value.code == 400
    assert refused.value.message == (
        'K in version "v1" cannot be handled as a K: strict decoding error: unknown field "x"'
    )


def test_conform_refuses_metadata_of_wrong_types() -> None:
    with pytest.raises(APIError) as refused:
        pruning.conform({"metadata": {"labels": {"a": 1}}}, SERVED, field_validation="Ignore", duplicates=[])
    assert refused.value.code == 400
    assert "cannot unmarshal number into Go struct field ObjectMeta.labels of type string" in refused.value.message


def test_embedded_resources_need_a_kind_and_valid_metadata() -> None:
    value = {"spec": {"pod": {"kind": "a_b", "metadata": {"name": "a/b"}}}}
    found = {e.path for e in object_meta.validate_embedded(value, RAW)}
    assert found == {"spec.pod.apiVersion", "spec.pod.kind", "spec.pod.metadata.name"}
    right = {"spec": {"pod": {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}}}}
    assert object_meta.validate_embedded(right, RAW) == []


def test_other_versions_see_what_their_schemas_know() -> None:
    old = {"type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "string", "default": "new"}}}
    served = ServedVersion("g.example", "v1", "ks", "K", old, {"type": "object", "properties": {"a": {}, "c": {}}})
    stored = {"metadata": {"name": "n"}, "a": "x", "c": "y"}
    assert served.behaviour.from_hub(stored) == {"metadata": {"name": "n"}, "a": "x", "b": "new"}
    assert stored == {"metadata": {"name": "n"}, "a": "x", "c": "y"}
    assert served.behaviour.to_hub({"a": "x", "b": "z"}) == {"a": "x"}
    assert served.behaviour.to_hub(stored) is stored
