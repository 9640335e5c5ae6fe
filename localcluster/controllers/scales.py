"""The scale subresource of any kind that has one, found by discovery."""

from __future__ import annotations

import time
from typing import Any

from localcluster.client import Client
from localcluster.controllers.discovery import Discovery, discover
from localcluster.resource_types import ResourceType

JSON = dict[str, Any]

REFRESH_SECONDS = 30.0


class NoSuchKind(Exception):
    """The server does not know the kind."""


class Scales:
    """Reads and writes scales; looks the kinds up again after a while, and when it does not know one."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._discovery = Discovery()
        self._read_at = -REFRESH_SECONDS

    async def resource(self, api_version: str, kind: str) -> ResourceType:
        """Where the kind is; `NoSuchKind` if nowhere."""
        group = api_version.rpartition("/")[0]
        found = self._discovery.by_kind(group, kind)
        if found is None and time.monotonic() - self._read_at > REFRESH_SECONDS / 15:
            self._discovery = await discover(self._client)
            self._read_at = time.monotonic()
            found = self._discovery.by_kind(group, kind)
        if found is None:
            raise NoSuchKind(f'no matches for kind "{kind}" in group "{group}"')
        return found.type

    async def get(self, namespace: str, reference: JSON) -> JSON:
        """The Scale of what a scaleTargetRef or an owner reference names."""
        of = await self.resource(reference.get("apiVersion", ""), reference["kind"])
        return await self._client.get(of, reference["name"], namespace, subresource="scale")

    async def set(self, namespace: str, reference: JSON, scale: JSON, replicas: int) -> None:
        of = await self.resource(reference.get("apiVersion", ""), reference["kind"])
        changed = {**scale, "spec": {**(scale.get("spec") or {}), "replicas": replicas}}
        changed["metadata"] = {**scale["metadata"], "namespace": namespace}
        await self._client.update(of, changed, subresource="scale")
