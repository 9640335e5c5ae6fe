"""Bodies in Kubernetes' protobuf encoding, read into what the same object is in JSON.

Clients written in Go send built-in kinds this way (`application/vnd.kubernetes.protobuf`): four bytes of magic, then a
runtime.Unknown with apiVersion, kind and the object's own message
(https://kubernetes.io/docs/reference/using-api/api-concepts/#protobuf-encoding). The types of the fields are those of
the published schemas. Their numbers are in protobuf_fields.json: by definition, the number and the JSON name of each
field, or, for a Go struct that JSON writes inline, the fields of that struct's message. They were taken from the field
tags of the k8s.io types (v0.36) by reflection, and are loaded with the first body that needs them.
"""

from __future__ import annotations

import base64
import datetime as dt
import struct
from collections.abc import Callable, Mapping
from functools import cache
from importlib import resources
from typing import Any

import orjson

from localcluster.apiserver import schema as schemas
from localcluster.apiserver.encoding import codec, typed_decoding, wire_format
from localcluster.apiserver.encoding.wire_format import FIXED64, LENGTH_DELIMITED, VARINT
from localcluster.apiserver.errors import APIError, bad_request
from localcluster.apiserver.schema import Schema

JSON = dict[str, Any]

MEDIA = "application/vnd.kubernetes.protobuf"
MAGIC = b"k8s\x00"

_DELETE_OPTIONS = ("", "v1", "DeleteOptions")
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


def decode(body: bytes, api_version: str, kind: str) -> JSON:
    """The object that a body holds, with its apiVersion and kind.

    Fields that were sent as zero are there even where Go's JSON would leave them out: typed decoding
    (`codec.conform`) drops them.

    Args:
        api_version, kind: what the path expects, where the body does not say what it is.

    Raises:
        APIError: 400 if the body is malformed or of a kind that is not served; worded as the real decoder does.
    """
    try:
        given_version, given_kind, raw = _open(body)
    except ValueError as error:
        raise codec.unrecognized(kind, str(error), body) from None
    given_version, given_kind = given_version or api_version, given_kind or kind
    schema = _schema_of(given_version, given_kind)
    if schema is None:
        problem = f'no kind "{given_kind}" is registered for version "{given_version}" in scheme '
        raise _refused(given_version, given_kind, kind, problem + '"pkg/api/legacyscheme/scheme.go:30"')
    try:
        obj = _message(schema.name).read(raw)
    except ValueError as error:
        raise _refused(given_version, given_kind, kind, str(error)) from None
    return {"kind": given_kind, "apiVersion": given_version, **obj}


def refuse_custom(body: bytes, api_version: str, kind: str) -> APIError:
    """The error for a body of a custom resource: those have no protobuf encoding."""
    try:
        given_version, given_kind, _ = _open(body)
    except ValueError as error:
        return codec.unrecognized(kind, str(error), body)
    problem = (
        "object *unstructured.Unstructured does not implement the protobuf marshalling interface and cannot be "
        "encoded to a protobuf message"
    )
    return _refused(given_version or api_version, given_kind or kind, kind, problem)


def _refused(api_version: str, given_kind: str, kind: str, problem: str) -> APIError:
    version = api_version.rpartition("/")[2]
    return bad_request(f'{given_kind} in version "{version}" cannot be handled as a {kind}: {problem}')


def _open(body: bytes) -> tuple[str, str, bytes]:
    """apiVersion, kind and the message inside the envelope. Raises ValueError."""
    if not body:
        raise ValueError("empty data")
    if not body.startswith(MAGIC):
        prefix = " ".join(str(byte) for byte in MAGIC)
        raise ValueError(f"provided data does not appear to be a protobuf message, expected prefix [{prefix}]")
    if len(body) == len(MAGIC):
        raise ValueError("empty body")
    parts = {number: value for number, _, value in wire_format.fields(body[len(MAGIC) :], "Unknown")}
    types = dict.fromkeys((1, 2), "")
    for number, _, value in wire_format.fields(_bytes_of(parts.get(1, b"")), "TypeMeta"):
        types[number] = _bytes_of(value).decode("utf-8", "replace")
    return types[1], types[2], _bytes_of(parts.get(2, b""))


def _schema_of(api_version: str, kind: str) -> Schema | None:
    group, _, version = api_version.rpartition("/")
    try:
        if kind == "DeleteOptions":
            return schemas.builtin(*_DELETE_OPTIONS)
        found = schemas.builtin(group, version, kind)
    except KeyError:
        return None
    return found if found.name in _numbers() else None


@cache
def _numbers() -> dict[str, JSON]:
    path = resources.files("localcluster.apiserver.encoding") / "protobuf_fields.json"
    loaded: dict[str, JSON] = orjson.loads(path.read_bytes())
    return loaded


# ---- messages and their fields

Read = Callable[[Any], Any]
"""From a value as `wire_format.fields` gives it to JSON. Raises ValueError."""


class _Field:
    """One field of a message; this one occurs once."""

    __slots__ = ("name", "read", "wire_type", "zero")

    def __init__(self, name: str, read: Read, wire_type: int) -> None:
        self.name = name
        self.read = read
        self.wire_type = wire_type
        self.zero: Any = b"" if wire_type != VARINT else 0
        """What is read where nothing was sent."""

    def add(self, wire_type: int, value: int | bytes, obj: JSON) -> None:
        self.check(wire_type)
        obj[self.name] = self.read(value)

    def check(self, wire_type: int) -> None:
        if wire_type != self.wire_type:
            title = self.name[:1].upper() + self.name[1:]
            raise ValueError(f"proto: wrong wireType = {wire_type} for field {title}")


class _Repeated(_Field):
    __slots__ = ()

    def add(self, wire_type: int, value: int | bytes, obj: JSON) -> None:
        items = obj.setdefault(self.name, [])
        if wire_type == LENGTH_DELIMITED and self.wire_type == VARINT:
            items += [self.read(number) for number in wire_format.varints(_bytes_of(value))]
        else:
            self.check(wire_type)
            items.append(self.read(value))


class _MapEntry(_Field):
    __slots__ = ()

    def add(self, wire_type: int, value: int | bytes, obj: JSON) -> None:
        if wire_type != LENGTH_DELIMITED:
            self.check(wire_type)
        key, item = b"", self.zero
        for number, inner_type, inner in wire_format.fields(_bytes_of(value), self.name):
            if number == 1:
                key = _bytes_of(inner)
            elif number == 2:
                self.check(inner_type)
                item = inner
        obj.setdefault(self.name, {})[_string(key)] = self.read(item)


class _Inline(_Field):
    """A message whose fields JSON has in the object around it."""

    __slots__ = ("message",)

    def __init__(self, message: _Message) -> None:
        super().__init__(message.name, _string, LENGTH_DELIMITED)
        self.message = message

    def add(self, wire_type: int, value: int | bytes, obj: JSON) -> None:
        self.check(wire_type)
        self.message.read_into(_bytes_of(value), obj)


class _Message:
    """The message of one definition, whose fields are compiled with the first of its bodies."""

    def __init__(self, schema: Schema, numbers: Mapping[str, Any]) -> None:
        self.name = schema.go_name
        self.schema = schema
        self._numbers = numbers
        self._fields: dict[int, _Field] | None = None

    def read(self, value: bytes) -> JSON:
        obj: JSON = {}
        self.read_into(value, obj)
        return obj

    def read_into(self, value: bytes, obj: JSON) -> None:
        """Unknown fields are skipped, as a decoder of another release must."""
        if self._fields is None:
            self._fields = {int(number): self._compile(named) for number, named in self._numbers.items()}
        for number, wire_type, inner in wire_format.fields(value, self.name):
            field = self._fields.get(number)
            if field is not None:
                field.add(wire_type, inner, obj)

    def _compile(self, named: str | Mapping[str, Any]) -> _Field:
        if not isinstance(named, str):
            return _Inline(_Message(self.schema, named))
        schema = self.schema.field(named)
        if schema is None:
            raise KeyError(f"{self.schema.name} has no field {named}")
        if not schema.name and schema.type == "array" and schema.items is not None:
            return _Repeated(named, *_reader(schema.items))
        if not schema.name and schema.type == "object" and schema.values is not None:
            return _MapEntry(named, *_reader(schema.values))
        return _Field(named, *_reader(schema))


@cache
def _message(definition: str) -> _Message:
    return _Message(schemas.definition(definition), _numbers().get(definition, {}))


def _reader(schema: Schema) -> tuple[Read, int]:
    """How values of a type are read, and their wire type."""
    special = _SPECIAL.get(schema.go_name)
    if special is not None:
        return special, LENGTH_DELIMITED
    match schema.type:
        case "string":
            return (_base64 if schema.format == "byte" else _string), LENGTH_DELIMITED
        case "boolean":
            return bool, VARINT
        case "integer":
            return (_int32 if schema.format == "int32" else wire_format.signed), VARINT
        case "number":
            return _double, FIXED64
        case "array" if schema.items is not None:
            # Neither lists nor maps can hold lists: a named Go type is a message with the items.
            return _items(_Repeated("items", *_reader(schema.items))), LENGTH_DELIMITED
    return _message(schema.name).read, LENGTH_DELIMITED


def _items(field: _Repeated) -> Read:
    def read(value: bytes) -> list[Any]:
        holder: JSON = {"items": []}
        for number, wire_type, inner in wire_format.fields(value, "items"):
            if number == 1:
                field.add(wire_type, inner, holder)
        items: list[Any] = holder["items"]
        return items

    return read


# ---- values


def _bytes_of(value: int | bytes) -> bytes:
    if isinstance(value, int):
        raise ValueError(f"proto: wrong wireType = {VARINT} for a message")
    return value


def _number_of(value: int | bytes) -> int:
    if isinstance(value, bytes):
        raise ValueError(f"proto: wrong wireType = {LENGTH_DELIMITED} for a number")
    return value


def _string(value: bytes) -> str:
    return value.decode("utf-8", "replace")


def _base64(value: bytes) -> str:
    return base64.b64encode(value).decode()


def _int32(value: int) -> int:
    return wire_format.signed(value, 32)


def _double(value: bytes) -> int | float:
    number: float = struct.unpack("<d", value)[0]
    return int(number) if number.is_integer() else number


def _parts(value: bytes) -> dict[int, int | bytes]:
    return {number: inner for number, _, inner in wire_format.fields(value, "value")}


def _int_or_string(value: bytes) -> int | str:
    parts = _parts(value)
    return _string(_bytes_of(parts.get(3, b""))) if parts.get(1) else _int32(_number_of(parts.get(2, 0)))


def _quantity(value: bytes) -> str:
    return _string(_bytes_of(_parts(value).get(1, b""))) or "0"


def _time(value: bytes) -> str | None:
    return _moment(value, "") if value else None


def _micro_time(value: bytes) -> str | None:
    if not value:
        return None
    return _moment(value, f".{_int32(_number_of(_parts(value).get(2, 0))) // 1000:06d}")


def _moment(value: bytes, fraction: str) -> str:
    seconds = wire_format.signed(_number_of(_parts(value).get(1, 0)))
    try:
        moment = _EPOCH + dt.timedelta(seconds=seconds)
    except OverflowError:
        raise ValueError("Time.MarshalJSON: year outside of range [0,9999]") from None
    return f"{moment.year:04d}{moment:-%m-%dT%H:%M:%S}{fraction}Z"


def _raw_json(value: bytes) -> Any:
    raw = _bytes_of(_parts(value).get(1, b""))
    return codec.parse(raw) if raw else None


def _json_schema(value: int | bytes) -> JSON:
    """A JSONSchemaProps where the published schemas do not tell of it, so that typed decoding passes over it."""
    message = _message("io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps")
    obj = message.read(_bytes_of(value))
    typed_decoding.decode(obj, message.schema)
    return obj


def _schema_or_array(value: bytes) -> Any:
    found = list(wire_format.fields(value, "JSONSchemaPropsOrArray"))
    several = [_json_schema(inner) for number, _, inner in found if number == 2]
    return several or next((_json_schema(inner) for number, _, inner in found if number == 1), None)


def _schema_or_bool(value: bytes) -> Any:
    parts = _parts(value)
    return _json_schema(parts[2]) if 2 in parts else bool(parts.get(1))


def _schema_or_strings(value: bytes) -> Any:
    found = list(wire_format.fields(value, "JSONSchemaPropsOrStringArray"))
    strings = [_string(_bytes_of(inner)) for number, _, inner in found if number == 2]
    return strings or next((_json_schema(inner) for number, _, inner in found if number == 1), None)


_SPECIAL: dict[str, Read] = {
    "FieldsV1": _raw_json,
    "IntOrString": _int_or_string,
    "JSON": _raw_json,
    "JSONSchemaPropsOrArray": _schema_or_array,
    "JSONSchemaPropsOrBool": _schema_or_bool,
    "JSONSchemaPropsOrStringArray": _schema_or_strings,
    "MicroTime": _micro_time,
    "Quantity": _quantity,
    "RawExtension": _raw_json,
    "Time": _time,
}
