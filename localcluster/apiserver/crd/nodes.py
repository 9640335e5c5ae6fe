"""Walking the nodes of an ``openAPIV3Schema``."""

from __future__ import annotations

from typing import Any

JSON = dict[str, Any]

TYPE_AND_OBJECT_META = ("apiVersion", "kind", "metadata")


def values_schema(raw: JSON) -> JSON | None:
    """The schema of a map's values; None if they have none (``additionalProperties: true``)."""
    values = raw.get("additionalProperties")
    return values if isinstance(values, dict) else None


def children(raw: JSON) -> list[JSON]:
    """The schemas of properties, map values and items."""
    found = list((raw.get("properties") or {}).values())
    values = values_schema(raw)
    if values is not None:
        found.append(values)
    if isinstance(raw.get("items"), dict):
        found.append(raw["items"])
    return found


def is_embedded_resource(raw: JSON | None) -> bool:
    return raw is not None and raw.get("x-kubernetes-embedded-resource") is True


def preserves_unknown_fields(raw: JSON | None) -> bool:
    return raw is not None and raw.get("x-kubernetes-preserve-unknown-fields") is True


def has_rules(raw: JSON) -> bool:
    """Whether a schema has x-kubernetes-validations anywhere outside of anyOf and such."""
    return bool(raw.get("x-kubernetes-validations")) or any(has_rules(child) for child in children(raw))
