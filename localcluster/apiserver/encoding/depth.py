"""How deep what clients send may be nested."""

from __future__ import annotations

from typing import Any

import orjson

MAX_DEPTH = 200
"""Objects in objects and lists. Go's limit is 10,000; here they must still be written with what is put around them."""
EXCEEDED = "exceeded max depth"
"""What Go's JSON decoder says of it."""
_WRITABLE = 254
"""How deep orjson writes."""


def is_too_deep(value: Any) -> bool:
    """Whether a value is nested deeper than `MAX_DEPTH`."""
    for _ in range(_WRITABLE - MAX_DEPTH):
        value = [value]
    try:
        orjson.dumps(value)
    except orjson.JSONEncodeError:
        return True
    return False


def may_be_too_deep(text: bytes) -> bool:
    """Whether a JSON text opens so many objects and lists that it is worth a look."""
    return text.count(b"{") + text.count(b"[") > MAX_DEPTH
