"""What the scale subresource of custom resources reads: that replicas are numbers and the selector is text."""

from __future__ import annotations

from typing import Any

from localcluster.apiserver.crd.field_errors import go_json, go_number, invalid
from localcluster.apiserver.errors import FieldError

JSON = dict[str, Any]

MAX_REPLICAS = 2**31 - 1
_MISSING = object()


def validate_spec(obj: JSON, scale: JSON) -> list[FieldError]:
    return _replicas(obj, scale["specReplicasPath"])


def validate_status(obj: JSON, scale: JSON) -> list[FieldError]:
    errors = _replicas(obj, scale["statusReplicasPath"])
    path = scale.get("labelSelectorPath")
    if path:
        value = _at(obj, path)
        if value is not _MISSING and not isinstance(value, str):
            errors.append(invalid(path, "", _wrong_type(path, value, "string")))
    return errors


def _at(obj: JSON, path: str) -> Any:
    value: Any = obj
    for name in path.removeprefix(".").split("."):
        if not isinstance(value, dict) or name not in value:
            return _MISSING
        value = value[name]
    return value


def _replicas(obj: JSON, path: str) -> list[FieldError]:
    value = _at(obj, path)
    if value is _MISSING:
        return []
    if not isinstance(value, int) or isinstance(value, bool):
        return [invalid(path, 0, _wrong_type(path, value, "int64"))]
    if value < 0:
        return [invalid(path, value, "should be a non-negative integer")]
    if value > MAX_REPLICAS:
        return [invalid(path, value, f"should be less than or equal to {MAX_REPLICAS}")]
    return []


def _wrong_type(path: str, value: Any, expected: str) -> str:
    types = {bool: "bool", str: "string", float: "float64", int: "int64", list: "[]interface {}", type(None): "<nil>"}
    shown = value if isinstance(value, str) else go_number(value) if isinstance(value, float) else go_json(value)
    if value is None:
        shown = "<nil>"
    found = types.get(type(value), "map[string]interface {}")
    return f"{path} accessor error: {shown} is of the type {found}, expected {expected}"
