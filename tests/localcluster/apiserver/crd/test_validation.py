"""What the validation of custom resources says of wrong values, and what it lets pass."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest

from localcluster.apiserver.crd import list_types
from localcluster.apiserver.crd.correlation import Correlation
from localcluster.apiserver.crd.validation import validate

JSON = dict[str, Any]


def errors(value: Any, raw: JSON, **options: Any) -> list[str]:
    return [str(e) for e in validate(value, {"type": "object", "properties": {"f": raw}}, **options)]


@pytest.mark.parametrize(
    ("raw", "value", "expected"),
    [
        ({"type": "string"}, 5, 'f: Invalid value: "integer": f in body must be of type string: "integer"'),
        ({"type": "string"}, None, 'f: Invalid value: "null": f in body must be of type string: "null"'),
        ({"type": "integer"}, True, 'f: Invalid value: "boolean": f in body must be of type integer: "boolean"'),
        ({"type": "array"}, {}, 'f: Invalid value: "object": f in body must be of type array: "object"'),
        ({"type": "integer", "minimum": 1}, 0, "f: Invalid value: 0: f in body should be greater than or equal to 1"),
        (
            {"type": "number", "maximum": 2, "exclusiveMaximum": True},
            2.5,
            "f: Invalid value: 2.5: f in body should be less than 2",
        ),
        ({"type": "number", "multipleOf": 0.5}, 1.2, "f: Invalid value: 1.2: f in body should be a multiple of 0.5"),
        (
            {"type": "number", "maximum": 1500000},
            2e6,
            "f: Invalid value: 2e+06: f in body should be less than or equal to 1.5e+06",
        ),
        ({"type": "string", "minLength": 3}, "ab", 'f: Invalid value: "ab": f in body should be at least 3 chars long'),
        ({"type": "string", "maxLength": 1}, "ab", "f: Too long: may not be more than 1 bytes"),
        ({"type": "string", "pattern": "^a+$"}, "b", "f: Invalid value: \"b\": f in body should match '^a+$'"),
        ({"type": "array", "minItems": 1}, [], "f: Invalid value: 0: f in body should have at least 1 items"),
        ({"type": "array", "maxItems": 1}, [1, 2], "f: Too many: 2: must have at most 1 item"),
        (
            {"type": "object", "minProperties": 2},
            {"a": 1},
            "f: Invalid value: 1: f in body should have at least 2 properties",
        ),
        ({"type": "object", "maxProperties": 0}, {"a": 1}, "f: Too many: 1: must have at most 0 items"),
        ({"type": "object", "required": ["x"]}, {}, "f.x: Required value"),
        (
            {"type": "string", "enum": ["b", "a"]},
            "c",
            'f: Unsupported value: "c": supported values: "b", "a"',
        ),
        ({"enum": [1, 2]}, 3, 'f: Unsupported value: 3: supported values: "1", "2"'),
        (
            {"x-kubernetes-int-or-string": True},
            1.5,
            'f: Invalid value: "number": f in body must be of type integer,string: "number"',
        ),
        (
            {"type": "string", "format": "date-time"},
            "x",
            'f: Invalid value: "x": f in body must be of type date-time: "x"',
        ),
        ({"type": "string", "format": "ipv4"}, "::1", 'f: Invalid value: "::1": f in body must be of type ipv4: "::1"'),
        (
            {"type": "object", "additionalProperties": {"type": "integer"}},
            {"k": "x"},
            'f.k: Invalid value: "string": f.k in body must be of type integer: "string"',
        ),
        ({"not": {"enum": ["x"]}}, "x", '<nil>: Invalid value: "": "f" must not validate the schema (not)'),
    ],
)
def test_one_wrong_value_is_one_error(raw: JSON, value: Any, expected: str) -> None:
    assert errors({"f": value}, raw) == [expected]


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        ({"type": "string", "nullable": True}, None),
        ({"type": "number"}, 1),
        ({"type": "integer"}, 2.0),
        ({"x-kubernetes-int-or-string": True}, "80%"),
        ({"type": "string", "format": "made-up"}, "anything"),
        ({"type": "string", "format": "duration"}, "1h30m"),
        ({"type": "integer", "format": "int32"}, 2**40),
        ({"enum": [1, "a"]}, "a"),
        ({"anyOf": [{"type": "string"}, {"minimum": 5}]}, 7),
        ({"type": "string", "pattern": r"^\d+$"}, "12"),
    ],
)
def test_right_values_pass(raw: JSON, value: Any) -> None:
    assert errors({"f": value}, raw) == []


def test_a_number_is_told_its_type_and_its_range() -> None:
    assert errors({"f": 1.5}, {"type": "integer", "maximum": 1}) == [
        'f: Invalid value: "number": f in body must be of type integer: "number"',
        '<nil>: Invalid value: "": Checked value must be of type integer (default format) in f',
        "f: Invalid value: 1.5: f in body should be less than or equal to 1",
    ]


def test_any_of_reports_the_alternative_that_came_closest() -> None:
    raw = {
        "type": "object",
        "anyOf": [
            {"required": ["a"]},
            {"required": ["b"], "properties": {"c": {"enum": ["x"]}}},
        ],
    }
    assert errors({"f": {"c": "x"}}, raw) == [
        '<nil>: Invalid value: "": "f" must validate at least one schema (anyOf)',
        "f.b: Required value",
    ]


def test_all_of_names_what_failed_before_the_summary() -> None:
    raw = {"allOf": [{"minimum": 3}, {"minimum": 1}]}
    assert errors({"f": 2}, raw) == [
        "f: Invalid value: 2: f in body should be greater than or equal to 3",
        '<nil>: Invalid value: "": "f" must validate all the schemas (allOf)',
    ]


def test_items_are_named_by_their_index() -> None:
    raw = {"type": "array", "items": {"type": "object", "required": ["n"], "properties": {"n": {"minimum": 1}}}}
    assert errors({"f": [{"n": 1}, {}, {"n": 0}]}, raw) == [
        "f[1].n: Required value",
        "f[2].n: Invalid value: 0: f[2].n in body should be greater than or equal to 1",
    ]


def test_the_base_stands_before_paths_but_not_in_messages() -> None:
    found = [str(e) for e in validate({"n": "x"}, {"properties": {"n": {"type": "integer"}}}, base="status")]
    assert found == ['status.n: Invalid value: "string": n in body must be of type integer: "string"']


class TestRatcheting:
    raw: ClassVar[JSON] = {"type": "object", "properties": {"a": {"maximum": 1}, "b": {"type": "string"}}}

    def test_what_was_wrong_before_may_stay(self) -> None:
        correlation = Correlation({"f": {"a": 5, "b": "y"}}, {"f": {"a": 5, "b": "x"}})
        assert errors(correlation.new, self.raw, correlation=correlation) == []

    def test_what_changes_has_to_be_right(self) -> None:
        correlation = Correlation({"f": {"a": 6}}, {"f": {"a": 5}})
        assert len(errors(correlation.new, self.raw, correlation=correlation)) == 1

    def test_elements_of_maps_belong_together_by_key(self) -> None:
        raw = {
            "type": "array",
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["k"],
            "items": {"type": "object", "properties": {"k": {"type": "string"}, "v": {"maximum": 1}}},
        }
        old = [{"k": "a", "v": 5}, {"k": "b", "v": 1}]
        new = [{"k": "b", "v": 1}, {"k": "a", "v": 5}]
        correlation = Correlation({"f": new}, {"f": old})
        assert errors(correlation.new, raw, correlation=correlation) == []
        atomic = {**raw, "x-kubernetes-list-type": "atomic"}
        assert len(errors(correlation.new, atomic, correlation=correlation)) == 1


def test_lists_without_repetitions() -> None:
    sets = {"type": "array", "x-kubernetes-list-type": "set"}
    found = [str(e) for e in list_types.validate({"f": ["a", "b", "a", "a"]}, {"properties": {"f": sets}})]
    assert found == ['f[2]: Duplicate value: "a"']
    maps = {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["a", "b"], "items": {}}
    value = [{"a": 1, "b": 2, "c": 3}, {"a": 1}, {"a": 1, "b": 2}]
    found = [str(e) for e in list_types.validate({"f": value}, {"properties": {"f": maps}})]
    assert found == ['f[2]: Duplicate value: {"a":1,"b":2}']
