"""Objects put through a kind as a create, an update or a write to the status puts them, without a server."""

from __future__ import annotations

import copy
from typing import Any

from localcluster.apiserver.kinds import behaviour
from localcluster.apiserver.kinds.base import Context, Kind, User

JSON = dict[str, Any]


class Nothing:
    """A store that is empty."""

    def get(self, storage: str, namespace: str, name: str) -> JSON | None:
        return None

    def list(self, storage: str, namespace: str | None = None) -> list[JSON]:
        return []


CONTEXT = Context(User("admin"), Nothing(), "2026-01-01T00:00:00Z")


class Written:
    """A kind and what it makes of objects; errors are texts as messages have them."""

    def __init__(self, group: str, kind: str, version: str = "v1") -> None:
        self.kind: Kind = behaviour(group, version, kind)

    def created(self, obj: JSON) -> JSON:
        new = copy.deepcopy(obj)
        meta = new.setdefault("metadata", {})
        self.kind.default(new)
        meta.update({"name": meta.get("name", "x"), "namespace": "n", "uid": "u"})
        self.kind.prepare_create(new, CONTEXT)
        return new

    def create_errors(self, obj: JSON) -> list[str]:
        return [str(error) for error in self.kind.validate_create(self.created(obj), CONTEXT)]

    def updated(self, before: JSON, after: JSON) -> tuple[JSON, JSON]:
        old = self.created(before)
        new = copy.deepcopy(after)
        new["metadata"] = {**old["metadata"], **new.get("metadata", {})}
        self.kind.default(new)
        self.kind.prepare_update(new, old, CONTEXT)
        return new, old

    def update_errors(self, before: JSON, after: JSON) -> list[str]:
        return [str(error) for error in self.kind.validate_update(*self.updated(before, after), CONTEXT)]

    def status_errors(self, obj: JSON, status: JSON, before: JSON | None = None) -> list[str]:
        old = self.created(obj)
        if before is not None:
            old["status"] = before
        new = {**copy.deepcopy(old), "status": status}
        self.kind.prepare_status(new, old, CONTEXT)
        return [str(error) for error in self.kind.validate_status(new, old, CONTEXT)]
