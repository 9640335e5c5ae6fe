"""What a definition's schema may say: forbidden keywords, list and map types, defaults, and where they stand."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Protocol

from localcluster.apiserver.crd import internal_form, object_meta, pruning, structural, validation
from localcluster.apiserver.crd.correlation import same_json
from localcluster.apiserver.crd.field_errors import QuotedError, child, invalid, item, key
from localcluster.apiserver.crd.field_paths import FieldPathError, resolve
from localcluster.apiserver.crd.nodes import TYPE_AND_OBJECT_META, is_embedded_resource
from localcluster.apiserver.errors import INVALID, NOT_SUPPORTED, FieldError, forbidden_field, required

JSON = dict[str, Any]

_TYPES = ("array", "boolean", "integer", "number", "object", "string")
_REASONS = ("FieldValueDuplicate", "FieldValueForbidden", "FieldValueInvalid", "FieldValueRequired")
_WITH_STATUS = "at the root of the schema if the status subresource is enabled"
_ALLOWED_AT_ROOT = (
    "Description Type Format Title Maximum ExclusiveMaximum Minimum ExclusiveMinimum MaxLength MinLength Pattern "
    "MaxItems MinItems UniqueItems MultipleOf Required Items Properties ExternalDocs Example XPreserveUnknownFields "
    "XValidations"
)


class RuleChecker(Protocol):
    """Checks the x-kubernetes-validations of a schema."""

    def check(self, place: SchemaPlace, uncorrelatable: str) -> list[FieldError]:
        """Errors of one node's rules; `uncorrelatable` is the path of the nearest ancestor whose parts cannot be told
        apart between two versions of an object, empty if there is none."""
        ...

    def total(self) -> list[FieldError]:
        """Errors of all rules together; after all nodes were checked."""
        ...


@dataclass(frozen=True)
class SchemaPlace:
    """A node of the schema and where it stands.

    Attributes:
        cardinality: how often at most the node's value occurs in one object; None for no limit.
        resource_root: it is a resource, with apiVersion, kind and metadata.
    """

    raw: JSON
    path: str
    cardinality: int | None = 1
    resource_root: bool = False


@dataclass(frozen=True)
class _Place:
    """Where in the schema a node stands, as far as that restricts it."""

    defaults: bool = True
    why_no_defaults: str = ""
    inside_metadata: bool = False
    uncorrelatable: str = ""

    def without_defaults(self, why: str) -> _Place:
        return replace(self, defaults=False, why_no_defaults=why)

    def within(self, path: str) -> _Place:
        return self if self.uncorrelatable else replace(self, uncorrelatable=path)


def validate(raw: JSON, path: str, *, status: bool, rules: Callable[[], RuleChecker] | None) -> list[FieldError]:
    """Every error of a version's ``openAPIV3Schema``.

    Args:
        path: of the schema.
        status: the version has a status subresource, which restricts the root.
        rules: makes the checker of CEL rules; it is used only where the schema has rules and is otherwise valid.
    """
    errors: list[FieldError] = []
    if status:
        errors += _root_with_status(raw, path)
    if raw.get("nullable") is True:
        errors.append(forbidden_field(f"{path}.nullable", "nullable cannot be true at the root"))
    unsupported = structural.unsupported(raw)
    found = [] if unsupported else structural.validate(raw, path)
    if not unsupported and not found:
        found = _defaults(raw, path, resource=True)
    errors += found
    checker = rules() if rules is not None and not unsupported and not found else None
    schema_errors, rule_errors = _Walk(checker).node(SchemaPlace(raw, path, resource_root=True), _Place(), root=True)
    errors += schema_errors + rule_errors
    if not errors and unsupported:
        errors.append(invalid(path, "", unsupported))
    return errors + (checker.total() if checker is not None else [])


def _root_with_status(raw: JSON, path: str) -> list[FieldError]:
    allowed = _ALLOWED_AT_ROOT.split()
    for name, go in internal_form.FIELD_OF.items():
        value = raw.get(name)
        if value is None or value in ("", False, [], {}):
            continue
        if go == "Type":
            if value != "object":
                detail = f'only "object" is allowed as the type {_WITH_STATUS}'
                return [invalid(f"{path}.type", value, detail)]
        elif go not in allowed:
            shown = internal_form.text(internal_form.schema(raw))
            detail = f"only [{_ALLOWED_AT_ROOT}] fields are allowed {_WITH_STATUS}"
            return [QuotedError(INVALID, path, shown, detail)]
    return []


def _defaults(raw: JSON, path: str, *, resource: bool = False, inside_metadata: bool = False) -> list[FieldError]:
    """Defaults must themselves be valid and pruned."""
    errors: list[FieldError] = []
    embedded = resource or is_embedded_resource(raw)
    if embedded:
        inside_metadata = False
    default = raw.get("default")
    if default is not None:
        where = child(path, "default")
        if not inside_metadata:
            pruned = copy.deepcopy(default)
            pruning.prune(pruned, raw, resource_root=embedded)
            if not same_json(pruned, default):
                errors.append(invalid(where, default, "must not have unknown fields"))
            found = object_meta.validate_embedded(default, raw, where)
            errors += found or validation.validate(default, raw, base=where)
        else:
            errors += validation.validate(default, raw, base=where)
    if isinstance(raw.get("items"), dict):
        errors += _defaults(raw["items"], child(path, "items"), inside_metadata=inside_metadata)
    for name in sorted(raw.get("properties") or {}):
        below = inside_metadata or (embedded and name in TYPE_AND_OBJECT_META)
        where = key(child(path, "properties"), name)
        errors += _defaults(raw["properties"][name], where, inside_metadata=below)
    return errors


class _Walk:
    def __init__(self, rules: RuleChecker | None) -> None:
        self._rules = rules

    def node(
        self, at: SchemaPlace, place: _Place, *, root: bool = False, nested: bool = False
    ) -> tuple[list[FieldError], list[FieldError]]:
        """The errors of a node and of all below, apart from those of rules. `nested`: it is inside anyOf and such."""
        raw, path = at.raw, at.path
        errors = _keywords(raw, path, place)
        rule_errors: list[FieldError] = []

        def visit(below: JSON, where: str, there: _Place, times: int | None = 1, within: bool = nested) -> None:
            often = None if times is None or at.cardinality is None else at.cardinality * times
            found = SchemaPlace(below, where, often, is_embedded_resource(below))
            more, more_rules = self.node(found, there, nested=within)
            errors.extend(more)
            rule_errors.extend(more_rules)

        properties = raw.get("properties") or {}
        extra = raw.get("additionalProperties")
        if extra is not None:
            where = child(path, "additionalProperties")
            if properties and extra is not True:
                errors.append(forbidden_field(where, "additionalProperties and properties are mutual exclusive"))
            there = place
            if place.inside_metadata:
                there = place.without_defaults("inside additionalProperties applying to object metadata")
            if isinstance(extra, dict):
                visit(extra, where, there, raw.get("maxProperties"))
        for name in sorted(properties):
            there = place.within(path) if raw.get("x-kubernetes-map-type") == "atomic" else place
            if (root or is_embedded_resource(raw)) and name in TYPE_AND_OBJECT_META:
                there = replace(there, inside_metadata=True)
                if root:
                    there = there.without_defaults(f"in top-level {name}")
            visit(properties[name], key(child(path, "properties"), name), there)
        if isinstance(raw.get("not"), dict):
            visit(raw["not"], child(path, "not"), place, within=True)
        for name in ("allOf", "oneOf", "anyOf"):
            for index, below in enumerate(raw.get(name) or ()):
                visit(below, item(child(path, name), index), place, within=True)
        if isinstance(raw.get("items"), dict):
            there = place if raw.get("x-kubernetes-list-type") == "map" else place.within(path)
            visit(raw["items"], child(path, "items"), there, raw.get("maxItems"))
        errors += _extensions(raw, path)
        if raw.get("x-kubernetes-validations"):
            errors += _rule_texts(raw, path)
            if not errors and self._rules is not None and not nested:
                rule_errors += self._rules.check(at, place.uncorrelatable)
        return errors, rule_errors


def _keywords(raw: JSON, path: str, place: _Place) -> list[FieldError]:
    errors: list[FieldError] = []
    declared = raw.get("type")
    if declared and declared not in _TYPES:
        errors.append(_unsupported(child(path, "type"), declared, _TYPES))
    if raw.get("default") is not None and not place.defaults:
        detail = f"must not be set {place.why_no_defaults}".rstrip()
        errors.append(forbidden_field(child(path, "default"), detail))
    for name in ("id", "additionalItems", "patternProperties", "definitions", "dependencies", "$ref"):
        value = raw.get(name)
        if value if name in ("id", "patternProperties", "definitions") else value is not None:
            errors.append(forbidden_field(child(path, name), f"{name} is not supported"))
    if declared == "null":
        errors.append(
            forbidden_field(child(path, "type"), "type cannot be set to null, use nullable as an alternative")
        )
    if isinstance(raw.get("items"), list):
        errors.append(forbidden_field(child(path, "items"), "items must be a schema object and not an array"))
    if place.inside_metadata and is_embedded_resource(raw):
        where = child(path, "x-kubernetes-embedded-resource")
        errors.append(forbidden_field(where, "must not be used inside of resource meta"))
    if raw.get("uniqueItems") is True:
        detail = "uniqueItems cannot be set to true since the runtime complexity becomes quadratic"
        errors.append(forbidden_field(child(path, "uniqueItems"), detail))
    return errors


def _unsupported(path: str, value: str, allowed: tuple[str, ...]) -> FieldError:
    return FieldError(NOT_SUPPORTED, path, value, "supported values: " + ", ".join(f'"{a}"' for a in allowed))


def _extensions(raw: JSON, path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    declared, items = raw.get("type") or "", raw.get("items")
    list_type, map_type = raw.get("x-kubernetes-list-type"), raw.get("x-kubernetes-map-type")
    keys = raw.get("x-kubernetes-list-map-keys") or []
    if raw.get("x-kubernetes-preserve-unknown-fields") is False:
        where = child(path, "x-kubernetes-preserve-unknown-fields")
        errors.append(invalid(where, False, "must be true or undefined"))
    for name, kind, value in (("map", "object", map_type), ("list", "array", list_type)):
        if value is not None and declared != kind:
            detail = f"must be {kind} if x-kubernetes-{name}-type is specified"
            where = child(path, "type")
            errors.append(invalid(where, declared, detail) if declared else required(where, detail))
        elif name == "list" and value == "set" and isinstance(items, dict):
            errors += _set_items(items, path)
        allowed = ("atomic", "granular") if name == "map" else ("atomic", "set", "map")
        if value is not None and value not in allowed:
            errors.append(_unsupported(child(path, f"x-kubernetes-{name}-type"), value, allowed))
    where = child(path, "x-kubernetes-list-type")
    if keys and list_type != "map":
        detail = "must be map if x-kubernetes-list-map-keys is non-empty"
        errors.append(required(where, detail) if list_type is None else invalid(where, list_type, detail))
    if list_type == "map":
        errors += _map_items(items, keys, path)
    if list_type in ("set", "map") and isinstance(items, dict):
        errors += _item_nulls(items, keys, str(list_type), path)
    return errors


def _set_items(items: JSON, path: str) -> list[FieldError]:
    detail = "must be atomic as item of a list with x-kubernetes-list-type=set"
    if items.get("type") == "array" and items.get("x-kubernetes-list-type", "atomic") != "atomic":
        value = items["x-kubernetes-list-type"]
        return [invalid(child(path, "items.x-kubernetes-list-type"), value, detail)]
    if items.get("type") == "object" and items.get("x-kubernetes-map-type") != "atomic":
        value = items.get("x-kubernetes-list-type")
        return [invalid(child(path, "items.x-kubernetes-map-type"), value, detail)]
    return []


def _map_items(items: Any, keys: list[str], path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    where = child(path, "x-kubernetes-list-map-keys")
    if not keys:
        errors.append(required(where, "must not be empty if x-kubernetes-list-type is map"))
    if items is None:
        return [*errors, required(child(path, "items"), "must have a schema if x-kubernetes-list-type is map")]
    if not isinstance(items, dict):
        return errors
    if items.get("type") != "object":
        detail = "must be object if parent array's x-kubernetes-list-type is map"
        return [*errors, invalid(child(path, "items.type"), items.get("type") or "", detail)]
    properties = items.get("properties") or {}
    for position, name in enumerate(keys):
        if name not in properties:
            errors.append(invalid(where, keys, "entries must all be names of item properties"))
        elif properties[name].get("type") in ("array", "object"):
            detail = "must be a scalar type if parent array's x-kubernetes-list-type is map"
            errors.append(invalid(f"{key(child(path, 'items.properties'), name)}.type", items["type"], detail))
        if name in keys[:position]:
            errors.append(invalid(where, keys, "must not contain duplicate entries"))
    return errors


def _item_nulls(items: JSON, keys: list[str], list_type: str, path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    if items.get("nullable") is True:
        detail = f"cannot be nullable when x-kubernetes-list-type is {list_type}"
        errors.append(forbidden_field(child(path, "items.nullable"), detail))
    if list_type == "map":
        needed = items.get("required") or []
        for name in keys:
            declared = (items.get("properties") or {}).get(name)
            if declared is None:
                continue
            where = key(child(path, "items.properties"), name)
            why = "this property is in x-kubernetes-list-map-keys, so it"
            if name not in needed and declared.get("default") is None:
                errors.append(required(f"{where}.default", f"{why} must have a default or be a required property"))
            if declared.get("nullable") is True:
                errors.append(forbidden_field(f"{where}.nullable", f"{why} cannot be nullable"))
    return errors


def _rule_texts(raw: JSON, path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    for index, rule in enumerate(raw["x-kubernetes-validations"]):
        where = item(child(path, "x-kubernetes-validations"), index)
        text, message = rule.get("rule") or "", rule.get("message") or ""
        expression, field_path = rule.get("messageExpression") or "", rule.get("fieldPath") or ""
        if not text.strip():
            errors.append(required(f"{where}.rule", "rule is not specified"))
        elif message and not message.strip():
            errors.append(invalid(f"{where}.message", message, "message must be non-empty if specified"))
        elif _has_lines(message.strip()):
            errors.append(invalid(f"{where}.message", message, "message must not contain line breaks"))
        elif _has_lines(text.strip()) and not message.strip():
            errors.append(required(f"{where}.message", "message must be specified if rule contains line breaks"))
        if expression and not expression.strip():
            detail = "messageExpression must be non-empty if specified"
            errors.append(required(f"{where}.messageExpression", detail))
        if rule.get("reason") is not None and rule["reason"] not in _REASONS:
            errors.append(_unsupported(f"{where}.reason", rule["reason"], _REASONS))
        if field_path and not field_path.strip():
            errors.append(invalid(f"{where}.fieldPath", field_path, "fieldPath must be non-empty if specified"))
        if _has_lines(field_path):
            errors.append(invalid(f"{where}.fieldPath", field_path, "fieldPath must not contain line breaks"))
        if field_path:
            try:
                resolve(field_path, raw)
            except FieldPathError:
                errors.append(invalid(f"{where}.fieldPath", field_path, "fieldPath must be a valid path"))
    return errors


def _has_lines(text: str) -> bool:
    return "\n" in text or "\r" in text
