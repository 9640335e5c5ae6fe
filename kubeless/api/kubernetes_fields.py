"""Which fields Kubernetes' own types have, as the official client's models say it."""

from __future__ import annotations

import re
from typing import Any

_CONTAINER = re.compile(r"(?:[Ll]ist\[(?P<item>.+)\]|[Dd]ict[\[(]str, (?P<value>.+)[\])])")


def unknown_field(value: Any, model: str) -> str:
    """The path of the first field that a type does not have, "" if there is none; wrong types are not looked for.

    `model` is a name of `kubernetes.client.models`, such as ``V1Deployment``.
    """
    return _unknown(value, model).removeprefix(".")


def _unknown(value: Any, type_name: str) -> str:
    if match := _CONTAINER.fullmatch(type_name):
        if match["item"] and isinstance(value, list):
            parts = ((f"[{number}]", _unknown(item, match["item"])) for number, item in enumerate(value))
        elif match["value"] and isinstance(value, dict):
            parts = ((f".{key}", _unknown(item, match["value"])) for key, item in value.items())
        else:
            return ""
        return next((place + path for place, path in parts if path), "")
    # Imported where it is needed: every model is a module of its own.
    from kubernetes.client import models

    model = getattr(models, type_name, None) if type_name.startswith("V") else None
    if model is None or not isinstance(value, dict):
        return ""
    types = {name: model.openapi_types[attribute] for attribute, name in model.attribute_map.items()}
    for name, content in value.items():
        if name not in types:
            return f".{name}"
        if path := _unknown(content, types[name]):
            return f".{name}{path}"
    return ""
