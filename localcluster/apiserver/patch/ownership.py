"""Who owns which field after an object was updated or applied: the algorithms of server-side apply.

They follow https://github.com/kubernetes/enhancements/tree/master/keps/sig-api-machinery/555-server-side-apply.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from localcluster.apiserver.patch.conflicts import Conflicts
from localcluster.apiserver.patch.fieldsets import (
    EMPTY,
    FieldSet,
    difference,
    intersection,
    recursive_difference,
    union,
)
from localcluster.apiserver.patch.managers import Managed, Manager, Managers
from localcluster.apiserver.patch.shapes import Shape
from localcluster.apiserver.patch.typed_values import (
    Comparison,
    compare,
    field_set,
    merge,
    remove,
    with_structs,
)

JSON = dict[str, Any]
ShapeFor = Callable[[str], Shape | None]
"""The shape of a kind in an apiVersion; None if that is not served any more."""


def give_up(
    old: JSON,
    new: JSON,
    managers: Managers,
    comparison: Comparison,
    api_version: str,
    shape_for: ShapeFor,
    ignored: FieldSet = EMPTY,
    applier: Manager | None = None,
    force: bool = True,
) -> Managers:
    """The managers (but `applier`) without the fields in which `new` differs from `old`.

    Args:
        comparison: of the two in `api_version`.

    Raises:
        Conflicts: without `force`, if a manager would lose a field to a change.
    """
    by_version: dict[str, Comparison | None] = {api_version: comparison}
    result: Managers = {}
    conflicts: dict[Manager, FieldSet] = {}
    for manager, managed in managers.items():
        if manager == applier:
            result[manager] = managed
            continue
        version = managed.api_version
        if version not in by_version:
            shape = shape_for(version)
            by_version[version] = compare(old, new, shape).without(ignored) if shape is not None else None
        changes = by_version[version]
        if changes is None:
            continue
        lost = intersection(managed.fields, changes.taken)
        if lost:
            conflicts[manager] = lost
        rest = difference(managed.fields, changes.all)
        if rest:
            result[manager] = managed if rest is managed.fields else replace(managed, fields=rest)
    if conflicts and not force:
        raise Conflicts(conflicts)
    return result


def apply(
    live: JSON,
    applied: JSON,
    managers: Managers,
    applier: Manager,
    force: bool,
    api_version: str,
    shape: Shape,
    shape_for: ShapeFor,
    ignored: FieldSet,
) -> tuple[JSON, Managers]:
    """The merged object and who manages it then. Raises Conflicts."""
    managers = reconciled(managers, shape_for)
    last = managers.get(applier)
    wanted = recursive_difference(field_set(applied, shape), ignored)
    managers = {**managers, applier: Managed(wanted, api_version, last.time if last is not None else "")}
    new = merge(live, applied, shape)
    if last is not None and last.fields:
        new = _pruned(new, last, managers, shape_for)
    comparison = compare(live, new, shape).without(ignored)
    managers = give_up(live, new, managers, comparison, api_version, shape_for, ignored, applier, force)
    return new, managers


def _pruned(merged: JSON, last: Managed, managers: Managers, shape_for: ShapeFor) -> JSON:
    """`merged` without what the applier set the last time and nobody owns now."""
    shape = shape_for(last.api_version)
    if shape is None:
        return merged
    formerly = with_structs(last.fields, shape)
    pruned = remove(merged, formerly, shape)
    # What others own (or the applier still does) stays, and so does what was removed only with its parent.
    owned: dict[str, FieldSet] = {}
    for managed in managers.values():
        owned[managed.api_version] = union(owned.get(managed.api_version, EMPTY), managed.fields)
    for version in sorted(owned, key=lambda v: v != last.api_version):
        other = shape_for(version)
        if other is not None:
            kept = union(_all_fields(pruned, other), with_structs(owned[version], other))
            pruned = remove(merged, difference(_all_fields(merged, other), kept), other)
    gone = difference(_all_fields(merged, shape), _all_fields(pruned, shape))
    result: JSON = remove(merged, intersection(gone, formerly), shape)
    return result


def _all_fields(value: JSON, shape: Shape) -> FieldSet:
    return with_structs(field_set(value, shape), shape)


# ---- schemas that have changed since


def reconciled(managers: Managers, shape_for: ShapeFor) -> Managers:
    """The managers in terms of today's schemas: whoever owns parts of what is atomic now owns it as a whole."""
    result: Managers = {}
    for manager, managed in managers.items():
        shape = shape_for(managed.api_version)
        fields = _reconcile(managed.fields, shape) if shape is not None else managed.fields
        result[manager] = managed if fields == managed.fields else replace(managed, fields=fields)
    return result


def _reconcile(fields: FieldSet, shape: Shape) -> FieldSet:
    result: FieldSet = {}
    for key, node in fields.items():
        child = (shape.field(key[2:]) if key.startswith("f:") else shape.items) if node else None
        if child is not None:
            if any(_is_atomic(below, child) for below in node):
                node = {}
            else:
                node = _reconcile(node, child)
        result[key] = node
    return result


def _is_atomic(key: str, shape: Shape) -> bool:
    """Whether the path element is of a part of something that has none."""
    return key != "." and (shape.map_type if key.startswith("f:") else shape.list_type) == "atomic"
