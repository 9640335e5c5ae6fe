"""What is wrong with a JSON text, in the words of Go's encoding/json: syntax errors and keys that occur twice."""

from __future__ import annotations

import json
import re
from typing import Any

import orjson

from localcluster.apiserver.encoding.depth import EXCEEDED

_SPACE = re.compile(r"[ \t\r\n]*")
_LETTERS = re.compile(r'[^"\\\x00-\x1f]*')
_ENDED = "unexpected end of JSON input"
_DIGITS = "0123456789"


class _Syntax(Exception):
    """The text is no JSON; the argument says why."""


def syntax_error(text: str) -> str | None:
    """Why `text` is no JSON, for example ``invalid character 'x' looking for beginning of value``; None if it is."""
    try:
        position = _value(text, 0)
        position = _skip(text, position)
        if position < len(text):
            raise _unexpected(text, position, "after top-level value")
    except _Syntax as error:
        return str(error)
    except RecursionError:
        return EXCEEDED
    return None


def _skip(text: str, position: int) -> int:
    match = _SPACE.match(text, position)
    return match.end() if match else position


def _unexpected(text: str, position: int, where: str) -> _Syntax:
    if position >= len(text):
        return _Syntax(_ENDED)
    char = text[position]
    quoted = {"'": "'\\''", '"': "'\"'"}.get(char) or "'" + json.dumps(char, ensure_ascii=False)[1:-1] + "'"
    return _Syntax(f"invalid character {quoted} {where}")


def _value(text: str, position: int) -> int:
    """The position after the value that starts at or after `position`."""
    position = _skip(text, position)
    char = text[position : position + 1]
    if char == "{":
        return _object(text, position + 1)
    if char == "[":
        return _array(text, position + 1)
    if char == '"':
        return _string(text, position + 1)
    for literal in ("true", "false", "null"):
        if char == literal[0]:
            return _literal(text, position, literal)
    if char == "-" or (char and char in _DIGITS):
        return _number(text, position)
    raise _unexpected(text, position, "looking for beginning of value")


def _object(text: str, position: int) -> int:
    position = _skip(text, position)
    if text[position : position + 1] == "}":
        return position + 1
    while True:
        position = _skip(text, position)
        if text[position : position + 1] != '"':
            raise _unexpected(text, position, "looking for beginning of object key string")
        position = _skip(text, _string(text, position + 1))
        if text[position : position + 1] != ":":
            raise _unexpected(text, position, "after object key")
        position = _skip(text, _value(text, position + 1))
        following = text[position : position + 1]
        if following == "}":
            return position + 1
        if following != ",":
            raise _unexpected(text, position, "after object key:value pair")
        position += 1


def _array(text: str, position: int) -> int:
    position = _skip(text, position)
    if text[position : position + 1] == "]":
        return position + 1
    while True:
        position = _skip(text, _value(text, position))
        following = text[position : position + 1]
        if following == "]":
            return position + 1
        if following != ",":
            raise _unexpected(text, position, "after array element")
        position += 1


def _string(text: str, position: int) -> int:
    while True:
        letters = _LETTERS.match(text, position)
        position = letters.end() if letters else position
        char = text[position : position + 1]
        if char == '"':
            return position + 1
        if char < " ":
            raise _unexpected(text, position, "in string literal")
        position += 1
        if char != "\\":
            continue
        escape = text[position : position + 1]
        if not escape or escape not in '"\\/bfnrtu':
            raise _unexpected(text, position, "in string escape code")
        position += 1
        if escape == "u":
            for _ in range(4):
                digit = text[position : position + 1]
                if not digit or digit not in "0123456789abcdefABCDEF":
                    raise _unexpected(text, position, "in \\u hexadecimal character escape")
                position += 1


def _literal(text: str, position: int, literal: str) -> int:
    for offset, expected in enumerate(literal):
        if text[position + offset : position + offset + 1] != expected:
            raise _unexpected(text, position + offset, f"in literal {literal} (expecting {expected!r})")
    return position + len(literal)


def _number(text: str, position: int) -> int:
    if text[position] == "-":
        position += 1
        if text[position : position + 1] not in set(_DIGITS):
            raise _unexpected(text, position, "in numeric literal")
    # A leading zero is a whole number of its own.
    position = position + 1 if text[position] == "0" else _digits(text, position, "in numeric literal")
    if text[position : position + 1] == ".":
        position = _digits(text, position + 1, "after decimal point in numeric literal")
    if text[position : position + 1] in ("e", "E"):
        position += 1
        if text[position : position + 1] in ("+", "-"):
            position += 1
        position = _digits(text, position, "in exponent of numeric literal")
    return position


def _digits(text: str, position: int, where: str) -> int:
    start = position
    while text[position : position + 1] in set(_DIGITS):
        position += 1
    if position == start:
        raise _unexpected(text, position, where)
    return position


def duplicate_fields(body: bytes, parsed: Any) -> list[str]:
    """Paths (``spec.ports[0].name``) of keys that occur twice in one map, in the order of the text.

    Args:
        body: a valid JSON text.
        parsed: what it says, where the last of equal keys counts.
    """
    # What clients write is mostly just what orjson writes; only one with a key twice (or spaces) differs.
    if orjson.dumps(parsed) == body.rstrip():
        return []
    doubled: dict[int, list[str]] = {}

    def note(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        made = dict(pairs)
        if len(made) != len(pairs):
            keys = [k for k, _ in pairs]
            doubled[id(made)] = [k for k in made if keys.count(k) > 1]
        return made

    again = json.loads(body.decode("utf-8", "replace"), object_pairs_hook=note)
    if not doubled:
        return []
    found: list[str] = []

    def search(node: Any, path: str) -> None:
        if isinstance(node, dict):
            for key, value in node.items():
                inner = f"{path}.{key}" if path else key
                search(value, inner)
                if key in doubled.get(id(node), ()):
                    found.append(inner)
        elif isinstance(node, list):
            for index, value in enumerate(node):
                search(value, f"{path}[{index}]")

    search(again, "")
    return found
