"""How the real server prints the versions, schemas and rules of a definition in errors: its internal types as JSON."""

from __future__ import annotations

from typing import Any

JSON = dict[str, Any]

# Each field of the internal JSONSchemaProps in order, with the JSON name and what it is when it is not set.
_SCHEMA_FIELDS: list[tuple[str, str, Any]] = [
    ("ID", "id", ""), ("Schema", "$schema", ""), ("Ref", "$ref", None), ("Description", "description", ""),
    ("Type", "type", ""), ("Nullable", "nullable", False), ("Format", "format", ""), ("Title", "title", ""),
    ("Default", "default", None), ("Maximum", "maximum", None), ("ExclusiveMaximum", "exclusiveMaximum", False),
    ("Minimum", "minimum", None), ("ExclusiveMinimum", "exclusiveMinimum", False), ("MaxLength", "maxLength", None),
    ("MinLength", "minLength", None), ("Pattern", "pattern", ""), ("MaxItems", "maxItems", None),
    ("MinItems", "minItems", None), ("UniqueItems", "uniqueItems", False), ("MultipleOf", "multipleOf", None),
    ("Enum", "enum", None), ("MaxProperties", "maxProperties", None), ("MinProperties", "minProperties", None),
    ("Required", "required", None), ("Items", "items", None), ("AllOf", "allOf", None), ("OneOf", "oneOf", None),
    ("AnyOf", "anyOf", None), ("Not", "not", None), ("Properties", "properties", None),
    ("AdditionalProperties", "additionalProperties", None), ("PatternProperties", "patternProperties", None),
    ("Dependencies", "dependencies", None), ("AdditionalItems", "additionalItems", None),
    ("Definitions", "definitions", None), ("ExternalDocs", "externalDocs", None), ("Example", "example", None),
    ("XPreserveUnknownFields", "x-kubernetes-preserve-unknown-fields", None),
    ("XEmbeddedResource", "x-kubernetes-embedded-resource", False),
    ("XIntOrString", "x-kubernetes-int-or-string", False),
    ("XListMapKeys", "x-kubernetes-list-map-keys", None), ("XListType", "x-kubernetes-list-type", None),
    ("XMapType", "x-kubernetes-map-type", None), ("XValidations", "x-kubernetes-validations", None),
]  # fmt: skip
FIELD_OF = {name: go for go, name, _ in _SCHEMA_FIELDS}
"""The internal name of a schema's field, by its JSON name."""


def versions(declared: list[JSON], hoisted: frozenset[str]) -> Any:
    """`spec.versions`; `hoisted` are the fields that all versions share, which are kept beside the list instead."""
    return [_version(v, hoisted) for v in declared] or None


def _version(version: JSON, hoisted: frozenset[str]) -> JSON:
    shown = {k: v for k, v in version.items() if k not in hoisted}
    declared = shown.get("schema")
    subresources = shown.get("subresources")
    columns = shown.get("additionalPrinterColumns")
    fields = shown.get("selectableFields")
    return _Ordered(
        Name=version.get("name", ""),
        Served=bool(version.get("served")),
        Storage=bool(version.get("storage")),
        Deprecated=bool(version.get("deprecated")),
        DeprecationWarning=version.get("deprecationWarning"),
        Schema=None if declared is None else _Ordered(OpenAPIV3Schema=schema(declared.get("openAPIV3Schema"))),
        Subresources=None if subresources is None else _subresources(subresources),
        AdditionalPrinterColumns=None if not columns else [_column(c) for c in columns],
        SelectableFields=None if not fields else [_Ordered(JSONPath=f.get("jsonPath", "")) for f in fields],
    )


def _subresources(declared: JSON) -> JSON:
    scale = declared.get("scale")
    if scale is not None:
        scale = _Ordered(
            SpecReplicasPath=scale.get("specReplicasPath", ""),
            StatusReplicasPath=scale.get("statusReplicasPath", ""),
            LabelSelectorPath=scale.get("labelSelectorPath"),
        )
    return _Ordered(Status=declared.get("status"), Scale=scale)


def _column(column: JSON) -> JSON:
    return _Ordered(
        Name=column.get("name", ""),
        Type=column.get("type", ""),
        Format=column.get("format", ""),
        Description=column.get("description", ""),
        Priority=column.get("priority", 0),
        JSONPath=column.get("jsonPath", ""),
    )


class _Ordered(dict[str, Any]):
    """Fields in the order of the Go type; other objects are printed with sorted keys."""


def schema(raw: JSON | None) -> Any:
    if raw is None:
        return None
    return _Ordered((go, _field(name, raw.get(name), unset)) for go, name, unset in _SCHEMA_FIELDS)


def _field(name: str, value: Any, unset: Any) -> Any:
    if value is None:
        return unset
    if name in ("properties", "patternProperties", "definitions"):
        return {k: schema(v) for k, v in value.items()} or None
    if name in ("allOf", "anyOf", "oneOf"):
        return [schema(v) for v in value] or None
    if name == "not":
        return schema(value)
    if name == "items":
        if isinstance(value, list):
            return _Ordered(Schema=None, JSONSchemas=[schema(v) for v in value])
        return _Ordered(Schema=schema(value), JSONSchemas=None)
    if name in ("additionalProperties", "additionalItems"):
        return _Ordered(Allows=value is not False, Schema=schema(value) if isinstance(value, dict) else None)
    if name == "externalDocs":
        return _Ordered(Description=value.get("description", ""), URL=value.get("url", ""))
    if name == "x-kubernetes-validations":
        return [rule(r) for r in value]
    return value


def rule(declared: JSON) -> JSON:
    """One of x-kubernetes-validations."""
    return _Ordered(
        Rule=declared.get("rule", ""),
        Message=declared.get("message", ""),
        MessageExpression=declared.get("messageExpression", ""),
        Reason=declared.get("reason"),
        FieldPath=declared.get("fieldPath", ""),
        OptionalOldSelf=declared.get("optionalOldSelf"),
    )


def text(value: Any) -> str:
    """Go's JSON of an internal object: types in the order of their fields, maps sorted."""
    from localcluster.apiserver.crd.field_errors import go_json

    if isinstance(value, _Ordered):
        return "{" + ",".join(f"{go_json(k)}:{text(v)}" for k, v in value.items()) + "}"
    if isinstance(value, dict):
        return "{" + ",".join(f"{go_json(k)}:{text(value[k])}" for k in sorted(value)) + "}"
    if isinstance(value, list):
        return "[" + ",".join(text(v) for v in value) + "]"
    return go_json(value)
