"""Events about pods, worded and counted as a kubelet's."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from typing import Any

from localcluster.client import Client, ClientError, NotFound
from localcluster.node.status import now_text
from localcluster.resource_types import EVENTS

log = logging.getLogger(__name__)

JSON = dict[str, Any]

QUEUE_EVENTS = 1000
KNOWN_EVENTS = 4096
BURST_EVENTS = 25
"""A pod may have so many events at once, then one every REFILL_SECONDS, as client-go's spam filter has it."""
REFILL_SECONDS = 300.0


class Events:
    """Sends events in the background; those that cannot be sent are logged and dropped."""

    def __init__(self, client: Client, node_name: str) -> None:
        self._client = client
        self._node_name = node_name
        self._queue: asyncio.Queue[tuple[JSON, str, str, str, str]] = asyncio.Queue(QUEUE_EVENTS)
        self._known: OrderedDict[tuple[str, ...], JSON] = OrderedDict()
        self._tokens: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def normal(self, obj: JSON, reason: str, message: str, container: str = "") -> None:
        self._add(obj, "Normal", reason, message, container)

    def warning(self, obj: JSON, reason: str, message: str, container: str = "") -> None:
        self._add(obj, "Warning", reason, message, container)

    def _add(self, obj: JSON, kind: str, reason: str, message: str, field_path: str) -> None:
        uid = obj["metadata"].get("uid", "")
        tokens, at = self._tokens.pop(uid, (float(BURST_EVENTS), time.monotonic()))
        tokens = min(BURST_EVENTS, tokens + (time.monotonic() - at) / REFILL_SECONDS)
        self._tokens[uid] = (max(0.0, tokens - 1), time.monotonic())
        while len(self._tokens) > KNOWN_EVENTS:
            self._tokens.popitem(last=False)
        if tokens >= 1 and not self._queue.full():
            self._queue.put_nowait((obj, kind, reason, message, field_path))

    async def run(self) -> None:
        """Send until cancelled."""
        while True:
            obj, kind, reason, message, field_path = await self._queue.get()
            try:
                await self._send(obj, kind, reason, message, field_path)
            except ClientError as error:
                log.debug("event %s of %s: %s", reason, obj["metadata"]["name"], error)

    async def _send(self, obj: JSON, kind: str, reason: str, message: str, field_path: str) -> None:
        meta = obj["metadata"]
        key = (meta.get("uid", ""), kind, reason, message, field_path)
        known = self._known.get(key)
        namespace = meta.get("namespace") or "default"
        if known is not None:
            count = known["count"] + 1
            try:
                patch = {"count": count, "lastTimestamp": now_text()}
                await self._client.patch(EVENTS, known["name"], patch, namespace)
            except NotFound:
                del self._known[key]
            else:
                known["count"] = count
                self._known.move_to_end(key)
                return
        involved = {
            "apiVersion": obj.get("apiVersion", "v1"),
            "kind": obj.get("kind", "Pod"),
            "name": meta["name"],
            "uid": meta.get("uid", ""),
        }
        if meta.get("namespace"):
            involved["namespace"] = meta["namespace"]
        if meta.get("resourceVersion"):
            involved["resourceVersion"] = meta["resourceVersion"]
        if field_path:
            involved["fieldPath"] = field_path
        name = f"{meta['name']}.{time.time_ns():x}"
        stamp = now_text()
        event = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": name, "namespace": namespace},
            "involvedObject": involved,
            "reason": reason,
            "message": message[:1024],
            "type": kind,
            "source": {"component": "kubelet", "host": self._node_name},
            "firstTimestamp": stamp,
            "lastTimestamp": stamp,
            "count": 1,
            "reportingComponent": "kubelet",
            "reportingInstance": self._node_name,
        }
        await self._client.create(EVENTS, event, namespace)
        self._known[key] = {"name": name, "count": 1}
        while len(self._known) > KNOWN_EVENTS:
            self._known.popitem(last=False)
