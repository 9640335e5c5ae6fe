"""Type variables and what they stand for while an expression is checked."""

from __future__ import annotations

from localcluster.apiserver.crd.cel.types import DYN, Type

_NULLABLE = frozenset({"object", "duration", "timestamp", "null", "opaque"})


class Substitution:
    """What type variables stand for; `assign` learns more of it, and forgets what a failed attempt learned."""

    def __init__(self) -> None:
        self._known: dict[Type, Type] = {}
        self._made = 0

    def fresh(self) -> Type:
        """A new type variable."""
        self._made += 1
        return Type("param", name=f"_var{self._made - 1}")

    def resolve(self, kind: Type, *, final: bool = False) -> Type:
        """A type with variables replaced by what is known; with `final`, unknown ones are dyn."""
        if kind.kind == "param":
            known = self._known.get(kind)
            if known is not None:
                return self.resolve(known, final=final)
            return DYN if final else kind
        if not kind.params:
            return kind
        return Type(kind.kind, tuple(self.resolve(p, final=final) for p in kind.params), kind.name)

    def assign(self, actual: Type, wanted: Type) -> bool:
        return self.assign_all([actual], [wanted])

    def assign_all(self, actual: list[Type], wanted: list[Type]) -> bool:
        """Whether values of the one types can stand where the others are wanted."""
        before = dict(self._known)
        if all(self._fits(a, w) for a, w in zip(actual, wanted, strict=True)):
            return True
        self._known = before
        return False

    def _fits(self, a: Type, b: Type) -> bool:
        if b.kind == "param":
            fits, known = self._bind(a, b)
            if fits or known:
                return fits
        if a.kind == "param":
            return self._bind(b, a)[0]
        if a.kind in ("dyn", "error") or b.kind in ("dyn", "error"):
            return True
        if a.kind == "null" or b.kind == "null":
            return (b if a.kind == "null" else a).kind in _NULLABLE
        if a.kind == "type" or b.kind == "type":
            return a.kind == b.kind
        if a.kind != b.kind or a.name != b.name or len(a.params) != len(b.params):
            return False
        return all(self._fits(x, y) for x, y in zip(a.params, b.params, strict=True))

    def _bind(self, kind: Type, variable: Type) -> tuple[bool, bool]:
        """Whether the variable may be that type, and whether it stood for something before."""
        if kind == variable:
            return True, True
        known = self._known.get(variable)
        if known is not None:
            if kind == known:
                return True, True
            if self._fits(kind, known):
                general = self.more_general(kind, known)
                if not self._occurs(variable, general):
                    self._known[variable] = general
                return True, True
            return False, True
        if self._occurs(variable, kind):
            return False, False
        self._known[variable] = kind
        return True, False

    def _occurs(self, variable: Type, kind: Type) -> bool:
        if kind == variable:
            return True
        if kind.kind == "param":
            known = self._known.get(kind)
            return known is not None and self._occurs(variable, known)
        return any(self._occurs(variable, p) for p in kind.params)

    def more_general(self, a: Type, b: Type) -> Type:
        """The one of two fitting types that allows more."""
        return a if self._less_specific(a, b) else b

    def _less_specific(self, a: Type, b: Type) -> bool:
        if a.kind in ("dyn", "param"):
            return True
        if b.kind in ("dyn", "param"):
            return False
        if a.kind == "null" or b.kind == "null":
            return a.kind != "null"
        if a.kind != b.kind or len(a.params) != len(b.params):
            return False
        return all(self._less_specific(x, y) for x, y in zip(a.params, b.params, strict=True))
