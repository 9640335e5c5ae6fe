"""Whether a live object already has what is wanted of it, so that nothing needs to be written."""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

JSON = dict[str, Any]

_MERGE_KEYS = ("name", "containerPort", "port", "mountPath", "devicePath", "ip", "topologyKey", "type", "uid", "key")
"""What tells the elements of Kubernetes' lists of objects apart, the likeliest first."""
_QUANTITIES = {"limits", "requests", "hard", "capacity"}
_QUANTITY = {"sizeLimit", "averageValue"}
_SUFFIXES = {
    **dict(
        zip(("n", "u", "m", "", "k", "M", "G", "T", "P", "E"), (Decimal(1000) ** n for n in range(-3, 7)), strict=True)
    ),
    **{suffix: Decimal(1024) ** n for n, suffix in enumerate(("Ki", "Mi", "Gi", "Ti", "Pi", "Ei"), start=1)},
}
_NOT_COMPARED = {"managedFields", "creationTimestamp", "resourceVersion", "generation", "uid"}


def is_up_to_date(live: Mapping[str, Any], wanted: Mapping[str, Any], field_manager: str) -> bool:
    """Whether applying `wanted` would change nothing.

    That is so if every value in `wanted` is in `live` and, by its managedFields, `field_manager` owns nothing that is
    not in `wanted`. Defaults, what other managers added, and other spellings of a quantity are no difference. False if
    the manager never applied the object. A wrong False costs one request that the server answers without a write.
    """
    owned = _owned(live, field_manager)
    return owned is not None and _has(live, wanted, "") and _covers(wanted, owned)


def _owned(live: Mapping[str, Any], field_manager: str) -> JSON | None:
    for entry in (live.get("metadata") or {}).get("managedFields") or []:
        if entry.get("manager") == field_manager and entry.get("operation") == "Apply" and not entry.get("subresource"):
            fields: JSON = entry.get("fieldsV1") or {}
            return fields
    return None


def _has(live: Any, wanted: Any, key: str) -> bool:
    if isinstance(wanted, Mapping):
        # What is empty may be left out by the server.
        if not isinstance(live, Mapping):
            return live is None and all(_is_empty(value) for value in wanted.values())
        inner = "quantity" if key in _QUANTITIES else ""
        return all(
            _has(live.get(name), value, inner or name)
            for name, value in wanted.items()
            if not (key == "metadata" and name in _NOT_COMPARED)
        )
    if isinstance(wanted, list):
        return _has_items(live or [], wanted)
    if live == wanted and isinstance(live, bool) == isinstance(wanted, bool):
        return True
    if live is None:
        return _is_empty(wanted)
    if key == "quantity" or key in _QUANTITY:
        quantity = _quantity(wanted)
        return quantity is not None and quantity == _quantity(live)
    return False


def _has_items(live: Any, wanted: list[Any]) -> bool:
    if not isinstance(live, list):
        return False
    merge_key = next(
        (key for key in _MERGE_KEYS if wanted and all(isinstance(item, Mapping) and key in item for item in wanted)), ""
    )
    if merge_key and len(wanted) == len({json.dumps(item[merge_key]) for item in wanted}):
        by_key = {json.dumps(item[merge_key]): item for item in live if isinstance(item, Mapping) and merge_key in item}
        return all(_has(by_key.get(json.dumps(item[merge_key])), item, "") for item in wanted)
    return len(live) == len(wanted) and all(_has(one, other, "") for one, other in zip(live, wanted, strict=True))


def _covers(wanted: Any, owned: Mapping[str, Any]) -> bool:
    """Whether everything in a FieldsV1 is in `wanted` (https://kubernetes.io/docs/reference/using-api/server-side-apply/)."""
    for path, below in owned.items():
        kind, _, rest = path.partition(":")
        if kind == "f":
            if not isinstance(wanted, Mapping) or rest not in wanted:
                return False
            inner = wanted[rest]
        elif kind == "k":
            keys = json.loads(rest)
            found = [item for item in wanted if _is_item(item, keys)] if isinstance(wanted, list) else []
            if not found:
                return False
            inner = found[0]
        elif kind == "v":
            if not isinstance(wanted, list) or json.loads(rest) not in wanted:
                return False
            continue
        else:
            continue
        if below and not _covers(inner, below):
            return False
    return True


def _is_item(item: Any, keys: Mapping[str, Any]) -> bool:
    """Keys that `item` leaves out have their default, such as a port's protocol."""
    return (
        isinstance(item, Mapping)
        and any(key in item for key in keys)
        and all(item[key] == value for key, value in keys.items() if key in item)
    )


def _is_empty(value: Any) -> bool:
    return value is None or value is False or value in ("", 0) or value == {} or value == []


def _quantity(value: Any) -> Decimal | None:
    text = str(value)
    number = text.rstrip("KMGTPEimkun")
    try:
        return Decimal(number) * _SUFFIXES[text[len(number) :]]
    except (InvalidOperation, KeyError):
        return None
