"""The verbs of the Kubernetes API over the official client's connection: plain dicts in and out, typed errors."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, NamedTuple
from urllib.parse import urlencode

import aiohttp
from kubernetes.aio.client import ApiClient

from kubeless.cluster import errors
from kubeless.cluster.access import load_access
from kubeless.cluster.drift import is_up_to_date
from kubeless.cluster.errors import Gone, NotFound, Unreachable
from kubeless.cluster.resources import Resource, resource_of

JSON = dict[str, Any]
Objects = list[JSON]

REQUEST_SECONDS = 60.0
WATCH_SECONDS = 300
CONCURRENT_REQUESTS = 16
PAGE_SIZE = 500
FOLLOWED_PAGE_SIZE = 100
"""Smaller, because only one page at a time is in memory."""

_log = logging.getLogger(__name__)


class WatchEvent(NamedTuple):
    """`type` is ADDED, MODIFIED, DELETED or BOOKMARK."""

    type: str
    object: JSON


class _Page(NamedTuple):
    """A part of a list; `version` is the resourceVersion of the whole one."""

    items: Objects
    version: str


class Cluster:
    """One API server, on one event loop; an async context manager, or call `close`.

    Methods raise `ApiError` (its subclasses) for what the server refuses and `Unreachable` where no answer came.
    `requests` counts what was sent, by HTTP method.
    """

    def __init__(self, *, kubeconfig: str = "", context: str = "", user_agent: str = "kubeless") -> None:
        """Nothing is read before the first request; see `access.load_access` for where it looks."""
        self._kubeconfig = kubeconfig
        self._context = context
        self._user_agent = user_agent
        self._client: ApiClient | None = None
        self._opening = asyncio.Lock()
        self._slots = asyncio.Semaphore(CONCURRENT_REQUESTS)
        self.requests: dict[str, int] = {}

    async def __aenter__(self) -> Cluster:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        if self._client is not None:
            await self._client.close()  # type: ignore[no-untyped-call]
            self._client = None

    # ---- reading

    async def get(self, of: Resource, name: str, namespace: str = "") -> JSON:
        return await self.request("GET", of.path(namespace, name))

    async def find(self, of: Resource, name: str, namespace: str = "") -> JSON | None:
        """Like `get`, None if it does not exist."""
        try:
            return await self.get(of, name, namespace)
        except NotFound:
            return None

    async def list(
        self, of: Resource, namespace: str = "", *, label_selector: str = "", field_selector: str = ""
    ) -> Objects:
        """All of them, in a namespace or the cluster, each with its apiVersion and kind."""
        return (await self.snapshot(of, namespace, label_selector=label_selector, field_selector=field_selector))[0]

    async def snapshot(
        self, of: Resource, namespace: str = "", *, label_selector: str = "", field_selector: str = ""
    ) -> tuple[Objects, str]:
        """`list`, and the resourceVersion to watch from."""
        items: Objects = []
        version = ""
        async for page in self._pages(of, namespace, label_selector, field_selector, PAGE_SIZE):
            items += page.items
            version = page.version
        return items, version

    async def _pages(
        self, of: Resource, namespace: str, label_selector: str, field_selector: str, size: int
    ) -> AsyncIterator[_Page]:
        query = {"labelSelector": label_selector, "fieldSelector": field_selector, "limit": str(size)}
        while True:
            page = await self.request("GET", of.path(namespace), query=query)
            metadata = page.get("metadata") or {}
            items = page.get("items") or []
            yield _Page(
                [{**item, "apiVersion": of.api_version, "kind": of.kind} for item in items],
                metadata.get("resourceVersion") or "",
            )
            if not metadata.get("continue"):
                return
            query["continue"] = metadata["continue"]

    async def watch(
        self,
        of: Resource,
        namespace: str = "",
        *,
        resource_version: str,
        label_selector: str = "",
        field_selector: str = "",
    ) -> AsyncIterator[WatchEvent]:
        """What happens after `resource_version`, until the server ends the watch (about `WATCH_SECONDS`).

        Raises `Gone` if the version is too old, `Unreachable` if the connection breaks.
        """
        query = {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(WATCH_SECONDS),
            "resourceVersion": resource_version,
            "labelSelector": label_selector,
            "fieldSelector": field_selector,
        }
        # The server ends the watch; the margin finds a connection that died without a word.
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=WATCH_SECONDS + 30)
        async with self._answer("GET", of.path(namespace), query, None, "", timeout) as answer:
            rest = b""
            async for chunk in answer.content.iter_any():
                *complete, rest = (rest + chunk).split(b"\n")
                for line in filter(None, complete):
                    event = json.loads(line)
                    if event["type"] == "ERROR":
                        raise errors.from_status(event["object"])
                    yield WatchEvent(event["type"], event["object"])

    async def follow(
        self,
        of: Resource,
        namespace: str = "",
        *,
        label_selector: str = "",
        field_selector: str = "",
        on_listed: Callable[[], None] = lambda: None,
    ) -> AsyncIterator[WatchEvent]:
        """What there is (as ADDED) and what happens to it, for ever, over broken connections and restarts.

        Of an object that went while nobody watched a DELETED comes, with the metadata that `_identity` keeps of it.
        Raises `ApiError` if the first list is refused; later refusals are tried again. `on_listed` is called whenever
        a list has been told completely.
        """
        seen: dict[tuple[str, str], JSON] = {}
        version = ""
        listed = False
        pause = 0.0
        while True:
            started = asyncio.get_running_loop().time()
            came = False
            try:
                if not version:
                    present = set()
                    pages = self._pages(of, namespace, label_selector, field_selector, FOLLOWED_PAGE_SIZE)
                    listed_version = ""
                    async for page in pages:
                        listed_version = page.version
                        for item in page.items:
                            key = _key(item)
                            known = seen.get(key)
                            seen[key] = _identity(item)
                            present.add(key)
                            if known is None or _version(known) != _version(item):
                                yield WatchEvent("MODIFIED" if known else "ADDED", item)
                    for key in [key for key in seen if key not in present]:
                        yield WatchEvent("DELETED", seen.pop(key))
                    version = listed_version
                    listed = True
                    on_listed()
                async for event in self.watch(
                    of,
                    namespace,
                    resource_version=version,
                    label_selector=label_selector,
                    field_selector=field_selector,
                ):
                    pause, came = 0.0, True
                    version = _version(event.object)
                    if event.type == "DELETED":
                        seen.pop(_key(event.object), None)
                    elif event.type != "BOOKMARK":
                        seen[_key(event.object)] = _identity(event.object)
                    if event.type != "BOOKMARK":
                        yield event
                if not came and asyncio.get_running_loop().time() - started < 1:
                    raise Unreachable("the watch ended as soon as it began")
            except Gone:
                version = ""
            except errors.ClusterError as error:
                if isinstance(error, errors.ApiError) and not listed:
                    raise
                version = "" if isinstance(error, errors.ApiError) else version
                pause = min(max(2 * pause, 0.2), 10.0)
                _log.warning("watching %s: %s; again in %.1f s", of.plural, error, pause)
                await asyncio.sleep(pause)

    # ---- writing

    async def create(self, obj: JSON) -> JSON:
        of = resource_of(obj)
        return await self.request("POST", of.path(obj["metadata"].get("namespace", "")), body=obj)

    async def apply(self, obj: JSON, *, field_manager: str, force: bool = True, dry_run: bool = False) -> JSON:
        """Server-side apply: the fields in `obj` become the manager's, those that it had and are not in `obj` go.

        Without `force`, `Conflict` where another manager has a field with another value.
        """
        of, meta = resource_of(obj), obj["metadata"]
        query = {"fieldManager": field_manager, "force": "true" if force else "", "dryRun": "All" if dry_run else ""}
        return await self.request(
            "PATCH",
            of.path(meta.get("namespace", ""), meta["name"]),
            query=query,
            body=obj,
            content_type="application/apply-patch+yaml",
        )

    async def ensure(self, obj: JSON, live: JSON | None, *, field_manager: str) -> tuple[JSON, bool]:
        """`apply`, but nothing is sent if `live` (with its managedFields) has it all; and whether it was sent."""
        if live is not None and is_up_to_date(live, obj, field_manager):
            return live, False
        return await self.apply(obj, field_manager=field_manager), True

    async def patch(self, of: Resource, name: str, namespace: str, patch: JSON, *, subresource: str = "") -> JSON:
        """A merge patch."""
        path = of.path(namespace, name, subresource)
        return await self.request("PATCH", path, body=patch, content_type="application/merge-patch+json")

    async def patch_status(self, of: Resource, name: str, namespace: str, status: JSON) -> JSON:
        """A merge patch of the status; lists, such as conditions, are replaced."""
        return await self.patch(of, name, namespace, {"status": status}, subresource="status")

    async def replace(self, obj: JSON) -> JSON:
        """PUT; `Conflict` if its resourceVersion is not the newest."""
        of, meta = resource_of(obj), obj["metadata"]
        return await self.request("PUT", of.path(meta.get("namespace", ""), meta["name"]), body=obj)

    async def delete(
        self, of: Resource, name: str, namespace: str = "", *, uid: str = "", propagation: str = "Background"
    ) -> bool:
        """False if it does not exist; with `uid`, `Conflict` if another one has the name."""
        options: JSON = {"propagationPolicy": propagation}
        if uid:
            options["preconditions"] = {"uid": uid}
        try:
            await self.request("DELETE", of.path(namespace, name), body=options)
        except NotFound:
            return False
        return True

    # ---- plain requests

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Any = None,
        content_type: str = "application/json",
        seconds: float = REQUEST_SECONDS,
    ) -> JSON:
        """One request that is answered with an object; parameters without a value are left out."""
        timeout = aiohttp.ClientTimeout(total=seconds)
        async with self._slots, self._answer(method, path, query, body, content_type, timeout) as answer:
            content: JSON = json.loads(await answer.read())
            return content

    @contextlib.asynccontextmanager
    async def _answer(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None,
        body: Any,
        content_type: str,
        timeout: aiohttp.ClientTimeout,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        if parameters := urlencode({key: value for key, value in (query or {}).items() if value}):
            path = f"{path}?{parameters}"
        try:
            answer = await self._send(method, path, body, content_type, timeout)
            try:
                if answer.status >= 400:
                    raise errors.from_answer(answer.status, await answer.read())
                yield answer
            finally:
                answer.close() if not answer.content.at_eof() else answer.release()
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise Unreachable(f"{method} {path}: {error or type(error).__name__}") from error

    async def _send(
        self, method: str, path: str, body: Any, content_type: str, timeout: aiohttp.ClientTimeout
    ) -> aiohttp.ClientResponse:
        client = await self._open()
        for attempt in (1, 2):
            headers = {"Accept": "application/json"}
            if body is not None:
                headers["Content-Type"] = content_type
            # Without the body, which would be copied item by item: it is JSON already.
            _, url, headers, _, _ = await client.param_serialize(
                method, path, header_params=headers, auth_settings=["BearerToken"]
            )
            self.requests[method] = self.requests.get(method, 0) + 1
            answer: aiohttp.ClientResponse = (
                await client.call_api(method, url, header_params=headers, body=body, _request_timeout=timeout)
            ).response
            if answer.status != 401 or attempt == 2:
                break
            refusal = errors.from_answer(401, await answer.read())
            _log.info("credentials are read again: %s", refusal.message)
            await self._renew(client)
        return answer

    async def _open(self) -> ApiClient:
        async with self._opening:
            if self._client is None:
                self._client = ApiClient(await load_access(self._kubeconfig, self._context))
                self._client.user_agent = self._user_agent
            return self._client

    async def _renew(self, client: ApiClient) -> None:
        """Tokens of files and plugins are read once, and may have been renewed since. Connections stay, for watches."""
        async with self._opening:
            configuration = await load_access(self._kubeconfig, self._context)
            client.configuration.api_key = configuration.api_key


def _key(obj: JSON) -> tuple[str, str]:
    metadata = obj["metadata"]
    return metadata.get("namespace", ""), metadata["name"]


def _identity(obj: JSON) -> JSON:
    """What tells an object and those it belongs to; whole objects would be a second copy of what callers keep."""
    metadata = obj["metadata"]
    kept = ("name", "namespace", "uid", "resourceVersion", "labels", "ownerReferences")
    return {
        "apiVersion": obj.get("apiVersion"),
        "kind": obj.get("kind"),
        "metadata": {name: metadata[name] for name in kept if name in metadata},
    }


def _version(obj: JSON) -> str:
    version: str = obj["metadata"].get("resourceVersion") or ""
    return version
