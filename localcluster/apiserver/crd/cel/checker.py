"""Type checking of rules: what every part of an expression is, and the errors that creating a definition answers with.

The algorithm is that of CEL's specification (https://github.com/google/cel-spec/blob/master/doc/langdef.md#overview);
the texts and their positions are cel-go's.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from localcluster.apiserver.crd.cel.declarations import Overload, functions, type_names
from localcluster.apiserver.crd.cel.syntax import (
    Call,
    Comprehension,
    Constant,
    Expr,
    Ident,
    ListOf,
    MapOf,
    Parsed,
    Select,
)
from localcluster.apiserver.crd.cel.types import (
    BOOL,
    DYN,
    ERROR,
    INT,
    Declared,
    Type,
    is_optional,
    list_of,
    map_of,
    optional,
)
from localcluster.apiserver.crd.cel.unification import Substitution

OPTIONAL_SELECT = "_?._"


@dataclass
class Checked:
    """What checking found.

    Attributes:
        types: the type of each node.
        overloads: the ids of the overloads that a call may mean.
        names: functions that were called by a name with a namespace (``sets.contains``), by the call's node.
        declared: fields of objects by the object type's name.
        errors: text that compilation is answered with, sorted by place; empty if all is well.
    """

    parsed: Parsed
    result: Type = ERROR
    types: dict[int, Type] = field(default_factory=dict)
    overloads: dict[int, list[str]] = field(default_factory=dict)
    names: dict[int, str] = field(default_factory=dict)
    objects: dict[str, Declared] = field(default_factory=dict)
    variables: set[str] = field(default_factory=set)
    errors: list[str] = field(default_factory=list)


def check(parsed: Parsed, variables: dict[str, Type], objects: dict[str, Declared]) -> Checked:
    """Check an expression in which some variables are known; `objects` are the object types by name."""
    checker = _Checker(parsed, variables, objects)
    checker.check(parsed.expr)
    done = checker.checked
    done.types = {n: checker.types.resolve(t, final=True) for n, t in done.types.items()}
    done.result = done.types.get(parsed.expr.id, ERROR)
    done.errors = [text for _, text in sorted(checker.errors, key=lambda e: e[0])]
    return done


def objects_in(declared: Declared) -> dict[str, Declared]:
    """All object types inside a declared type, by name."""
    found = {}
    if declared.type.kind == "object":
        found[declared.type.name] = declared
    for below in [*declared.fields.values(), declared.element]:
        if below is not None:
            found |= objects_in(below)
    return found


def located(parsed: Parsed, offset: int, message: str) -> str:
    """An error with its place and the line that it is in."""
    before = parsed.source[:offset]
    line = before.count("\n")
    column = offset - (before.rfind("\n") + 1)
    text = parsed.source.split("\n")[line]
    return f"ERROR: <input>:{line + 1}:{column + 1}: {message}\n | {text}\n | {'.' * column}^"


class _Checker:
    def __init__(self, parsed: Parsed, variables: dict[str, Type], objects: dict[str, Declared]) -> None:
        self.checked = Checked(parsed, objects=objects)
        self.types = Substitution()
        self.errors: list[tuple[int, str]] = []
        self._scopes: list[dict[str, Type]] = [dict(variables)]

    # ---- helpers

    def fail(self, node: Expr, message: str) -> None:
        offset = self.checked.parsed.positions.get(node.id, 0)
        self.errors.append((offset, located(self.checked.parsed, offset, message)))

    def set(self, node: Expr, kind: Type) -> Type:
        self.checked.types[node.id] = kind
        return kind

    def of(self, node: Expr) -> Type:
        return self.types.resolve(self.checked.types.get(node.id, ERROR))

    def lookup(self, name: str) -> Type | None:
        for scope in reversed(self._scopes):
            if name in scope:
                return scope[name]
        return type_names().get(name)

    # ---- nodes

    def check(self, node: Expr) -> None:
        match node:
            case Constant():
                self.set(node, Type(node.kind))
            case Ident():
                self._ident(node)
            case Select():
                self._select(node)
            case Call():
                self._call(node)
            case ListOf():
                self._list(node)
            case MapOf():
                self._map(node)
            case Comprehension():
                self._comprehension(node)

    def _ident(self, node: Ident) -> None:
        kind = self.lookup(node.name)
        if kind is None:
            self.set(node, ERROR)
            self.fail(node, f"undeclared reference to '{node.name}' (in container '')")
            return
        self.checked.variables.add(node.name)
        self.set(node, kind)

    def _select(self, node: Select) -> None:
        qualified = _qualified(node)
        if qualified is not None:
            kind = self.lookup(qualified)
            if kind is not None:
                self.checked.names[node.id] = qualified
                self.set(node, kind)
                return
        result = self._field(node, node.operand, node.field, False)
        self.set(node, BOOL if node.test_only else result)

    def _field(self, node: Expr, operand: Expr, name: str, wanted_optional: bool) -> Type:
        self.check(operand)
        target = self.of(operand)
        was_optional = is_optional(target)
        if was_optional:
            target = self.types.resolve(target.params[0])
        result = ERROR
        match target.kind:
            case "map":
                result = target.params[1]
            case "object":
                declared = self.checked.objects.get(target.name)
                found = declared.fields.get(name) if declared is not None else None
                if found is None:
                    self.fail(node, f"undefined field '{name}'")
                else:
                    result = found.type
            case "param":
                self.types.assign(DYN, target)
                result = DYN
            case "dyn" | "error":
                result = DYN
            case _:
                self.fail(node, f"type '{target}' does not support field selection")
                result = DYN
        return optional(result) if was_optional or wanted_optional else result

    def _call(self, node: Call) -> None:
        if node.function == OPTIONAL_SELECT:
            name = node.args[1]
            assert isinstance(name, Constant)
            self.set(node, self._field(node, node.args[0], str(name.value), True))
            self.checked.overloads[node.id] = ["select_optional_field"]
            return
        for argument in node.args:
            self.check(argument)
        if node.target is None:
            self._resolve(node, node.function, functions().get(node.function), node.args, member=False)
            return
        prefix = _qualified(node.target)
        if prefix is not None:
            name_ = f"{prefix}.{node.function}"
            if name_ in functions():
                self.checked.names[node.id] = name_
                self._resolve(node, name_, functions()[name_], node.args, member=False)
                return
        self.check(node.target)
        self._resolve(node, node.function, functions().get(node.function), [node.target, *node.args], member=True)

    def _resolve(
        self, node: Call, name: str, overloads: list[Overload] | None, arguments: list[Expr], *, member: bool
    ) -> None:
        if overloads is None:
            self.set(node, ERROR)
            self.fail(node, f"undeclared reference to '{name}' (in container '')")
            return
        given = [self.of(a) for a in arguments]
        if name in ("_&&_", "_||_"):
            self._logical(node, arguments, given, overloads[0].id)
            return
        result: Type | None = None
        matched = []
        for overload in overloads:
            if overload.member != member or len(overload.arguments) != len(given):
                continue
            fresh = {v: self.types.fresh() for v in overload.variables}
            wanted = [_instance(a, fresh) for a in overload.arguments]
            if not self.types.assign_all(given, wanted):
                continue
            matched.append(overload.id)
            made = self.types.resolve(_instance(overload.result, fresh))
            if result is None:
                result = made
            elif result.kind != "dyn" and made != result:
                result = DYN
        if result is None:
            shown = [str(self.types.resolve(g, final=True)) for g in given]
            form = f"{shown[0]}.({', '.join(shown[1:])})" if member else f"({', '.join(shown)})"
            self.fail(node, f"found no matching overload for '{name}' applied to '{form}'")
            self.set(node, ERROR)
            return
        self.checked.overloads[node.id] = matched
        self.set(node, result)

    def _logical(self, node: Call, arguments: list[Expr], given: list[Type], overload: str) -> None:
        wrong = False
        for argument, kind in zip(arguments, given, strict=True):
            if not self.types.assign(kind, BOOL):
                self.fail(argument, f"expected type 'bool' but found '{kind}'")
                wrong = True
        self.checked.overloads[node.id] = [overload]
        self.set(node, ERROR if wrong else BOOL)

    def _list(self, node: ListOf) -> None:
        joined: Type | None = None
        for index, element in enumerate(node.elements):
            self.check(element)
            joined = self._joined(element, joined, self._unwrapped(element, index in node.optional))
        self.set(node, list_of(joined if joined is not None else self.types.fresh()))

    def _map(self, node: MapOf) -> None:
        if node.message:
            self.set(node, ERROR)
            self.fail(node, f"undeclared reference to '{node.message}' (in container '')")
            return
        keys: Type | None = None
        values: Type | None = None
        for entry in node.entries:
            self.check(entry.key)
            keys = self._joined(entry.key, keys, self.of(entry.key))
            self.check(entry.value)
            values = self._joined(entry.value, values, self._unwrapped(entry.value, entry.optional))
        if keys is None or values is None:
            keys, values = self.types.fresh(), self.types.fresh()
        self.set(node, map_of(keys, values))

    def _unwrapped(self, node: Expr, is_marked: bool) -> Type:
        kind = self.of(node)
        if not is_marked:
            return kind
        if is_optional(kind):
            return self.types.resolve(kind.params[0])
        if kind.kind != "dyn":
            self.fail(node, f"expected type '{optional(kind)}' but found '{kind}'")
        return kind

    def _joined(self, node: Expr, before: Type | None, kind: Type) -> Type:
        if before is None:
            return kind
        if self.types.assign(before, kind):
            return self.types.more_general(before, kind)
        self.fail(node, f"expected type '{before}' but found '{kind}'")
        return ERROR

    def _comprehension(self, node: Comprehension) -> None:
        self.check(node.range)
        self.check(node.start)
        over = self.of(node.range)
        accumulated = self.checked.types[node.start.id]
        first, second = DYN, DYN
        match over.kind:
            case "list":
                first, second = (INT, over.params[0]) if node.variable2 else (over.params[0], DYN)
            case "map":
                first, second = over.params
            case "dyn" | "error" | "param":
                self.types.assign(DYN, over)
            case _:
                text = f"expression of type '{over}' cannot be range of a comprehension (must be list, map, or dynamic)"
                self.fail(node.range, text)
                first = second = ERROR
        self._scopes.append({node.accumulator: accumulated})
        loop = {node.variable: first}
        if node.variable2:
            loop[node.variable2] = second
        self._scopes.append(loop)
        self.check(node.condition)
        self._assert(node.condition, BOOL)
        self.check(node.step)
        self._assert(node.step, accumulated)
        self._scopes.pop()
        self.check(node.result)
        self._scopes.pop()
        self.set(node, self.of(node.result))

    def _assert(self, node: Expr, wanted: Type) -> None:
        if not self.types.assign(wanted, self.of(node)):
            self.fail(node, f"expected type '{self.types.resolve(wanted)}' but found '{self.of(node)}'")


def _instance(kind: Type, fresh: dict[str, Type]) -> Type:
    if kind.kind == "param":
        return fresh.get(kind.name, kind)
    if not kind.params:
        return kind
    return Type(kind.kind, tuple(_instance(p, fresh) for p in kind.params), kind.name)


def _qualified(node: Expr) -> str | None:
    """``a.b.c`` as a name; None if the expression is something else."""
    if isinstance(node, Ident):
        return node.name
    if isinstance(node, Select) and not node.test_only:
        prefix = _qualified(node.operand)
        return None if prefix is None else f"{prefix}.{node.field}"
    return None
