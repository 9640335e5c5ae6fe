"""The types of CEL expressions, and those of a schema's values with how large they can get.

Sizes are estimates of the worst case within one request, as the real server makes them
(k8s.io/apiserver `pkg/cel/common`): lengths of text in bytes, of lists and maps in elements.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

JSON = dict[str, Any]

MAX_REQUEST_BYTES = 3 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Type:
    """`kind` is dyn, error, null, bool, int, uint, double, string, bytes, timestamp, duration, list, map, type,
    object, opaque, or param (a type variable); `name` is of objects, opaque types and variables."""

    kind: str
    params: tuple[Type, ...] = ()
    name: str = ""

    def __str__(self) -> str:
        match self.kind:
            case "list" | "map" | "type":
                return f"{self.kind}({', '.join(map(str, self.params))})" if self.params else self.kind
            case "opaque" if self.params:
                return f"{self.name}({', '.join(map(str, self.params))})"
            case "object" | "opaque" | "param":
                return self.name
            case "error":
                return "!error!"
        return self.kind


DYN, ERROR, NULL, BOOL, INT, UINT, DOUBLE, STRING, BYTES, TIMESTAMP, DURATION = (
    Type(k)
    for k in ("dyn", "error", "null", "bool", "int", "uint", "double", "string", "bytes", "timestamp", "duration")
)


def list_of(element: Type) -> Type:
    return Type("list", (element,))


def map_of(key: Type, value: Type) -> Type:
    return Type("map", (key, value))


def optional(inner: Type) -> Type:
    return Type("opaque", (inner,), "optional_type")


def is_optional(kind: Type) -> bool:
    return kind.kind == "opaque" and kind.name == "optional_type"


# ---- schemas


@dataclass(slots=True)
class Declared:
    """The type of a schema's values.

    Attributes:
        max_elements: the most elements, entries or bytes.
        min_size: the fewest bytes that a value takes in JSON.
        fields: of objects, by their names in CEL.
        element, key: of lists and maps.
        names: the names in JSON of fields whose names in CEL are escaped.
    """

    type: Type
    max_elements: int = 0
    min_size: int = 0
    fields: dict[str, Declared] = field(default_factory=dict)
    element: Declared | None = None
    key: Declared | None = None
    names: dict[str, str] = field(default_factory=dict)


_KEYWORDS = frozenset(
    {"true", "false", "null", "in", "as", "break", "const", "continue", "else", "for", "function", "if", "import",
     "let", "loop", "package", "namespace", "return", "var", "void", "while"}
)  # fmt: skip
_ESCAPABLE = re.compile(r"[A-Za-z_./-][A-Za-z0-9_./-]*")
_ESCAPES = {"__": "__underscores__", ".": "__dot__", "-": "__dash__", "/": "__slash__"}


def escaped(name: str) -> str | None:
    """A field's name in CEL; None if it has none
    (https://kubernetes.io/docs/reference/using-api/cel/#escaping)."""
    if name in _KEYWORDS:
        return f"__{name}__"
    if not _ESCAPABLE.fullmatch(name):
        return None
    return re.sub(r"__|[./-]", lambda m: _ESCAPES[m.group()], name)


_NAME_AND_KIND: JSON = {
    "apiVersion": {"type": "string"},
    "kind": {"type": "string"},
    "metadata": {
        "type": "object",
        "properties": {"name": {"type": "string"}, "generateName": {"type": "string"}},
    },
}


def declared(raw: JSON, *, resource_root: bool = False, name: str = "selfType") -> Declared | None:
    """The type of a schema's values; None if rules cannot see them (free-form JSON)."""
    if raw.get("x-kubernetes-int-or-string") is True:
        longest = raw.get("maxLength")
        return Declared(DYN, max(longest, 0) * 4 if longest is not None else MAX_REQUEST_BYTES - 2, 1)
    match raw.get("type"):
        case "array":
            return _list(raw, name)
        case "object":
            return _object(raw, resource_root or raw.get("x-kubernetes-embedded-resource") is True, name)
        case "string":
            return _text(raw)
        case "boolean":
            return Declared(BOOL, min_size=4)
        case "number":
            return Declared(DOUBLE, min_size=1)
        case "integer":
            return Declared(INT, min_size=1)
    return None


def _list(raw: JSON, name: str) -> Declared | None:
    items = raw.get("items")
    element = declared(items, name=f"{name}.@idx") if isinstance(items, dict) else None
    if element is None:
        return None
    longest = raw.get("maxItems")
    if longest is None:
        longest = (MAX_REQUEST_BYTES - 2) // (element.min_size + 1)
    return Declared(list_of(element.type), max(longest, 0), 2, element=element)


def _object(raw: JSON, resource: bool, name: str) -> Declared | None:
    values = raw.get("additionalProperties")
    if isinstance(values, dict):
        element = declared(values, name=f"{name}.@elem")
        if element is None:
            return None
        most = raw.get("maxProperties")
        if most is None:
            most = (MAX_REQUEST_BYTES - 2) // (element.min_size + 6)
        key = Declared(STRING, min_size=2)
        return Declared(map_of(STRING, element.type), max(most, 0), 2, element=element, key=key)
    properties: JSON = raw.get("properties") or {}
    if resource:
        properties = {**properties, **_NAME_AND_KIND}
    found = Declared(Type("object", name=name), min_size=2)
    needed = raw.get("required") or ()
    for field_name, below in properties.items():
        inner = declared(below, name=f"{name}.{field_name}")
        if inner is None:
            continue
        cel_name = escaped(field_name)
        if cel_name is not None:
            found.fields[cel_name] = inner
            if cel_name != field_name:
                found.names[cel_name] = field_name
        if field_name in needed and below.get("default") is None:
            found.min_size += len(field_name) + inner.min_size + 4
    return found


def _text(raw: JSON) -> Declared:
    longest = raw.get("maxLength")
    match raw.get("format"):
        case "byte":
            return Declared(BYTES, max(longest, 0) if longest is not None else MAX_REQUEST_BYTES - 2, 2)
        case "duration":
            return Declared(DURATION, 32, 3)
        case "date":
            return Declared(TIMESTAMP, 12, 12)
        case "date-time":
            return Declared(TIMESTAMP, 32, 21)
    if longest is not None:
        return Declared(STRING, max(longest, 0) * 4, 2)
    if raw.get("enum"):
        return Declared(STRING, max(len(e.encode()) for e in raw["enum"] if isinstance(e, str)), 2)
    return Declared(STRING, MAX_REQUEST_BYTES - 2, 2)
