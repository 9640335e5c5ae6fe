"""The worst cost of a rule, estimated from its expression and the limits in the schema.

The formulas are those of cel-go's cost estimation with Kubernetes' own functions; a definition is refused by them, so
they have to be the same.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from localcluster.apiserver.crd.cel.checker import OPTIONAL_SELECT, Checked
from localcluster.apiserver.crd.cel.cost import ONE, UNKNOWN, UNLIMITED, ZERO, Range, capped
from localcluster.apiserver.crd.cel.syntax import (
    Call,
    Comprehension,
    Constant,
    Expr,
    Ident,
    ListOf,
    MapOf,
    Select,
)
from localcluster.apiserver.crd.cel.types import ERROR, Declared, Type, is_optional

_TEXT_FACTOR = 0.1
_REGEX_FACTOR = 0.25
_LIST_BASE, _MAP_BASE, _MESSAGE_BASE = 10, 30, 40
_LONGEST_FORMAT_PATTERN = 128
_SCALARS = frozenset({"bool", "double", "duration", "int", "timestamp", "uint"})

_NOMINAL = frozenset(
    [
        "masked",
        "prefixLength",
        "family",
        "isUnspecified",
        "isLoopback",
        "isLinkLocalMulticast",
        "isLinkLocalUnicast",
        "isGlobalUnicast",
        "sign",
        "asInteger",
        "isInteger",
        "asApproximateFloat",
        "isGreaterThan",
        "isLessThan",
        "compareTo",
        "add",
        "sub",
        "major",
        "minor",
        "patch",
        "getScheme",
        "getHostname",
        "getHost",
        "getPort",
        "getEscapedPath",
        "getQuery",
        "format.named",
    ]
)
_COMPARED_TEXT = frozenset(
    [f"{w}_{t}" for w in ("less", "greater", "less_equals", "greater_equals") for t in ("string", "bytes")]
    + ["equals", "not_equals"]
)


@dataclass(frozen=True, slots=True)
class _Entries:
    """How large the keys and values of a container are."""

    container: str
    key: Range
    value: Range

    def union(self, other: _Entries | None) -> _Entries | None:
        if other is None:
            return None
        return _Entries(self.container, self.key.union(other.key), self.value.union(other.value))


@dataclass(slots=True)
class _Local:
    path: list[str]
    size: Range | None
    entries: _Entries | None


def estimate(checked: Checked, root: Declared) -> int:
    """The most that evaluating a checked expression costs; `root` is what `self` is."""
    return _Coster(checked, root).cost(checked.parsed.expr).high


class _Coster:
    def __init__(self, checked: Checked, root: Declared) -> None:
        self._checked = checked
        self._root = root
        self._paths: dict[int, list[str]] = {}
        self._sizes: dict[int, Range] = {}
        self._entries: dict[int, _Entries] = {}
        self._locals: dict[str, list[_Local]] = {}

    def cost(self, node: Expr) -> Range:
        match node:
            case Constant():
                return ZERO
            case Ident():
                local = self._local(node.name)
                self._paths[node.id] = local.path if local is not None else [node.name]
                return ONE
            case Select():
                return self._select(node)
            case Call():
                return self._call(node)
            case ListOf():
                return self._list(node)
            case MapOf():
                return self._map(node)
            case Comprehension():
                return self._bind(node) if _is_bind(node) else self._comprehension(node)
        raise TypeError(type(node))

    # ---- what is known of nodes

    def _type(self, node: Expr) -> Type:
        return self._checked.types.get(node.id, ERROR)

    def _local(self, name: str) -> _Local | None:
        stack = self._locals.get(name)
        return stack[-1] if stack else None

    def _path(self, node: Expr) -> list[str]:
        if isinstance(node, Ident):
            local = self._local(node.name)
            if local is not None:
                return local.path
        return self._paths.get(node.id, [])

    def _declared(self, path: list[str]) -> Declared | None:
        # Whatever a path begins with stands for the root, as in the real estimation: names of types and elements of
        # literal lists count as large as `self`.
        if not path or path[0].startswith(("@result", "__result__")):
            return None
        found: Declared | None = self._root
        for name in path[1:]:
            if found is None:
                return None
            if name in ("@items", "@values"):
                found = found.element
            elif name == "@keys":
                found = found.key
            else:
                found = found.fields.get(name)
        return found

    def _size(self, node: Expr) -> Range | None:
        if node.id in self._sizes:
            return self._sizes[node.id]
        literal = _literal_size(node)
        if literal is not None:
            return Range(literal, literal)
        declared = self._declared(self._path(node))
        if declared is not None:
            return Range(0, declared.max_elements)
        kind = self._type(node)
        if is_optional(kind):
            kind = kind.params[0]
        if kind.kind in _SCALARS:
            return ONE
        if isinstance(node, Ident):
            local = self._local(node.name)
            if local is not None:
                return local.size
        return None

    def _size_or_unknown(self, node: Expr) -> Range:
        return self._size(node) or UNKNOWN

    def _entries_of(self, node: Expr) -> _Entries | None:
        if node.id in self._entries:
            return self._entries[node.id]
        if isinstance(node, Ident):
            local = self._local(node.name)
            if local is not None:
                return local.entries
        return None

    # ---- nodes

    def _select(self, node: Select) -> Range:
        inner = self.cost(node.operand)
        if node.test_only:
            return inner
        self._paths[node.id] = [*self._path(node.operand), node.field]
        return inner + ONE if self._type(node.operand).kind in ("map", "object", "param") else inner

    def _list(self, node: ListOf) -> Range:
        total = ZERO
        element = Range(UNLIMITED if node.elements else 0, 0)
        for item in node.elements:
            total += self.cost(item)
            element = element.union(self._size_or_unknown(item))
        self._entries[node.id] = _Entries("list", ONE, element)
        return total + Range(_LIST_BASE, _LIST_BASE)

    def _map(self, node: MapOf) -> Range:
        total = ZERO
        low = UNLIMITED if node.entries else 0
        keys, values = Range(low, 0), Range(low, 0)
        for entry in node.entries:
            total += self.cost(entry.key) + self.cost(entry.value)
            keys = keys.union(self._size_or_unknown(entry.key))
            values = values.union(self._size_or_unknown(entry.value))
        self._entries[node.id] = _Entries("map", keys, values)
        base = _MESSAGE_BASE if node.message else _MAP_BASE
        return total + Range(base, base)

    def _comprehension(self, node: Comprehension) -> Range:
        total = self.cost(node.range) + self.cost(node.start)
        accumulator = _Local(self._path(node.start), self._size(node.start), self._entries_of(node.start))
        self._push(node.accumulator, accumulator)
        entries = self._entries_of(node.range)
        container = entries.container if entries is not None else self._type(node.range).kind
        path = self._path(node.range)
        key = _Local([*path, "@indices" if container == "list" else "@keys"], entries.key if entries else None, None)
        value = _Local(
            [*path, "@items" if container == "list" else "@values"], entries.value if entries else None, None
        )
        if node.variable2:
            self._push(node.variable, key)
            self._push(node.variable2, value)
        else:
            self._push(node.variable, value if container == "list" else key)
        loop = self.cost(node.condition)
        step = self.cost(node.step)
        self._locals[node.variable].pop()
        if node.variable2:
            self._locals[node.variable2].pop()
        total += self.cost(node.result)
        self._locals[node.accumulator].pop()
        count = self._size_or_unknown(node.range)
        if isinstance(node.start, Constant):
            self._set_size(node, self._size(node.start))
        elif isinstance(node.start, (ListOf, MapOf)):
            self._sizes[node.id] = count
            made = self._entries_of(node.step)
            if made is not None:
                self._entries[node.id] = made
        return total + count * (step + loop)

    def _bind(self, node: Comprehension) -> Range:
        total = self.cost(node.range) + self.cost(node.start)
        self._push(
            node.accumulator, _Local(self._path(node.start), self._size(node.start), self._entries_of(node.start))
        )
        total += self.cost(node.result)
        self._locals[node.accumulator].pop()
        self._set_size(node, self._size(node.result))
        return total

    def _push(self, name: str, local: _Local) -> None:
        self._locals.setdefault(name, []).append(local)

    def _set_size(self, node: Expr, size: Range | None) -> None:
        if size is not None:
            self._sizes[node.id] = size

    # ---- calls

    def _call(self, node: Call) -> Range:
        if node.function == "dyn" and node.target is None:
            inner = self.cost(node.args[0])
            self._set_size(node, self._size(node.args[0]))
            return inner + ONE
        arguments = node.args if node.function != OPTIONAL_SELECT else node.args[:1]
        costs = [self.cost(a) for a in node.args]
        overloads = self._checked.overloads.get(node.id)
        if not overloads:
            return ZERO
        total = ZERO
        target = node.target if node.id not in self._checked.names else None
        if target is not None:
            total += self.cost(target)
        best: Range | None = None
        size: Range | None = None
        for overload in overloads:
            one, made = self._overload(node, overload, target, arguments, costs)
            best = one if best is None else best.union(one)
            if made is not None:
                size = made if size is None else size.union(made)
            if overload in ("index_list", "index_map"):
                entries = self._entries_of(node.args[0])
                size = entries.value if entries is not None else size
                step = "@items" if overload == "index_list" else "@values"
                self._paths[node.id] = [*self._path(node.args[0]), step]
            if size is None:
                size = self._size(node)
        self._set_size(node, size)
        return total + (best or ZERO)

    def _overload(
        self, node: Call, overload: str, target: Expr | None, arguments: list[Expr], costs: list[Range]
    ) -> tuple[Range, Range | None]:
        spent = ZERO
        for one in costs:
            spent += one
        found = self._kubernetes(node, overload, target, arguments)
        if found is not None:
            return found[0] + spent, found[1]
        size = self._size_or_unknown
        match overload:
            case "string_format" if target is not None:
                return size(target).by(_TEXT_FACTOR) + spent, None
            case "string_to_bytes":
                length = size(arguments[0])
                return length.by(_TEXT_FACTOR) + spent, Range(length.low, capped(length.high * 4))
            case "bytes_to_string":
                length = size(arguments[0])
                return length.by(_TEXT_FACTOR) + spent, Range(length.low // 4, length.high)
            case "strings_quote":
                length = size(arguments[0])
                return length.by(_TEXT_FACTOR) + spent, Range(length.low + 2, capped(length.high * 2 + 2))
            case "starts_with_string" | "ends_with_string":
                return size(arguments[0]).by(_TEXT_FACTOR) + spent, None
            case "in_list":
                return size(arguments[1]).by(1) + spent, None
            case "matches_string" if target is not None:
                text = (size(target) + ONE).by(_TEXT_FACTOR)
                return text * size(arguments[0]).by(_REGEX_FACTOR) + spent, None
            case "contains_string" if target is not None:
                return size(target).by(_TEXT_FACTOR) * size(arguments[0]).by(_TEXT_FACTOR) + spent, None
            case "logical_or" | "logical_and":
                return Range(costs[0].low, (costs[0] + costs[1]).high), None
            case "conditional":
                self._join_entries(node, arguments[1], arguments[2])
                return costs[0] + costs[1].union(costs[2]), size(arguments[1]).union(size(arguments[2]))
            case "add_string" | "add_bytes" | "add_list":
                self._join_entries(node, arguments[0], arguments[1])
                length = size(arguments[0]) + size(arguments[1])
                return (ONE if overload == "add_list" else length.by(_TEXT_FACTOR)) + spent, length
        if overload in _COMPARED_TEXT:
            most = min(size(arguments[0]).high, size(arguments[1]).high)
            return Range(1 if most else 0, most).by(_TEXT_FACTOR) + spent, None
        return ONE + spent, None

    def _join_entries(self, node: Expr, a: Expr, b: Expr) -> None:
        first, second = self._entries_of(a), self._entries_of(b)
        if first is not None and (joined := first.union(second)) is not None:
            self._entries[node.id] = joined

    def _element_size(self, node: Expr) -> Range:
        declared = self._declared([*self._path(node), "@items"]) if self._path(node) else None
        return UNKNOWN if declared is None else Range(0, declared.max_elements)

    def _kubernetes(
        self, node: Call, overload: str, target: Expr | None, arguments: list[Expr]
    ) -> tuple[Range, Range | None] | None:
        """The cost without the arguments' and the size of the result, of functions that Kubernetes counts itself."""
        size = self._size_or_unknown
        function = self._checked.names.get(node.id, node.function)
        if function in _NOMINAL:
            return ONE, None
        match function:
            case "isSorted" | "sum" | "max" | "min" | "indexOf" | "lastIndexOf" if target is not None:
                kind = self._type(target)
                if not kind.params:
                    return size(target).by(_TEXT_FACTOR), None
                each = ONE
                if kind.params[0].kind in ("string", "bytes"):
                    each += self._element_size(target).by(_TEXT_FACTOR)
                return size(target) * each, None
            case "url":
                return size(arguments[0]).by(_TEXT_FACTOR), size(arguments[0])
            case "lowerAscii" | "upperAscii" | "substring" | "trim" if target is not None:
                return size(target).by(_TEXT_FACTOR), size(target)
            case "replace" if target is not None:
                made = _replaced(size(target), size(arguments[0]), size(arguments[1]))
                return size(target).by(2 * _TEXT_FACTOR), made
            case "split" if target is not None:
                most = size(target).high
                if len(arguments) > 1 and isinstance(arguments[1], Constant) and arguments[1].kind == "int":
                    most = capped(arguments[1].value % 2**64)
                return size(target).by(2 * _TEXT_FACTOR), Range(0, most)
            case "join" if target is not None:
                count = size(target)
                made = count * self._element_size(target)
                if arguments:
                    made += size(arguments[0]) * Range(max(count.low - 1, 0), max(count.high - 1, 0))
                return made.by(_TEXT_FACTOR), made
            case "find" | "findAll" if target is not None:
                text = (size(target) + ONE).by(_TEXT_FACTOR)
                return text * size(arguments[0]).by(_REGEX_FACTOR), Range(0, size(target).high)
            case "containsIP" | "containsCIDR" if target is not None:
                spent = Range(8, 32).by(_TEXT_FACTOR)
                if function == "containsCIDR":
                    spent += Range(4, 16).by(_TEXT_FACTOR) + ONE
                if overload.endswith("_string"):
                    spent += size(arguments[0]).by(_TEXT_FACTOR)
                return spent, None
            case "ip" if target is not None:
                return ONE, None
            case "validate" if target is not None:
                return size(arguments[0]).by(_TEXT_FACTOR).by(_LONGEST_FORMAT_PATTERN * _REGEX_FACTOR), None
            case "_==_":
                return self._equality(arguments)
        return None

    def _equality(self, arguments: list[Expr]) -> tuple[Range, Range | None] | None:
        kinds = [self._type(a) for a in arguments]
        if kinds[0] != kinds[1] or not kinds[0].name.startswith(("kubernetes.", "net.")):
            return None
        return (Range(1, 64).by(_TEXT_FACTOR) if kinds[0].name == "kubernetes.NamedFormat" else ONE), None


def _is_bind(node: Comprehension) -> bool:
    never = isinstance(node.condition, Constant) and node.condition.value is False
    empty = isinstance(node.range, ListOf) and not node.range.elements
    return never and empty and not node.accumulator.startswith(("@result", "__result__"))


def _literal_size(node: Expr) -> int | None:
    match node:
        case Constant():
            return len(node.value) if node.kind in ("string", "bytes") else 1
        case ListOf():
            return len(node.elements)
        case MapOf():
            return len(node.entries)
    return None


def _replaced(text: Range, old: Range, new: Range) -> Range:
    """The size of text in which something is replaced."""
    if old.low == 0:
        most = capped(capped(text.high + 1) * new.high + text.high)
    elif new.high <= old.low:
        most = text.high
    else:
        most = capped(math.ceil(text.high / old.low) * new.high)
    if old.high == 0:
        least = (text.low + 1) * new.low + text.low
    elif old.high <= new.low:
        least = text.low
    else:
        least = math.ceil(text.low / old.high) * new.low
    return Range(capped(least), most)
