"""How a refused patch is worded: the Status, and values as Go's formatting verbs print them inside of messages."""

from __future__ import annotations

import json
from typing import Any

from localcluster.apiserver.errors import APIError, FieldError, invalid_value
from localcluster.apiserver.store import ordered_metadata


def unprocessable() -> APIError:
    """422 without a word about the cause: an operation of a JSON patch could not be done."""
    return APIError(422, "Invalid", "the server rejected our request due to an error in our request", {})


def rejected(quoted: str, problem: str) -> APIError:
    """422 because the patched object is not one of the kind.

    Args:
        quoted: the patched object (JSON and merge patches: `quote_object`) or the patch itself (strategic: `go_value`).
        problem: the decoder's words.
    """
    error: FieldError = invalid_value("patch", quoted, problem)
    cause = {"reason": error.reason, "message": error.body(), "field": error.path}
    return APIError(422, "Invalid", f' "" is invalid: {error}', {"causes": [cause]})


def failed(message: str) -> APIError:
    """500 without a reason: the patch could not be merged."""
    return APIError(500, "", message)


def quote_object(obj: Any) -> str:
    """The patched object as the text that the real server decodes: sorted keys, metadata in the order of Go's type."""
    if isinstance(obj, dict) and isinstance(obj.get("metadata"), dict):
        obj = {**_sorted(obj), "metadata": ordered_metadata(obj["metadata"])}
    return json.dumps(obj, ensure_ascii=False, separators=(",", ":"))


def _sorted(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _sorted(value[key]) for key in sorted(value)}
    return [_sorted(item) for item in value] if isinstance(value, list) else value


def go_value(value: Any) -> str:
    """A decoded JSON value as ``%v`` prints it: ``map[a:b list:[1 2]]``."""
    if value is None:
        return "<nil>"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return f"map[{' '.join(f'{k}:{go_value(value[k])}' for k in sorted(value))}]"
    if isinstance(value, list):
        return f"[{' '.join(map(go_value, value))}]"
    return _go_float(value) if isinstance(value, float) else str(value)


def go_syntax(value: Any) -> str:
    """A decoded JSON value as ``%#v`` prints it: ``map[string]interface {}{"a":"b"}``."""
    if value is None:
        return "interface {}(nil)"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, dict):
        entries = ", ".join(f"{json.dumps(k, ensure_ascii=False)}:{go_syntax(value[k])}" for k in sorted(value))
        return f"map[string]interface {{}}{{{entries}}}"
    if isinstance(value, list):
        return f"[]interface {{}}{{{', '.join(map(go_syntax, value))}}}"
    return _go_float(value) if isinstance(value, float) else str(value)


def _go_float(value: float) -> str:
    if value == int(value) and abs(value) < 1e21:
        return str(int(value)) if abs(value) < 1e6 else f"{value:e}".replace(".000000e", "e")
    return repr(value)
