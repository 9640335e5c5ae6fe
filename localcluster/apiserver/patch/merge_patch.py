"""JSON merge patches (RFC 7386)."""

from __future__ import annotations

from typing import Any

import orjson


def apply(doc: Any, patch: Any) -> Any:
    """`doc` with `patch` merged in: maps merge, null removes a key, everything else replaces.

    Neither argument is changed, and the result shares no part with `doc`.
    """
    return _merge(orjson.loads(orjson.dumps(doc)), patch)


def _merge(target: Any, patch: Any) -> Any:
    if not isinstance(patch, dict):
        return patch
    if not isinstance(target, dict):
        target = {}
    for key, value in patch.items():
        if value is None:
            target.pop(key, None)
        elif isinstance(value, dict):
            target[key] = _merge(target.get(key), value)
        else:
            target[key] = value
    return target
