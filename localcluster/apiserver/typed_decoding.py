"""Reading an object as Go's decoder would read it into the kind's types: errors, unknown fields and canonical values.

A decoder is compiled for each type on first use; reading an object is then one walk over it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from localcluster import quantity
from localcluster.apiserver.go_scalars import canonical_base64, canonical_time
from localcluster.apiserver.schema import Schema

JSON = dict[str, Any]
Path = tuple[Any, ...]
"""Where a value is: (path of the parent, field name, map key or list index); () is the object itself."""

_INT32 = range(-(2**31), 2**31)
_INT64 = range(-(2**63), 2**63)
_QUANTITY = re.compile(r"([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)").fullmatch
_BAD_QUANTITY = "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"


def json_type(value: Any) -> str:
    """The type of a JSON value as encoding/json names it."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, str):
        return "string"
    if isinstance(value, (int, float)):
        return "number"
    return "object" if isinstance(value, dict) else "array"


def decode(obj: JSON, schema: Schema, *, unstructured: bool = False) -> list[str]:
    """Make `obj` canonical in place.

    Returns:
        Paths of the fields that the schema does not have (``spec.ports[0].nmae``); they are removed.

    Raises:
        ValueError: something has the wrong type; worded as encoding/json does, or, with `unstructured`, as the
            converter from maps to types.
    """
    walk = _Walk(unstructured)
    compiled(schema).read(obj, (), walk)
    return walk.unknown


class _Walk:
    """What one reading of an object collects."""

    __slots__ = ("unknown", "unstructured")

    def __init__(self, unstructured: bool) -> None:
        self.unknown: list[str] = []
        self.unstructured = unstructured


class _Mismatch(Exception):
    """A value of the wrong type; `found` is how encoding/json describes the value, `wanted` the Go type."""

    def __init__(self, found: str, wanted: str) -> None:
        super().__init__()
        self.found = found
        self.wanted = wanted


class Decoder:
    """Reads values of one type. `zero` is what null stands for in a list or map; `empty` whether a value is left out."""

    zero: Any = None
    go_type = "interface {}"
    drops_empty = False

    def read(self, value: Any, path: Path, walk: _Walk) -> Any:
        return value


class _Scalar(Decoder):
    """A type whose values are checked by `check`, which returns the canonical value or raises _Mismatch."""

    def __init__(self, go_type: str, zero: Any, check: Callable[[Any], Any]) -> None:
        self.go_type = go_type
        self.zero = zero
        self.check = check

    def read(self, value: Any, path: Path, walk: _Walk) -> Any:
        return self.check(value)


class _List(Decoder):
    drops_empty = True

    def __init__(self, items: Decoder) -> None:
        self.items = items
        self.go_type = f"[]{items.go_type}"

    def read(self, value: Any, path: Path, walk: _Walk) -> Any:
        if not isinstance(value, list):
            raise _Mismatch(json_type(value), self.go_type)
        items, read = self.items, self.items.read
        if type(items) is _Scalar:
            check = items.check
            for index, item in enumerate(value):
                value[index] = items.zero if item is None else check(item)
            return value
        for index, item in enumerate(value):
            value[index] = items.zero_copy() if item is None else read(item, (path, index), walk)
        return value


class _Map(Decoder):
    drops_empty = True

    def __init__(self, values: Decoder) -> None:
        self.values = values
        self.go_type = f"map[string]{values.go_type}"

    def read(self, value: Any, path: Path, walk: _Walk) -> Any:
        if not isinstance(value, dict):
            raise _Mismatch(json_type(value), self.go_type)
        values = self.values
        if type(values) is _Scalar:
            check = values.check
            for key, item in value.items():
                value[key] = values.zero if item is None else check(item)
            return value
        for key, item in value.items():
            value[key] = values.zero_copy() if item is None else values.read(item, (path, key), walk)
        return value
