"""watch: initial events, replay from a version, live events, bookmarks, and the end of the stream.

A write only queues its event here. What it means to a watch and how that is encoded is found out in the watch's own
stream: no watch can fail or delay a writer, and a slow client holds objects that others hold too, not texts.
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import random
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import orjson
from aiohttp import web

from localcluster.apiserver.errors import (
    NOT_SUPPORTED,
    APIError,
    FieldError,
    forbidden_field,
    gone,
    internal,
    invalid,
)
from localcluster.apiserver.negotiation import Form
from localcluster.apiserver.store import Event, Expired
from localcluster.apiserver.verbs.call import Call, parse_version, plain_internal_error
from localcluster.apiserver.verbs.reading import matcher, metadata_only, table

JSON = dict[str, Any]
log = logging.getLogger(__name__)

DEFAULT_TIMEOUT_SECONDS = 1800
"""A watch without timeoutSeconds ends after this long to twice as long, as the real server's do."""
BOOKMARK_SECONDS = 60.0
BOOKMARK_BEFORE_END_SECONDS = 2.0
MAX_QUEUED_EVENTS = 20_000
"""A watcher this far behind is cut off; it lists again, which is cheaper than holding its events."""
MAX_QUEUED_BYTES = 32 * 1024 * 1024
"""The same, in bytes of the queued objects' JSON."""
BATCH_BYTES = 64 * 1024
"""About how much is encoded before it is sent and others have their turn."""
_DEFINITIONS = "apiextensions.k8s.io/customresourcedefinitions"


@dataclass(frozen=True, slots=True)
class _Listed:
    """An object that was there when the watch began."""

    obj: JSON


class Watch:
    """One open watch: takes events from the store, and turns those that match into frames to send."""

    def __init__(self, call: Call) -> None:
        self.call = call
        self.matches = matcher(call)
        self.namespace = call.namespace
        # Frames are lines: one that is indented could not be told from the next.
        self.form: Form = dataclasses.replace(call.form, pretty=False)
        self.bookmarks = call.flag("allowWatchBookmarks")
        self.queue: deque[Event | _Listed | bytes] = deque()
        """What is to be sent; bytes are frames already."""
        self.queued_bytes = 0
        self.wake = asyncio.Event()
        self.started_at = 0
        """The version that the client had when it came."""
        self.seen = 0
        """Up to here all is queued or sent."""
        self.ending = False
        """Whether the stream ends when what is queued is sent."""
        self.first_table = True
        self._subscriptions: list[Callable[[], None]] = []

    # ---- start

    def start(self) -> None:
        """Queue what the client is to see first. Raises APIError where the options are wrong."""
        call = self.call
        query = call.query
        _check_options(call)
        text = query.get("resourceVersion", "")
        try:
            since = parse_version(text) if text else 0
        except ValueError as error:
            raise plain_internal_error(f'resourceVersion: Invalid value: "{text}": {error}') from None
        current = call.store.version
        initial = query.get("sendInitialEvents")
        self.started_at = self.seen = current
        if initial is not None and initial.lower() not in ("0", "f", "false"):
            self._state()
            if self.bookmarks:
                self._bookmark({"k8s.io/initial-events-end": "true"})
        elif since == 0 and initial is None:
            self._state()
        elif since > current:
            self.started_at = self.seen = since
        elif since:
            self._replay(since)
        if self.ending:
            return
        self._subscriptions.append(call.store.subscribe(call.resource.storage, self.tell))
        if call.resource.crd is not None:
            self._subscriptions.append(call.store.subscribe(_DEFINITIONS, self._definition_changed))

    def _state(self) -> None:
        call = self.call
        self.queue.extend(map(_Listed, call.store.list(call.resource.storage, self.namespace or None)))

    def _replay(self, since: int) -> None:
        self.started_at = since
        try:
            events = self.call.store.since(self.call.resource.storage, since)
        except Expired as error:
            self._fail(gone(f"too old resource version: {since} ({error.oldest})"))
            return
        for event in events:
            self.tell(event)

    # ---- events

    def tell(self, event: Event) -> None:
        """Queue a change of the store."""
        if self.ending or (self.namespace and not event.key.startswith(self.namespace + "/")):
            return
        if event.version <= self.started_at:
            return
        self.seen = event.version
        event.waiting += 1
        self.queue.append(event)
        self.queued_bytes += event.size
        if len(self.queue) > MAX_QUEUED_EVENTS or self.queued_bytes > MAX_QUEUED_BYTES:
            self.end()
        self.wake.set()

    def _definition_changed(self, event: Event) -> None:
        """A watch does not outlive the definition by which it was opened."""
        resource = self.call.resource
        if event.key != f"/{resource.plural}.{resource.group}":
            return
        if event.type == "DELETED" or event.old is None or event.old["spec"] != event.obj["spec"]:
            self.end()

    def end(self) -> None:
        """Take no more events, and end the stream when what is queued is sent."""
        self.ending = True
        self.unsubscribe()
        self.wake.set()

    def unsubscribe(self) -> None:
        for unsubscribe in self._subscriptions:
            unsubscribe()
        self._subscriptions.clear()

    def _fail(self, error: APIError) -> None:
        self.queue.append(orjson.dumps({"type": "ERROR", "object": error.status()}) + b"\n")
        self.end()

    # ---- frames

    def _batch(self) -> bytes:
        """What to send next of what is queued; empty if nothing of it concerns this watch."""
        frames: list[bytes] = []
        size = 0
        while self.queue and size < BATCH_BYTES:
            item = self.queue.popleft()
            try:
                frame = self._frame_of(item)
            except Exception:
                log.exception("encoding an event of a watch on %s", self.call.resource.storage)
                self._drop_queue()
                self._fail(internal("an event could not be encoded"))
                continue
            finally:
                if isinstance(item, Event):
                    self._sent(item)
            if frame:
                frames.append(frame)
                size += len(frame)
        return b"".join(frames)

    def _sent(self, event: Event) -> None:
        self.queued_bytes -= event.size
        event.waiting -= 1
        if not event.waiting:
            event.frames.clear()

    def _drop_queue(self) -> None:
        for item in self.queue:
            if isinstance(item, Event):
                self._sent(item)
        self.queue.clear()

    def _frame_of(self, item: Event | _Listed | bytes) -> bytes:
        """The frame of something queued; empty where it is nothing to this watch."""
        if isinstance(item, bytes):
            return item
        if isinstance(item, _Listed):
            shown = self.call.present(item.obj)
            return b"" if self.matches is not None and not self.matches(shown) else self._encoded("ADDED", shown)
        kind = item.type
        if self.matches is not None:
            now = item.type != "DELETED" and self.matches(self.call.present(item.obj))
            before = item.old is not None and self.matches(self.call.present(item.old))
            if not now and not before:
                return b""
            kind = "MODIFIED" if now and before else "ADDED" if now else "DELETED"
        if kind == "DELETED" and item.type == "MODIFIED" and item.old is not None:
            # It left the selection: the watcher gets what it knew, at the version of the change.
            meta = {**item.old["metadata"], "resourceVersion": str(item.version)}
            return self._encoded(kind, self.call.present({**item.old, "metadata": meta}))
        if self.form.transform == "Table":
            return self._encoded(kind, self.call.present(item.obj))
        key = (self.call.resource.api_version, self.form, kind)
        frame = item.frames.get(key)
        if frame is None:
            frame = item.frames[key] = self._encoded(kind, self.call.present(item.obj))
        return frame

    def _encoded(self, kind: str, shown: JSON) -> bytes:
        if self.form.transform == "Table":
            version = {"resourceVersion": shown["metadata"].get("resourceVersion", "")}
            body = table(self.call, [shown], version, self.first_table)
            self.first_table = False
        elif self.form.transform.startswith("PartialObjectMetadata"):
            body = metadata_only(shown)
        else:
            body = shown
        return self.form.write({"type": kind, "object": body})

    def _bookmark(self, annotations: dict[str, str] | None = None) -> None:
        resource = self.call.resource
        meta: JSON = {"resourceVersion": str(self.seen), "creationTimestamp": None}
        if annotations:
            meta["annotations"] = annotations
        body: JSON = {"kind": resource.kind, "apiVersion": resource.api_version, "metadata": meta}
        if self.form.transform == "Table":
            body = {"kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": meta, "rows": []}
            body["columnDefinitions"] = None
        elif self.form.transform.startswith("PartialObjectMetadata"):
            body = {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": meta}
        self.queue.append(self.form.write({"type": "BOOKMARK", "object": body}))

    # ---- the stream

    async def stream(self, response: web.StreamResponse, stopping: asyncio.Event) -> None:
        """Send frames until the timeout, the server's end or a lagging client; bookmarks in between.

        A bookmark is only sent where the version has moved since the watch began.
        """
        wanted = self.call.integer("timeoutSeconds")
        length = wanted or DEFAULT_TIMEOUT_SECONDS * (1 + random.random())  # noqa: S311
        end = time.monotonic() + length
        before_end = end - min(BOOKMARK_BEFORE_END_SECONDS, length / 2)
        next_bookmark = min(time.monotonic() + BOOKMARK_SECONDS, before_end)
        try:
            while True:
                if self.queue:
                    data = self._batch()
                    if data:
                        await response.write(data)
                    if self.queue:
                        await asyncio.sleep(0)
                    continue
                now = time.monotonic()
                if self.ending or now >= end or stopping.is_set():
                    return
                if now >= next_bookmark:
                    next_bookmark = min(now + BOOKMARK_SECONDS, before_end) if now < before_end else end
                    # What was committed was told at once: nothing of this resource is missing up to the newest version.
                    self.seen = max(self.seen, self.call.store.version)
                    if self.bookmarks and self.seen > self.started_at:
                        self._bookmark()
                        continue
                self.wake.clear()
                until = min(end, next_bookmark)
                try:
                    async with asyncio.timeout(max(until - now, 0.0)):
                        await self.wake.wait()
                except TimeoutError:
                    pass
        finally:
            self.close()

    def close(self) -> None:
        """Let go of the store and of what is queued."""
        self.unsubscribe()
        self._drop_queue()


def _check_options(call: Call) -> None:
    query = call.query
    errors: list[FieldError] = []
    path, match, initial = "resourceVersionMatch", query.get("resourceVersionMatch", ""), "sendInitialEvents" in query
    if query.get("continue"):
        errors.append(forbidden_field(path, f"{path} is forbidden when continue is provided"))
    elif initial and match != "NotOlderThan":
        errors.append(forbidden_field(path, f"sendInitialEvents requires setting {path} to NotOlderThan"))
    elif match and not initial:
        errors.append(forbidden_field(path, f"{path} is forbidden for watch unless sendInitialEvents is provided"))
    if match and match != "NotOlderThan":
        errors.append(FieldError(NOT_SUPPORTED, path, match, 'supported values: "NotOlderThan"'))
    if errors:
        raise invalid("meta.k8s.io", "ListOptions", "", errors)


async def serve(call: Call, request: web.Request, stopping: asyncio.Event) -> web.StreamResponse:
    """Open the watch and send it. `stopping` ends it cleanly when the server stops."""
    watch = Watch(call)
    call.integer("timeoutSeconds")
    watch.start()
    response = web.StreamResponse(headers={"Content-Type": call.form.media, "Cache-Control": "no-cache, private"})
    response.enable_chunked_encoding()
    try:
        await response.prepare(request)
        # Stops are noticed at once: the event wakes the stream's loop.
        waker = asyncio.ensure_future(_wake_on(stopping, watch))
        try:
            await watch.stream(response, stopping)
        finally:
            waker.cancel()
        await response.write_eof()
    except ConnectionError:
        pass
    finally:
        watch.close()
    return response


async def _wake_on(stopping: asyncio.Event, watch: Watch) -> None:
    await stopping.wait()
    watch.wake.set()
