"""Uniqueness in lists: the elements of ``x-kubernetes-list-type: set``, and the keys of ``map``."""

from __future__ import annotations

from typing import Any

from localcluster.apiserver.crd.field_errors import child, duplicate, go_json, invalid, item, key
from localcluster.apiserver.crd.nodes import values_schema
from localcluster.apiserver.errors import FieldError

JSON = dict[str, Any]


def validate(value: Any, raw: JSON | None, path: str = "") -> list[FieldError]:
    """An error for the first repetition of each element or key, in all lists below a value."""
    errors: list[FieldError] = []
    if raw is None:
        return errors
    if isinstance(value, dict):
        properties = raw.get("properties") or {}
        values = values_schema(raw)
        for name in sorted(value):
            if name in properties:
                errors += validate(value[name], properties[name], child(path, name))
            elif values is not None:
                errors += validate(value[name], values, key(path, name))
    elif isinstance(value, list):
        kind = raw.get("x-kubernetes-list-type")
        if kind == "set":
            errors += [duplicate(item(path, i), value[i]) for i in _repeated(value)]
        elif kind == "map":
            errors += _map(value, raw.get("x-kubernetes-list-map-keys") or [], path)
        for index, element in enumerate(value):
            errors += validate(element, raw.get("items"), item(path, index))
    return errors


def _map(value: list[Any], names: list[str], path: str) -> list[FieldError]:
    for index, element in enumerate(value):
        if element is not None and not isinstance(element, dict):
            return [invalid(item(path, index), element, "must be an object for an array of list-type map")]
    keys = [{k: element[k] for k in names if k in element} if element else {} for element in value]
    return [duplicate(item(path, i), keys[i]) for i in _repeated(keys)]


def _repeated(elements: list[Any]) -> list[int]:
    times: dict[str, int] = {}
    found = []
    for index, element in enumerate(elements):
        text = go_json(element)
        times[text] = times.get(text, 0) + 1
        if times[text] == 2:
            found.append(index)
    return found
