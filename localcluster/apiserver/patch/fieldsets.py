"""Sets of fields in the form of FieldsV1, and what can be done with them.

A set is a tree of dicts. A key is a path element: ``f:name`` a field, ``k:{"name":"c"}`` an entry of a list by its
keys, ``v:"x"`` an entry by its value. The value says which paths are in the set: ``{}`` that this one is; a dict with
``"."`` that it is and so are some below; a dict without ``"."`` that only some below are
(https://kubernetes.io/docs/reference/using-api/server-side-apply/#field-management). Sets are never changed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import orjson

FieldSet = dict[str, Any]

EMPTY: FieldSet = {}
_LEAF: FieldSet = {}
SELF = "."


def contains_self(node: FieldSet) -> bool:
    """Whether the path of the node is in the set."""
    return not node or SELF in node


def with_self(node: FieldSet | None) -> FieldSet:
    if not node:
        return _LEAF
    return node if SELF in node else {SELF: _LEAF, **node}


def _node(contained: bool, below: FieldSet) -> FieldSet | None:
    """None if there is nothing to say of the path."""
    if not below:
        return _LEAF if contained else None
    return {SELF: _LEAF, **below} if contained else below


def union(left: FieldSet, right: FieldSet) -> FieldSet:
    if not left or not right:
        return left or right
    result = dict(left)
    for key, node in right.items():
        mine = result.get(key)
        if mine is None:
            result[key] = node
        elif mine != node:
            contained = contains_self(mine) or contains_self(node)
            below = union(_below(mine), _below(node))
            result[key] = with_self(below) if contained else below
    return result


def _below(node: FieldSet) -> FieldSet:
    return {k: v for k, v in node.items() if k != SELF} if SELF in node else node


def _combine(left: FieldSet, right: FieldSet, keep_without: bool, whole: bool) -> FieldSet:
    """The paths of `left` that are in `right`, or, with `keep_without`, those that are not.

    With `whole`, a path in `right` stands for everything below it, too.
    """
    result: FieldSet = {}
    for key, mine in left.items():
        if key == SELF:
            continue
        other = right.get(key)
        if other is None:
            if keep_without:
                result[key] = mine
            continue
        if whole and contains_self(other):
            continue
        contained = contains_self(mine) and contains_self(other) is not keep_without
        node = _node(contained, _combine(_below(mine), _below(other), keep_without, whole))
        if node is not None:
            result[key] = node
    return result


def difference(left: FieldSet, right: FieldSet) -> FieldSet:
    """The paths of `left` that are not themselves in `right`."""
    return _combine(left, right, True, False) if left and right else left


def recursive_difference(left: FieldSet, right: FieldSet) -> FieldSet:
    """The paths of `left` that are neither in `right` nor below a path in it."""
    return _combine(left, right, True, True) if left and right else left


def intersection(left: FieldSet, right: FieldSet) -> FieldSet:
    return _combine(left, right, False, False) if left and right else EMPTY


def of_paths(paths: Iterable[tuple[str, ...]]) -> FieldSet:
    """The set of some paths that are made of field names only."""
    result: FieldSet = {}
    for path in paths:
        node: FieldSet = _LEAF
        for name in reversed(path):
            node = {f"f:{name}": node}
        result = union(result, node)
    return result


def has(fields: FieldSet, path: tuple[str, ...]) -> bool:
    """Whether a path made of field names is in the set."""
    node: FieldSet | None = fields
    for name in path:
        node = node.get(f"f:{name}") if node else None
    return node is not None and contains_self(node)


def canonical(fields: FieldSet) -> FieldSet:
    """The same set with its keys in order."""
    ordered: FieldSet = orjson.loads(orjson.dumps(fields, option=orjson.OPT_SORT_KEYS))
    return ordered


def paths(fields: FieldSet, prefix: str = "") -> Iterator[str]:
    """The paths as messages show them (``.spec.ports[port=80,protocol="TCP"].name``): at each level what is in the set
    itself comes first."""
    keys = sorted(k for k in fields if k != SELF)
    for key in keys:
        if contains_self(fields[key]):
            yield prefix + show(key)
    for key in keys:
        if fields[key]:
            yield from paths(fields[key], prefix + show(key))


def show(key: str) -> str:
    """A path element as messages show it."""
    kind, _, rest = key.partition(":")
    if kind == "f":
        return f".{rest}"
    if kind == "k":
        return f"[{','.join(f'{k}={orjson.dumps(v).decode()}' for k, v in sorted(orjson.loads(rest).items()))}]"
    return f"[={rest}]" if kind == "v" else f"[{rest}]"


def key_of_entry(keys: dict[str, Any]) -> str:
    """The path element of an entry of a list with map keys."""
    return "k:" + orjson.dumps(keys, option=orjson.OPT_SORT_KEYS).decode()


def key_of_value(value: Any) -> str:
    """The path element of an entry of a set."""
    return "v:" + orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()
