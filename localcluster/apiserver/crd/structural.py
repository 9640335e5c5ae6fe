"""Structural schemas: the shape that a CustomResourceDefinition's schema must have for pruning and defaulting to work.

https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#specifying-a-structural-schema
"""

from __future__ import annotations

from typing import Any

from localcluster.apiserver.crd import patterns
from localcluster.apiserver.crd.field_errors import child, invalid, item, key
from localcluster.apiserver.errors import FieldError, forbidden_field, required

JSON = dict[str, Any]

ROOT, ITEM, FIELD = "at the root", "for specified array items", "for specified object fields"
_INT_OR_STRING = [{"type": "integer"}, {"type": "string"}]


def validate(raw: JSON, path: str) -> list[FieldError]:
    """What makes a schema not structural, sorted by text as the real server sorts it."""
    errors = _invariants(raw, ROOT, path) + _completeness(raw, path)
    return sorted(errors, key=str)


def unsupported(raw: JSON) -> str:
    """The first construct that no structural schema can have, as text; empty if there is none."""
    for name in ("id", "$schema", "$ref", "patternProperties", "dependencies", "additionalItems", "definitions"):
        if raw.get(name):
            return f"OpenAPIV3Schema '{name.removeprefix('$') if name == '$schema' else name}' is not supported"
    if isinstance(raw.get("items"), list):
        return "OpenAPIV3Schema 'items' must be a schema, but is an array"
    for _, below in every_child(raw, ""):
        found = unsupported(below)
        if found:
            return found
    return ""


def every_child(raw: JSON, path: str) -> list[tuple[str, JSON]]:
    """All schemas directly inside one, in value validations too, with their paths."""
    found = []
    for name in sorted(raw.get("properties") or {}):
        found.append((key(child(path, "properties"), name), raw["properties"][name]))
    for name in ("additionalProperties", "items", "not"):
        if isinstance(raw.get(name), dict):
            found.append((child(path, name), raw[name]))
    for name in ("allOf", "anyOf", "oneOf"):
        found += [(item(child(path, name), i), s) for i, s in enumerate(raw.get(name) or ())]
    return found


def _invariants(raw: JSON, level: str, path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    declared = raw.get("type") or ""
    items = raw.get("items")
    if declared == "array" and items is None:
        errors.append(required(child(path, "items"), "must be specified"))
    if isinstance(items, dict):
        errors += _invariants(items, ITEM, child(path, "items"))
    properties = raw.get("properties") or {}
    for name, below in properties.items():
        errors += _invariants(below, FIELD, key(child(path, "properties"), name))
    extra = raw.get("additionalProperties")
    if extra is not None:
        if level == ROOT:
            errors.append(forbidden_field(child(path, "additionalProperties"), "must not be used at the root"))
        if isinstance(extra, dict):
            errors += _invariants(extra, FIELD, child(path, "additionalProperties"))
    errors += _extensions(raw, path)
    first = (raw.get("allOf") or [{}])[0]
    errors += _values(raw, raw.get("anyOf") == _INT_OR_STRING, first.get("anyOf") == _INT_OR_STRING, path)
    errors += _types(raw, declared, level, path)
    errors += _metadata(raw, level, path)
    if _embedded(raw) and not _preserves(raw) and not properties:
        detail = (
            "must not be empty if x-kubernetes-embedded-resource is true without x-kubernetes-preserve-unknown-fields"
        )
        errors.append(required(child(path, "properties"), detail))
    return errors


def _embedded(raw: JSON) -> bool:
    return raw.get("x-kubernetes-embedded-resource") is True


def _preserves(raw: JSON) -> bool:
    return raw.get("x-kubernetes-preserve-unknown-fields") is True


def _extensions(raw: JSON, path: str) -> list[FieldError]:
    if raw.get("x-kubernetes-int-or-string") is not True:
        return []
    names = ("x-kubernetes-preserve-unknown-fields", "x-kubernetes-embedded-resource")
    detail = "must be false if x-kubernetes-int-or-string is true"
    return [invalid(child(path, n), True, detail) for n in names if raw.get(n) is True]


def _types(raw: JSON, declared: str, level: str, path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    where = child(path, "type")
    if _embedded(raw) and declared != "object":
        detail = "must be object if x-kubernetes-embedded-resource is true"
        errors.append(invalid(where, declared, detail) if declared else required(where, detail))
    elif not declared and raw.get("x-kubernetes-int-or-string") is not True and not _preserves(raw):
        errors.append(required(where, f"must not be empty {level}"))
    if _embedded(raw) and raw.get("additionalProperties") is not None:
        detail = "must not be used if x-kubernetes-embedded-resource is set"
        errors.append(forbidden_field(child(path, "additionalProperties"), detail))
    if level == ROOT and declared and declared != "object":
        errors.append(invalid(where, declared, "must be object at the root"))
    return errors


def _metadata(raw: JSON, level: str, path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    properties = raw.get("properties") or {}
    if level == ROOT or _embedded(raw):
        for name, expected in (("kind", "string"), ("apiVersion", "string"), ("metadata", "object")):
            declared = properties.get(name, {"type": expected}).get("type") or ""
            if declared != expected:
                where = child(key(child(path, "properties"), name), "type")
                errors.append(invalid(where, declared, f"must be {expected}"))
    if level == ROOT and "metadata" in properties:
        metadata = properties["metadata"]
        allowed = set(metadata.get("properties") or ()) <= {"name", "generateName"}
        others = {
            k
            for k, v in metadata.items()
            if k not in ("type", "properties", "default") and v not in ({}, [], "", False)
        }
        if not allowed or others:
            detail = "must not specify anything other than name and generateName, but metadata is implicitly specified"
            errors.append(forbidden_field(key(child(path, "properties"), "metadata"), detail))
    return errors


def _values(raw: JSON, skip_any_of: bool, skip_first_all_of: bool, path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    if not skip_any_of:
        for index, nested in enumerate(raw.get("anyOf") or ()):
            errors += _nested(nested, False, item(child(path, "anyOf"), index))
    for index, nested in enumerate(raw.get("allOf") or ()):
        errors += _nested(nested, skip_first_all_of and index == 0, item(child(path, "allOf"), index))
    for index, nested in enumerate(raw.get("oneOf") or ()):
        errors += _nested(nested, False, item(child(path, "oneOf"), index))
    if raw.get("not") is not None:
        errors += _nested(raw["not"], False, child(path, "not"))
    if raw.get("pattern"):
        try:
            patterns.compiled(raw["pattern"])
        except patterns.BadPattern as error:
            detail = f"must be a valid regular expression, but isn't: {error}"
            errors.append(invalid(child(path, "pattern"), raw["pattern"], detail))
    return errors


_FORBIDDEN_INSIDE = {
    "type": "must be empty to be structural",
    "additionalProperties": "must be undefined to be structural",
    "default": "must be undefined to be structural",
    "title": "must be empty to be structural",
    "description": "must be empty to be structural",
    "nullable": "must be false to be structural",
    "x-kubernetes-preserve-unknown-fields": "must be false to be structural",
    "x-kubernetes-embedded-resource": "must be false to be structural",
    "x-kubernetes-int-or-string": "must be false to be structural",
    "x-kubernetes-list-map-keys": "must be empty to be structural",
    "x-kubernetes-list-type": "must be undefined to be structural",
    "x-kubernetes-map-type": "must be undefined to be structural",
    "x-kubernetes-validations": "must be empty to be structural",
}


def _nested(raw: JSON, skip_any_of: bool, path: str) -> list[FieldError]:
    errors = _values(raw, skip_any_of, False, path)
    if isinstance(raw.get("items"), dict):
        errors += _nested(raw["items"], False, child(path, "items"))
    for name, below in (raw.get("properties") or {}).items():
        errors += _nested(below, False, key(child(path, "properties"), name))
    for name, detail in _FORBIDDEN_INSIDE.items():
        value = raw.get(name)
        present = value is not None if name in ("default", "additionalProperties") else bool(value)
        if present:
            errors.append(forbidden_field(child(path, name), detail))
    if "metadata" in (raw.get("properties") or {}):
        where = key(child(path, "properties"), "metadata")
        errors.append(forbidden_field(where, "must not be specified in a nested context"))
    return errors


def _completeness(raw: JSON, path: str) -> list[FieldError]:
    errors = _specified(raw, raw, path, path)
    if isinstance(raw.get("items"), dict):
        errors += _completeness(raw["items"], child(path, "items"))
    for name, below in (raw.get("properties") or {}).items():
        errors += _completeness(below, key(child(path, "properties"), name))
    if isinstance(raw.get("additionalProperties"), dict):
        errors += _completeness(raw["additionalProperties"], child(path, "additionalProperties"))
    return errors


def _specified(value: JSON, raw: JSON, path: str, value_path: str) -> list[FieldError]:
    """Errors where `value` validates a field that the structure `raw` does not have."""
    errors: list[FieldError] = []
    if value.get("not") is not None:
        errors += _nested_specified(value["not"], raw, path, child(value_path, "not"))
    for name in ("allOf", "anyOf", "oneOf"):
        for index, nested in enumerate(value.get(name) or ()):
            errors += _nested_specified(nested, raw, path, item(child(value_path, name), index))
    return errors


def _nested_specified(nested: JSON, raw: JSON | None, path: str, nested_path: str) -> list[FieldError]:
    if raw is None:
        return [required(path, f"because it is defined in {nested_path}")]
    errors = _specified(nested, raw, path, nested_path)
    if isinstance(nested.get("items"), dict):
        errors += _nested_specified(
            nested["items"], raw.get("items"), child(path, "items"), child(nested_path, "items")
        )
    for name, below in (nested.get("properties") or {}).items():
        where, nested_where = (key(child(p, "properties"), name) for p in (path, nested_path))
        errors += _nested_specified(below, (raw.get("properties") or {}).get(name), where, nested_where)
    return errors
