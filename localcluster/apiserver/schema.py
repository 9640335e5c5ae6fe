"""Structural schemas: what fields a kind has, how its lists and maps merge, and what their values may be.

Those of the built-in kinds come from the kubernetes-validate package (the published OpenAPI of a Kubernetes release);
those of custom resources from their definitions (`crd/`). Both are the same `Schema` to the patch, decoding and
validation code.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any

import orjson

KUBERNETES_VERSION = "1.36.0"
"""The release whose schemas are served. The recorded answers of the conformance cases are of the same minor version."""


class Schema:
    """One node of a structural schema. Children are made when they are asked for.

    Attributes:
        raw: the JSON schema of the node, with references not yet followed inside.
        type: ``object``, ``array``, ``string``, ``integer``, ``number``, ``boolean``, ``int-or-string``, ``quantity``
            or ``any`` (free-form JSON).
        name: the definition's name, for example ``io.k8s.api.core.v1.PodSpec``; empty for inline nodes.
    """

    __slots__ = ("_fields", "_items", "_values", "name", "raw", "type")

    def __init__(self, raw: Mapping[str, Any], name: str = "") -> None:
        self.raw = raw
        self.name = name
        self.type = _type_of(raw, name)
        self._fields: dict[str, Schema] = {}
        self._items: Schema | None = None
        self._values: Schema | None = None

    def __repr__(self) -> str:
        return f"<Schema {self.name or self.type}>"

    # ---- children

    def follow(self, raw: Mapping[str, Any]) -> Schema:
        """The schema of a child node. Overridden nowhere: references only occur in built-in schemas."""
        ref = raw.get("$ref")
        if ref is None:
            for alternative in raw.get("allOf", ()):
                if "$ref" in alternative:
                    ref = alternative["$ref"]
        return definition(ref.rpartition("/")[2]) if ref else Schema(raw)

    @property
    def property_names(self) -> list[str]:
        return list(self.raw.get("properties", ()))

    def field(self, name: str) -> Schema | None:
        """The schema of a field: a declared property, or the value of a map; None if there is no such field."""
        child = self._fields.get(name)
        if child is None:
            raw = self.raw.get("properties", {}).get(name)
            if raw is None:
                return self.values
            child = self._fields[name] = self.follow(raw)
        return child

    def declares(self, name: str) -> bool:
        return name in self.raw.get("properties", ())

    def hint(self, name: str, key: str) -> Any:
        """An extension that stands beside a ``$ref`` on the property itself rather than on the type, or on the type."""
        raw = self.raw.get("properties", {}).get(name, {})
        if key in raw:
            return raw[key]
        child = self.field(name)
        return child.raw.get(key) if child is not None else None

    @property
    def values(self) -> Schema | None:
        """The schema of a map's values (``additionalProperties``), or None."""
        extra = self.raw.get("additionalProperties")
        if self._values is None and isinstance(extra, Mapping):
            self._values = self.follow(extra)
        elif self._values is None and extra is True:
            self._values = ANY
        return self._values

    @property
    def items(self) -> Schema | None:
        raw = self.raw.get("items")
        if self._items is None and isinstance(raw, Mapping):
            self._items = self.follow(raw)
        return self._items

    # ---- how it merges

    @property
    def list_type(self) -> str:
        """``atomic`` (default), ``set`` or ``map``: x-kubernetes-list-type."""
        return str(self.raw.get("x-kubernetes-list-type", "atomic"))

    @property
    def list_map_keys(self) -> list[str]:
        return list(self.raw.get("x-kubernetes-list-map-keys", ()))

    @property
    def map_type(self) -> str:
        """``granular`` (default) or ``atomic``: x-kubernetes-map-type."""
        return str(self.raw.get("x-kubernetes-map-type", "granular"))

    @property
    def patch_merge_key(self) -> str | None:
        return self.raw.get("x-kubernetes-patch-merge-key")

    @property
    def patch_strategies(self) -> list[str]:
        """Of ``merge``, ``replace``, ``retainKeys``: x-kubernetes-patch-strategy."""
        return [s for s in str(self.raw.get("x-kubernetes-patch-strategy", "")).split(",") if s]

    # ---- what it holds

    @property
    def preserves_unknown_fields(self) -> bool:
        return self.type == "any" or self.raw.get("x-kubernetes-preserve-unknown-fields") is True

    @property
    def is_embedded_resource(self) -> bool:
        return self.raw.get("x-kubernetes-embedded-resource") is True

    @property
    def nullable(self) -> bool:
        declared = self.raw.get("type")
        return self.raw.get("nullable") is True or (isinstance(declared, list) and "null" in declared)

    @property
    def required(self) -> list[str]:
        return list(self.raw.get("required", ()))

    @property
    def default(self) -> Any:
        return self.raw.get("default")

    @property
    def format(self) -> str:
        return str(self.raw.get("format", ""))

    @property
    def go_name(self) -> str:
        """The Go type's name, which decoding errors mention: the last part of the definition's name."""
        return self.name.rpartition(".")[2]


def _type_of(raw: Mapping[str, Any], name: str) -> str:
    if name.endswith(".IntOrString") or raw.get("x-kubernetes-int-or-string") or raw.get("format") == "int-or-string":
        return "int-or-string"
    if name.endswith(".resource.Quantity"):
        return "quantity"
    declared = raw.get("type")
    if isinstance(declared, list):
        declared = next((t for t in declared if t != "null"), None)
    if name.endswith((".FieldsV1", ".RawExtension", "apiextensions.v1.JSON")):
        return "any"
    free_form = raw.get("x-kubernetes-preserve-unknown-fields") is True
    if declared == "object" and free_form and not raw.get("properties") and not raw.get("additionalProperties"):
        return "any"
    return declared or ("object" if raw.get("properties") else "any")


ANY = Schema({"x-kubernetes-preserve-unknown-fields": True})


def read_definitions() -> dict[str, Any]:
    """All published definitions with their descriptions: about 1.6 MB of JSON, read anew at each call."""
    folder = resources.files("kubernetes_validate") / "kubernetes-json-schema"
    path = folder / f"v{KUBERNETES_VERSION}-local" / "_definitions.json"
    found: dict[str, Any] = orjson.loads(path.read_bytes())["$defs"]
    return found


def _without_descriptions(raw: Any) -> Any:
    # Descriptions are three quarters of the text; only OpenAPI needs them and reads the file again.
    if isinstance(raw, dict):
        return {
            sys.intern(k): {sys.intern(n): _without_descriptions(p) for n, p in v.items()}
            if k == "properties"
            else _without_descriptions(v)
            for k, v in raw.items()
            if not (k == "description" and isinstance(v, str))
        }
    if isinstance(raw, list):
        return [_without_descriptions(v) for v in raw]
    return sys.intern(raw) if isinstance(raw, str) else raw


@cache
def _definitions() -> dict[str, Any]:
    stripped: dict[str, Any] = _without_descriptions(read_definitions())
    return stripped


@cache
def definition(name: str) -> Schema:
    """The schema of a definition, for example ``io.k8s.api.core.v1.Pod``. KeyError if there is none."""
    return Schema(_definitions()[name], name)


@cache
def _kinds() -> dict[tuple[str, str, str], str]:
    found = {}
    for name, raw in _definitions().items():
        for gvk in raw.get("x-kubernetes-group-version-kind", ()):
            found[gvk["group"], gvk["version"], gvk["kind"]] = name
    # Status, DeleteOptions and such are declared for every group at once; here each kind has one definition.
    return found


def builtin(group: str, version: str, kind: str) -> Schema:
    """The schema of a built-in kind. KeyError if the release does not have it."""
    return definition(_kinds()[group, version, kind])
