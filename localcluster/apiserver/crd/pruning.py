"""Pruning: dropping the fields of an object that its schema does not name, and the nulls that mean nothing.

Follows https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#field-pruning;
`raw` is always an ``openAPIV3Schema`` or a node of it. Objects are changed in place.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from localcluster.apiserver.crd import object_meta
from localcluster.apiserver.crd.nodes import TYPE_AND_OBJECT_META, preserves_unknown_fields, values_schema
from localcluster.apiserver.crd.nodes import is_embedded_resource as _embedded
from localcluster.apiserver.encoding import codec

if TYPE_CHECKING:
    from localcluster.apiserver.crd.served import ServedVersion

JSON = dict[str, Any]


def conform(obj: JSON, served: ServedVersion, *, field_validation: str, duplicates: list[str]) -> list[str]:
    """Make a decoded object of a custom resource what the real server would read: unknown fields go, metadata is typed.

    Args:
        field_validation: ``Strict``, ``Warn`` or ``Ignore``.
        duplicates: what the decoder said about duplicate keys.

    Returns:
        Warnings about what was dropped. Raises APIError 400 instead in strict validation, and for wrong types in
        metadata.
    """
    try:
        unknown: list[str] = []
        if obj.get("metadata") is None:
            obj.pop("metadata", None)
        else:
            unknown += object_meta.decode(obj["metadata"], "metadata")
        unknown += prune(obj, served.raw, resource_root=True)
        drop_nulls(obj, served.raw)
        unknown += object_meta.decode_embedded(_without_meta(obj), served.raw)
        problems = duplicates + [f'unknown field "{path}"' for path in unknown]
        return codec.strict_warnings(problems, field_validation)
    except ValueError as error:
        raise codec.undecodable(f"{served.group}/{served.version}", served.kind, str(error)) from None


def _without_meta(obj: JSON) -> JSON:
    return {k: v for k, v in obj.items() if k not in TYPE_AND_OBJECT_META}


def prune(value: Any, raw: JSON, *, resource_root: bool) -> list[str]:
    """Drop unknown fields; their paths (``spec.list[0].b``), sorted. apiVersion, kind and metadata of a resource's
    root and of embedded resources are left alone."""
    dropped: list[str] = []
    _prune(value, raw, resource_root or _embedded(raw), "", dropped)
    dropped.sort()
    return dropped


def _prune(value: Any, raw: JSON | None, embedded: bool, path: str, dropped: list[str]) -> None:
    if preserves_unknown_fields(raw):
        _prune_below(value, raw, embedded, path, dropped)
    elif isinstance(value, dict):
        if raw is None:
            dropped.extend(_join(path, k) for k in value)
            value.clear()
            return
        properties = raw.get("properties") or {}
        for name in list(value):
            if embedded and name in TYPE_AND_OBJECT_META:
                continue
            if name in properties:
                child = properties[name]
                _prune(value[name], child, _embedded(child), _join(path, name), dropped)
            elif "additionalProperties" in raw:
                child = values_schema(raw)
                _prune(value[name], child, _embedded(child), _join(path, name), dropped)
            else:
                dropped.append(_join(path, name))
                del value[name]
    elif isinstance(value, list):
        items = raw.get("items") if raw is not None else None
        for index, element in enumerate(value):
            _prune(element, items, _embedded(items), f"{path}[{index}]", dropped)


def _prune_below(value: Any, raw: JSON | None, embedded: bool, path: str, dropped: list[str]) -> None:
    # Unknown fields stay, but what the schema does name is pruned inside.
    if raw is None:
        return
    if isinstance(value, dict):
        properties = raw.get("properties") or {}
        for name, inner in value.items():
            if embedded and name in TYPE_AND_OBJECT_META:
                continue
            if name in properties:
                child = properties[name]
                _prune(inner, child, _embedded(child), _join(path, name), dropped)
            elif "additionalProperties" in raw:
                child = values_schema(raw)
                _prune(inner, child, _embedded(child), _join(path, name), dropped)
    elif isinstance(value, list):
        for index, element in enumerate(value):
            _prune_below(element, raw.get("items"), _embedded(raw.get("items")), f"{path}[{index}]", dropped)


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _child_schema(raw: JSON | None, name: str) -> JSON | None:
    if raw is None:
        return None
    declared: JSON | None = (raw.get("properties") or {}).get(name)
    return declared if declared is not None else values_schema(raw)


def drop_nulls(value: Any, raw: JSON | None) -> None:
    """Remove nulls from fields that are neither nullable nor defaulted: they count as not set."""
    if isinstance(value, dict):
        for name in list(value):
            child = _child_schema(raw, name)
            if value[name] is None:
                if child is not None and child.get("nullable") is not True and child.get("default") is None:
                    del value[name]
            else:
                drop_nulls(value[name], child)
    elif isinstance(value, list):
        items = raw.get("items") if raw is not None else None
        for element in value:
            drop_nulls(element, items)
