"""Values together with their shape: checking, which fields they set, comparing, merging and removing."""

from __future__ import annotations

from typing import Any, NamedTuple

from localcluster.apiserver.patch.fieldsets import (
    EMPTY,
    FieldSet,
    contains_self,
    recursive_difference,
    show,
    union,
    with_self,
)
from localcluster.apiserver.patch.shapes import Shape
from localcluster.apiserver.patch.wording import go_syntax, go_value

_ABSENT: Any = object()


# ---- checking


def check(value: Any, shape: Shape) -> None:
    """Whether a value fits its shape. ValueError with every misfit, worded as structured-merge-diff does."""
    errors: list[str] = []
    _check(value, shape, "", errors)
    if errors:
        raise ValueError(errors[0] if len(errors) == 1 else "\n  ".join(["errors:", *errors]))


def _check(value: Any, shape: Shape, path: str, errors: list[str]) -> None:
    if value is None:
        return
    prefix = f"{path}: " if path else ""
    is_map, is_list = isinstance(value, dict), isinstance(value, list)
    if shape.map_type and (is_map or not (shape.scalar or shape.list_type)):
        if is_map:
            _check_map(value, shape, path, errors)
        else:
            errors.append(f"{prefix}expected map, got &{{{go_value(value)}}}")
    elif shape.list_type and (is_list or not shape.scalar):
        if is_list:
            _check_list(value, shape, path, errors)
        else:
            errors.append(f"{prefix}expected list, got &{{{go_value(value)}}}")
    else:
        problem = _check_scalar(value, shape.scalar)
        if problem:
            errors.append(prefix + problem)


def _check_scalar(value: Any, scalar: str) -> str:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if scalar == "string" and not isinstance(value, str):
        return f"expected string, got &value.valueUnstructured{{Value:{go_syntax(value)}}}"
    if scalar == "numeric" and not is_number:
        return f"expected numeric (int or float), got {_go_type(value)}"
    if scalar == "boolean" and not isinstance(value, bool):
        return f"expected boolean, got &{{{go_value(value)}}}"
    if scalar == "untyped" and isinstance(value, (dict, list)):
        return f"expected any scalar, got &{{{go_value(value)}}}"
    return ""


def _go_type(value: Any) -> str:
    if isinstance(value, dict):
        return "map[string]interface {}"
    if isinstance(value, list):
        return "[]interface {}"
    return "bool" if isinstance(value, bool) else "string"


def _check_map(value: dict[str, Any], shape: Shape, path: str, errors: list[str]) -> None:
    for name, item in value.items():
        child = shape.field(name)
        if child is not None:
            _check(item, child, f"{path}.{name}", errors)
        elif shape.map_type != "atomic" or not _is_anything(shape):
            errors.append(f"{path}.{name}: field not declared in schema")


def _is_anything(shape: Shape) -> bool:
    return shape.scalar == "untyped" and bool(shape.list_type)


def _check_list(value: list[Any], shape: Shape, path: str, errors: list[str]) -> None:
    prefix = f"{path}: " if path else ""
    if shape.list_type == "atomic":
        for index, item in enumerate(value):
            _check(item, shape.items, f"{path}[{index}]", errors)
        return
    seen = set()
    for index, item in enumerate(value):
        try:
            key = shape.entry_key(item)
        except ValueError as error:
            errors.append(f"{prefix}element {index}: {error}")
            return
        shown = show(key)
        if key in seen:
            errors.append(f"{prefix}duplicate entries for key {shown}")
        seen.add(key)
        _check(item, shape.items, path + shown, errors)


# ---- the fields that a value sets


def field_set(value: Any, shape: Shape) -> FieldSet:
    """The fields that an applied object sets: all leaves, keys of maps and entries of lists."""
    return _fields(value, shape) or EMPTY


def _fields(value: Any, shape: Shape) -> FieldSet | None:
    if isinstance(value, dict):
        if shape.map_type == "atomic":
            return {}
        result = {}
        for name, item in value.items():
            child = shape.field(name)
            node = _fields(item, child) if child is not None else {}
            if item is None or item == {} or not shape.declares(name):
                result[f"f:{name}"] = with_self(node)
            elif node is not None:
                result[f"f:{name}"] = node
        return result or None
    if isinstance(value, list) and shape.list_type not in ("atomic", ""):
        return {shape.entry_key(item): with_self(_fields(item, shape.items)) for item in value} or None
    return {}


def whole(value: Any, shape: Shape) -> FieldSet:
    """The fields of a value that appears (or goes) as a whole: the path itself and everything below it."""
    if isinstance(value, dict):
        if not value or shape.map_type == "atomic":
            return {}
        result: FieldSet = {".": {}}
        for name, item in value.items():
            child = shape.field(name)
            result[f"f:{name}"] = whole(item, child) if child is not None else {}
        return result
    if isinstance(value, list) and value and shape.list_type not in ("atomic", ""):
        result = {".": {}}
        for item in value:
            result[shape.entry_key(item)] = whole(item, shape.items)
        return result
    return {}


# ---- comparing


class Comparison(NamedTuple):
    """The fields in which two values differ."""

    added: FieldSet = EMPTY
    modified: FieldSet = EMPTY
    removed: FieldSet = EMPTY

    def without(self, ignored: FieldSet) -> Comparison:
        if not ignored:
            return self
        return Comparison(*(recursive_difference(fields, ignored) for fields in self))

    @property
    def taken(self) -> FieldSet:
        """What the newer value's author now owns."""
        return union(self.modified, self.added)

    @property
    def all(self) -> FieldSet:
        return union(self.taken, self.removed)


_NOTHING = Comparison()

_Nodes = tuple[FieldSet | None, FieldSet | None, FieldSet | None]
"""What was added, modified and removed at and below a path; None where nothing was."""
_MODIFIED: _Nodes = (None, {}, None)


def compare(old: Any, new: Any, shape: Shape) -> Comparison:
    """How `new` differs from `old`. Lists with keys are compared by entry; their order says nothing."""
    if old == new:
        return _NOTHING
    added, modified, removed = _compare(old, new, shape)
    return Comparison(added or EMPTY, modified or EMPTY, removed or EMPTY)


def _compare(old: Any, new: Any, shape: Shape) -> _Nodes:
    """Both exist and differ."""
    if (isinstance(old, dict) or isinstance(new, dict)) and shape.map_type == "granular":
        if _is_or_null(old, dict) and _is_or_null(new, dict) and (old or new):
            return _compare_maps(old or {}, new or {}, shape)
    elif isinstance(old, list) or isinstance(new, list):
        associative = shape.list_type not in ("atomic", "")
        if associative and _is_or_null(old, list) and _is_or_null(new, list) and (old or new):
            return _compare_lists(old or [], new or [], shape)
    return _MODIFIED


def _is_or_null(value: Any, kind: type) -> bool:
    return value is None or isinstance(value, kind)


def _compare_maps(old: dict[str, Any], new: dict[str, Any], shape: Shape) -> _Nodes:
    added: FieldSet = {}
    modified: FieldSet = {}
    removed: FieldSet = {}
    for name, item in new.items():
        before = old.get(name, _ABSENT)
        if before is _ABSENT:
            child = shape.field(name)
            added[f"f:{name}"] = whole(item, child) if child is not None else {}
        elif before != item or before.__class__ is not item.__class__:
            child = shape.field(name)
            nodes = _compare(before, item, child) if child is not None else _MODIFIED
            _put(nodes, f"f:{name}", added, modified, removed)
    for name, before in old.items():
        if name not in new:
            child = shape.field(name)
            removed[f"f:{name}"] = whole(before, child) if child is not None else {}
    return added or None, modified or None, removed or None


def _put(nodes: _Nodes, key: str, added: FieldSet, modified: FieldSet, removed: FieldSet) -> None:
    for node, fields in zip(nodes, (added, modified, removed), strict=True):
        if node is not None:
            fields[key] = node


def _entries(items: list[Any], shape: Shape) -> dict[str, list[Any]]:
    entries: dict[str, list[Any]] = {}
    for item in items:
        entries.setdefault(shape.entry_key(item), []).append(item)
    return entries


def _compare_lists(old: list[Any], new: list[Any], shape: Shape) -> _Nodes:
    added: FieldSet = {}
    modified: FieldSet = {}
    removed: FieldSet = {}
    before, after = _entries(old, shape), _entries(new, shape)
    for key, items in after.items():
        olds = before.get(key)
        if olds is None:
            added[key] = whole(items[0], shape.items) if len(items) == 1 else {}
        elif olds != items:
            single = len(olds) == len(items) == 1
            nodes = _compare(olds[0], items[0], shape.items) if single else _MODIFIED
            _put(nodes, key, added, modified, removed)
    for key, olds in before.items():
        if key not in after:
            removed[key] = whole(olds[0], shape.items) if len(olds) == 1 else {}
    return added or None, modified or None, removed or None


# ---- merging


def merge(live: Any, applied: Any, shape: Shape) -> Any:
    """What `applied` makes of `live`; parts are shared with both."""
    if isinstance(live, dict) and shape.map_type == "granular" and _is_or_null(applied, dict) and (live or applied):
        result = dict(live)
        for name, item in (applied or {}).items():
            child = shape.field(name)
            if name in result and child is not None:
                result[name] = merge(result[name], item, child)
            else:
                result[name] = item
        return result
    associative = shape.list_type not in ("atomic", "")
    if isinstance(live, list) and associative and _is_or_null(applied, list) and (live or applied):
        return _merge_lists(live, applied or [], shape)
    return applied


def _merge_lists(live: list[Any], applied: list[Any], shape: Shape) -> list[Any]:
    """Entries of both come in the applier's order; the others stay between the neighbours that they had."""
    left = [(shape.entry_key(item), item) for item in live]
    right = [(shape.entry_key(item), item) for item in applied]
    known: dict[str, Any] = {}
    for key, item in left:
        # Entries of equal keys, which only writes other than applies can make, cannot be told apart: replace them.
        known[key] = _ABSENT if key in known else item
    asked = {key for key, _ in right}
    shared = [key for key, _ in right if key in known]
    result = []
    done = 0
    following = 0

    def take(index: int) -> None:
        key, item = right[index]
        before = known.get(key, _ABSENT)
        result.append(item if before is _ABSENT else merge(before, item, shape.items))

    for key, item in left:
        if key not in asked:
            result.append(item)
        elif following < len(shared) and key == shared[following]:
            while True:
                take(done)
                done += 1
                if right[done - 1][0] == key:
                    break
            following += 1
    for index in range(done, len(right)):
        take(index)
    return result


# ---- removing


def remove(value: Any, fields: FieldSet, shape: Shape) -> Any:
    """`value` without the fields of a set; parts are shared with it. Maps and lists that are emptied stay."""
    if isinstance(value, dict):
        if shape.map_type == "atomic":
            return {}
        kept = {}
        for name, item in value.items():
            node = fields.get(f"f:{name}")
            if node is None:
                kept[name] = item
            elif not contains_self(node):
                child = shape.field(name)
                kept[name] = remove(item, node, child) if child is not None else item
        return kept
    if isinstance(value, list):
        if shape.list_type == "atomic":
            return []
        entries = ((item, fields.get(shape.entry_key(item))) for item in value)
        return [
            item if node is None else remove(item, node, shape.items)
            for item, node in entries
            if node is None or not contains_self(node)
        ]
    return value


def with_structs(fields: FieldSet, shape: Shape) -> FieldSet:
    """The set, and in it every declared field that has something in the set below it."""
    result: FieldSet = {}
    for key, node in fields.items():
        if node:
            name = key[2:]
            is_field = key.startswith("f:")
            child = shape.field(name) if is_field else shape.items if shape.list_type else None
            if child is not None:
                node = with_structs(node, child)
            if is_field and shape.declares(name):
                node = with_self(node)
        result[key] = node
    return result
