"""Schemas as OpenAPI documents show them: of built-in kinds from the published definitions, of custom ones from theirs.

kubernetes-validate's definitions differ from the server's documents: types may be null, apiVersion and kind have one
value each, and the two scalar types of several forms are unions. `Definitions` undoes that, for version 3 or 2.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from localcluster.apiserver.openapi.enums import add_enum
from localcluster.apiserver.schema import read_definitions

if TYPE_CHECKING:
    from localcluster.apiserver.resources import Resource

JSON = dict[str, Any]

META = "io.k8s.apimachinery.pkg.apis.meta.v1."
_SOURCE_PREFIX = "#/$defs/"
_INT_OR_STRING = "io.k8s.apimachinery.pkg.util.intstr.IntOrString"
_QUANTITY = "io.k8s.apimachinery.pkg.api.resource.Quantity"
_INT_OR_STRING_TEXT = (
    "IntOrString is a type that can hold an int32 or a string.  When used in JSON or YAML marshalling and "
    "unmarshalling, it produces or consumes the inner type.  This allows you to have, for example, a JSON field that "
    "can accept a name or number."
)
_QUANTITY_TEXT = "A number with an optional unit, for example 100m, 1.5 or 2Gi."
_SCALARS = (_INT_OR_STRING, _QUANTITY, f"{META}Time", f"{META}MicroTime", f"{META}FieldsV1")
_DEFAULT_EMPTY = ("metadata", "spec", "status", "template", "strategy", "updateStrategy", "jobTemplate")
"""Fields that are structs in Go rather than pointers, so that the real documents give them ``default: {}``."""
_ZERO = {"string": "", "integer": 0, "number": 0, "boolean": False}
_NOT_OF_CUSTOM = ("admission.k8s.io", "apiextensions.k8s.io", "apiregistration.k8s.io", "imagepolicy.k8s.io")
"""Groups that the part of the server that serves custom resources does not declare DeleteOptions for."""

_CONVENTIONS = "https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md"


class Definitions:
    """The published definitions, read once for one document; short-lived, as they take some ten megabytes."""

    def __init__(self, version: int) -> None:
        self._raw = read_definitions()
        self.version = version
        self.prefix = "#/components/schemas/" if version == 3 else "#/definitions/"
        self._names: dict[tuple[str, str, str], str] = {}
        for name, raw in self._raw.items():
            for kind in raw.get("x-kubernetes-group-version-kind", ()):
                self._names[kind["group"], kind["version"], kind["kind"]] = name

    def name_of(self, group: str, version: str, kind: str) -> str | None:
        """The definition's name of a built-in kind."""
        return self._names.get((group, version, kind))

    def reference(self, name: str) -> JSON:
        return {"$ref": self.prefix + name}

    def description(self, definition: str, field: str = "") -> str:
        raw = self._raw[definition]
        return str((raw["properties"][field] if field else raw).get("description", ""))

    def closure(self, names: Iterable[str]) -> list[str]:
        """The names and all that their definitions refer to, sorted; names of other places are left out."""
        found: set[str] = set()
        waiting = [n for n in names if n in self._raw]
        while waiting:
            name = waiting.pop()
            if name not in found:
                found.add(name)
                waiting += _references(self._raw[name])
        return sorted(found)

    def show(self, name: str, custom: bool = False) -> JSON:
        """A definition as the document has it; `custom`: in a document of custom resources."""
        if name == _INT_OR_STRING:
            return self._scalar(_INT_OR_STRING_TEXT, ["integer", "string"], "int-or-string")
        if name == _QUANTITY:
            return self._scalar(_QUANTITY_TEXT, ["string", "number"], "")
        shown = self._convert(self._raw[name])
        required = shown.get("required", ())
        for field, schema in shown.get("properties", {}).items():
            add_enum(name, field, schema)
            if self.version == 3:
                self._add_default(field, schema, field in required)
        if custom and name == f"{META}DeleteOptions":
            kinds = shown["x-kubernetes-group-version-kind"]
            shown["x-kubernetes-group-version-kind"] = [k for k in kinds if k["group"] not in _NOT_OF_CUSTOM]
        return shown

    def _scalar(self, description: str, types: list[str], form: str) -> JSON:
        shown: JSON = {"description": description}
        if form:
            shown["format"] = form
        if self.version == 3:
            return {**shown, "oneOf": [{"type": t} for t in types]}
        return {**shown, "type": "string"}

    def _add_default(self, field: str, schema: JSON, required: bool) -> None:
        if "allOf" in schema:
            target = str(schema["allOf"][0]["$ref"]).removeprefix(self.prefix)
            names_struct = field in _DEFAULT_EMPTY and target != f"{META}ObjectMeta"
            is_metadata = field == "metadata" and target in (f"{META}ObjectMeta", f"{META}ListMeta")
            if target not in _SCALARS and field != "selector" and (names_struct or is_metadata or required):
                schema["default"] = {}
        elif required and schema.get("type") in _ZERO and "enum" not in schema:
            schema["default"] = _ZERO[schema["type"]]

    def _convert(self, raw: JSON) -> JSON:
        shown: JSON = {}
        for key, value in raw.items():
            if key == "type" and isinstance(value, list):
                shown["type"] = next(t for t in value if t != "null")
            elif key == "properties":
                shown["properties"] = {name: self._convert(child) for name, child in value.items()}
            elif key in ("items", "additionalProperties") and isinstance(value, dict):
                shown[key] = self._convert(value)
            elif key == "$ref":
                shown["$ref"] = value.replace(_SOURCE_PREFIX, self.prefix)
            elif key != "enum":
                shown[key] = value
        # In version 3 nothing may stand beside a reference.
        if self.version == 3 and "$ref" in shown and len(shown) > 1:
            shown = {"allOf": [{"$ref": shown.pop("$ref")}], **shown}
        return shown

    # ---- custom resources

    def custom(self, resource: Resource) -> dict[str, JSON]:
        """The schemas of a custom resource and of its list, by name."""
        assert resource.crd is not None
        name = custom_name(resource.group, resource.version, resource.kind)
        list_name = custom_name(resource.group, resource.version, resource.list_kind)
        shown = self._custom_schema(resource.crd.raw)
        properties = {**shown.get("properties", {}), **self._type_meta("ObjectMeta")}
        shown = {**shown, "type": "object", "properties": dict(sorted(properties.items()))}
        shown["x-kubernetes-group-version-kind"] = [_kind(resource, resource.kind)]
        items = {
            "description": f"List of {resource.plural}. More info: {_CONVENTIONS}",
            "type": "array",
            "items": self.reference(name),
        }
        list_properties = {**self._type_meta("ListMeta"), "items": items}
        return {
            name: shown,
            list_name: {
                "description": f"{resource.list_kind} is a list of {resource.kind}",
                "type": "object",
                "required": ["items"],
                "properties": dict(sorted(list_properties.items())),
                "x-kubernetes-group-version-kind": [_kind(resource, resource.list_kind)],
            },
        }

    def _type_meta(self, metadata: str) -> dict[str, JSON]:
        owner = f"{META}Status"
        title, anchor = ("list", "types-kinds") if metadata == "ListMeta" else ("object's", "metadata")
        text = f"Standard {title} metadata. More info: {_CONVENTIONS}#{anchor}"
        reference = self.reference(META + metadata)
        return {
            "apiVersion": {"type": "string", "description": self.description(owner, "apiVersion")},
            "kind": {"type": "string", "description": self.description(owner, "kind")},
            "metadata": {"description": text, **({"allOf": [reference]} if self.version == 3 else reference)},
        }

    def _custom_schema(self, raw: JSON) -> JSON:
        convert = self._custom_schema if self.version == 3 else self._custom_schema_for_2
        return _map_children(raw, convert, self._type_meta if raw.get("x-kubernetes-embedded-resource") else None)

    def _custom_schema_for_2(self, raw: JSON) -> JSON:
        """Without what version 2 cannot say; a field that may be null or of two types is of any type there."""
        shown = _map_children(raw, self._custom_schema_for_2, None)
        for key in ("anyOf", "oneOf", "allOf", "not"):
            shown.pop(key, None)
        if shown.pop("nullable", False) or "x-kubernetes-int-or-string" in shown:
            for key in ("type", "items", "properties"):
                shown.pop(key, None)
        if shown.get("x-kubernetes-preserve-unknown-fields"):
            shown.pop("items", None)
            shown.pop("properties", None)
        return shown


def _map_children(
    raw: JSON, convert: Callable[[JSON], JSON], type_meta: Callable[[str], dict[str, JSON]] | None
) -> JSON:
    shown = dict(raw)
    if "properties" in raw:
        shown["properties"] = {name: convert(child) for name, child in raw["properties"].items()}
    for key in ("items", "additionalProperties"):
        if isinstance(raw.get(key), dict):
            shown[key] = convert(raw[key])
    if type_meta is not None:
        shown["properties"] = {**shown.get("properties", {}), **type_meta("ObjectMeta")}
    if raw.get("x-kubernetes-int-or-string") and "anyOf" not in raw and "allOf" not in raw:
        shown["anyOf"] = [{"type": "integer"}, {"type": "string"}]
    return shown


def custom_name(group: str, version: str, kind: str) -> str:
    """The name of a custom kind's definition: the group's parts in reverse order first."""
    return ".".join([*reversed(group.split(".")), version, kind])


def _kind(resource: Resource, kind: str) -> JSON:
    return {"group": resource.group, "kind": kind, "version": resource.version}


def _references(raw: Any) -> Iterator[str]:
    if isinstance(raw, dict):
        reference = raw.get("$ref")
        if isinstance(reference, str):
            yield reference.removeprefix(_SOURCE_PREFIX)
        for key, value in raw.items():
            if key not in ("description", "$ref"):
                yield from _references(value)
    elif isinstance(raw, list):
        for value in raw:
            yield from _references(value)
