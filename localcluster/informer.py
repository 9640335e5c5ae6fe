"""A local copy of a resource that follows the API server, and the workers that reconcile what changes in it.

The copy also takes in the answers to its own writes, so a controller that reads what it has just written never acts
on the state before.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import Awaitable, Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from localcluster.client import (
    JSON,
    ApiStatusError,
    Client,
    ClientError,
    Gone,
    NotFound,
    PatchType,
    Unreachable,
)
from localcluster.resource_types import ResourceType
from localcluster.workqueue import WorkQueue

K = TypeVar("K", bound=Hashable)
log = logging.getLogger(__name__)

RECONNECT_SECONDS = (0.05, 5.0)
LIST_PAGE_OBJECTS = 500

Handler = Callable[[JSON | None, JSON | None], None]
"""Called with the object before and after: None before when it is new, None after when it is gone."""
Indexer = Callable[[JSON], Iterable[str]]
Key = tuple[str, str]
"""Namespace (empty for cluster-wide objects) and name."""


def key_of(obj: JSON) -> Key:
    meta = obj["metadata"]
    return meta.get("namespace", ""), meta["name"]


def version_of(obj: JSON) -> int:
    """resourceVersions are ordered within a resource since Kubernetes 1.35 (KEP-5504)."""
    return int(obj["metadata"].get("resourceVersion") or 0)


def without_managed_fields(obj: JSON) -> JSON:
    """The part that takes most memory and no controller reads; a later update without it leaves it as it is."""
    obj["metadata"].pop("managedFields", None)
    return obj


class Informer:
    """Lists and watches a resource and keeps its objects, which must not be changed in place.

    Args:
        trim: takes what will not be read out of an object before it is kept.
        indexers: by the index' name, the values under which `by_index` finds an object.
    """

    def __init__(
        self,
        client: Client,
        of: ResourceType,
        *,
        namespace: str | None = None,
        label_selector: str = "",
        field_selector: str = "",
        metadata_only: bool = False,
        indexers: Mapping[str, Indexer] | None = None,
        trim: Callable[[JSON], JSON] = without_managed_fields,
    ) -> None:
        self.client = client
        self.of = of
        self.namespace = namespace
        self.synced = asyncio.Event()
        """Set while the copy is complete: after the first list, and again after each list that an unsure write made
        necessary."""
        self._label_selector = label_selector
        self._field_selector = field_selector
        self._metadata_only = metadata_only
        self._trim = trim
        self._indexers = dict(indexers or {})
        self._indices: dict[str, dict[str, dict[Key, JSON]]] = {name: {} for name in self._indexers}
        self._objects: dict[Key, JSON] = {}
        self._removed_uids: set[str] = set()
        self._handlers: list[Handler] = []
        self._seen_version = 0
        self._must_list = True
        self._watching: asyncio.Task[None] | None = None

    # ---- reading

    def get(self, namespace: str, name: str) -> JSON | None:
        return self._objects.get((namespace, name))

    def list(self, namespace: str | None = None) -> Sequence[JSON]:
        if namespace is None:
            return list(self._objects.values())
        return [obj for key, obj in self._objects.items() if key[0] == namespace]

    def by_index(self, index: str, value: str) -> Sequence[JSON]:
        return list(self._indices[index].get(value, {}).values())

    def add_index(self, name: str, indexer: Indexer) -> None:
        if name in self._indexers:
            return
        self._indexers[name] = indexer
        self._indices[name] = {}
        for key, obj in self._objects.items():
            for value in indexer(obj):
                self._indices[name].setdefault(value, {})[key] = obj

    def add_handler(self, handler: Handler) -> None:
        """From now on `handler` hears of every change; of what is there already it hears at once."""
        self._handlers.append(handler)
        for obj in list(self._objects.values()):
            self._tell(handler, None, obj)

    def __len__(self) -> int:
        return len(self._objects)

    # ---- writing: the answers are taken in at once

    async def create(self, obj: JSON, namespace: str | None = None) -> JSON:
        with self._unsure():
            return self.observe(await self.client.create(self.of, obj, namespace))

    async def update(self, obj: JSON, *, subresource: str = "") -> JSON:
        with self._unsure():
            return self.observe(await self.client.update(self.of, obj, subresource=subresource))

    async def update_status(self, obj: JSON) -> JSON:
        return await self.update(obj, subresource="status")

    async def patch(
        self,
        obj: JSON,
        patch: Any,
        *,
        type: PatchType = PatchType.MERGE,
        subresource: str = "",
        field_manager: str = "",
    ) -> JSON:
        """Patch the object that `obj` is a copy of."""
        namespace, name = key_of(obj)
        with self._unsure():
            answer = await self.client.patch(
                self.of, name, patch, namespace, type=type, subresource=subresource, field_manager=field_manager
            )
            return self.observe(answer)

    async def delete(
        self, obj: JSON, *, propagation: str = "", grace_period_seconds: int | None = None, bind_version: bool = False
    ) -> None:
        """Delete this object and no later one of the same name; that it is gone already is no error."""
        namespace, name = key_of(obj)
        uid = obj["metadata"]["uid"]
        with self._unsure():
            try:
                answer = await self.client.delete(
                    self.of,
                    name,
                    namespace,
                    propagation=propagation,
                    grace_period_seconds=grace_period_seconds,
                    uid=uid,
                    resource_version=obj["metadata"]["resourceVersion"] if bind_version else "",
                )
            except NotFound:
                answer = {}
        # A pod that no node runs goes at once and is answered with a grace period of 0; the watch tells for sure.
        if answer.get("kind", "Status") == "Status":
            if (current := self._objects.get((namespace, name))) is not None and current["metadata"]["uid"] == uid:
                self._removed_uids.add(uid)
                self._replace((namespace, name), None)
        elif answer.get("metadata", {}).get("uid") == uid:
            self.observe(answer)

    def observe(self, obj: JSON) -> JSON:
        """Take in the answer to a write, unless the watch has told of it or of something later already."""
        if not isinstance(obj, dict) or "metadata" not in obj:
            return obj
        key = key_of(obj)
        current = self._objects.get(key)
        newest = max(self._seen_version, version_of(current) if current is not None else 0)
        if version_of(obj) > newest and self._is_ours(obj):
            obj = self._trim(obj)
            if _is_gone(obj):
                self._removed_uids.add(obj["metadata"]["uid"])
                self._replace(key, None)
            else:
                self._replace(key, obj)
        return obj

    @contextlib.contextmanager
    def _unsure(self) -> Iterator[None]:
        """A write without an answer may have been done: the copy counts only after the next list."""
        try:
            yield
        except Unreachable:
            self.relist()
            raise

    def _is_ours(self, obj: JSON) -> bool:
        return (
            obj.get("kind") in (self.of.kind, "PartialObjectMetadata")
            and not self._label_selector
            and not self._field_selector
            and self.namespace in (None, obj["metadata"].get("namespace"))
        )

    def relist(self) -> None:
        """Begin again with a list; `synced` is clear until then."""
        self._must_list = True
        self.synced.clear()
        if self._watching is not None:
            self._watching.cancel()

    # ---- following

    async def run(self) -> None:
        """Follow the resource until cancelled; waits longer and longer while the server does not answer."""
        delay = RECONNECT_SECONDS[0]
        loop = asyncio.get_running_loop()
        while True:
            started = loop.time()
            asked = 0.0
            try:
                while self._must_list:
                    await self._list()
                self._watching = asyncio.ensure_future(self._watch())
                try:
                    await asyncio.wait([self._watching])
                finally:
                    self._watching.cancel()
                if not self._watching.cancelled():
                    self._watching.result()
            except Gone:
                self._must_list = True
            except Exception as error:
                # A custom resource whose definition was deleted is not found until its informer is stopped.
                level = logging.DEBUG if isinstance(error, (Unreachable, NotFound)) else logging.WARNING
                log.log(level, "watching %s: %s", self.of.qualified, error)
                asked = error.retry_after_seconds if isinstance(error, ApiStatusError) else 0.0
            if loop.time() - started > RECONNECT_SECONDS[1]:
                delay = RECONNECT_SECONDS[0]
            await asyncio.sleep(max(asked, delay * random.uniform(0.8, 1.2)))  # noqa: S311
            delay = min(delay * 2, RECONNECT_SECONDS[1])

    async def _list(self) -> None:
        self._must_list = False
        try:
            items: dict[Key, JSON] = {}
            page: JSON = {"metadata": {}}
            token = ""
            while True:
                page = await self.client.list(
                    self.of,
                    self.namespace,
                    label_selector=self._label_selector,
                    field_selector=self._field_selector,
                    limit=LIST_PAGE_OBJECTS,
                    continue_=token,
                    metadata_only=self._metadata_only,
                )
                for item in page.get("items") or []:
                    item.setdefault("apiVersion", self.of.api_version)
                    item.setdefault("kind", self.of.kind)
                    items[key_of(item)] = self._trim(item)
                if not (token := page["metadata"].get("continue", "")):
                    break
        except BaseException:
            self._must_list = True
            raise
        listed_version = int(page["metadata"]["resourceVersion"])
        self._removed_uids = {
            uid for uid in self._removed_uids if any(i["metadata"]["uid"] == uid for i in items.values())
        }
        for key in [k for k, obj in self._objects.items() if k not in items and version_of(obj) <= listed_version]:
            self._replace(key, None)
        for key, item in items.items():
            self._take_in(key, item)
        self._seen_version = max(self._seen_version, listed_version)
        if not self._must_list:
            self.synced.set()

    async def _watch(self) -> None:
        events = self.client.watch(
            self.of,
            self.namespace,
            resource_version=str(self._seen_version),
            label_selector=self._label_selector,
            field_selector=self._field_selector,
            metadata_only=self._metadata_only,
        )
        async with contextlib.aclosing(events) as stream:
            async for event, obj in stream:
                version = version_of(obj)
                if event != "BOOKMARK":
                    if event == "DELETED":
                        self._take_out(key_of(obj), obj, version)
                    else:
                        self._take_in(key_of(obj), self._trim(obj))
                self._seen_version = max(self._seen_version, version)

    def _take_in(self, key: Key, obj: JSON) -> None:
        current = self._objects.get(key)
        if obj["metadata"]["uid"] in self._removed_uids:
            return
        if current is None or version_of(obj) > version_of(current):
            self._replace(key, obj)

    def _take_out(self, key: Key, obj: JSON, version: int) -> None:
        self._removed_uids.discard(obj["metadata"]["uid"])
        current = self._objects.get(key)
        if current is not None and version_of(current) <= version:
            self._replace(key, None)

    def _replace(self, key: Key, new: JSON | None) -> None:
        old = self._objects.pop(key, None) if new is None else self._objects.get(key)
        if new is not None:
            self._objects[key] = new
        for name, indexer in self._indexers.items():
            index = self._indices[name]
            for value in indexer(old) if old is not None else ():
                entries = index.get(value)
                if entries is not None:
                    entries.pop(key, None)
                    if not entries:
                        del index[value]
            for value in indexer(new) if new is not None else ():
                index.setdefault(value, {})[key] = new  # type: ignore[assignment]
        if old is None and new is None:
            return
        for handler in self._handlers:
            self._tell(handler, old, new)

    def _tell(self, handler: Handler, old: JSON | None, new: JSON | None) -> None:
        """A handler that fails keeps neither the others from the event nor the copy from what follows."""
        try:
            handler(old, new)
        except Exception:
            log.exception("a handler of %s failed", self.of.qualified)


def _is_gone(obj: JSON) -> bool:
    """Whether the answer to a delete or to the removal of a finalizer is an object's last state."""
    meta = obj["metadata"]
    # What holds a Namespace is in its spec.
    held = meta.get("finalizers") or meta.get("deletionGracePeriodSeconds") or obj.get("kind") == "Namespace"
    return bool(meta.get("deletionTimestamp")) and not held


async def work(
    queue: WorkQueue[K],
    reconcile: Callable[[K], Awaitable[None]],
    *,
    name: str,
    needs: Iterable[Informer] = (),
    retry_unreachable_seconds: float = 1.0,
) -> None:
    """Take keys and reconcile them until cancelled; what fails is tried again after a growing wait.

    Args:
        needs: informers that must be complete before each key is looked at.
        retry_unreachable_seconds: the longest wait while the server does not answer.
    """
    informers = list(needs)
    while True:
        key = await queue.get()
        try:
            for informer in informers:
                await informer.synced.wait()
            await reconcile(key)
        except Unreachable as error:
            log.debug("%s %s: %s", name, key, error)
            queue.add_rate_limited(key, retry_unreachable_seconds)
        except ClientError as error:
            log.debug("%s %s: %s", name, key, error)
            asked = error.retry_after_seconds if isinstance(error, ApiStatusError) else 0.0
            queue.add_rate_limited(key, min_seconds=asked)
        except Exception:
            log.exception("%s %s", name, key)
            queue.add_rate_limited(key)
        else:
            queue.forget(key)
        finally:
            queue.done(key)
