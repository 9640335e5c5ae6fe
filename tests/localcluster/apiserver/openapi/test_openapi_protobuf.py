"""OpenAPI version 2 in protobuf: each form of field is where clients read it."""

from __future__ import annotations

import json
import struct
from typing import Any

import pytest

from localcluster.apiserver.encoding.wire_format import fields
from localcluster.apiserver.openapi import protobuf_form
from tests.localcluster.clusters import Cluster

GVK = [{"group": "x.example", "kind": "Widget", "version": "v1"}]


def tree(encoded: bytes) -> dict[int, list[Any]]:
    found: dict[int, list[Any]] = {}
    for number, _, value in fields(encoded, ""):
        found.setdefault(number, []).append(value)
    return found


def at(encoded: bytes, *path: int) -> Any:
    """The only value at a path of field numbers."""
    value: Any = encoded
    for number in path:
        (value,) = tree(value)[number]
    return value


def schema(value: dict[str, Any]) -> bytes:
    """`value` as a definition's message."""
    encoded = protobuf_form.encode({"definitions": {"x.Widget": value}})
    assert at(encoded, 9, 1, 1) == b"x.Widget"
    return at(encoded, 9, 1, 2)


@pytest.mark.parametrize(
    ("value", "path", "expected"),
    [
        ({"$ref": "#/definitions/x"}, (1,), b"#/definitions/x"),
        ({"description": "é"}, (4,), "é".encode()),
        ({"default": {"a": 1}}, (5, 2), b'{"a":1}\n'),
        ({"maximum": 2}, (7,), struct.pack("<d", 2)),
        ({"minLength": 300}, (12,), 300),
        ({"uniqueItems": True}, (16,), 1),
        ({"required": ["a"]}, (19,), b"a"),
        ({"enum": ["a"]}, (20, 2), b'"a"\n'),
        ({"additionalProperties": True}, (21, 2), 1),
        ({"additionalProperties": {"type": "string"}}, (21, 1, 22, 1), b"string"),
        ({"type": "object"}, (22, 1), b"object"),
        ({"items": {"type": "string"}}, (23, 1, 22, 1), b"string"),
        ({"properties": {"a": {"format": "int64"}}}, (25, 1, 2, 2), b"int64"),
        ({"x-kubernetes-group-version-kind": GVK}, (31, 2, 2), json.dumps(GVK, separators=(",", ":")).encode() + b"\n"),
        ({"x-kubernetes-group-version-kind": GVK}, (31, 1), b"x-kubernetes-group-version-kind"),
    ],
)
def test_schemas(value: dict[str, Any], path: tuple[int, ...], expected: Any) -> None:
    assert at(schema(value), *path) == expected


def test_lists_keep_their_order() -> None:
    assert tree(schema({"required": ["b", "a"]}))[19] == [b"b", b"a"]


def test_what_version_2_cannot_say_is_left_out() -> None:
    assert schema({"anyOf": [{}], "nullable": True, "uniqueItems": False}) == b""


@pytest.mark.parametrize(
    ("parameter", "path", "name"),
    [
        ({"name": "body", "in": "body", "schema": {"$ref": "#/x"}, "required": True}, (1, 1), 2),
        ({"name": "fieldValidation", "in": "query", "type": "string", "uniqueItems": True}, (1, 2, 3), 4),
        ({"name": "namespace", "in": "path", "type": "string", "required": True}, (1, 2, 4), 4),
    ],
)
def test_operations(parameter: dict[str, Any], path: tuple[int, ...], name: int) -> None:
    patch = {"operationId": "patchIt", "parameters": [parameter], "responses": {"200": {"schema": {"$ref": "#/x"}}}}
    encoded = protobuf_form.encode({"paths": {"/api": {"patch": patch}}})
    assert at(encoded, 8, 2, 1) == b"/api"
    operation = at(encoded, 8, 2, 2, 8)
    assert at(operation, 5) == b"patchIt"
    assert at(operation, 8, *path, name) == parameter["name"].encode()
    assert at(operation, 9, 1, 1) == b"200"
    assert at(operation, 9, 1, 2, 1, 2, 1, 1) == b"#/x"


def test_security() -> None:
    key = {"type": "apiKey", "name": "authorization", "in": "header"}
    encoded = protobuf_form.encode({"securityDefinitions": {"T": key}, "security": [{"T": []}]})
    assert at(encoded, 13, 1, 2, 2, 2) == b"authorization"
    assert at(encoded, 12, 1, 1) == b"T"


def test_kubectl_checks_the_items_of_a_list(control_plane: Cluster) -> None:
    item = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "never"}, "datta": {}}
    sent = json.dumps({"apiVersion": "v1", "kind": "List", "items": [item]})
    done = control_plane.kubectl("create", "-f", "-", input=sent, check=False)
    assert 'unknown field "datta" in io.k8s.api.core.v1.ConfigMap' in done.stderr
