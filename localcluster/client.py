"""An asynchronous client of the Kubernetes API: typed errors, the verbs, the four patch types and watches.

Works on any cluster that a kubeconfig (or a pod's service account) gives access to. Objects are plain dicts.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import time
from collections.abc import AsyncGenerator, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
import orjson

from localcluster import kubeconfig
from localcluster.client_errors import (
    AlreadyExists,
    ApiStatusError,
    ClientError,
    Conflict,
    Forbidden,
    Gone,
    NotFound,
    Unreachable,
    error_of,
    status_error,
)
from localcluster.kubeconfig import Access
from localcluster.resource_types import ResourceType

__all__ = [
    "AlreadyExists", "ApiStatusError", "Client", "ClientError", "Conflict", "Forbidden", "Gone", "NotFound",
    "PatchType", "Unreachable", "WatchEvent", "status_error",
]  # fmt: skip

JSON = dict[str, Any]

TOKEN_REFRESH_SECONDS = 60.0
REQUEST_TIMEOUT_SECONDS = 60.0
WATCH_TIMEOUT_SECONDS = 600
MAX_CONCURRENT_REQUESTS = 8
TOO_MANY_REQUESTS = 429

METADATA_ONLY = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json"
METADATA_ONLY_LIST = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json"


class PatchType(StrEnum):
    """The Content-Types of PATCH."""

    JSON = "application/json-patch+json"
    MERGE = "application/merge-patch+json"
    STRATEGIC = "application/strategic-merge-patch+json"
    APPLY = "application/apply-patch+yaml"


class WatchEvent(NamedTuple):
    """`type` is ADDED, MODIFIED, DELETED or BOOKMARK; errors are raised instead."""

    type: str
    object: JSON


class Client:
    """Connections to one API server, reused and limited; use as an async context manager or call `close`.

    Requests fail with `ApiStatusError` (its subclasses) or `Unreachable`.
    """

    def __init__(
        self,
        server: str,
        *,
        tls: ssl.SSLContext | None = None,
        headers: Mapping[str, str] | None = None,
        token_file: Path | None = None,
        tls_server_name: str = "",
        user_agent: str = "localcluster",
    ) -> None:
        self.server = server.rstrip("/")
        self.tls = tls
        self.certificate_authority = b""
        self._headers = {"User-Agent": user_agent, **(headers or {})}
        self._token_file = token_file
        self._tls_server_name = tls_server_name or None
        self._token_read_at = -TOKEN_REFRESH_SECONDS
        self._session: aiohttp.ClientSession | None = None
        self._slots = asyncio.Semaphore(MAX_CONCURRENT_REQUESTS)

    # ---- where the cluster is

    @classmethod
    def from_kubeconfig(cls, path: str | Path, context: str = "", user_agent: str = "localcluster") -> Client:
        """The current (or named) context of a kubeconfig."""
        return cls.to(kubeconfig.load(Path(path), context), user_agent)

    @classmethod
    def in_cluster(cls, user_agent: str = "localcluster") -> Client:
        """From inside a pod, as its service account."""
        return cls.to(kubeconfig.in_cluster(), user_agent)

    @classmethod
    def to(cls, access: Access, user_agent: str = "localcluster") -> Client:
        headers = {"Authorization": f"Bearer {access.token}"} if access.token else {}
        client = cls(
            access.server,
            tls=access.tls,
            headers=headers,
            token_file=access.token_file,
            tls_server_name=access.tls_server_name if access.tls is not None else "",
            user_agent=user_agent,
        )
        client.certificate_authority = access.certificate_authority
        return client

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    # ---- verbs

    async def get(self, of: ResourceType, name: str, namespace: str | None = None, *, subresource: str = "") -> JSON:
        return await self.request("GET", of.path(namespace, name, subresource))

    async def list(
        self,
        of: ResourceType,
        namespace: str | None = None,
        *,
        label_selector: str = "",
        field_selector: str = "",
        limit: int = 0,
        continue_: str = "",
        resource_version: str = "",
        metadata_only: bool = False,
    ) -> JSON:
        """The List object, one page of it where `limit` is given."""
        query = _query(label_selector, field_selector)
        if limit:
            query["limit"] = str(limit)
        if continue_:
            query["continue"] = continue_
        if resource_version:
            query["resourceVersion"] = resource_version
        headers = {"Accept": METADATA_ONLY_LIST} if metadata_only else None
        return await self.request("GET", of.path(namespace), query=query, headers=headers)

    async def create(
        self, of: ResourceType, obj: JSON, namespace: str | None = None, *, name: str = "", subresource: str = ""
    ) -> JSON:
        """Create; `name` and `subresource` for POSTs to a subresource (``binding``, ``eviction``, ``token``)."""
        namespace = namespace or obj.get("metadata", {}).get("namespace")
        return await self.request("POST", of.path(namespace, name, subresource), body=obj)

    async def update(self, of: ResourceType, obj: JSON, *, subresource: str = "") -> JSON:
        """PUT; `Conflict` if the object's resourceVersion is not the newest."""
        meta = obj["metadata"]
        return await self.request("PUT", of.path(meta.get("namespace"), meta["name"], subresource), body=obj)

    async def patch(
        self,
        of: ResourceType,
        name: str,
        patch: Any,
        namespace: str | None = None,
        *,
        type: PatchType = PatchType.MERGE,
        subresource: str = "",
        field_manager: str = "",
        force: bool = False,
    ) -> JSON:
        query = {}
        if field_manager:
            query["fieldManager"] = field_manager
        if force:
            query["force"] = "true"
        path = of.path(namespace, name, subresource)
        return await self.request("PATCH", path, query=query, body=patch, content_type=type)

    async def apply(
        self, of: ResourceType, obj: JSON, *, field_manager: str, force: bool = False, subresource: str = ""
    ) -> JSON:
        """Server-side apply; `obj` must have apiVersion, kind and metadata.name."""
        meta = obj["metadata"]
        return await self.patch(
            of,
            meta["name"],
            obj,
            meta.get("namespace"),
            type=PatchType.APPLY,
            subresource=subresource,
            field_manager=field_manager,
            force=force,
        )

    async def delete(
        self,
        of: ResourceType,
        name: str,
        namespace: str | None = None,
        *,
        grace_period_seconds: int | None = None,
        propagation: str = "",
        uid: str = "",
        resource_version: str = "",
    ) -> JSON:
        """Delete, bound to a uid or version where given; answers a Status or the object as it is now."""
        options: JSON = {"apiVersion": "v1", "kind": "DeleteOptions"}
        if grace_period_seconds is not None:
            options["gracePeriodSeconds"] = grace_period_seconds
        if propagation:
            options["propagationPolicy"] = propagation
        preconditions = {k: v for k, v in (("uid", uid), ("resourceVersion", resource_version)) if v}
        if preconditions:
            options["preconditions"] = preconditions
        return await self.request("DELETE", of.path(namespace, name), body=options)

    async def delete_collection(
        self,
        of: ResourceType,
        namespace: str | None = None,
        *,
        propagation: str = "",
        label_selector: str = "",
        grace_period_seconds: int | None = None,
    ) -> JSON:
        options: JSON = {"apiVersion": "v1", "kind": "DeleteOptions"}
        if propagation:
            options["propagationPolicy"] = propagation
        if grace_period_seconds is not None:
            options["gracePeriodSeconds"] = grace_period_seconds
        return await self.request("DELETE", of.path(namespace), query=_query(label_selector, ""), body=options)

    async def watch(
        self,
        of: ResourceType,
        namespace: str | None = None,
        *,
        resource_version: str = "",
        label_selector: str = "",
        field_selector: str = "",
        send_initial_events: bool = False,
        metadata_only: bool = False,
        timeout_seconds: int = WATCH_TIMEOUT_SECONDS,
    ) -> AsyncGenerator[WatchEvent, None]:
        """Events until the server ends the watch after about `timeout_seconds`; with bookmarks.

        Raises `Gone` if the version is too old, `Unreachable` if the connection breaks.
        """
        query = _query(label_selector, field_selector)
        query |= {"watch": "true", "allowWatchBookmarks": "true", "timeoutSeconds": str(timeout_seconds)}
        if resource_version:
            query["resourceVersion"] = resource_version
        if send_initial_events:
            query |= {"sendInitialEvents": "true", "resourceVersionMatch": "NotOlderThan"}
        headers = {"Accept": METADATA_ONLY} if metadata_only else {}
        # The server ends the watch; the margin finds a connection that died without a word.
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=timeout_seconds + 30)
        async with contextlib.aclosing(self.lines(of.path(namespace), query, headers, timeout)) as lines:
            async for line in lines:
                event = orjson.loads(line)
                if event["type"] == "ERROR":
                    raise error_of(event["object"], int(event["object"].get("code") or 500))
                yield WatchEvent(event["type"], event["object"])

    # ---- plain requests

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Any = None,
        content_type: str = "application/json",
        headers: Mapping[str, str] | None = None,
        timeout_seconds: float = REQUEST_TIMEOUT_SECONDS,
    ) -> JSON:
        """One request that is answered with an object."""
        content = await self.send(
            method,
            path,
            query=query,
            body=body,
            content_type=content_type,
            headers=headers,
            timeout_seconds=timeout_seconds,
        )
        try:
            answer = orjson.loads(content)
        except orjson.JSONDecodeError as error:
            raise ClientError(f"{method} {self.server}{path}: the answer is no JSON: {content[:80]!r}") from error
        if not isinstance(answer, dict):
            raise ClientError(f"{method} {self.server}{path}: the answer is no object: {content[:80]!r}")
        return answer

    async def send(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Any = None,
        content_type: str = "application/json",
        headers: Mapping[str, str] | None = None,
        timeout_seconds: float = REQUEST_TIMEOUT_SECONDS,
    ) -> bytes:
        """One request; the answer's body as it is. `body` is sent as JSON.

        A server with too many requests that says when to come again is obeyed, as long as that is within the timeout.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_seconds
        while True:
            try:
                return await self._send_once(method, path, query, body, content_type, headers, timeout_seconds)
            except ApiStatusError as error:
                pause = error.retry_after_seconds
                if error.code != TOO_MANY_REQUESTS or not pause or loop.time() + pause > deadline:
                    raise
            await asyncio.sleep(pause)

    async def _send_once(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None,
        body: Any,
        content_type: str,
        headers: Mapping[str, str] | None,
        timeout_seconds: float,
    ) -> bytes:
        sent = self._request_headers(headers)
        data = None
        if body is not None:
            data = orjson.dumps(body)
            sent["Content-Type"] = content_type
        timeout = aiohttp.ClientTimeout(total=timeout_seconds)
        try:
            async with (
                self._slots,
                self._open().request(
                    method,
                    self.server + path,
                    params=query,
                    data=data,
                    headers=sent,
                    timeout=timeout,
                    server_hostname=self._tls_server_name,
                ) as answer,
            ):
                content = await answer.read()
                code = answer.status
                retry_after = answer.headers.get("Retry-After", "")
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise Unreachable(f"{method} {self.server}{path}: {error or type(error).__name__}") from error
        if code >= 400:
            raise status_error(code, content, retry_after)
        return content

    async def lines(
        self,
        path: str,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: aiohttp.ClientTimeout | None = None,
    ) -> AsyncGenerator[bytes, None]:
        """The lines of a streamed answer as they come, however long they are."""
        timeout = timeout or aiohttp.ClientTimeout(total=None, sock_connect=10)
        sent = self._request_headers(headers)
        try:
            async with self._open().get(
                self.server + path,
                params=query,
                headers=sent,
                timeout=timeout,
                server_hostname=self._tls_server_name,
            ) as answer:
                if answer.status >= 400:
                    raise status_error(answer.status, await answer.read(), answer.headers.get("Retry-After", ""))
                rest = b""
                async for chunk in answer.content.iter_any():
                    *complete, rest = (rest + chunk).split(b"\n")
                    for line in complete:
                        if line:
                            yield line
                if rest.strip():
                    raise Unreachable(f"GET {self.server}{path}: the stream ended within a line")
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise Unreachable(f"GET {self.server}{path}: {error or type(error).__name__}") from error

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            # Watches hold a connection each, so the limit is on requests instead.
            connector = aiohttp.TCPConnector(ssl=self.tls or True, limit=0, keepalive_timeout=90)
            self._session = aiohttp.ClientSession(
                connector=connector, headers=self._headers, cookie_jar=aiohttp.DummyCookieJar(), read_bufsize=2**16
            )
        return self._session

    def _request_headers(self, more: Mapping[str, str] | None) -> dict[str, str]:
        headers = {"Accept": "application/json", **(more or {})}
        if self._token_file is not None:
            if time.monotonic() - self._token_read_at >= TOKEN_REFRESH_SECONDS:
                self._headers["Authorization"] = f"Bearer {self._token_file.read_text().strip()}"
                self._token_read_at = time.monotonic()
            headers["Authorization"] = self._headers["Authorization"]
        return headers


def _query(label_selector: str, field_selector: str) -> dict[str, str]:
    query = {"labelSelector": label_selector, "fieldSelector": field_selector}
    return {k: v for k, v in query.items() if v}
