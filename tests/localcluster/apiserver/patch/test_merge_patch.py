"""JSON merge patches and the words for patches that are refused."""

from __future__ import annotations

from localcluster.apiserver.patch import merge_patch
from localcluster.apiserver.patch.wording import go_syntax, go_value, quote_object, rejected


def test_maps_merge_null_removes_and_the_rest_replaces() -> None:
    doc = {"labels": {"x": "1", "y": "2"}, "list": [1, 2], "scalar": 1}
    patch = {"labels": {"x": None, "z": "3"}, "list": [3], "scalar": {"a": None, "b": 1}, "none": None}
    merged = merge_patch.apply(doc, patch)
    assert merged == {"labels": {"y": "2", "z": "3"}, "list": [3], "scalar": {"b": 1}}
    assert doc == {"labels": {"x": "1", "y": "2"}, "list": [1, 2], "scalar": 1}


def test_the_result_shares_nothing_with_the_document() -> None:
    doc = {"a": {"b": [1]}}
    merge_patch.apply(doc, {"c": 1})["a"]["b"].append(2)
    assert doc == {"a": {"b": [1]}}


def test_go_prints_values() -> None:
    value = {"b": [1, True, None, "x y"], "a": {"f": 1.5}}
    assert go_value(value) == "map[a:map[f:1.5] b:[1 true <nil> x y]]"
    assert go_syntax({"b": ["x"], "a": 5}) == 'map[string]interface {}{"a":5, "b":[]interface {}{"x"}}'


def test_a_rejected_patch_has_neither_kind_nor_name() -> None:
    error = rejected("map[spec:map[foo:bar]]", 'strict decoding error: unknown field "spec.foo"')
    text = 'Invalid value: "map[spec:map[foo:bar]]": strict decoding error: unknown field "spec.foo"'
    assert error.status()["message"] == f' "" is invalid: patch: {text}'
    causes = [{"field": "patch", "message": text, "reason": "FieldValueInvalid"}]
    assert error.status()["details"] == {"causes": causes}


def test_a_patched_object_is_quoted_in_the_real_servers_order() -> None:
    meta = {"labels": {"b": "1", "a": "2"}, "other": 1, "name": "n"}
    quoted = quote_object({"kind": "K", "data": {"z": 1, "y": [1]}, "apiVersion": "v1", "metadata": meta})
    data = '"data":{"y":[1],"z":1},"kind":"K"'
    assert quoted == f'{{"apiVersion":"v1",{data},"metadata":{{"name":"n","labels":{{"b":"1","a":"2"}},"other":1}}}}'
