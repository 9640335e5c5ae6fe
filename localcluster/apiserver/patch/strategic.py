"""Strategic merge patches: merge patches that know from the schema which lists merge, and by which key.

Directives: ``$patch``, ``$retainKeys``, ``$setElementOrder/…`` and ``$deleteFromPrimitiveList/…``
(https://github.com/kubernetes/community/blob/master/contributors/devel/sig-api-machinery/strategic-merge-patch.md).
"""

from __future__ import annotations

from typing import Any

import orjson

from localcluster.apiserver.errors import bad_request
from localcluster.apiserver.patch import ordering
from localcluster.apiserver.patch.wording import failed, go_value
from localcluster.apiserver.schema import Schema

JSON = dict[str, Any]

_DIRECTIVE = "$patch"
_RETAIN = "$retainKeys"
_ORDER = "$setElementOrder"
_DELETE = "$deleteFromPrimitiveList"


def apply(doc: JSON, patch: JSON, schema: Schema) -> JSON:
    """`doc` with `patch` merged in; neither is changed, and the result shares no part with them.

    Raises:
        APIError: 500 for an entry without its merge key, an unknown directive or an order that contradicts the list;
            400 for a directive of the wrong shape.
    """
    return _merge_map(_copy(doc), _copy(patch), schema)


def _copy(value: Any) -> Any:
    return orjson.loads(orjson.dumps(value))


def _merge_map(target: JSON, patch: JSON, schema: Schema | None) -> JSON:
    directive = patch.get(_DIRECTIVE)
    if directive is not None:
        return _replaced_map(directive, patch)
    _retain_keys(target, patch)
    for key in [k for k in patch if k.startswith(_ORDER)]:
        _merge_ordered(target, patch, key, schema)
    for key, value in patch.items():
        deletes = key.startswith(_DELETE)
        name = _field_of(key) if deletes else key
        if value is None:
            target.pop(name, None)
        elif name not in target or type(target[name]) is not type(value):
            if deletes:
                continue
            if isinstance(value, dict) and _is_directed(value):
                target.pop(name, None)
            else:
                target[name] = _plain(value)
        elif isinstance(value, dict):
            strategies = _hint(schema, name, "x-kubernetes-patch-strategy")
            replace = "replace" in strategies.split(",")
            target[name] = value if replace else _merge_map(target[name], value, _child(schema, name))
        elif isinstance(value, list):
            target[name] = _merge_field(target[name], value, schema, name, deletes)
        else:
            target[name] = value
    return target


def _replaced_map(directive: Any, patch: JSON) -> JSON:
    if directive == "replace":
        return {k: v for k, v in patch.items() if k != _DIRECTIVE}
    if directive == "delete":
        return {}
    raise _unknown_directive(directive, patch)


def _unknown_directive(directive: Any, patch: JSON) -> Exception:
    return failed(f"unknown patch type: {go_value(directive)} in map: {go_value(patch)}")


def _field_of(key: str) -> str:
    """The list that ``$directive/list`` is about."""
    parts = key.split("/")
    if len(parts) != 2 or not parts[1]:
        raise bad_request(f"invalid patch format of {_FORMATS[parts[0]]}")
    return parts[1]


_FORMATS = {_ORDER: "setElementOrder list", _DELETE: "primitive list"}


def _hint(schema: Schema | None, name: str, key: str) -> str:
    found = schema.hint(name, key) if schema is not None else None
    return found if isinstance(found, str) else ""


def _child(schema: Schema | None, name: str) -> Schema | None:
    return schema.field(name) if schema is not None else None


# ---- directives of maps


def _retain_keys(target: JSON, patch: JSON) -> None:
    """``$retainKeys``: what it does not list goes; what the patch sets must be listed."""
    retained = patch.pop(_RETAIN, None)
    if retained is None:
        return
    if not isinstance(retained, list):
        raise bad_request("invalid patch format of retainKeys")
    for key, value in patch.items():
        if value is not None and not key.startswith((_ORDER, _DELETE)) and key not in retained:
            raise bad_request("invalid patch format of retainKeys")
    for key in [k for k in target if k not in retained]:
        del target[key]


def _merge_ordered(target: JSON, patch: JSON, key: str, schema: Schema | None) -> None:
    """A list with a ``$setElementOrder`` beside it: merged, then put into that order."""
    order = patch.pop(key)
    name = _field_of(key)
    live, change = target.get(name), patch.get(name)
    for value in (order, *(v for v in (live, change) if v is not None)):
        if not isinstance(value, list):
            raise failed("expected a []interface {}, but received a map[string]interface {}")
    merge_key = _hint(schema, name, "x-kubernetes-patch-merge-key")
    if live is None and change is None:
        return
    for item in order:
        if merge_key and isinstance(item, dict) and merge_key not in item:
            raise _without_key(item, merge_key)
    if change is not None:
        _check_order(change, order, merge_key)
    if change is None:
        merged = live or []
    elif live is None:
        merged = _plain(change)
    else:
        merged = _merge_field(_copy(live), change, schema, name, False)
    if not live and not change:
        raise failed("no elements in any of the given slices")
    target[name] = ordering.interleave(merged, order, live or [], merge_key)
    patch.pop(name, None)


def _check_order(change: list[Any], order: list[Any], merge_key: str) -> None:
    """The entries that the patch sets must come in the order that it asks for."""
    if not order:
        return
    position = 0
    for item in change:
        if isinstance(item, dict) and _DIRECTIVE in item:
            continue
        wanted = ordering.identity(item, merge_key)
        while position < len(order) and ordering.identity(order[position], merge_key) != wanted:
            position += 1
        if position == len(order):
            text = f"The order in patch list:\n{go_value(change)}\n doesn't match {_ORDER} list:\n{go_value(order)}\n"
            raise failed(text)
        position += 1


# ---- lists


def _merge_field(live: list[Any], change: list[Any], schema: Schema | None, name: str, deletes: bool) -> list[Any]:
    strategies = _hint(schema, name, "x-kubernetes-patch-strategy").split(",")
    if "merge" not in strategies and not deletes:
        return change
    if not live and not change:
        return live
    items = _items(schema, name) if schema is not None else None
    merge_key = _hint(schema, name, "x-kubernetes-patch-merge-key")
    first = [*live, *change][0]
    if any(isinstance(item, list) for item in (*live, *change)):
        raise failed("lists of lists are not supported")
    if any(isinstance(item, dict) is not isinstance(first, dict) for item in (*live, *change)):
        raise failed(f"list element types are not identical: {go_value([*live, *change])}")
    if not isinstance(first, dict):
        if deletes:
            return [item for item in live if item not in change]
        merged = ordering.without_repeats([*live, *change])
        return ordering.interleave(merged, change, live, "")
    if not merge_key:
        type_name = items.go_name if items is not None else ""
        raise failed(f"cannot merge lists without merge key for {type_name}")
    live, change = _list_directives(live, change, merge_key)
    order = list(live)
    merged = _merge_entries(live, change, items, merge_key)
    return ordering.interleave(merged, change, order, merge_key)


def _items(schema: Schema, name: str) -> Schema | None:
    field = schema.field(name)
    return field.items if field is not None else None


def _list_directives(live: list[Any], change: list[Any], merge_key: str) -> tuple[list[Any], list[Any]]:
    """Does what entries with ``$patch`` ask for; returns what is left of the list and of the patch."""
    plain = []
    replace = False
    for item in change:
        directive = item.get(_DIRECTIVE)
        if directive is None:
            plain.append(item)
        elif directive == "delete":
            if merge_key not in item:
                raise _without_key(item, merge_key)
            live = [entry for entry in live if entry.get(merge_key) != item[merge_key]]
        elif directive == "replace":
            replace = True
        elif directive == "merge":
            raise failed("merging lists cannot yet be specified in the patch")
        else:
            raise _unknown_directive(directive, item)
    return (plain, []) if replace else (live, plain)


def _without_key(item: JSON, merge_key: str) -> Exception:
    return failed(f"map: {go_value(item)} does not contain declared merge key: {merge_key}")


def _merge_entries(live: list[Any], change: list[Any], items: Schema | None, merge_key: str) -> list[Any]:
    merged = list(live)
    for item in change:
        if merge_key not in item:
            raise _without_key(item, merge_key)
        key = item[merge_key]
        index = next((i for i, entry in enumerate(merged) if entry.get(merge_key) == key), None)
        if index is None:
            merged.append(item)
        else:
            merged[index] = _merge_map(merged[index], item, items)
    return merged


def _plain(value: Any) -> Any:
    """What a patch sets where nothing was: without nulls, and without maps that say what to do with what is there.

    As in the real server, other directives stay: they become unknown fields.
    """
    if isinstance(value, list):
        return [_plain(v) for v in value if not (isinstance(v, dict) and _DIRECTIVE in v)]
    if isinstance(value, dict):
        return {
            k: _plain(v) for k, v in value.items() if v is not None and not (isinstance(v, dict) and _is_directed(v))
        }
    return value


def _is_directed(value: JSON) -> bool:
    return value.get(_DIRECTIVE) is not None
