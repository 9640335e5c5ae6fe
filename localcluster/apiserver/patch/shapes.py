"""How the values of a schema merge: which lists and maps are whole, which have entries of their own."""

from __future__ import annotations

from functools import cache, lru_cache
from typing import Any

from localcluster.apiserver.patch.fieldsets import key_of_entry, key_of_value
from localcluster.apiserver.schema import Schema, definition

OBJECT_META = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"

_KEY_DEFAULTS = {"protocol": "TCP"}
"""Defaults of list keys of built-in types, which the published schemas leave out (container and Service ports)."""


class Shape:
    """The forms that a value may have and how each merges.

    Attributes:
        scalar: ``string``, ``numeric``, ``boolean``, ``untyped`` (any of them), or empty.
        list_type: ``atomic``, ``set``, ``map``, or empty if it may be no list.
        map_type: ``granular``, ``atomic``, or empty if it may be no map.
        keys: of a list of type ``map``.
    """

    __slots__ = ("_fields", "_items", "_schema", "_values", "keys", "list_type", "map_type", "scalar")

    def __init__(self, schema: Schema | None, scalar: str = "", list_type: str = "", map_type: str = "") -> None:
        self._schema = schema
        self.scalar = scalar
        self.list_type = list_type
        self.map_type = map_type
        self.keys: tuple[str, ...] = ()
        self._fields: dict[str, Shape | None] = {}
        self._items: Shape | None = None
        self._values: Shape | None = None

    def field(self, name: str) -> Shape | None:
        """The shape of a field or of a map's value; None if there is no such field."""
        found = self._fields.get(name)
        if found is None and name not in self._fields:
            found = self._declared(name)
            if found is None:
                # Names of map values are not worth remembering.
                return self.values
            self._fields[name] = found
        return found

    def declares(self, name: str) -> bool:
        """Whether it is a field of a struct rather than a key of a map."""
        return name in self._fields or (self._schema is not None and self._schema.declares(name))

    def _declared(self, name: str) -> Shape | None:
        schema = self._schema
        if schema is None or not schema.declares(name):
            return None
        child = schema.field(name)
        if child is None:
            return None
        return _shape(child, schema.hint(name, "x-kubernetes-map-type"))

    @property
    def values(self) -> Shape | None:
        """The shape of what is not declared."""
        if self._values is None and self._schema is not None:
            if self._schema.values is not None:
                self._values = _shape(self._schema.values)
            elif self._schema.preserves_unknown_fields:
                self._values = DEDUCED
        return self._values

    @property
    def items(self) -> Shape:
        if self._items is None:
            schema = self._schema.items if self._schema is not None else None
            self._items = _shape(schema) if schema is not None else ATOMIC
        return self._items

    def entry_key(self, item: Any) -> str:
        """The path element of an entry of an associative list. ValueError if it has none."""
        if self.list_type == "set":
            if isinstance(item, (dict, list)) or item is None:
                return self._odd_set_entry(item)
            return key_of_value(item)
        if item is None:
            raise ValueError("associative list with keys may not have null elements")
        if not isinstance(item, dict):
            raise ValueError("associative list with keys may not have non-map elements")
        keys = {}
        for name in self.keys:
            if name in item:
                keys[name] = item[name]
                continue
            default = self._key_default(name)
            if default is None:
                raise ValueError(
                    f'associative list with keys has an element that omits key field "{name}" '
                    "(and doesn't have default value)"
                )
            keys[name] = default
        return key_of_entry(keys)

    def _odd_set_entry(self, item: Any) -> str:
        if item is None:
            raise ValueError("associative list without keys has an element that's an explicit null")
        if isinstance(item, list):
            raise ValueError("not supported: associative list with lists as elements")
        return key_of_value(item)

    def _key_default(self, name: str) -> Any:
        items = self._schema.items if self._schema is not None else None
        if items is None:
            return None
        if items.name:
            return _KEY_DEFAULTS.get(name)
        child = items.field(name)
        return child.default if child is not None else None


ATOMIC = Shape(None, "untyped", "atomic", "atomic")
"""Anything, replaced as a whole."""
DEDUCED = Shape(None, "untyped", "atomic", "granular")
"""Anything whose maps merge by key."""
DEDUCED._values = DEDUCED

_SCALARS = {
    "string": "string",
    "integer": "numeric",
    "number": "numeric",
    "boolean": "boolean",
    "int-or-string": "untyped",
    "quantity": "untyped",
}


def _shape(schema: Schema, map_type: Any = None) -> Shape:
    if schema.name and map_type in (None, schema.raw.get("x-kubernetes-map-type")):
        return _named(schema.name)
    return _make(schema, map_type)


@cache
def _named(name: str) -> Shape:
    return _make(definition(name), None)


def _make(schema: Schema, map_type: Any) -> Shape:
    kind = schema.type
    if kind in _SCALARS:
        return Shape(None, _SCALARS[kind])
    if kind == "array":
        shape = Shape(schema, list_type=schema.list_type)
        shape.keys = tuple(schema.list_map_keys)
        return shape
    if kind == "object":
        shape = Shape(schema, map_type=map_type or schema.map_type)
        if schema.is_embedded_resource:
            _as_resource(shape)
        return shape
    preserves = schema.raw.get("x-kubernetes-preserve-unknown-fields") is True
    if preserves and schema.is_embedded_resource:
        shape = Shape(schema, map_type="granular")
        _as_resource(shape)
        return shape
    return DEDUCED if preserves else ATOMIC


def _as_resource(shape: Shape) -> None:
    text = Shape(None, "string")
    shape._fields.update(apiVersion=text, kind=text, metadata=_named(OBJECT_META))


@lru_cache(maxsize=256)
def _custom(schema: Schema) -> Shape:
    shape = Shape(schema, map_type="granular")
    _as_resource(shape)
    return shape


def shape_of(schema: Schema) -> Shape:
    """The shape of a kind's objects; custom resources get the metadata of all objects."""
    return _named(schema.name) if schema.name else _custom(schema)
