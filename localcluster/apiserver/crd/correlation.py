"""The old value that belongs to each part of a new one: for ratcheting and for rules about changes.

Fields of objects belong together by name, elements of ``x-kubernetes-list-type: map`` by their keys; elements of other
lists have no old value.
"""

from __future__ import annotations

from typing import Any

JSON = dict[str, Any]


class Correlation:
    """A new value and the old one in the same place."""

    __slots__ = ("_unchanged", "new", "old")

    def __init__(self, new: Any, old: Any) -> None:
        self.new = new
        self.old = old
        self._unchanged: bool | None = None

    @property
    def unchanged(self) -> bool:
        if self._unchanged is None:
            self._unchanged = same_json(self.new, self.old)
        return self._unchanged

    def field(self, name: str, raw: JSON) -> Correlation | None:
        """What belongs to a field; None if it is new or the schema does not know it."""
        if not isinstance(self.new, dict) or not isinstance(self.old, dict):
            return None
        known = name in (raw.get("properties") or ()) or isinstance(raw.get("additionalProperties"), dict)
        if not known or name not in self.new or name not in self.old:
            return None
        return Correlation(self.new[name], self.old[name])

    def item(self, index: int, raw: JSON) -> Correlation | None:
        old = old_item(self.new, self.old, index, raw)
        return None if old is None else Correlation(self.new[index], old)


def old_item(new: Any, old: Any, index: int, raw: JSON) -> Any:
    """The element of the old list with the same keys as the new list's element at `index`; None if there is none."""
    if raw.get("x-kubernetes-list-type") != "map" or not isinstance(new, list) or not isinstance(old, list):
        return None
    keys = raw.get("x-kubernetes-list-map-keys") or []
    element = new[index]
    if not isinstance(element, dict):
        return None
    wanted = [element.get(k) for k in keys]
    return next((e for e in old if isinstance(e, dict) and [e.get(k) for k in keys] == wanted), None)


def same_json(a: Any, b: Any) -> bool:
    """Equality that tells true from 1."""
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(same_json(v, b[k]) for k, v in a.items())
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(same_json(x, y) for x, y in zip(a, b, strict=True))
    if isinstance(a, bool) or isinstance(b, bool):
        return a is b
    return type(a) is type(b) and bool(a == b)
