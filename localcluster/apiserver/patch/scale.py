"""managedFields of an object whose replicas were written through its scale subresource."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from localcluster.apiserver.patch.fieldsets import difference, has, of_paths
from localcluster.apiserver.patch.managers import UPDATE, Managed, Manager, decode, encode

JSON = dict[str, Any]
FieldPath = tuple[str, ...]


def after_scale(
    live: JSON,
    new: JSON,
    *,
    manager: str,
    api_version: str,
    path_for: Callable[[str], FieldPath | None],
) -> JSON:
    """`new` with the managedFields that a write of `manager` to the scale leaves.

    As in the real server, whoever owned the replicas loses them to the writer (to nobody if they become 0, which a
    Scale leaves out), the writer's entry has no time, and replicas that nobody owns stay so.

    Args:
        live: the object that is scaled, in `api_version`.
        new: the same with other replicas.
        path_for: where an apiVersion of the kind has its replicas, for example ``("spec", "replicas")``; None where
            it has no scale.
    """
    meta = {k: v for k, v in new["metadata"].items() if k != "managedFields"}
    entries = live["metadata"].get("managedFields")
    path = path_for(api_version)
    before, after = (_at(obj, path or ()) or 0 for obj in (live, new))
    if path is not None and before != after:
        entries = _entries(entries, Manager(manager or "unknown", UPDATE, api_version, "scale"), path, after, path_for)
    if entries:
        meta["managedFields"] = entries
    return {**new, "metadata": meta}


def _entries(
    entries: Any, author: Manager, path: FieldPath, replicas: Any, path_for: Callable[[str], FieldPath | None]
) -> Any:
    try:
        managers = decode(entries)
    except ValueError:
        return entries
    result = {}
    lost = False
    for manager, managed in managers.items():
        owned = path_for(managed.api_version)
        if owned is not None and has(managed.fields, owned):
            lost = True
            managed = replace(managed, fields=difference(managed.fields, of_paths([owned])))
        if managed.fields:
            result[manager] = managed
    if lost and replicas:
        result[author] = Managed(of_paths([path]), author.api_version)
    return encode(result)


def _at(obj: Any, path: FieldPath) -> Any:
    for name in path:
        obj = obj.get(name) if isinstance(obj, dict) else None
    return obj
