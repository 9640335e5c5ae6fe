"""Defaults and validation of CustomResourceDefinitions."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from localcluster.apiserver.crd import definition, definition_validation

JSON = dict[str, Any]
SCHEMA = "spec.validation.openAPIV3Schema"


def crd(raw: JSON | None = None, **version: Any) -> JSON:
    made: JSON = {
        "metadata": {"name": "widgets.g.example"},
        "spec": {
            "group": "g.example",
            "scope": "Namespaced",
            "names": {"plural": "widgets", "kind": "Widget"},
            "versions": [
                {
                    "name": "v1",
                    "served": True,
                    "storage": True,
                    "schema": {"openAPIV3Schema": raw or {"type": "object"}},
                }
                | version
            ],
        },
    }
    definition.default(made)
    made["status"] = definition.initial_status(made["spec"])
    return made


def errors(obj: JSON) -> list[str]:
    return [str(e) for e in definition_validation.validate_create(obj)]


def spec_errors(raw: JSON) -> list[str]:
    """Errors of a schema with `raw` as its property `spec`, without the common beginning of their paths."""
    found = errors(crd({"type": "object", "properties": {"spec": raw}}))
    return [e.removeprefix(f"{SCHEMA}.properties[spec].") for e in found]


def test_defaults() -> None:
    spec = crd()["spec"]
    assert spec["names"] == {"plural": "widgets", "kind": "Widget", "singular": "widget", "listKind": "WidgetList"}
    assert spec["conversion"] == {"strategy": "None"}
    bare: JSON = {"spec": {}}
    definition.default(bare)
    assert "singular" not in bare["spec"]["names"]


def test_empty_keywords_are_not_kept() -> None:
    made = crd({"type": "object", "nullable": False, "description": "", "required": [], "properties": {"a": {
        "type": "string", "minLength": 0, "default": "", "uniqueItems": False}}})  # fmt: skip
    raw = made["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    assert raw == {"type": "object", "properties": {"a": {"type": "string", "minLength": 0, "default": ""}}}


def test_a_plain_definition_is_valid() -> None:
    assert errors(crd()) == []


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ({}, ["type: Required value: must not be empty for specified object fields"]),
        ({"type": "array"}, ["items: Required value: must be specified"]),
        (
            {"type": "array", "items": {"type": "string"}, "uniqueItems": True},
            ["uniqueItems: Forbidden: uniqueItems cannot be set to true since the runtime complexity becomes "
             "quadratic"],
        ),
        (
            {"type": "strng"},
            [
                'type: Unsupported value: "strng": supported values: "array", "boolean", "integer", "number", '
                '"object", "string"'
            ],
        ),
        (
            {"type": "string", "pattern": "["},
            ['pattern: Invalid value: "[": must be a valid regular expression, but isn\'t: '
             "error parsing regexp: missing closing ]: `[`"],
        ),
        (
            {"type": "object", "anyOf": [{"type": "string"}]},
            ["anyOf[0].type: Forbidden: must be empty to be structural"],
        ),
        (
            {"type": "object", "allOf": [{"properties": {"a": {"minimum": 1}}}]},
            ["properties[a]: Required value: because it is defined in "
             f"{SCHEMA}.properties[spec].allOf[0].properties[a]"],
        ),
        (
            {"type": "string", "x-kubernetes-embedded-resource": True},
            ['properties: Required value: must not be empty if x-kubernetes-embedded-resource is true without '
             "x-kubernetes-preserve-unknown-fields",
             'type: Invalid value: "string": must be object if x-kubernetes-embedded-resource is true'],
        ),
        (
            {"type": "string", "x-kubernetes-list-type": "set"},
            ['type: Invalid value: "string": must be array if x-kubernetes-list-type is specified'],
        ),
        (
            {"type": "array", "x-kubernetes-list-type": "map", "items": {"type": "object"}},
            ["x-kubernetes-list-map-keys: Required value: must not be empty if x-kubernetes-list-type is map"],
        ),
        (
            {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k"],
             "items": {"type": "object", "properties": {"k": {"type": "string"}}}},
            ["items.properties[k].default: Required value: this property is in x-kubernetes-list-map-keys, so it must "
             "have a default or be a required property"],
        ),
        (
            {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "object"}},
            ["items.x-kubernetes-map-type: Invalid value: null: must be atomic as item of a list with "
             "x-kubernetes-list-type=set"],
        ),
        (
            {"type": "string", "default": 5},
            ['default: Invalid value: "integer":  in body must be of type string: "integer"'],
        ),
        (
            {"type": "object", "default": {"x": 1}},
            ['default: Invalid value: {"x":1}: must not have unknown fields'],
        ),
        (
            {"type": "object", "properties": {"a": {"type": "string"}}, "additionalProperties": {"type": "string"}},
            ["additionalProperties: Forbidden: additionalProperties and properties are mutual exclusive"],
        ),
        (
            {"type": "object", "x-kubernetes-validations": [{"rule": "true", "message": "a\nb", "reason": "Nope",
                                                             "fieldPath": ".nope"}]},
            ['x-kubernetes-validations[0].message: Invalid value: "a\\nb": message must not contain line breaks',
             'x-kubernetes-validations[0].reason: Unsupported value: "Nope": supported values: "FieldValueDuplicate", '
             '"FieldValueForbidden", "FieldValueInvalid", "FieldValueRequired"',
             'x-kubernetes-validations[0].fieldPath: Invalid value: ".nope": fieldPath must be a valid path'],
        ),
    ],
)  # fmt: skip
def test_schemas_that_are_refused(raw: JSON, expected: list[str]) -> None:
    assert spec_errors(raw) == expected


def test_int_or_string_patterns_are_structural() -> None:
    either = [{"type": "integer"}, {"type": "string"}]
    assert spec_errors({"x-kubernetes-int-or-string": True, "anyOf": either}) == []
    assert spec_errors({"x-kubernetes-int-or-string": True, "allOf": [{"anyOf": either}, {"pattern": "a"}]}) == []


def test_metadata_may_only_be_restricted_in_its_name() -> None:
    allowed = {"type": "object", "properties": {"name": {"type": "string", "maxLength": 5}}}
    assert errors(crd({"type": "object", "properties": {"metadata": allowed}})) == []
    labels = {"type": "object", "properties": {"labels": {"type": "object"}}}
    assert errors(crd({"type": "object", "properties": {"metadata": labels}})) == [
        f"{SCHEMA}.properties[metadata]: Forbidden: must not specify anything other than name and generateName, but "
        "metadata is implicitly specified"
    ]


def test_the_root_is_restricted_when_status_is_a_subresource() -> None:
    raw = {"type": "object", "maxProperties": 3}
    found = errors(crd(raw, subresources={"status": {}}))
    assert len(found) == 1
    assert found[0].startswith(f'{SCHEMA}: Invalid value: {{"ID":"","Schema":""')
    assert "only [Description Type Format" in found[0]


def test_versions_that_differ_are_named_one_by_one() -> None:
    made = crd()
    second = copy.deepcopy(made["spec"]["versions"][0])
    second |= {"name": "v2", "storage": False, "schema": {"openAPIV3Schema": {"type": "array"}}}
    made["spec"]["versions"].append(second)
    path = "spec.versions[1].schema.openAPIV3Schema"
    assert errors(made) == [
        f"{path}.items: Required value: must be specified",
        f'{path}.type: Invalid value: "array": must be object at the root',
    ]


def test_columns_scale_and_selectable_fields() -> None:
    raw = {"type": "object", "properties": {"spec": {"type": "object", "properties": {"n": {"type": "number"}}}}}
    made = crd(
        raw,
        additionalPrinterColumns=[{"name": "A", "type": "text", "jsonPath": "spec"}],
        subresources={"scale": {"specReplicasPath": ".status.n", "labelSelectorPath": "x"}},
        selectableFields=[{"jsonPath": ".spec.n"}, {"jsonPath": ".spec.nope"}, {"jsonPath": ".spec['n']"}],
    )
    assert errors(made) == [
        'spec.subresources.scale.specReplicasPath: Invalid value: ".status.n": should be a json path under .spec',
        "spec.subresources.scale.statusReplicasPath: Required value",
        'spec.subresources.scale.labelSelectorPath: Invalid value: "x": must be a simple json path starting with .',
        'spec.additionalPrinterColumns[0].type: Invalid value: "text": must be one of '
        "boolean,date,integer,number,string",
        'spec.additionalPrinterColumns[0].JSONPath: Invalid value: "spec": must be a simple json path starting with .',
        'spec.selectableFields[0].jsonPath: Invalid value: ".spec.n": must point to a field of type string, boolean or '
        "integer. Enum string fields and strings with formats are allowed.",
        'spec.selectableFields[1].jsonPath: Invalid value: ".spec.nope": is an invalid path: does not refer to a valid '
        "field",
        "spec.selectableFields[2].jsonPath: Invalid value: \".spec['n']\": is an invalid path: array notation is not "
        "allowed",
    ]


def test_protected_groups_need_an_approval() -> None:
    made = crd()
    made["metadata"]["name"] = "widgets.x.k8s.io"
    made["spec"]["group"] = "x.k8s.io"
    assert errors(made) == [
        "metadata.annotations[api-approved.kubernetes.io]: Required value: protected groups must have approval "
        'annotation "api-approved.kubernetes.io", see https://github.com/kubernetes/enhancements/pull/1111'
    ]
    made["metadata"]["annotations"] = {"api-approved.kubernetes.io": "https://example.com/1"}
    assert errors(made) == []


def test_what_an_update_may_not_change() -> None:
    old = crd()
    old["status"]["conditions"] = [{"type": "Established", "status": "True"}]
    new = copy.deepcopy(old)
    new["spec"]["scope"] = "Cluster"
    new["spec"]["names"] |= {"plural": "others", "kind": "Other"}
    found = [str(e) for e in definition_validation.validate_update(new, old)]
    assert found == [
        'spec.scope: Invalid value: "Cluster": field is immutable',
        'spec.names.kind: Invalid value: "Other": field is immutable',
        'spec.names.plural: Invalid value: "others": field is immutable',
    ]


def test_stored_versions_stay_until_they_are_migrated() -> None:
    made = crd()
    made["status"]["storedVersions"] = ["v0", "v1"]
    assert errors(made)[0].startswith('status.storedVersions[0]: Invalid value: "v0": missing from spec.versions; v0')
    status: JSON = {"storedVersions": ["v1"]}
    definition.remember_stored_version(status, {"versions": [{"name": "v2", "storage": True}]})
    assert status["storedVersions"] == ["v1", "v2"]
