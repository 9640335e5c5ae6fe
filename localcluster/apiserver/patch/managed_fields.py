"""metadata.managedFields after a write, and server-side apply.

Behaviour and wording follow k8s.io/apimachinery `util/managedfields` (v1.36).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import orjson

from localcluster.apiserver.encoding import typed_decoding
from localcluster.apiserver.errors import bad_request
from localcluster.apiserver.patch import ownership
from localcluster.apiserver.patch.conflicts import Conflicts
from localcluster.apiserver.patch.fieldsets import FieldSet, difference, of_paths, union
from localcluster.apiserver.patch.last_applied import allowed_conflicts, has_last_applied, set_last_applied
from localcluster.apiserver.patch.managers import (
    APPLY,
    BEFORE_FIRST_APPLY,
    UPDATE,
    Managed,
    Manager,
    Managers,
    capped,
    decode,
    encode,
)
from localcluster.apiserver.patch.shapes import Shape, shape_of
from localcluster.apiserver.patch.typed_values import check, compare
from localcluster.apiserver.patch.wording import failed
from localcluster.apiserver.schema import Schema

JSON = dict[str, Any]
SchemaFor = Callable[[str], Schema | None]

KUBECTL = "kubectl"
"""The manager of kubectl's server-side apply, which may take over what its client-side apply set."""

_SYSTEM_METADATA = (
    "name",
    "namespace",
    "creationTimestamp",
    "selfLink",
    "uid",
    "clusterName",
    "generation",
    "managedFields",
    "resourceVersion",
)
_NOT_OWNED = union(
    of_paths(("metadata", name) for name in _SYSTEM_METADATA), of_paths([("apiVersion",), ("kind",), ("metadata",)])
)
_SYSTEM_KEYS = frozenset(_SYSTEM_METADATA)


def after_update(
    live: JSON | None,
    new: JSON,
    *,
    manager: str,
    api_version: str,
    schema: Schema,
    subresource: str,
    now: str,
    schema_for: SchemaFor,
    ignored: frozenset[tuple[str, ...]] = frozenset(),
) -> JSON:
    """`new` with the managedFields that a create, update or patch of `manager` leaves.

    Args:
        live: what is stored, in the same version; None on create.
        now: the time for changed entries, RFC 3339 with seconds.
        schema_for: the kind's schema in an apiVersion of another entry; None if that is not served any more.
        ignored: paths that this endpoint resets, so that nobody comes to own them here.

    Returns:
        A new object that shares parts with `new`; neither argument is changed.
    """
    shape = shape_of(schema)
    given = (new.get("metadata") or {}).get("managedFields")
    stored = (live.get("metadata") or {}).get("managedFields") if live is not None else None
    entries = stored if subresource else _wanted_entries(given, stored)
    comparison = compare(_bare(live) if live is not None else _zero(schema), _bare(new), shape)
    if not comparison.all and entries is stored:
        return _with_entries(new, stored)
    try:
        managers = decode(entries)
    except ValueError:
        managers = _decode_or_none(stored)
    if not managers and live is not None:
        return _with_entries(new, None)
    shape_for = _shapes(schema_for, api_version, shape)
    skipped = _ignored_set(ignored)
    managers = _updated(
        live or {}, new, managers, Manager(manager or "unknown", UPDATE, api_version, subresource),
        comparison.without(skipped), shape_for, skipped, now,
    )  # fmt: skip
    return _with_entries(new, encode(managers))


def apply(
    live: JSON | None,
    applied: JSON,
    *,
    manager: str,
    force: bool,
    api_version: str,
    schema: Schema,
    subresource: str,
    now: str,
    schema_for: SchemaFor,
    group: str,
    kind: str,
    ignored: frozenset[tuple[str, ...]] = frozenset(),
) -> JSON:
    """Server-side apply: `live` with what `applied` sets, and without what `manager` set before and nobody owns now.

    Args: as of `after_update`; `applied` is the body as it was sent.

    Returns:
        `live` itself if nothing changes; otherwise an object that shares no part with it.

    Raises:
        APIError: 409 for conflicts without `force`; 400 for another kind or with managedFields; 500 for what does not
            fit the schema.
    """
    _check_header(applied, api_version, kind)
    shape = shape_of(schema)
    _check_types(applied, api_version, kind, shape)
    shape_for = _shapes(schema_for, api_version, shape)
    try:
        managers = decode((live.get("metadata") or {}).get("managedFields") if live is not None else None)
    except ValueError as error:
        raise failed(f"failed to decode managed fields: {error}") from None
    base = _without_entries(live) if live is not None else {"apiVersion": api_version, "kind": kind}
    skipped = _ignored_set(ignored)
    if live is not None and not managers:
        first = Manager(BEFORE_FIRST_APPLY, UPDATE, api_version, subresource)
        comparison = compare(_zero(schema), _bare(live), shape).without(skipped)
        managers = _updated({}, live, managers, first, comparison, shape_for, skipped, now)
    applier = Manager(manager, APPLY, "", subresource)

    def attempt(force: bool) -> tuple[JSON, Managers]:
        return ownership.apply(base, applied, managers, applier, force, api_version, shape, shape_for, skipped)

    try:
        try:
            new, managers = attempt(force)
        except Conflicts as conflicts:
            allowed = allowed_conflicts(base, api_version, shape) if manager == KUBECTL else {}
            rest = conflicts.without(allowed)
            if rest.by_manager:
                raise rest.error() from None
            new, managers = attempt(True)
    except ValueError as error:
        # Lists that others have left with entries that cannot be told apart.
        raise failed(f"failed to merge the patch object: {error}") from None
    if manager == KUBECTL and has_last_applied(new):
        new = set_last_applied(new, applied)
    managers = _finished(managers, applier, now if new != base else "")
    result = _with_entries(new, encode(managers))
    if live is not None and result == live:
        return live
    copied: JSON = orjson.loads(orjson.dumps(result))
    return copied


def keep_times(new: JSON, live: JSON) -> JSON:
    """`live` itself if `new` differs from it in nothing but the times of managedFields; otherwise `new`.

    For objects after defaulting: an apply that removes what a default brings back has changed nothing.
    """
    if {**new, "metadata": None} != {**live, "metadata": None}:
        return new
    return live if _timeless(new["metadata"]) == _timeless(live["metadata"]) else new


def _timeless(meta: JSON) -> JSON:
    entries = [{k: v for k, v in entry.items() if k != "time"} for entry in meta.get("managedFields") or ()]
    # Their order depends on the times.
    entries.sort(key=lambda e: (e["operation"], e.get("manager", ""), e["apiVersion"], e.get("subresource", "")))
    return {**meta, "managedFields": entries}


# ---- steps


def _wanted_entries(given: Any, stored: Any) -> Any:
    """What the writer asks managedFields to be: those sent, none for a single empty entry, else those stored."""
    if not given or given == stored:
        return stored
    if given == [{}]:
        return None
    try:
        decode(given)
    except ValueError:
        return stored
    return given


def _decode_or_none(entries: Any) -> Managers:
    try:
        return decode(entries)
    except ValueError:
        return {}


def _updated(
    live: JSON,
    new: JSON,
    managers: Managers,
    author: Manager,
    comparison: Any,
    shape_for: ownership.ShapeFor,
    ignored: FieldSet,
    now: str,
) -> Managers:
    """The managers after `author` has changed `live` into `new`."""
    managers = ownership.reconciled(managers, shape_for)
    before, after = _bare(live), _bare(new)
    managers = ownership.give_up(before, after, managers, comparison, author.api_version, shape_for, ignored)
    taken = difference(comparison.taken, _NOT_OWNED)
    if taken:
        previous = managers.get(author)
        fields = union(taken, previous.fields) if previous is not None else taken
        managers = {**managers, author: Managed(fields, author.api_version, now)}
    return capped(managers)


def _finished(managers: Managers, applier: Manager, time: str) -> Managers:
    """Without what nobody may own; with the time if the object has changed."""
    mine = managers[applier]
    fields = difference(mine.fields, _NOT_OWNED)
    return {**managers, applier: Managed(fields, mine.api_version, time or mine.time)}


def _check_header(applied: JSON, api_version: str, kind: str) -> None:
    given_version, given_kind = applied.get("apiVersion") or "", applied.get("kind") or ""
    if (given_version, given_kind) != (api_version, kind):
        raise bad_request(f"invalid object type: {_group_version(given_version)}, Kind={given_kind}")
    if (applied.get("metadata") or {}).get("managedFields") is not None:
        raise bad_request("metadata.managedFields must be nil")


def _group_version(api_version: str) -> str:
    return api_version if "/" in api_version else f"/{api_version}"


def _check_types(applied: JSON, api_version: str, kind: str, shape: Shape) -> None:
    try:
        check(applied, shape)
    except ValueError as error:
        meta = applied.get("metadata")
        meta = meta if isinstance(meta, dict) else {}
        what = f"{meta.get('namespace', '')}/{meta.get('name', '')}; {_group_version(api_version)}, Kind={kind}"
        raise failed(f"failed to create typed patch object ({what}): {error}") from None


def _shapes(schema_for: SchemaFor, api_version: str, shape: Shape) -> ownership.ShapeFor:
    def shape_for(version: str) -> Shape | None:
        if version == api_version:
            return shape
        schema = schema_for(version)
        return shape_of(schema) if schema is not None else None

    return shape_for


@lru_cache(maxsize=16)
def _ignored_set(paths: frozenset[tuple[str, ...]]) -> FieldSet:
    return of_paths(sorted(paths))


def _bare(obj: JSON) -> JSON:
    """The object without what nobody owns."""
    bare = {k: v for k, v in obj.items() if k not in ("apiVersion", "kind")}
    meta = obj.get("metadata")
    if meta is not None:
        bare["metadata"] = {k: v for k, v in meta.items() if k not in _SYSTEM_KEYS}
    return bare


def _without_entries(obj: JSON) -> JSON:
    meta = obj.get("metadata") or {}
    return {**obj, "metadata": {k: v for k, v in meta.items() if k != "managedFields"}}


def _with_entries(obj: JSON, entries: list[JSON] | None) -> JSON:
    meta = {k: v for k, v in (obj.get("metadata") or {}).items() if k != "managedFields"}
    if entries:
        meta["managedFields"] = entries
    return {**obj, "metadata": meta}


@lru_cache(maxsize=256)
def _zero(schema: Schema) -> JSON:
    """What Go writes of an object in which nothing was set: the author of a create does not own these fields.

    Structs are there, lists and maps without omitempty are null. Custom resources begin with nothing.
    """
    return typed_decoding.zero(schema) if schema.name else {}
