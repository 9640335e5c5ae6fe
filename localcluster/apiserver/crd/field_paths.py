"""Paths like ``.spec.color`` or ``.labels['a.b']`` in a schema: of rules' fieldPath and of selectable fields."""

from __future__ import annotations

import re
from typing import Any

from localcluster.apiserver.crd.field_errors import child, key

JSON = dict[str, Any]

_ESCAPES = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "'": "'", "\\": "\\"}
_PART = re.compile(r"[.\[\]]|'(?:\\.|[^'\\])*'|[^.\[\]]+")


class FieldPathError(ValueError):
    """The path is malformed or names no field."""


def resolve(path: str, raw: JSON, *, brackets: bool = True) -> tuple[str, JSON | None]:
    """The path as field errors show it, without a leading dot, and the schema that it leads to.

    Raises FieldPathError with the real server's text.
    """
    parts = _PART.findall(path)
    node: JSON | None = raw
    shown = ""
    position = 0

    def take() -> str:
        nonlocal position
        if position >= len(parts):
            raise FieldPathError("unexpected end of JSON path")
        position += 1
        return str(parts[position - 1])

    while position < len(parts):
        part = take()
        if part == "[" and brackets:
            name = take()
            if len(name) < 2 or name[0] != "'" or name[-1] != "'":
                raise FieldPathError(f"expected single quoted string but got {name}")
            name = _unescaped(name[1:-1])
            node, shown = _step(node, name, shown)
            part = take()
            if part != "]":
                raise FieldPathError(f"expected ] but got {part}")
        elif part == "[":
            raise FieldPathError("array notation is not allowed")
        elif part == ".":
            node, shown = _step(node, take(), shown)
        else:
            raise FieldPathError(f"expected [ or . but got: {part}")
    return shown, node


def _step(node: JSON | None, name: str, shown: str) -> tuple[JSON | None, str]:
    if node is None:
        raise FieldPathError("does not refer to a valid field")
    if node.get("properties"):
        if name not in node["properties"]:
            raise FieldPathError("does not refer to a valid field")
        return node["properties"][name], child(shown, name)
    if node.get("additionalProperties") is not None:
        values = node["additionalProperties"]
        return values if isinstance(values, dict) else None, key(shown, name)
    raise FieldPathError("does not refer to a valid field")


def _unescaped(text: str) -> str:
    def replaced(match: re.Match[str]) -> str:
        letter = match.group(1)
        if letter not in _ESCAPES:
            raise FieldPathError(f"invalid string literal: invalid escape char \\{letter}")
        return _ESCAPES[letter]

    return re.sub(r"\\(.)", replaced, text)


def value_at(obj: Any, path: str) -> Any:
    """The value at a simple path like ``.spec.color``; None if there is none."""
    for name in path.lstrip(".").split("."):
        obj = obj.get(name) if isinstance(obj, dict) else None
    return obj
