"""What is changed in a checked expression before the library evaluates it.

The library sees plain JSON, so that what a schema says of it has to be said in the expression: text with a format
becomes a timestamp or a duration where it is read, fields get their names in JSON back, and values that only Kubernetes
has (optional oldSelf, the answers of named formats) are made from lists of one element or none.
"""

from __future__ import annotations

from localcluster.apiserver.crd.cel.checker import OPTIONAL_SELECT, Checked
from localcluster.apiserver.crd.cel.syntax import (
    Call,
    Comprehension,
    Constant,
    Entry,
    Expr,
    Ident,
    ListOf,
    MapOf,
    Select,
)
from localcluster.apiserver.crd.cel.types import Type, is_optional

TO_TIMESTAMP, TO_DURATION = "__timestamp", "__duration"
_READERS = {"timestamp": TO_TIMESTAMP, "duration": TO_DURATION}
_FROM_LIST = {"format.named", "validate"}
"""Functions whose optional result the library gets as a list of at most one element."""
MAP_INSERT = "__mapInsert"


def rewritten(checked: Checked, *, optional_old: bool) -> Expr:
    """The expression for the library; `optional_old`: oldSelf is optional."""
    return _Rewriter(checked, optional_old).expr(checked.parsed.expr)


class _Rewriter:
    def __init__(self, checked: Checked, optional_old: bool) -> None:
        self._checked = checked
        self._optional_old = optional_old
        self._next = max([checked.parsed.expr.id, *checked.types], default=0) + 1

    def _id(self) -> int:
        self._next += 1
        return self._next

    def _type(self, node: Expr) -> Type:
        return self._checked.types.get(node.id, Type("dyn"))

    def _call(self, function: str, *arguments: Expr) -> Call:
        return Call(self._id(), function, list(arguments))

    def _first(self, node: Expr) -> Expr:
        return self._call("_[?_]", node, Constant(self._id(), "int", 0))

    def _read(self, node: Expr, kind: Type) -> Expr:
        reader = _READERS.get(kind.kind)
        return self._call(reader, node) if reader else node

    def expr(self, node: Expr) -> Expr:
        match node:
            case Ident():
                if node.name == "oldSelf" and self._optional_old:
                    return self._first(node)
                return node if node.name.startswith("@") else self._read(node, self._type(node))
            case Select():
                return self._select(node)
            case Call():
                return self._function(node)
            case ListOf():
                return ListOf(node.id, [self.expr(e) for e in node.elements], node.optional)
            case MapOf():
                entries = [Entry(e.id, self.expr(e.key), self.expr(e.value), e.optional) for e in node.entries]
                return MapOf(node.id, entries, node.message)
            case Comprehension():
                return Comprehension(
                    node.id, node.variable, node.variable2, self.expr(node.range), node.accumulator,
                    self.expr(node.start), self.expr(node.condition), self.expr(node.step), self.expr(node.result),
                )  # fmt: skip
        return node

    def _name(self, operand: Expr, name: str) -> str:
        """The field's name in JSON."""
        kind = self._type(operand)
        if is_optional(kind):
            kind = kind.params[0]
        declared = self._checked.objects.get(kind.name) if kind.kind == "object" else None
        return declared.names.get(name, name) if declared is not None else name

    def _select(self, node: Select) -> Expr:
        if node.id in self._checked.names:
            return node
        made = Select(node.id, self.expr(node.operand), self._name(node.operand, node.field), node.test_only)
        return made if node.test_only else self._read(made, self._type(node))

    def _function(self, node: Call) -> Expr:
        if node.function == OPTIONAL_SELECT:
            return self._optional_select(node)
        name = self._checked.names.get(node.id)
        target = node.target
        if target is not None and name is None:
            target = self.expr(target)
        arguments = [self.expr(a) for a in node.args]
        called = name or node.function
        if called == "cel.@mapInsert" or node.function == "cel.@mapInsert":
            return Call(node.id, MAP_INSERT, arguments)
        made: Expr = Call(node.id, node.function, arguments, target)
        if called in _FROM_LIST:
            return self._first(made)
        if node.function == "_[_]":
            return self._read(made, self._type(node))
        return made

    def _optional_select(self, node: Call) -> Expr:
        operand, field = node.args
        assert isinstance(field, Constant)
        name = self._name(operand, str(field.value))
        inner = self._type(node)
        kind = inner.params[0] if is_optional(inner) else inner
        plain = Call(node.id, OPTIONAL_SELECT, [self.expr(operand), Constant(field.id, "string", name)])
        if kind.kind not in _READERS or is_optional(self._type(operand)):
            return plain
        # An optional cannot be mapped without a macro: has(x.f) ? optional.of(read(x.f)) : optional.none()
        value = self._read(Select(self._id(), self.expr(operand), name), kind)
        some = Call(self._id(), "of", [value], Ident(self._id(), "optional"))
        none = Call(self._id(), "none", [], Ident(self._id(), "optional"))
        return self._call("_?_:_", Select(self._id(), self.expr(operand), name, True), some, none)
