"""Defaults of custom resources: ``default`` of a schema's fields, filled in when objects are written and read.

https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#defaulting
"""

from __future__ import annotations

import copy
from typing import Any

from localcluster.apiserver.crd.nodes import TYPE_AND_OBJECT_META, children, is_embedded_resource, values_schema

JSON = dict[str, Any]


def apply_defaults(value: Any, raw: JSON | None) -> None:
    """Fill in defaults in place: where a field is missing, or is null and not nullable."""
    if raw is None:
        return
    if isinstance(value, dict):
        properties: JSON = raw.get("properties") or {}
        for name, child in properties.items():
            default = child.get("default")
            if default is not None and (name not in value or _counts_as_missing(value[name], child)):
                value[name] = copy.deepcopy(default)
        values = values_schema(raw)
        for name, inner in value.items():
            child = properties.get(name)
            if child is None and values is not None:
                if _counts_as_missing(inner, values):
                    value[name] = copy.deepcopy(values.get("default"))
                apply_defaults(value[name], values)
            else:
                apply_defaults(inner, child)
    elif isinstance(value, list):
        items = raw.get("items")
        for index, element in enumerate(value):
            if _counts_as_missing(element, items):
                value[index] = copy.deepcopy((items or {}).get("default"))
            apply_defaults(value[index], items)


def _counts_as_missing(value: Any, raw: JSON | None) -> bool:
    return value is None and raw is not None and raw.get("nullable") is not True


def has_defaults(raw: JSON) -> bool:
    """Whether any field of the schema has a default, so that reading an object may change it."""
    return raw.get("default") is not None or any(has_defaults(child) for child in children(raw))


def is_settled(value: Any, raw: JSON | None, *, resource_root: bool = False) -> bool:
    """Whether pruning, dropping nulls and defaulting would leave the value as it is; far cheaper than to try."""
    if raw is None:
        return not isinstance(value, dict) or not value
    keeps = raw.get("x-kubernetes-preserve-unknown-fields") is True
    if isinstance(value, dict):
        properties: JSON = raw.get("properties") or {}
        for name, child in properties.items():
            if child.get("default") is not None and value.get(name) is None and _needs(value, name, child):
                return False
        meta = resource_root or is_embedded_resource(raw)
        for name, inner in value.items():
            if meta and name in TYPE_AND_OBJECT_META:
                continue
            child = properties.get(name)
            if child is None:
                if "additionalProperties" in raw:
                    child = values_schema(raw)
                    if child is None and not isinstance(inner, (dict, list)):
                        continue
                elif keeps:
                    continue
                else:
                    return False
            if inner is None:
                if child is not None and child.get("nullable") is not True:
                    return False
            elif not is_settled(inner, child):
                return False
    elif isinstance(value, list):
        items = raw.get("items")
        if items is None:
            return keeps or all(not isinstance(e, (dict, list)) for e in value)
        return all(
            items.get("nullable") is True or items.get("default") is None if e is None else is_settled(e, items)
            for e in value
        )
    return True


def _needs(value: JSON, name: str, child: JSON) -> bool:
    return name not in value or child.get("nullable") is not True
