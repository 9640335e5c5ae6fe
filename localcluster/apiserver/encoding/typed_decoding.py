"""Reading an object as Go's decoder would read it into the kind's types: errors, unknown fields and canonical values.

A decoder is compiled for each type on first use; reading an object is then one walk over it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from localcluster import quantity
from localcluster.apiserver.encoding.go_scalars import canonical_base64, canonical_time
from localcluster.apiserver.encoding.go_types import ALWAYS_WRITTEN, KEPT_WHEN_EMPTY, NEVER_WRITTEN_EMPTY, fields_of
from localcluster.apiserver.schema import Schema

JSON = dict[str, Any]
Path = tuple[Any, ...]
"""Where a value is: () is the object itself, (parent, name) a field, (parent, index) an item of a list, and
(parent, key, True) a value of a map."""


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


def complete(obj: JSON, schema: Schema) -> None:
    """Add, in place, what Go writes of an object even if nobody set it (``status: {}``); `decode` does so, too."""
    decoder = compiled(schema)
    if isinstance(decoder, _Object):
        for name, made in decoder.absent:
            if name not in obj:
                obj[name] = made.zero_copy()


def zero(schema: Schema) -> JSON:
    """What Go writes of an object of a built-in kind in which nothing is set: also null for required lists and maps."""
    decoder = compiled(schema)
    return decoder.zero_copy(with_nulls=True) if isinstance(decoder, _Object) else {}


class _Walk:
    """What one reading of an object collects."""

    __slots__ = ("unknown", "unstructured")

    def __init__(self, unstructured: bool) -> None:
        self.unknown: list[str] = []
        self.unstructured = unstructured


class _Mismatch(Exception):
    """A value of another type than `go_type`; `found` is set where encoding/json says more than the value's type."""

    def __init__(self, value: Any, go_type: str, found: str = "") -> None:
        super().__init__()
        self.value = value
        self.go_type = go_type
        self.found = found

    def words(self, struct: str, path: Path, unstructured: bool) -> str:
        if unstructured:
            return _converter_words(self.value, self.go_type)
        found = self.found or json_type(self.value)
        names = [str(step[1]) for step in _steps(path) if len(step) == 2 and isinstance(step[1], str)]
        where = ".".join([struct, *names])
        return f"json: cannot unmarshal {found} into Go struct field {where} of type {self.go_type}"


def _converter_words(value: Any, go_type: str) -> str:
    """How runtime.DefaultUnstructuredConverter words it."""
    if isinstance(value, bool):
        found, source = "bool", "bool"
    elif isinstance(value, str):
        found, source = "string", "string"
    elif isinstance(value, (int, float)):
        found = source = "int64" if isinstance(value, int) else "float64"
    else:
        found, source = ("map", "") if isinstance(value, dict) else ("slice", "")
    if go_type.startswith("map["):
        return f"cannot restore map from {found}"
    if go_type.startswith("[]"):
        return f"cannot restore slice from {found}"
    if "." in go_type:
        return f"cannot restore struct from: {found}"
    # Numbers of all kinds (and, in Go, text made of a number) convert to each other; nothing else does.
    if source in ("int64", "float64") and go_type != "bool":
        return f"cannot convert {source} to {go_type}"
    return f"unrecognized type: {go_type}"


def _steps(path: Path) -> list[Path]:
    steps = []
    while path:
        steps.append(path)
        path = path[0]
    return steps[::-1]


def _dotted(path: Path) -> str:
    text = ""
    for step in _steps(path):
        name = step[1]
        text += f"[{name}]" if isinstance(name, int) else f".{name}"
    return text[1:]


class Decoder:
    """Reads the values of one type; this one takes anything.

    Attributes:
        go_type: how encoding/json names the type.
        zero: what null stands for inside a list or map.
        drops_empty: an empty value is left out where the field is optional.
    """

    go_type = "interface {}"
    zero: Any = None
    drops_empty = False

    def zero_copy(self, with_nulls: bool = False) -> Any:
        """What is written where nothing is set; with `with_nulls`, also null for lists and maps without omitempty."""
        return self.zero

    def read(self, value: Any, path: Path, walk: _Walk) -> Any:
        """The canonical value, which may be `value` itself, changed. Raises _Mismatch or ValueError."""
        return value


class _Scalar(Decoder):
    """A type whose values are checked and made canonical by a function."""

    def __init__(self, go_type: str, zero: Any, drops_empty: bool, check: Callable[[Any], Any]) -> None:
        self.go_type = go_type
        self.zero = zero
        self.drops_empty = drops_empty
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
            raise _Mismatch(value, self.go_type)
        items = self.items
        if isinstance(items, _Scalar):
            check = items.check
            for index, item in enumerate(value):
                value[index] = items.zero if item is None else check(item)
            return value
        for index, item in enumerate(value):
            value[index] = items.zero_copy() if item is None else items.read(item, (path, index), walk)
        return value


class _Map(Decoder):
    drops_empty = True

    def __init__(self, values: Decoder) -> None:
        self.values = values
        self.go_type = f"map[string]{values.go_type}"

    def read(self, value: Any, path: Path, walk: _Walk) -> Any:
        if not isinstance(value, dict):
            raise _Mismatch(value, self.go_type)
        values = self.values
        if isinstance(values, _Scalar):
            check = values.check
            for key, item in value.items():
                value[key] = values.zero if item is None else check(item)
            return value
        for key, item in value.items():
            value[key] = values.zero_copy() if item is None else values.read(item, (path, key, True), walk)
        return value


class _Object(Decoder):
    """A struct.

    Attributes:
        fields: by name, the decoder and whether an empty value is left out.
        absent: the scalars and structs that are written even if nobody set them.
        nulls: the lists and maps for which null is written then.
    """

    def __init__(self, schema: Schema) -> None:
        self.name = schema.go_name
        self.go_type = ".".join(schema.name.split(".")[-2:])
        self.fields: dict[str, tuple[Decoder, bool]] = {}
        self.absent: list[tuple[str, Decoder]] = []
        self.nulls: list[str] = []

    def compile(self, schema: Schema) -> None:
        kept = fields_of(KEPT_WHEN_EMPTY, schema.name)
        always = fields_of(ALWAYS_WRITTEN, schema.name)
        always |= frozenset(schema.required) - fields_of(NEVER_WRITTEN_EMPTY, schema.name)
        for name in schema.property_names:
            child = schema.field(name)
            if child is None:
                continue
            decoder = compiled(child)
            is_struct = isinstance(decoder, _Object)
            written = name in always or (is_struct and name in ("metadata", "spec", "status"))
            self.fields[name] = decoder, decoder.drops_empty and not written and name not in kept
            # Lists and maps would be null, which says no more than their absence.
            if written and (is_struct or isinstance(decoder, _Scalar)):
                self.absent.append((name, decoder))
            elif written and decoder.drops_empty:
                self.nulls.append(name)

    def zero_copy(self, with_nulls: bool = False) -> Any:
        zero = {name: made.zero_copy(with_nulls) for name, made in self.absent}
        if with_nulls:
            zero.update(dict.fromkeys(self.nulls))
        return zero

    def read(self, value: Any, path: Path, walk: _Walk) -> Any:
        if not isinstance(value, dict):
            raise _Mismatch(value, self.go_type)
        fields = self.fields
        gone: list[str] = []
        try:
            for name, item in value.items():
                field = fields.get(name)
                if field is None:
                    walk.unknown.append(_dotted((path, name)))
                    gone.append(name)
                elif item is None:
                    gone.append(name)
                else:
                    decoder, drops_empty = field
                    if isinstance(decoder, _Scalar):
                        item = decoder.check(item)
                    else:
                        item = decoder.read(item, (path, name), walk)
                    if item or not drops_empty:
                        value[name] = item
                    else:
                        gone.append(name)
        except _Mismatch as mismatch:
            raise ValueError(mismatch.words(self.name, (path, name), walk.unstructured)) from None
        for name in gone:
            del value[name]
        for name, made in self.absent:
            if name not in value:
                value[name] = made.zero_copy()
        return value


# ---- scalars


def _string(value: Any) -> Any:
    if value.__class__ is str:
        return value
    raise _Mismatch(value, "string")


def _boolean(value: Any) -> Any:
    if value.__class__ is bool:
        return value
    raise _Mismatch(value, "bool")


def _integer(go_type: str, limits: range) -> Callable[[Any], Any]:
    def check(value: Any) -> Any:
        if value.__class__ is int and value in limits:
            return value
        is_number = value.__class__ in (int, float)
        raise _Mismatch(value, go_type, f"number {value}" if is_number else "")

    return check


def _number(value: Any) -> Any:
    if value.__class__ in (int, float):
        return value
    raise _Mismatch(value, "float64")


def _int_or_string(value: Any) -> Any:
    return value if value.__class__ is str else _INT32(value)


def _quantity(value: Any) -> Any:
    if value.__class__ in (str, int, float):
        return quantity.canonical(value)
    return quantity.canonical("")


def _time(value: Any) -> Any:
    return canonical_time(_string(value))


def _micro_time(value: Any) -> Any:
    return canonical_time(_string(value), micro=True)


def _base64(value: Any) -> Any:
    if value.__class__ is str:
        return canonical_base64(value)
    raise _Mismatch(value, "[]uint8")


_INT32 = _integer("int32", range(-(2**31), 2**31))
_INT64 = _integer("int64", range(-(2**63), 2**63))

_SCALARS = {
    "string": _Scalar("string", "", True, _string),
    "boolean": _Scalar("bool", False, True, _boolean),
    "int32": _Scalar("int32", 0, True, _INT32),
    "int64": _Scalar("int64", 0, True, _INT64),
    "number": _Scalar("float64", 0, True, _number),
    "int-or-string": _Scalar("intstr.IntOrString", 0, False, _int_or_string),
    "quantity": _Scalar("resource.Quantity", "0", False, _quantity),
    "Time": _Scalar("v1.Time", None, False, _time),
    "MicroTime": _Scalar("v1.MicroTime", None, False, _micro_time),
    "byte": _Scalar("[]uint8", "", True, _base64),
}
_ANYTHING = Decoder()

_definitions: dict[str, Decoder] = {}


def compiled(schema: Schema) -> Decoder:
    """The decoder of a built-in type."""
    if not schema.name:
        return _compile(schema)
    found = _definitions.get(schema.name)
    if found is None:
        found = _compile(schema)
        _definitions[schema.name] = found
        if isinstance(found, _Object):
            found.compile(schema)
    return found


def _compile(schema: Schema) -> Decoder:
    kind = schema.type
    if schema.go_name in ("Time", "MicroTime"):
        return _SCALARS[schema.go_name]
    if kind == "integer":
        return _SCALARS["int32" if schema.format == "int32" else "int64"]
    if kind == "string" and schema.format == "byte":
        return _SCALARS["byte"]
    if kind in _SCALARS:
        return _SCALARS[kind]
    if kind == "array" and schema.items is not None:
        return _List(compiled(schema.items))
    if kind == "object" and schema.values is not None:
        return _Map(compiled(schema.values))
    if kind == "object" and schema.name:
        return _Object(schema)
    return _ANYTHING
