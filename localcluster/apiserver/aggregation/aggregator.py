"""Aggregated APIs: groups that other API servers in the cluster serve, found and reached through APIService objects.

    aggregator = Aggregator(server)
    aggregator.start(); await aggregator.stop()
    aggregator.versions()                  # for discovery and OpenAPI
    behind = aggregator.behind(path)       # (group, version) if another server answers this path
    await aggregator.proxy(request, user, *behind)

Each group and version that is served here has an APIService too, as on a real server. The others are asked over HTTPS,
straight at their Service's ready endpoints, and told who the user is by X-Remote-… headers under the front proxy's
certificate (https://kubernetes.io/docs/tasks/extend-kubernetes/configure-aggregation-layer/).
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import copy
import datetime as dt
import logging
import random
import ssl
from collections.abc import Callable
from typing import TYPE_CHECKING
from urllib.parse import quote

import aiohttp
import orjson
from aiohttp import web
from multidict import CIMultiDict
from yarl import URL

from localcluster.apiserver import bootstrap
from localcluster.apiserver.aggregation.remote_discovery import discovered_resources
from localcluster.apiserver.discovery import (
    CUSTOM_GROUP_PRIORITY,
    CUSTOM_VERSION_PRIORITY,
    GROUP_PRIORITIES,
    RemoteVersion,
)
from localcluster.apiserver.errors import APIError
from localcluster.apiserver.kinds.base import JSON, User
from localcluster.apiserver.resources import Resource
from localcluster.apiserver.store import Event
from localcluster.apiserver.streams.backends import relay

if TYPE_CHECKING:
    from localcluster.apiserver.server import Server

GROUP = "apiregistration.k8s.io"
STORAGE = f"{GROUP}/apiservices"
_SERVICES = "/services"
_SLICES = "discovery.k8s.io/endpointslices"
_DEFINITIONS = "apiextensions.k8s.io/customresourcedefinitions"
_MANAGED = "kube-aggregator.kubernetes.io/automanaged"
_AGGREGATOR = User("system:kube-aggregator", ("system:masters",))

_CHECK_SECONDS = 30.0
"""Between two looks at an API server that was well."""
_RETRY_SECONDS = 1.0
"""Between two looks while some API server is not available."""
_SETTLE_SECONDS = 0.05
"""After a change, for those that come with it."""
_DISCOVERY_SECONDS = 5.0
_CONNECT_SECONDS = 5.0

_HOP_BY_HOP = frozenset({
    "connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "te", "trailer", "transfer-encoding",
    "upgrade", "host", "content-length", "authorization",
})  # fmt: skip

log = logging.getLogger(__name__)


class Unavailable(Exception):
    """Why an API server cannot be asked: the reason and the message of its APIService's condition."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class Aggregator:
    """Keeps APIServices' conditions, knows what the other API servers serve, and forwards requests to them."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._store = server.store
        self._session: aiohttp.ClientSession | None = None
        self._task: asyncio.Task[None] | None = None
        self._changed = asyncio.Event()
        self._unsubscribe: list[Callable[[], None]] = []
        self._resources: dict[tuple[str, str], list[JSON]] = {}
        self._versions: tuple[RemoteVersion, ...] = ()
        self._remote: dict[tuple[str, str], JSON] = {}
        self._contexts: dict[tuple[str, bool], ssl.SSLContext] = {}

    # ---- life

    def start(self) -> None:
        """Follow the APIServices; within the event loop, when the store is filled and requests are answered."""
        self._session = aiohttp.ClientSession(
            auto_decompress=False,
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_SECONDS),
            connector=aiohttp.TCPConnector(limit=0),
        )
        for storage in (STORAGE, _SERVICES, _SLICES, _DEFINITIONS):
            self._unsubscribe.append(self._store.subscribe(storage, self._follow))
        self._register_local()
        self._read_remote()
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        for unsubscribe in self._unsubscribe:
            unsubscribe()
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        if self._session is not None:
            await self._session.close()

    def _follow(self, event: Event) -> None:
        if event.storage == STORAGE:
            self._read_remote()
        if self._remote or event.storage in (STORAGE, _DEFINITIONS):
            self._changed.set()

    async def _run(self) -> None:
        """Look after everything whenever something changes, and now and then."""
        while True:
            try:
                self._register_local()
                well = await self._check_all()
            except Exception:
                log.exception("looking after APIServices")
                well = False
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), _CHECK_SECONDS if well else _RETRY_SECONDS)
                await asyncio.sleep(_SETTLE_SECONDS)
            self._changed.clear()

    # ---- what there is

    def versions(self) -> tuple[RemoteVersion, ...]:
        """What other API servers serve; a new tuple when that has changed."""
        return self._versions

    def serves(self, group: str, version: str) -> bool:
        """Whether another API server answers for a group's version."""
        return (group, version) in self._remote

    def behind(self, path: str) -> tuple[str, str] | None:
        """Group and version if another API server answers this path: their discovery, resources and OpenAPI."""
        if not self._remote:
            return None
        parts = path.strip("/").split("/")
        if parts[:2] == ["openapi", "v3"]:
            parts = parts[2:]
        if len(parts) < 3 or parts[0] != "apis" or (parts[1], parts[2]) not in self._remote:
            return None
        return parts[1], parts[2]

    def _read_remote(self) -> None:
        local = {(r.group, r.version) for r in self._server.registry}
        remote = {}
        for obj in self._store.list(STORAGE):
            spec = obj["spec"]
            key = (spec.get("group", ""), spec["version"])
            if spec.get("service") is not None and key not in local:
                remote[key] = obj
        self._remote = remote
        self._resources = {key: value for key, value in self._resources.items() if key in remote}
        versions = tuple(
            RemoteVersion(
                group,
                version,
                obj["spec"].get("groupPriorityMinimum", 0),
                obj["spec"].get("versionPriority", 0),
                self._resources.get((group, version)),
            )
            for (group, version), obj in remote.items()
        )
        if versions != self._versions:
            self._versions = versions

    # ---- APIServices of what is served here

    def _register_local(self) -> None:
        """Make the missing APIServices of the groups served here, and remove those of definitions that are gone."""
        served: dict[str, Resource] = {}
        for resource in self._server.registry:
            served.setdefault(f"{resource.version}.{resource.group}", resource)
        for name, resource in served.items():
            if self._store.get(STORAGE, "", name) is None:
                bootstrap.ensure(self._server, GROUP, "v1", "apiservices", _local(name, resource))
        for obj in self._store.list(STORAGE):
            if obj["spec"].get("service") is not None:
                continue
            if obj["metadata"]["name"] in served:
                self._set_condition(obj, True, "Local", "Local APIServices are always available")
            elif obj["metadata"].get("labels", {}).get(_MANAGED):
                self._store.delete(STORAGE, obj)

    def _set_condition(self, obj: JSON, available: bool, reason: str, message: str) -> None:
        status = "True" if available else "False"
        conditions = copy.deepcopy(obj.get("status", {}).get("conditions") or [])
        old = next((c for c in conditions if c.get("type") == "Available"), None)
        new = {"type": "Available", "status": status, "reason": reason, "message": message}
        if old is not None and all(old.get(key) == value for key, value in new.items()):
            return
        since = old.get("lastTransitionTime") if old is not None and old.get("status") == status else None
        new["lastTransitionTime"] = since or dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        others = [c for c in conditions if c.get("type") != "Available"]
        stored = self._store.get(STORAGE, "", obj["metadata"]["name"])
        # It may have been changed while the other server was asked; then the next look decides.
        if stored is obj:
            updated = {**obj, "metadata": dict(obj["metadata"]), "status": {"conditions": [*others, new]}}
            self._store.update(STORAGE, updated, obj)

    # ---- how the others are

    async def _check_all(self) -> bool:
        found = await asyncio.gather(*(self._check(key, obj) for key, obj in list(self._remote.items())))
        self._read_remote()
        return all(found)

    async def _check(self, key: tuple[str, str], obj: JSON) -> bool:
        """Ask a server for its resources and note in the APIService whether it answered."""
        try:
            resources = await self._discover(key, obj)
        except Unavailable as error:
            self._resources.pop(key, None)
            self._set_condition(obj, False, error.reason, str(error))
            return False
        self._resources[key] = resources
        self._set_condition(obj, True, "Passed", "all checks passed")
        return True

    async def _discover(self, key: tuple[str, str], obj: JSON) -> list[JSON]:
        host, port = self._endpoint(obj)
        path = f"/apis/{key[0]}/{key[1]}"
        url = f"https://{host}:{port}{path}"
        try:
            async with asyncio.timeout(_DISCOVERY_SECONDS):
                headers = {**_remote_headers(_AGGREGATOR), "Accept": "application/json", "Accept-Encoding": "identity"}
                async with self._request("GET", url, obj, CIMultiDict(headers)) as response:
                    body = await response.read()
                    if response.status // 100 != 2:
                        raise Unavailable(
                            "FailedDiscoveryCheck",
                            f"failing or missing response from {url}: bad status from {url}: {response.status}",
                        )
            return discovered_resources(orjson.loads(body))
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            why = str(error) or type(error).__name__
            message = f"failing or missing response from {url}: Get {chr(34)}{url}{chr(34)}: {why}"
            raise Unavailable("FailedDiscoveryCheck", message) from error

    def _endpoint(self, obj: JSON) -> tuple[str, int]:
        """Host and port of a ready endpoint of an APIService's Service. Raises Unavailable."""
        reference = obj["spec"]["service"]
        namespace, name, wanted = reference.get("namespace", ""), reference.get("name", ""), reference.get("port", 443)
        what = f'service/{name} in "{namespace}"'
        service = self._store.get(_SERVICES, namespace, name)
        if service is None:
            raise Unavailable("ServiceNotFound", f"{what} is not present")
        if service["spec"].get("type") == "ExternalName":
            return service["spec"]["externalName"], wanted
        port = next((p for p in service["spec"].get("ports") or () if p["port"] == wanted), None)
        if port is None:
            raise Unavailable("ServicePortError", f"{what} is not listening on port {wanted}")
        slices = [
            s
            for s in self._store.list(_SLICES, namespace)
            if s["metadata"].get("labels", {}).get("kubernetes.io/service-name") == name
        ]
        if not slices:
            raise Unavailable("EndpointsNotFound", f"cannot find endpointslices for {what}")
        found = [
            (address, slice_port["port"])
            for s in slices
            for slice_port in s.get("ports") or ()
            if (slice_port.get("name") or "") == (port.get("name") or "")
            for endpoint in s.get("endpoints") or ()
            if endpoint.get("conditions", {}).get("ready") is not False
            for address in endpoint["addresses"]
        ]
        if not found:
            message = f'endpoints for {what} have no addresses with port name "{port.get("name", "")}"'
            raise Unavailable("MissingEndpoints", message)
        address, number = random.choice(found)  # noqa: S311 - which of equals is asked is no secret
        return (f"[{address}]" if ":" in address else address), number

    # ---- requests

    def _request(
        self,
        method: str,
        url: str,
        obj: JSON,
        headers: CIMultiDict[str],
        body: aiohttp.StreamReader | None = None,
    ) -> contextlib.AbstractAsyncContextManager[aiohttp.ClientResponse]:
        assert self._session is not None
        reference = obj["spec"]["service"]
        return self._session.request(
            method,
            URL(url, encoded=True),
            headers=headers,
            data=body,
            ssl=self._tls(obj),
            server_hostname=f"{reference['name']}.{reference['namespace']}.svc",
            allow_redirects=False,
        )

    def _tls(self, obj: JSON) -> ssl.SSLContext:
        bundle, insecure = obj["spec"].get("caBundle") or "", bool(obj["spec"].get("insecureSkipTLSVerify"))
        key = (bundle, insecure)
        if key not in self._contexts:
            context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH)
            if insecure:
                context.check_hostname = False
                context.verify_mode = ssl.CERT_NONE
            elif bundle:
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
                context.load_verify_locations(cadata=base64.b64decode(bundle).decode())
            client = self._server.pki.front_proxy_client
            context.load_cert_chain(client.certificate_file, client.key_file)
            self._contexts[key] = context
        return self._contexts[key]

    async def proxy(self, request: web.BaseRequest, user: User, group: str, version: str) -> web.StreamResponse:
        """Forward a request, whose sender may make it, to the API server of a group's version.

        Raises:
            APIError: 503 where that server cannot be reached.
        """
        obj = self._remote.get((group, version))
        try:
            if obj is None:
                raise Unavailable("ServiceNotFound", "service unavailable")
            host, port = self._endpoint(obj)
        except Unavailable as error:
            raise APIError(503, "ServiceUnavailable", f"service unavailable: {error}", {}) from None
        url = f"https://{host}:{port}{request.raw_path}"
        headers: CIMultiDict[str] = CIMultiDict(
            (name, value) for name, value in request.headers.items() if _is_forwarded(name)
        )
        headers.extend(_remote_headers(user))
        peer = request.remote
        if peer:
            headers["X-Forwarded-For"] = peer
        body = request.content if request.body_exists else None
        if body is not None and request.content_length is not None:
            headers["Content-Length"] = str(request.content_length)
        try:
            async with self._request(request.method, url, obj, headers, body) as answer:
                response = web.StreamResponse(status=answer.status, reason=answer.reason)
                for name, value in answer.headers.items():
                    if name.lower() not in _HOP_BY_HOP or name.lower() == "content-length":
                        response.headers.add(name, value)
                return await relay(request, answer, response)
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            self._changed.set()
            message = f"error trying to reach service: {error}"
            raise APIError(503, "ServiceUnavailable", message, {}) from error


def _local(name: str, resource: Resource) -> JSON:
    custom = resource.crd is not None
    priority = CUSTOM_GROUP_PRIORITY if custom else GROUP_PRIORITIES.get(resource.group, 15000)
    spec = {
        "version": resource.version,
        "groupPriorityMinimum": priority,
        "versionPriority": CUSTOM_VERSION_PRIORITY if custom else _version_priority(resource),
    }
    if resource.group:
        spec["group"] = resource.group
    return {"metadata": {"name": name, "labels": {_MANAGED: "true" if custom else "onstart"}}, "spec": spec}


def _version_priority(resource: Resource) -> int:
    if not resource.group:
        return 1
    return 30 if (resource.group, resource.version) == ("autoscaling", "v2") else 15


def _is_forwarded(name: str) -> bool:
    lower = name.lower()
    return lower not in _HOP_BY_HOP and not lower.startswith(("x-remote-", "impersonate-"))


def _remote_headers(user: User) -> CIMultiDict[str]:
    """How an aggregated API server is told who asks."""
    headers: CIMultiDict[str] = CIMultiDict({"X-Remote-User": user.name})
    if user.uid:
        headers["X-Remote-Uid"] = user.uid
    for group in user.groups:
        headers.add("X-Remote-Group", group)
    for key, values in user.extra.items():
        for value in values:
            # Header names cannot hold every letter of a key.
            headers.add(f"X-Remote-Extra-{quote(key, safe='')}", value)
    return headers
