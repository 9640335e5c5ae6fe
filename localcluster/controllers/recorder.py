"""Events as client-go records them: repeated ones are counted, similar ones combined, and floods held back."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any

from localcluster.client import ApiStatusError, Client, ClientError, NotFound, PatchType, Unreachable
from localcluster.controllers.times import format_micro_time, format_time, now
from localcluster.resource_types import EVENTS

JSON = dict[str, Any]
log = logging.getLogger(__name__)

MAX_REMEMBERED = 512
MAX_QUEUED = 2000
SIMILAR_EVENTS = 10
SIMILAR_SECONDS = 600.0
BURST_EVENTS = 25
REFILL_SECONDS = 300.0


@dataclass(slots=True)
class _Similar:
    messages: set[str] = field(default_factory=set)
    last: float = 0.0


@dataclass(slots=True)
class _Budget:
    tokens: float = BURST_EVENTS
    updated: float = 0.0


class _Remembered(OrderedDict[Any, Any]):
    """The last entries that were used."""

    def touch(self, key: Any, default: Any) -> Any:
        value = self.setdefault(key, default)
        self.move_to_end(key)
        if len(self) > MAX_REMEMBERED:
            self.popitem(last=False)
        return value


class Recorder:
    """Records events in the background; run `run` as a task.

    What the server refuses is dropped, as are events beyond the queue's length.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        self._queue: asyncio.Queue[tuple[str, JSON, str, str, str, str]] = asyncio.Queue(MAX_QUEUED)
        self._known = _Remembered()
        self._similar = _Remembered()
        self._budgets = _Remembered()
        self._last_stamp = 0

    def normal(self, component: str, about: JSON, reason: str, message: str) -> None:
        self.event(component, about, "Normal", reason, message)

    def warning(self, component: str, about: JSON, reason: str, message: str) -> None:
        self.event(component, about, "Warning", reason, message)

    def event(self, component: str, about: JSON, type: str, reason: str, message: str, action: str = "") -> None:
        """Record an event about an object; with `action`, in the form of events.k8s.io."""
        meta = about["metadata"]
        involved = {"kind": about["kind"], "namespace": meta.get("namespace"), "name": meta["name"]}
        involved |= {"uid": meta["uid"], "apiVersion": about["apiVersion"], "resourceVersion": meta["resourceVersion"]}
        if involved["namespace"] is None:
            del involved["namespace"]
        try:
            self._queue.put_nowait((component, involved, type, reason, message[:1024], action))
        except asyncio.QueueFull:
            log.warning("event dropped: %s %s", reason, message)

    async def run(self) -> None:
        while True:
            item = await self._queue.get()
            for attempt in range(12):
                try:
                    await self._record(*item)
                except Unreachable:
                    await asyncio.sleep(min(0.1 * 2**attempt, 5))
                    continue
                except ClientError as error:
                    log.debug("event refused: %s", error)
                break

    async def _record(self, component: str, involved: JSON, type: str, reason: str, message: str, action: str) -> None:
        about = (component, involved.get("namespace", ""), involved["kind"], involved["name"], involved["uid"])
        if not self._allowed(about):
            return
        message = self._combined((*about, type, reason), message)
        key = (*about, type, reason, message)
        known = self._known.get(key)
        moment = now()
        if known is not None:
            name, count = known
            patch: JSON = {"count": count + 1, "lastTimestamp": format_time(moment)}
            if action:
                patch = {"series": {"count": count + 1, "lastObservedTime": format_micro_time(moment)}}
            try:
                await self._client.patch(
                    EVENTS, name, patch, involved.get("namespace", "default"), type=PatchType.STRATEGIC
                )
            except NotFound:
                pass
            else:
                self._known.touch(key, None)
                self._known[key] = (name, count + 1)
                return
        event = self._make(component, involved, type, reason, message, action)
        try:
            await self._client.create(EVENTS, event)
        except ApiStatusError:
            self._known.pop(key, None)
            raise
        self._known.touch(key, None)
        self._known[key] = (event["metadata"]["name"], 1)

    def _make(self, component: str, involved: JSON, type: str, reason: str, message: str, action: str) -> JSON:
        moment = now()
        self._last_stamp = max(self._last_stamp + 1, time.time_ns())
        event: JSON = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {
                "name": f"{involved['name']}.{self._last_stamp:x}",
                "namespace": involved.get("namespace", "default"),
            },
            "involvedObject": involved,
            "type": type,
            "reason": reason,
            "message": message,
            "reportingComponent": component,
        }
        if action:
            event |= {"action": action, "eventTime": format_micro_time(moment), "reportingInstance": f"{component}-0"}
        else:
            event |= {"source": {"component": component}, "count": 1}
            event |= {"firstTimestamp": format_time(moment), "lastTimestamp": format_time(moment)}
        return event

    def _allowed(self, about: Any) -> bool:
        """A bucket of tokens for each object, so that one that fails all the time does not flood the server."""
        budget: _Budget = self._budgets.touch(about, _Budget(updated=time.monotonic()))
        moment = time.monotonic()
        budget.tokens = min(BURST_EVENTS, budget.tokens + (moment - budget.updated) / REFILL_SECONDS)
        budget.updated = moment
        if budget.tokens < 1:
            return False
        budget.tokens -= 1
        return True

    def _combined(self, key: Any, message: str) -> str:
        similar: _Similar = self._similar.touch(key, _Similar())
        moment = time.monotonic()
        if moment - similar.last > SIMILAR_SECONDS:
            similar.messages.clear()
        similar.last = moment
        if len(similar.messages) >= SIMILAR_EVENTS and message not in similar.messages:
            return "(combined from similar events): " + message
        similar.messages.add(message)
        return message
