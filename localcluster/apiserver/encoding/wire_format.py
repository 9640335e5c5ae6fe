"""The wire format of Protocol Buffers: the fields of a message as numbers and bytes, read and written.

Source: https://protobuf.dev/programming-guides/encoding/. Reading errors are worded as
Go's generated decoders word them.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

VARINT, FIXED64, LENGTH_DELIMITED, START_GROUP, END_GROUP, FIXED32 = range(6)
_MAX_VARINT_BITS = 64


def fields(message: bytes, title: str) -> Iterator[tuple[int, int, int | bytes]]:
    """The fields in their order: number, wire type, and the value.

    The value is an unsigned number for varints and the bytes as sent for the others; groups, which nothing in the API
    uses, are passed over.

    Args:
        title: the message's name, for errors.

    Raises:
        ValueError: the message is malformed.
    """
    position, depth, end = 0, 0, len(message)
    while position < end:
        key, position = varint(message, position)
        field, wire_type = key >> 3, key & 7
        value: int | bytes
        if field == 0:
            raise ValueError(f"proto: {title}: illegal tag {field} (wire type {key})")
        if wire_type == VARINT:
            value, position = varint(message, position)
        elif wire_type == START_GROUP:
            depth += 1
            continue
        elif wire_type == END_GROUP:
            if depth == 0:
                raise ValueError(f"proto: {title}: wiretype end group for non-group")
            depth -= 1
            continue
        elif wire_type in (LENGTH_DELIMITED, FIXED64, FIXED32):
            if wire_type == LENGTH_DELIMITED:
                length, position = varint(message, position)
                if signed(length) < 0:
                    raise ValueError("proto: negative length found during unmarshaling")
            else:
                length = 8 if wire_type == FIXED64 else 4
            value = message[position : position + length]
            if len(value) != length:
                raise ValueError("unexpected EOF")
            position += length
        else:
            raise ValueError(f"proto: illegal wireType {wire_type}")
        if depth == 0:
            yield field, wire_type, value
    if depth:
        raise ValueError("unexpected EOF")


def varint(data: bytes, position: int) -> tuple[int, int]:
    """The unsigned number at a position, and the position after it. Raises ValueError."""
    value = shift = 0
    while shift < _MAX_VARINT_BITS:
        try:
            byte = data[position]
        except IndexError:
            raise ValueError("unexpected EOF") from None
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & 0xFFFF_FFFF_FFFF_FFFF, position
        shift += 7
    raise ValueError("proto: integer overflow")


def varints(data: bytes) -> list[int]:
    """The unsigned numbers of a packed field. Raises ValueError."""
    found, position = [], 0
    while position < len(data):
        value, position = varint(data, position)
        found.append(value)
    return found


def signed(value: int, bits: int = 64) -> int:
    """A varint as the two's complement number of that size."""
    value &= (1 << bits) - 1
    return value - (1 << bits) if value >> (bits - 1) else value


def number(field: int, value: int) -> bytes:
    """A varint field."""
    return _encoded(field << 3 | VARINT) + _encoded(value & 0xFFFF_FFFF_FFFF_FFFF)


def delimited(field: int, value: bytes) -> bytes:
    """A field with its length: a text in UTF-8, bytes, or a message."""
    return _encoded(field << 3 | LENGTH_DELIMITED) + _encoded(len(value)) + value


def double(field: int, value: float) -> bytes:
    return _encoded(field << 3 | FIXED64) + struct.pack("<d", value)


def _encoded(value: int) -> bytes:
    if value < 0x80:
        return _SMALL[value]
    groups = bytearray()
    while value >= 0x80:
        groups.append(value & 0x7F | 0x80)
        value >>= 7
    groups.append(value)
    return bytes(groups)


_SMALL = [bytes([value]) for value in range(0x80)]
