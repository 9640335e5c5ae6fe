"""The syntax tree of a CEL expression, read from and written to the library's serialized form.

The form is ``google.protobuf.Any`` around ``cel.expr.ParsedExpr``
(https://github.com/google/cel-spec/blob/master/proto/cel/expr/syntax.proto); the few fields that matter are read here
without the protobuf package.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

_TYPE_URL = b"type.googleapis.com/cel.expr.ParsedExpr"
_VARINT, _FIXED64, _BYTES = 0, 1, 2


@dataclass(slots=True)
class Expr:
    """A node; `id` is its number, by which positions and types are kept."""

    id: int


@dataclass(slots=True)
class Constant(Expr):
    """A literal: `kind` is null, bool, int, uint, double, string or bytes."""

    kind: str
    value: Any


@dataclass(slots=True)
class Ident(Expr):
    name: str


@dataclass(slots=True)
class Select(Expr):
    """``operand.field``; with `test_only`, ``has(operand.field)``."""

    operand: Expr
    field: str
    test_only: bool = False


@dataclass(slots=True)
class Call(Expr):
    function: str
    args: list[Expr]
    target: Expr | None = None


@dataclass(slots=True)
class ListOf(Expr):
    elements: list[Expr]
    optional: list[int] = field(default_factory=list)


@dataclass(slots=True)
class Entry:
    id: int
    key: Expr
    value: Expr
    optional: bool = False


@dataclass(slots=True)
class MapOf(Expr):
    """A map literal; with `message`, the making of a message, which Kubernetes has none of."""

    entries: list[Entry]
    message: str = ""


@dataclass(slots=True)
class Comprehension(Expr):
    """What the macros ``all``, ``map`` and such become."""

    variable: str
    variable2: str
    range: Expr
    accumulator: str
    start: Expr
    condition: Expr
    step: Expr
    result: Expr


@dataclass(slots=True)
class Parsed:
    """An expression with the offset (in characters) of each node in its text."""

    expr: Expr
    positions: dict[int, int]
    source: str


# ---- reading


def _fields(data: bytes) -> Iterator[tuple[int, Any]]:
    at = 0
    while at < len(data):
        tag, at = _read_varint(data, at)
        number, wire = tag >> 3, tag & 7
        if wire == _VARINT:
            value, at = _read_varint(data, at)
            yield number, value
        elif wire == _FIXED64:
            yield number, data[at : at + 8]
            at += 8
        else:
            length, at = _read_varint(data, at)
            yield number, data[at : at + length]
            at += length


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7


def _signed(value: int) -> int:
    return value - (1 << 64) if value >= 1 << 63 else value


def read(serialized: bytes, source: str) -> Parsed:
    """The tree of a serialized, unchecked expression."""
    payload = dict(_fields(serialized))[2]
    parts = dict(_fields(payload))
    positions: dict[int, int] = {}
    for number, value in _fields(parts.get(3, b"")):
        if number == 4:
            entry = dict(_fields(value))
            positions[entry.get(1, 0)] = entry.get(2, 0)
    return Parsed(_expr(parts[2]), positions, source)


def _expr(data: bytes) -> Expr:
    node_id, kind, body = 0, 0, b""
    for number, value in _fields(data):
        if number == 2:
            node_id = value
        else:
            kind, body = number, value
    return _READERS[kind](node_id, body)


def _constant(node_id: int, body: bytes) -> Expr:
    for number, value in _fields(body):
        if number == 1:
            return Constant(node_id, "null", None)
        if number == 2:
            return Constant(node_id, "bool", bool(value))
        if number == 3:
            return Constant(node_id, "int", _signed(value))
        if number == 4:
            return Constant(node_id, "uint", value)
        if number == 5:
            return Constant(node_id, "double", struct.unpack("<d", value)[0])
        if number == 6:
            return Constant(node_id, "string", value.decode())
        if number == 7:
            return Constant(node_id, "bytes", value)
    return Constant(node_id, "null", None)


def _ident(node_id: int, body: bytes) -> Expr:
    return Ident(node_id, dict(_fields(body)).get(1, b"").decode())


def _select(node_id: int, body: bytes) -> Expr:
    parts = dict(_fields(body))
    return Select(node_id, _expr(parts[1]), parts.get(2, b"").decode(), bool(parts.get(3, 0)))


def _call(node_id: int, body: bytes) -> Expr:
    target, function, args = None, "", []
    for number, value in _fields(body):
        if number == 1:
            target = _expr(value)
        elif number == 2:
            function = value.decode()
        else:
            args.append(_expr(value))
    return Call(node_id, function, args, target)


def _list(node_id: int, body: bytes) -> Expr:
    elements: list[Expr] = []
    optional: list[int] = []
    for number, value in _fields(body):
        if number == 1:
            elements.append(_expr(value))
        elif isinstance(value, int):
            optional.append(value)
        else:
            at = 0
            while at < len(value):
                index, at = _read_varint(value, at)
                optional.append(index)
    return ListOf(node_id, elements, optional)


def _map(node_id: int, body: bytes) -> Expr:
    entries: list[Entry] = []
    message = ""
    for number, value in _fields(body):
        if number == 1:
            message = value.decode()
            continue
        parts = dict(_fields(value))
        key: Expr = _expr(parts[3]) if 3 in parts else Constant(0, "string", parts.get(2, b"").decode())
        entries.append(Entry(parts.get(1, 0), key, _expr(parts[4]), bool(parts.get(5, 0))))
    return MapOf(node_id, entries, message)


def _comprehension(node_id: int, body: bytes) -> Expr:
    parts = dict(_fields(body))
    return Comprehension(
        node_id, parts.get(1, b"").decode(), parts.get(8, b"").decode(), _expr(parts[2]), parts.get(3, b"").decode(),
        _expr(parts[4]), _expr(parts[5]), _expr(parts[6]), _expr(parts[7]),
    )  # fmt: skip


_READERS = {0: _constant, 3: _constant, 4: _ident, 5: _select, 6: _call, 7: _list, 8: _map, 9: _comprehension}


# ---- writing


def _varint(value: int) -> bytes:
    value &= (1 << 64) - 1
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _number(number: int, value: int) -> bytes:
    return _varint(number << 3 | _VARINT) + _varint(value)


def _block(number: int, data: bytes | str) -> bytes:
    raw = data.encode() if isinstance(data, str) else data
    return _varint(number << 3 | _BYTES) + _varint(len(raw)) + raw


def write(expr: Expr) -> bytes:
    """The serialized form of a tree, which the library takes as an unchecked expression."""
    return _block(1, _TYPE_URL) + _block(2, _block(2, _write(expr)))


def _write(expr: Expr) -> bytes:
    head = _number(2, expr.id)
    match expr:
        case Constant():
            return head + _block(3, _write_constant(expr))
        case Ident():
            return head + _block(4, _block(1, expr.name))
        case Select():
            body = _block(1, _write(expr.operand)) + _block(2, expr.field)
            return head + _block(5, body + (_number(3, 1) if expr.test_only else b""))
        case Call():
            body = b"" if expr.target is None else _block(1, _write(expr.target))
            return head + _block(6, body + _block(2, expr.function) + b"".join(_block(3, _write(a)) for a in expr.args))
        case ListOf():
            body = b"".join(_block(1, _write(e)) for e in expr.elements)
            packed = _block(2, b"".join(map(_varint, expr.optional))) if expr.optional else b""
            return head + _block(7, body + packed)
        case MapOf():
            body = b"".join(_block(2, _write_entry(e)) for e in expr.entries)
            return head + _block(8, (_block(1, expr.message) if expr.message else b"") + body)
        case Comprehension():
            return head + _block(9, _write_comprehension(expr))
    raise TypeError(type(expr))


def _write_constant(expr: Constant) -> bytes:
    match expr.kind:
        case "null":
            return _number(1, 0)
        case "bool":
            return _number(2, int(expr.value))
        case "int":
            return _number(3, expr.value)
        case "uint":
            return _number(4, expr.value)
        case "double":
            return _varint(5 << 3 | _FIXED64) + struct.pack("<d", expr.value)
        case "string":
            return _block(6, expr.value)
    return _block(7, expr.value)


def _write_entry(entry: Entry) -> bytes:
    data = _number(1, entry.id) + _block(3, _write(entry.key)) + _block(4, _write(entry.value))
    return data + (_number(5, 1) if entry.optional else b"")


def _write_comprehension(expr: Comprehension) -> bytes:
    data = _block(1, expr.variable) + _block(2, _write(expr.range)) + _block(3, expr.accumulator)
    for number, part in ((4, expr.start), (5, expr.condition), (6, expr.step), (7, expr.result)):
        data += _block(number, _write(part))
    return data + (_block(8, expr.variable2) if expr.variable2 else b"")
