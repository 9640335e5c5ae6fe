"""The store: every object in memory and in SQLite, versions that only rise, and the recent history for watches.

One event loop does all reading and writing, so a read followed by a write without an `await` between them is atomic.
A write is committed to SQLite (WAL) before anybody is told of it: what was acknowledged or seen by a watcher survives
``kill -9``. History is only in memory: after a restart, watches from before it get 410 Gone and list again, as they do
from a real API server whose watch cache is new.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import time
from bisect import bisect_left, bisect_right, insort
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

JSON = dict[str, Any]
log = logging.getLogger(__name__)

HISTORY_EVENTS = 4000
"""How many events of one resource are kept for watches that start in the past and for pages of an old list."""
HISTORY_SECONDS = 300.0
"""How long an event is kept; etcd's default compaction interval in Kubernetes is five minutes too."""
HISTORY_BYTES = 8 * 1024 * 1024
"""How much history of all resources together is kept, as JSON; beyond it the one that has most loses its oldest."""


class Exists(Exception):
    """Create of a key that is taken; `obj` is what has it."""

    def __init__(self, obj: JSON) -> None:
        super().__init__("exists")
        self.obj = obj


class Stale(Exception):
    """The object is not at the expected version, or gone."""


class Expired(Exception):
    """The wanted version is older than the history; `oldest` is the first that is still known."""

    def __init__(self, oldest: int) -> None:
        super().__init__(f"compacted up to {oldest}")
        self.oldest = oldest


@dataclass(slots=True, eq=False)
class Event:
    """One change. `obj` is the new state, or the last one with the version of the deletion; `old` the state before.

    Attributes:
        size: bytes of `obj` as JSON.
        waiting: how many watchers have yet to send it.
        frames: encodings of the event, for the watchers that want the same form; for as long as some are waiting.
    """

    version: int
    type: str
    storage: str
    key: str
    obj: JSON
    old: JSON | None
    size: int = 0
    waiting: int = 0
    frames: dict[Any, bytes] = field(default_factory=dict)


@dataclass(slots=True)
class _Past:
    """A change as the history keeps it: states as JSON text, which takes a fraction of the memory of objects.

    Texts are shared with the neighbours in time: what one change made is what the next one of the object replaced.
    `size` is the bytes of those that are not.
    """

    version: int
    type: str
    key: str
    data: bytes
    old: bytes | None
    size: int
    time: float

    def event(self, storage: str) -> Event:
        old = None if self.old is None else orjson.loads(self.old)
        return Event(self.version, self.type, storage, self.key, orjson.loads(self.data), old, len(self.data))


@dataclass(slots=True)
class _Table:
    """The objects of one resource by ``namespace/name``, their keys in order (etcd's), and what changed lately.

    Attributes:
        texts: the newest text in the history of each object that the history speaks of.
        history_bytes: what the history takes.
        compacted: the version of the newest change that was dropped from the history.
    """

    objects: dict[str, JSON] = field(default_factory=dict)
    keys: list[str] = field(default_factory=list)
    history: deque[_Past] = field(default_factory=deque)
    texts: dict[str, bytes] = field(default_factory=dict)
    history_bytes: int = 0
    compacted: int = 0
    watchers: dict[int, Callable[[Event], None]] = field(default_factory=dict)

    def remember(self, past: _Past) -> None:
        self.history.append(past)
        self.texts[past.key] = past.data
        self.history_bytes += past.size

    def forget_oldest(self) -> int:
        """Drop the oldest change; the answer is how many bytes that saves."""
        past = self.history.popleft()
        self.compacted = past.version
        if self.texts.get(past.key) is past.data:
            del self.texts[past.key]
        self.history_bytes -= past.size
        return past.size


class Store:
    """Objects by storage key (``apps/deployments``), namespace and name. Returned objects must not be changed."""

    def __init__(self, path: Path | str) -> None:
        if path != ":memory:":
            _make_private(Path(path))
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._db.execute("PRAGMA journal_mode=WAL")
        # A committed transaction then survives the end of the process, though not of the power.
        self._db.execute("PRAGMA synchronous=NORMAL")
        self._db.execute(
            "CREATE TABLE IF NOT EXISTS objects"
            " (storage TEXT, key TEXT, data BLOB NOT NULL, PRIMARY KEY (storage, key)) WITHOUT ROWID"
        )
        self._db.execute(
            "CREATE TABLE IF NOT EXISTS version (only_row INTEGER PRIMARY KEY CHECK (only_row = 1), value)"
        )
        self._db.execute("INSERT OR IGNORE INTO version VALUES (1, 1)")
        (self.version,) = self._db.execute("SELECT value FROM version").fetchone()
        self._opened_at = self.version
        self._tables: dict[str, _Table] = {}
        self._next_watcher = 0
        self._history_bytes = 0
        for storage, key, data in self._db.execute("SELECT * FROM objects ORDER BY 1, 2"):
            table = self._table(storage)
            table.objects[key] = orjson.loads(data)
            table.keys.append(key)

    def close(self) -> None:
        self._db.close()

    def seal(self) -> None:
        """Forget all history: versions until now can no longer be watched from. For the end of the server's start."""
        self._opened_at = self.version
        for table in self._tables.values():
            table.history.clear()
            table.texts.clear()
            table.history_bytes = 0
            table.compacted = self.version
        self._history_bytes = 0

    # ---- reading

    def get(self, storage: str, namespace: str, name: str) -> JSON | None:
        table = self._tables.get(storage)
        return table.objects.get(f"{namespace}/{name}") if table else None

    def list(self, storage: str, namespace: str | None = None) -> list[JSON]:
        """Objects in the order of namespace and name; of all namespaces if `namespace` is None."""
        table = self._tables.get(storage)
        if table is None:
            return []
        if namespace is None:
            return [table.objects[k] for k in table.keys]
        low = bisect_left(table.keys, f"{namespace}/")
        high = bisect_left(table.keys, f"{namespace}0")  # "0" comes right after "/"
        return [table.objects[k] for k in table.keys[low:high]]

    def count(self, storage: str) -> int:
        table = self._tables.get(storage)
        return len(table.objects) if table else 0

    def list_at(self, storage: str, version: int) -> Sequence[JSON]:
        """All objects as they were at a version. Expired if that is too long ago."""
        table = self._table(storage)
        if version >= self.version:
            return self.list(storage)
        if version < table.compacted:
            raise Expired(table.compacted)
        then = dict(table.objects)
        before: dict[str, bytes | None] = {}
        for past in reversed(table.history):
            if past.version <= version:
                break
            before[past.key] = past.old
        for key, text in before.items():
            if text is None:
                then.pop(key, None)
            else:
                then[key] = orjson.loads(text)
        return [then[k] for k in sorted(then)]

    # ---- writing

    def create(self, storage: str, obj: JSON) -> JSON:
        """Store a new object; it gets its resourceVersion. Raises Exists."""
        key = key_of(obj)
        table = self._table(storage)
        if key in table.objects:
            raise Exists(table.objects[key])
        self._write(storage, table, key, "ADDED", obj, None)
        return obj

    def update(self, storage: str, obj: JSON, old: JSON) -> JSON:
        """Replace `old`, which must be what is stored now (else Stale), by `obj`, which gets a new resourceVersion."""
        key = key_of(obj)
        table = self._table(storage)
        if table.objects.get(key) is not old:
            raise Stale
        self._write(storage, table, key, "MODIFIED", obj, old)
        return obj

    def delete(self, storage: str, old: JSON) -> JSON:
        """Remove `old`; the answer is its last state with the version of the deletion. Raises Stale."""
        key = key_of(old)
        table = self._table(storage)
        if table.objects.get(key) is not old:
            raise Stale
        last = {**old, "metadata": {**old["metadata"]}}
        self._write(storage, table, key, "DELETED", last, old)
        return last

    def _write(self, storage: str, table: _Table, key: str, kind: str, obj: JSON, old: JSON | None) -> None:
        version = self.version + 1
        obj["metadata"]["resourceVersion"] = str(version)
        obj["metadata"] = ordered_metadata(obj["metadata"])
        data = orjson.dumps(obj)
        db = self._db
        db.execute("BEGIN IMMEDIATE")
        try:
            if kind == "DELETED":
                db.execute("DELETE FROM objects WHERE storage=? AND key=?", (storage, key))
            else:
                db.execute("INSERT OR REPLACE INTO objects VALUES (?,?,?)", (storage, key, data))
            db.execute("UPDATE version SET value=?", (version,))
            db.execute("COMMIT")
        except BaseException:
            db.execute("ROLLBACK")
            raise
        self.version = version
        if kind == "DELETED":
            del table.objects[key]
            del table.keys[bisect_left(table.keys, key)]
        else:
            if kind == "ADDED":
                insort(table.keys, key)
            table.objects[key] = obj
        self._remember(table, version, kind, key, data, old)
        event = Event(version, kind, storage, key, obj, old, len(data))
        for tell in list(table.watchers.values()):
            try:
                tell(event)
            except Exception:
                # The write is done; neither its author nor the other subscribers are to pay for this one.
                log.exception("telling of %s %s %s", kind, storage, key)

    # ---- history and watching

    def _remember(self, table: _Table, version: int, kind: str, key: str, data: bytes, old: JSON | None) -> None:
        data = _exact(data)
        before = None if old is None else table.texts.get(key)
        size = len(data)
        if before is None and old is not None:
            before = _exact(orjson.dumps(old))
            size += len(before)
        table.remember(_Past(version, kind, key, data, before, size, time.monotonic()))
        self._history_bytes += size
        if len(table.history) > HISTORY_EVENTS:
            self._history_bytes -= table.forget_oldest()
        while self._history_bytes > HISTORY_BYTES:
            self._history_bytes -= max(self._tables.values(), key=lambda t: t.history_bytes).forget_oldest()

    def compact(self) -> int:
        """Drop history older than HISTORY_SECONDS; to be called now and then. The answer is how many bytes it took."""
        limit = time.monotonic() - HISTORY_SECONDS
        before = self._history_bytes
        for table in self._tables.values():
            while table.history and table.history[0].time < limit:
                self._history_bytes -= table.forget_oldest()
        return before - self._history_bytes

    def since(self, storage: str, version: int) -> Sequence[Event]:
        """What happened after a version. Expired if that is too long ago."""
        table = self._table(storage)
        if version < table.compacted:
            raise Expired(table.compacted)
        start = bisect_right(table.history, version, key=lambda e: e.version)
        return [table.history[i].event(storage) for i in range(start, len(table.history))]

    def subscribe(self, storage: str, tell: Callable[[Event], None]) -> Callable[[], None]:
        """Call `tell` with each change, in order, right after it was committed. The answer ends that."""
        watchers = self._table(storage).watchers
        self._next_watcher += 1
        number = self._next_watcher
        watchers[number] = tell

        def unsubscribe() -> None:
            watchers.pop(number, None)

        return unsubscribe

    def _table(self, storage: str) -> _Table:
        table = self._tables.get(storage)
        if table is None:
            table = self._tables[storage] = _Table(compacted=self._opened_at)
        return table


def _exact(text: bytes) -> bytes:
    """A copy for keeping: what orjson writes takes the next power of two of memory."""
    return bytes(memoryview(text))


def _make_private(path: Path) -> None:
    """Nobody but the owner may read the database, which holds Secrets; SQLite gives its other files the same mode."""
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    for file in (path, path.with_name(f"{path.name}-wal"), path.with_name(f"{path.name}-shm")):
        if file.exists():
            file.chmod(0o600)


_METADATA_ORDER = (
    "name",
    "generateName",
    "namespace",
    "selfLink",
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "labels",
    "annotations",
    "ownerReferences",
    "finalizers",
    "managedFields",
)


def ordered_metadata(meta: JSON) -> JSON:
    """ObjectMeta with its fields in the order of Go's type, in which real servers send them."""
    return {key: meta[key] for key in _METADATA_ORDER if key in meta} | meta


def key_of(obj: JSON) -> str:
    """``namespace/name``; cluster-scoped objects have an empty namespace."""
    meta = obj["metadata"]
    return f"{meta.get('namespace', '')}/{meta['name']}"
