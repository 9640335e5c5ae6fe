"""OpenAPI version 2 in protobuf: the form in which clients written in Go ask for ``/openapi/v2``, and the only one.

kubectl checks objects against it on its own side where a kind is in none of the documents of version 3 (a v1 List, or
what nobody serves). The messages are those of gnostic
(https://github.com/google/gnostic-models/blob/main/openapiv2/OpenAPIv2.proto). What version 2 has no words for is left
out, and what only describes examples, headers and files does not occur.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import orjson

from localcluster.apiserver.encoding.wire_format import delimited, double, number

JSON = dict[str, Any]

MEDIA = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"
ASKED = frozenset({MEDIA, "application/com.github.proto-openapi.spec.v2@v1.0+protobuf"})
"""What clients accept: they still write the name that is no legal media type."""

Write = Callable[[int, Any], bytes]
"""From a field's number and its JSON value to the encoded field."""


def encode(document: JSON) -> bytes:
    """A document of version 2 as openapi.v2.Document."""
    return _DOCUMENT(document)


# ---- values


def _text(field: int, value: str) -> bytes:
    return delimited(field, value.encode())


def _flag(field: int, value: bool) -> bytes:
    return number(field, 1) if value else b""


def _any(field: int, value: Any) -> bytes:
    # Free-form values are YAML, of which JSON is a part.
    return delimited(field, delimited(2, orjson.dumps(value) + b"\n"))


def _list(write: Write) -> Write:
    return lambda field, values: b"".join(write(field, value) for value in values)


def _named(write: Write) -> Write:
    """A map: repeated messages of a name and a value."""

    def write_all(field: int, values: JSON) -> bytes:
        entries = (delimited(1, name.encode()) + write(2, value) for name, value in values.items())
        return b"".join(delimited(field, entry) for entry in entries)

    return write_all


def _inside(inner: int, write: Write) -> Write:
    """In a message that holds nothing but that field: a list with a name, or one of several alternatives."""
    return lambda field, value: delimited(field, write(inner, value))


_TEXTS = _list(_text)


# ---- messages


class _Message:
    """How the objects of one type are encoded: the number and the form of each of their fields.

    `extensions` is the number of the fields that start with ``x-``.
    """

    def __init__(self, extensions: int, fields: Iterable[tuple[str, int, Write]]) -> None:
        self.extensions = extensions
        self.fields = {name: (field, write) for name, field, write in fields}

    def __call__(self, value: JSON) -> bytes:
        encoded = []
        for name, item in value.items():
            if name in self.fields:
                field, write = self.fields[name]
                encoded.append(write(field, item))
            elif name.startswith("x-"):
                encoded.append(delimited(self.extensions, delimited(1, name.encode()) + _any(2, item)))
        return b"".join(encoded)

    def field(self, field: int, value: JSON) -> bytes:
        return delimited(field, self(value))


def _schema(field: int, value: JSON) -> bytes:
    return _SCHEMA.field(field, value)


def _additional_properties(field: int, value: bool | JSON) -> bytes:
    return delimited(field, number(2, value) if isinstance(value, bool) else _schema(1, value))


def _one_or_more(write: Write) -> Write:
    """In a message with a list, where JSON has a list or its only item."""
    return lambda field, value: _inside(1, _list(write))(field, value if isinstance(value, list) else [value])


_SCHEMA = _Message(31, [
    ("$ref", 1, _text), ("format", 2, _text), ("title", 3, _text), ("description", 4, _text), ("default", 5, _any),
    ("multipleOf", 6, double), ("maximum", 7, double), ("exclusiveMaximum", 8, _flag), ("minimum", 9, double),
    ("exclusiveMinimum", 10, _flag), ("maxLength", 11, number), ("minLength", 12, number), ("pattern", 13, _text),
    ("maxItems", 14, number), ("minItems", 15, number), ("uniqueItems", 16, _flag), ("maxProperties", 17, number),
    ("minProperties", 18, number), ("required", 19, _TEXTS), ("enum", 20, _list(_any)),
    ("additionalProperties", 21, _additional_properties), ("type", 22, _one_or_more(_text)),
    ("items", 23, _one_or_more(_schema)), ("allOf", 24, _list(_schema)),
    ("properties", 25, _inside(1, _named(_schema))), ("discriminator", 26, _text), ("readOnly", 27, _flag),
    ("example", 30, _any),
])  # fmt: skip

_BODY = _Message(6, [
    ("description", 1, _text), ("name", 2, _text), ("in", 3, _text), ("required", 4, _flag), ("schema", 5, _schema),
])  # fmt: skip
_IN_QUERY = _Message(23, [
    ("required", 1, _flag), ("in", 2, _text), ("description", 3, _text), ("name", 4, _text), ("type", 6, _text),
    ("format", 7, _text), ("default", 10, _any), ("uniqueItems", 20, _flag), ("enum", 21, _list(_any)),
])  # fmt: skip
_IN_PATH = _Message(22, [
    ("required", 1, _flag), ("in", 2, _text), ("description", 3, _text), ("name", 4, _text), ("type", 5, _text),
    ("format", 6, _text), ("default", 9, _any), ("uniqueItems", 19, _flag), ("enum", 20, _list(_any)),
])  # fmt: skip


def _parameter(field: int, value: JSON) -> bytes:
    if "$ref" in value:
        return delimited(field, delimited(2, _text(1, value["$ref"])))
    if value["in"] == "body":
        encoded = _BODY.field(1, value)
    else:
        part = _IN_QUERY.field(3, value) if value["in"] == "query" else _IN_PATH.field(4, value)
        encoded = delimited(2, part)
    return delimited(field, delimited(1, encoded))


_RESPONSE = _Message(5, [("description", 1, _text), ("schema", 2, _inside(1, _schema))])
_RESPONSES = _named(_inside(1, _RESPONSE.field))
_SECURITY = _list(_inside(1, _named(_inside(1, _TEXTS))))
_OPERATION = _Message(13, [
    ("tags", 1, _TEXTS), ("summary", 2, _text), ("description", 3, _text), ("operationId", 5, _text),
    ("produces", 6, _TEXTS), ("consumes", 7, _TEXTS), ("parameters", 8, _list(_parameter)),
    ("responses", 9, _inside(1, _RESPONSES)), ("schemes", 10, _TEXTS), ("deprecated", 11, _flag),
    ("security", 12, _SECURITY),
])  # fmt: skip
_VERBS = ("get", "put", "post", "delete", "options", "head", "patch")
_PATH = _Message(10, [
    *((verb, field, _OPERATION.field) for field, verb in enumerate(_VERBS, 2)), ("parameters", 9, _list(_parameter)),
])  # fmt: skip
_API_KEY = _Message(5, [("type", 1, _text), ("name", 2, _text), ("in", 3, _text), ("description", 4, _text)])
_INFO = _Message(7, [("title", 1, _text), ("version", 2, _text), ("description", 3, _text)])
_DOCUMENT = _Message(16, [
    ("swagger", 1, _text), ("info", 2, _INFO.field), ("paths", 8, _inside(2, _named(_PATH.field))),
    ("definitions", 9, _inside(1, _named(_schema))), ("security", 12, _SECURITY),
    ("securityDefinitions", 13, _inside(1, _named(_inside(2, _API_KEY.field)))),
])  # fmt: skip
