"""watch: initial events, replay from a version, live events, bookmarks, and the end of the stream."""

from __future__ import annotations

import asyncio
import random
import time
from collections import deque
from collections.abc import Callable
from typing import Any

import orjson
from aiohttp import web

from localcluster.apiserver.errors import (
    NOT_SUPPORTED,
    FieldError,
    forbidden_field,
    gone,
    invalid,
)
from localcluster.apiserver.negotiation import Form
from localcluster.apiserver.store import Event, Expired
from localcluster.apiserver.verbs.call import Call, parse_version, plain_internal_error
from localcluster.apiserver.verbs.reading import matcher, metadata_only, table

JSON = dict[str, Any]

DEFAULT_TIMEOUT_SECONDS = 1800
"""A watch without timeoutSeconds ends after this long to twice as long, as the real server's do."""
BOOKMARK_SECONDS = 60.0
BOOKMARK_BEFORE_END_SECONDS = 2.0
MAX_QUEUED_EVENTS = 20_000
"""A watcher this far behind is cut off; it lists again, which is cheaper than holding its events."""
_MAX_VERSION = 2**62


class Watch:
    """One open watch: takes events from the store, and turns those that match into frames to send."""

    def __init__(self, call: Call) -> None:
        self.call = call
        self.matches = matcher(call)
        self.namespace = call.namespace
        self.form: Form = call.form
        self.bookmarks = call.flag("allowWatchBookmarks")
        self.frames: deque[bytes] = deque()
        self.wake = asyncio.Event()
        self.started_at = 0
        """The version that the client had when it came."""
        self.seen = 0
        """Up to here all is queued or sent."""
        self.unsubscribe: Callable[[], None] = lambda: None
        self.first_table = True
        self.overrun = False
        self._shared = (call.resource.api_version, self.form.media, self.form.transform)
        self._include = call.query.get("includeObject", "")

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
        self.unsubscribe = call.store.subscribe(call.resource.storage, self.tell)

    def _state(self) -> None:
        call = self.call
        for obj in call.store.list(call.resource.storage, self.namespace or None):
            shown = call.present(obj)
            if self.matches is None or self.matches(shown):
                self.frames.append(self._frame("ADDED", shown, None))

    def _replay(self, since: int) -> None:
        self.started_at = since
        try:
            events = self.call.store.since(self.call.resource.storage, since)
        except Expired as error:
            status = gone(f"too old resource version: {since} ({error.oldest})").status()
            self.frames.append(orjson.dumps({"type": "ERROR", "object": status}) + b"\n")
            self.overrun = True
            return
        for event in events:
            self.tell(event)

    # ---- events

    def tell(self, event: Event) -> None:
        """Queue a change of the store, as what it means to this watch."""
        if self.namespace and not event.key.startswith(self.namespace + "/"):
            return
        if event.version <= self.started_at:
            return
        self.seen = event.version
        kind = event.type
        if self.matches is not None:
            now = event.type != "DELETED" and self.matches(self.call.present(event.obj))
            before = event.old is not None and self.matches(self.call.present(event.old))
            if not now and not before:
                return
            kind = "MODIFIED" if now and before else "ADDED" if now else "DELETED"
        obj = event.obj
        if kind == "DELETED" and event.type == "MODIFIED" and event.old is not None:
            # It left the selection: the watcher gets what it knew, at the version of the change.
            meta = {**event.old["metadata"], "resourceVersion": str(event.version)}
            obj = {**event.old, "metadata": meta}
            frame = self._frame(kind, self.call.present(obj), None)
        else:
            frame = self._frame(kind, obj, event)
        self.frames.append(frame)
        if len(self.frames) > MAX_QUEUED_EVENTS:
            self.overrun = True
            self.unsubscribe()
        self.wake.set()

    def _frame(self, kind: str, obj: JSON, event: Event | None) -> bytes:
        cacheable = event is not None and self.form.transform != "Table"
        key = (*self._shared, kind)
        if cacheable and event is not None and key in event.frames:
            return event.frames[key]
        shown = self.call.present(obj)
        if self.form.transform == "Table":
            version = {"resourceVersion": shown["metadata"].get("resourceVersion", "")}
            body = table(self.call, [shown], version, self.first_table)
            self.first_table = False
        elif self.form.transform.startswith("PartialObjectMetadata"):
            body = metadata_only(shown)
        else:
            body = shown
        frame = self.form.write({"type": kind, "object": body})
        if cacheable and event is not None:
            event.frames[key] = frame
        return frame

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
        self.frames.append(self.form.write({"type": "BOOKMARK", "object": body}))

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
                if self.frames:
                    data = b"".join(self.frames)
                    self.frames.clear()
                    await response.write(data)
                    continue
                now = time.monotonic()
                if self.overrun or now >= end or stopping.is_set():
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
            self.unsubscribe()


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
    except (ConnectionError, asyncio.CancelledError):
        watch.unsubscribe()
    return response


async def _wake_on(stopping: asyncio.Event, watch: Watch) -> None:
    await stopping.wait()
    watch.wake.set()
