"""The API server: HTTPS, and the way of each request through identity, rights and the verbs.

server = Server(settings)
await server.start()      # listens; /readyz answers 200 from then on
await server.stop()       # ends watches, closes the store
"""

from __future__ import annotations

import asyncio
import ctypes
import datetime as dt
import logging
import re
import ssl
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiohttp import web

from localcluster.apiserver import bootstrap, dispatch
from localcluster.apiserver.admission.quota_status import QuotaStatus
from localcluster.apiserver.aggregation.aggregator import Aggregator
from localcluster.apiserver.auth.attributes import Attributes, forbidden
from localcluster.apiserver.auth.authentication import Authenticator
from localcluster.apiserver.auth.impersonation import impersonate
from localcluster.apiserver.auth.rbac import Authorizer
from localcluster.apiserver.auth.reviews import Reviews
from localcluster.apiserver.auth.role_aggregation import RoleAggregation
from localcluster.apiserver.auth.tokens import Tokens
from localcluster.apiserver.builtin_resources import builtin_resources
from localcluster.apiserver.crd.definitions import Definitions
from localcluster.apiserver.discovery import Discovery
from localcluster.apiserver.errors import APIError, path_not_found
from localcluster.apiserver.kinds.base import Context, User
from localcluster.apiserver.negotiation import Form, negotiate
from localcluster.apiserver.openapi.documents import OpenAPI
from localcluster.apiserver.requests import RequestInfo, parse
from localcluster.apiserver.resources import Registry, Resource
from localcluster.apiserver.selectors import exact_field
from localcluster.apiserver.store import Store
from localcluster.apiserver.streams.backends import hang_up
from localcluster.apiserver.verbs.call import Call
from localcluster.certs import Pki

JSON = dict[str, Any]
log = logging.getLogger(__name__)

MAX_BODY_BYTES = 3 * 1024 * 1024
"""The real server's limit for a request's body."""
MAX_WARNINGS = 4096
"""How much all Warning headers of an answer may say, in characters."""
MAX_CUT_WARNING = 256
"""How much each may where that is too much."""
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
COMPACTION_SECONDS = 30.0
WORTH_TRIMMING_BYTES = 1024 * 1024
PLAIN_404 = "404 page not found\n"
HEALTH_PATHS = frozenset({"/healthz", "/livez", "/readyz"})


@dataclass(frozen=True)
class Settings:
    """How a server is set up.

    Attributes:
        data_dir: everything that is written lies below.
        address, port: where it listens; port 0 takes a free one.
        pod_cidr, service_cidr: the cluster's address ranges.
    """

    data_dir: Path
    address: str = "127.0.0.1"
    port: int = 6443
    pod_cidr: str = "127.65.0.0/17"
    service_cidr: str = "127.65.128.0/17"
    node_ports: tuple[int, int] = (30000, 32767)


class Server:
    """One API server. Its parts are public: streams and reviews use `store`, `registry`, `tokens` and `authorizer`."""

    def __init__(self, settings: Settings, pki: Pki) -> None:
        self.settings = settings
        self.pki = pki
        self.store = Store(settings.data_dir / "state.db")
        self.registry = Registry()
        for resource in builtin_resources():
            self.registry.add(resource)
        self.tokens = Tokens(pki.service_account_key_file, self.store)
        self.authenticator = Authenticator(pki.ca.certificate_file, self.tokens)
        self.authorizer = Authorizer(self.store)
        self.reviews = Reviews(self.authorizer, self.tokens)
        self.role_aggregation = RoleAggregation(self.store, now)
        self.quota_status = QuotaStatus(self.store)
        self.definitions = Definitions(self.registry, self.store)
        self.aggregator = Aggregator(self)
        self.discovery = Discovery(self.registry, f"{settings.address}:{settings.port}", self.aggregator.versions)
        self.openapi = OpenAPI(self.registry, self.aggregator.versions)
        self.stopping = asyncio.Event()
        self.ready = False
        self.port = settings.port
        self._runner: web.ServerRunner | None = None
        self._tasks: list[asyncio.Task[None]] = []

    # ---- life

    async def start(self) -> None:
        self.definitions.start()
        bootstrap.populate(self)
        self.store.seal()
        server = web.Server(
            self.handle,
            request_factory=_make_request,
            access_log=None,
            keepalive_timeout=120,
            # A watch whose client has gone would otherwise stay until something happens to what it watches.
            handler_cancellation=True,
        )
        self._runner = web.ServerRunner(server, handle_signals=False, shutdown_timeout=2)
        await self._runner.setup()
        site = web.TCPSite(
            self._runner, self.settings.address, self.settings.port, ssl_context=self._tls(), backlog=1024
        )
        await site.start()
        self.port = self._runner.addresses[0][1]
        bootstrap.publish_address(self)
        self.ready = True
        self._tasks.append(asyncio.create_task(self._compact()))
        self.aggregator.start()

    async def stop(self) -> None:
        self.ready = False
        self.stopping.set()
        for task in self._tasks:
            task.cancel()
        await self.aggregator.stop()
        if self._runner is not None:
            await self._runner.cleanup()
        self.store.close()

    def _tls(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(self.pki.server.certificate_file, self.pki.server.key_file)
        context.load_verify_locations(self.pki.ca.certificate_file)
        context.verify_mode = ssl.CERT_OPTIONAL
        return context

    async def _compact(self) -> None:
        while True:
            await asyncio.sleep(COMPACTION_SECONDS)
            if self.store.compact() > WORTH_TRIMMING_BYTES:
                _give_memory_back()

    # ---- requests

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer any request; nothing but a closed connection escapes."""
        try:
            return await self._serve(request)
        except APIError as error:
            failure = error
        except Exception as error:
            if not (isinstance(error, ConnectionError) and _is_gone(request)):
                log.exception("%s %s", request.method, request.path)
            failure = APIError(500, "InternalError", f"Internal error occurred: {error!r}", {})
        if isinstance(request, _Request) and request.begun:
            # A second answer would only look like the rest of the first.
            hang_up(request)
        return self.fail(request, failure)

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        query = {name: request.query.getall(name)[-1] for name in request.query}
        watch = query.get("watch", "").lower() in ("1", "t", "true")
        info = parse(request.method, request.path, watch)
        user = self.authenticator.authenticate(request.headers, _peer_certificate(request))
        attributes = info_attributes(info, query)
        user = impersonate(user, request.headers, attributes, self.authorizer.allowed)
        allowed, reason = self.authorizer.allowed(user, attributes)
        if not allowed:
            raise forbidden(user, attributes, reason)
        behind = self.aggregator.behind(info.path)
        if behind is not None:
            return await self.aggregator.proxy(request, user, *behind)
        if not info.is_resource:
            return await self._plain_path(request, info, query)
        resource = self.registry.find(info.group, info.version, info.resource)
        if resource is None or _misplaced(info, resource):
            if any(r.crd is None for r in self.registry if r.group == info.group):
                raise path_not_found()
            return web.Response(status=404, text=PLAIN_404)
        dispatch.check_verb(info, resource)
        dispatch.check_options(info, query)
        if request.content_length is not None and request.content_length > MAX_BODY_BYTES:
            raise _too_large()
        streamed = info.subresource in dispatch.STREAMED
        body = b"" if streamed or info.verb in ("get", "list", "watch") else await _read(request)
        call = self.call(request, info, resource, user, query, body)
        try:
            return await dispatch.answer(self, call, request)  # type: ignore[arg-type]
        except APIError as error:
            error.warnings = call.warnings
            raise

    def call(
        self,
        request: web.BaseRequest,
        info: RequestInfo,
        resource: Resource,
        user: User,
        query: dict[str, str],
        body: bytes,
    ) -> Call:
        return Call(
            info=info,
            resource=resource,
            user=user,
            query=query,
            form=negotiate(request.headers.get("Accept", ""), query.get("pretty", "") in ("1", "true")),
            context=self.context(user, dispatch.dry_run(info, query)),
            store=self.store,
            registry=self.registry,
            authorizer=self.authorizer,
            body=body,
            content_type=request.headers.get("Content-Type", ""),
            user_agent=request.headers.get("User-Agent", ""),
        )

    def context(self, user: User, dry_run: bool = False) -> Context:
        settings = self.settings
        now = dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        return Context(user, self.store, now, dry_run, settings.pod_cidr, settings.service_cidr, settings.node_ports)

    async def _plain_path(
        self, request: web.BaseRequest, info: RequestInfo, query: dict[str, str]
    ) -> web.StreamResponse:
        path = info.path
        if path in HEALTH_PATHS or path.rpartition("/")[0] in HEALTH_PATHS:
            if path.startswith("/readyz") and not self.ready:
                return web.Response(status=500, text="[-]not ready")
            return web.Response(text="ok")
        if request.method not in ("GET", "HEAD"):
            raise APIError(
                405, "MethodNotAllowed", "the server does not allow this method on the requested resource", {}
            )
        accept = request.headers.get("Accept", "")
        etag = request.headers.get("If-None-Match", "")
        encoding = request.headers.get("Accept-Encoding", "")
        found = self.discovery.answer(path, accept, etag)
        found = found or self.openapi.answer(path, query.get("hash", ""), accept, encoding, etag)
        if found is not None:
            headers = {"Content-Type": found.content_type, **found.headers}
            return web.Response(body=found.body, status=found.code, headers=headers)
        document = bootstrap.document(self, path)
        if document is not None:
            return self.respond(negotiate(accept), document, 200)
        parts = path.strip("/").split("/")
        if parts[0] in ("api", "apis") and len(parts) > 2 and self.registry.versions(parts[1]):
            raise path_not_found()
        return web.Response(status=404, text=PLAIN_404)

    # ---- answers

    def respond(self, form: Form, body: JSON, code: int, warnings: Iterable[str] = ()) -> web.Response:
        response = web.Response(body=form.write(body), status=code, content_type=form.media)
        for text in _within_limits(list(dict.fromkeys(warnings))):
            quoted = _CONTROL.sub(" ", text).replace("\\", "\\\\").replace('"', '\\"')
            response.headers.add("Warning", f'299 - "{quoted}"')
        response.headers["Cache-Control"] = "no-cache, private"
        return response

    def fail(self, request: web.BaseRequest, error: APIError) -> web.Response:
        """An error as a Status, in YAML where that was asked for."""
        form = Form()
        try:
            form = Form(negotiate(request.headers.get("Accept", "")).media)
        except APIError:
            pass
        response = self.respond(form, error.status(), error.code, error.warnings)
        response.headers.update(error.headers)
        return response


def _within_limits(warnings: list[str]) -> list[str]:
    """The warnings that are sent: all, or the beginnings of as many as fit (k8s.io/apiserver `pkg/warning`)."""
    if sum(map(len, warnings)) <= MAX_WARNINGS:
        return warnings
    sent: list[str] = []
    written = 0
    for text in warnings:
        if written >= MAX_WARNINGS:
            break
        sent.append(text[:MAX_CUT_WARNING])
        written += len(sent[-1])
    return sent


def _misplaced(info: RequestInfo, resource: Resource) -> bool:
    """Whether a path names a namespace for what has none."""
    return bool(info.namespace) and not resource.namespaced and resource.plural != "namespaces"


def now() -> str:
    """The time as API objects have it: RFC 3339, seconds, UTC."""
    return dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def info_attributes(info: RequestInfo, query: dict[str, str]) -> Attributes:
    """What authorization decides on. A list or watch of one name by a field selector counts as of that name.

    A deletecollection does not: rights to it cannot be restricted by name
    (https://kubernetes.io/docs/reference/access-authn-authz/rbac/#referring-to-resources).
    """
    if not info.is_resource:
        return Attributes(verb=info.verb, path=info.path)
    name = info.name
    if not name and info.verb in ("list", "watch"):
        name = exact_field(query.get("fieldSelector", ""), "metadata.name")
    return Attributes(
        info.verb, info.group, info.version, info.resource, info.subresource, info.namespace, name, info.path
    )


def _peer_certificate(request: web.BaseRequest) -> bytes | None:
    transport = request.transport
    tls = transport.get_extra_info("ssl_object") if transport is not None else None
    certificate: bytes | None = tls.getpeercert(True) if tls is not None else None
    return certificate


async def _read(request: web.BaseRequest) -> bytes:
    try:
        return await request.read()
    except web.HTTPRequestEntityTooLarge:
        raise _too_large() from None


def _too_large() -> APIError:
    message = f"Request entity too large: limit is {MAX_BODY_BYTES}"
    return APIError(413, "RequestEntityTooLarge", message)


def _give_memory_back() -> None:
    """Return freed memory between what is in use to the system, which the C library (glibc) does not by itself."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


class _Request(web.BaseRequest):
    """A request that knows whether its answer has begun."""

    begun = False

    async def _prepare_hook(self, response: web.StreamResponse) -> None:
        self.begun = True


def _is_gone(request: web.BaseRequest) -> bool:
    return request.transport is None or request.transport.is_closing()


def _make_request(message: Any, payload: Any, protocol: Any, writer: Any, task: Any) -> web.BaseRequest:
    loop = asyncio.get_running_loop()
    return _Request(message, payload, protocol, writer, task, loop, client_max_size=MAX_BODY_BYTES)
