"""An API server in memory, as far as the process runner asks for anything."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

from localcluster.client import NotFound, WatchEvent

JSON = dict[str, Any]


class FakeClient:
    """ConfigMaps, Secrets and tokens; keeps the events that were sent.

    Attributes:
        failure: what every GET fails with while it is set.
    """

    server = "https://127.0.0.1:1"

    def __init__(self) -> None:
        self.failure: Exception | None = None
        self.objects: dict[tuple[str, str], JSON] = {}
        self.events: list[JSON] = []
        self._version = 1
        self._watches: list[tuple[str, str, asyncio.Queue[WatchEvent]]] = []

    def put(self, plural: str, name: str, **content: Any) -> None:
        self._version += 1
        kind = {"configmaps": "ConfigMap", "secrets": "Secret"}[plural]
        meta = {"name": name, "namespace": "ns", "uid": name, "resourceVersion": str(self._version)}
        self.objects[plural, name] = {"kind": kind, "metadata": meta, **content}
        for watched, selected, queue in self._watches:
            if watched == plural and selected in ("", f"metadata.name={name}"):
                queue.put_nowait(WatchEvent("MODIFIED", {"kind": kind, "metadata": dict(meta)}))

    async def get(self, of: Any, name: str, namespace: str | None = None, **_: Any) -> JSON:
        if self.failure is not None:
            raise self.failure
        if (of.plural, name) not in self.objects:
            raise NotFound(404, "NotFound", f'{of.plural} "{name}" not found')
        return self.objects[of.plural, name]

    async def list(self, of: Any, namespace: str | None = None, *, field_selector: str = "", **_: Any) -> JSON:
        items = [
            {"metadata": dict(o["metadata"])}
            for (plural, name), o in self.objects.items()
            if plural == of.plural and field_selector in ("", f"metadata.name={name}")
        ]
        return {"metadata": {"resourceVersion": str(self._version)}, "items": items}

    async def watch(
        self, of: Any, namespace: str | None = None, *, field_selector: str = "", **_: Any
    ) -> AsyncGenerator[WatchEvent, None]:
        queue: asyncio.Queue[WatchEvent] = asyncio.Queue()
        self._watches.append((of.plural, field_selector, queue))
        while True:
            yield await queue.get()

    async def create(self, of: Any, obj: JSON, namespace: str | None = None, **_: Any) -> JSON:
        if of.plural == "events":
            self.events.append(obj)
            return obj
        return {"status": {"token": "secret-token", "expirationTimestamp": "2099-01-01T00:00:00Z"}}

    async def patch(self, of: Any, name: str, patch: JSON, namespace: str | None = None, **_: Any) -> JSON:
        for event in self.events:
            if event["metadata"]["name"] == name:
                event.update(patch)
        return patch
