"""An API server in memory for the few objects that a node makes of itself: by kind, namespace and name."""

from __future__ import annotations

import copy
from typing import Any

from localcluster.client import AlreadyExists, Conflict, NotFound

JSON = dict[str, Any]


class MemoryApi:
    """Keeps any objects.

    Attributes:
        refuse: what a patch of a kind fails with.
        answers: what a POST of a review is answered with.
        reviews: the reviews asked for.
    """

    server = "https://192.0.2.1:6443"

    def __init__(self) -> None:
        self.objects: dict[tuple[str, str, str], JSON] = {}
        self.refuse: dict[str, Exception] = {}
        self.answers: dict[str, JSON] = {}
        self.reviews: list[JSON] = []
        self._version = 0

    def put(self, plural: str, obj: JSON) -> JSON:
        self._version += 1
        meta = {"uid": f"uid-{self._version}", **obj["metadata"], "resourceVersion": str(self._version)}
        stored = {**copy.deepcopy(obj), "metadata": meta}
        self.objects[plural, meta.get("namespace") or "", meta["name"]] = stored
        return copy.deepcopy(stored)

    async def get(self, of: Any, name: str, namespace: str | None = None, **_: Any) -> JSON:
        if (of.plural, namespace or "", name) not in self.objects:
            raise NotFound(404, "NotFound", f'{of.plural} "{name}" not found')
        return copy.deepcopy(self.objects[of.plural, namespace or "", name])

    async def create(self, of: Any, obj: JSON, namespace: str | None = None, **_: Any) -> JSON:
        if of.plural in self.answers:
            self.reviews.append(obj)
            return {**obj, "status": self.answers[of.plural]}
        if (of.plural, obj["metadata"].get("namespace") or "", obj["metadata"]["name"]) in self.objects:
            raise AlreadyExists(409, "AlreadyExists", "already there")
        return self.put(of.plural, obj)

    async def apply(self, of: Any, obj: JSON, **_: Any) -> JSON:
        meta = obj["metadata"]
        have = self.objects.get((of.plural, meta.get("namespace") or "", meta["name"]), {}).get("metadata", {})
        if meta.get("uid") not in (None, have.get("uid")):
            raise Conflict(409, "Conflict", "uid")
        return self.put(of.plural, {**obj, "metadata": {**have, **meta}})

    async def patch(self, of: Any, name: str, patch: JSON, namespace: str | None = None, **_: Any) -> JSON:
        if of.plural in self.refuse and "taints" in patch.get("spec", {}):
            raise self.refuse[of.plural]
        found = await self.get(of, name, namespace)
        if (
            patch.get("metadata", {}).get("resourceVersion", found["metadata"]["resourceVersion"])
            != (found["metadata"]["resourceVersion"])
        ):
            raise Conflict(409, "Conflict", "version")
        return self.put(of.plural, _merged(found, patch))

    async def delete(self, of: Any, name: str, namespace: str | None = None, *, uid: str = "", **_: Any) -> JSON:
        found = await self.get(of, name, namespace)
        if uid and found["metadata"]["uid"] != uid:
            raise Conflict(409, "Conflict", "uid")
        return self.objects.pop((of.plural, namespace or "", name))


def _merged(target: JSON, patch: JSON) -> JSON:
    merged = dict(target)
    for key, value in patch.items():
        merged[key] = _merged(target.get(key, {}), value) if isinstance(value, dict) else value
    return merged
