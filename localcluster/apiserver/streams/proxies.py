"""nodes/proxy, pods/proxy and services/proxy: HTTP and WebSockets to what runs in the cluster.

Names are `[scheme:]name[:port]` as documented at
https://kubernetes.io/docs/tasks/access-application-cluster/access-cluster-services/#manually-constructing-apiserver-proxy-urls
"""

from __future__ import annotations

import random
import ssl
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import aiohttp
from aiohttp import web
from multidict import CIMultiDict
from yarl import URL

from localcluster.apiserver.errors import APIError, bad_request, not_found
from localcluster.apiserver.streams.backends import Backends, relay, unverified
from localcluster.apiserver.streams.commands import pass_through

JSON = dict[str, Any]

HOP_BY_HOP = frozenset(
    [
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    ]
)
NOT_PASSED_ON = HOP_BY_HOP | {"authorization", "host", "content-length"}
"""The caller's credentials are for the API server only."""
API_SERVER = ("services", "default", "kubernetes")
"""The service whose endpoint is this server's own address."""
SERVICE_LABEL = "kubernetes.io/service-name"


@dataclass(frozen=True)
class Target:
    """Where a request goes: `https://address:port`, with the API server's identity where that is wanted."""

    url: str
    tls: ssl.SSLContext | None = None


async def answer(
    request: web.BaseRequest, through: Backends, plural: str, namespace: str, name: str
) -> web.StreamResponse:
    """Raises APIError 400, 404 or 503 as long as no answer has begun."""
    target = _target(through, plural, namespace, name)
    prefix, rest = split_path(request.rel_url.raw_path)
    if request.headers.get("Upgrade", "").lower() == "websocket":
        return await _web_socket(request, through, target, rest or "/")
    if not rest:
        query = f"?{request.rel_url.raw_query_string}" if request.rel_url.raw_query_string else ""
        return web.Response(status=301, headers={"Location": f"{prefix}/{query}"})
    return await _http(request, through, target, prefix, rest)


def _target(through: Backends, plural: str, namespace: str, name: str) -> Target:
    if plural == "nodes":
        return Target(through.kubelet_url(name.partition(":")[0]), through.kubelet_tls)
    scheme, name, port = split_name(name, plural)
    if plural == "pods":
        address, number = pod_address(through.pod(namespace, name), port)
    else:
        address, number = service_address(through, namespace, name, port)
    if (plural, namespace, name) != API_SERVER:
        through.check_address(address)
    host = f"[{address}]" if ":" in address else address
    return Target(f"{scheme}://{host}:{number}", unverified() if scheme == "https" else None)


def split_name(name: str, plural: str) -> tuple[str, str, str]:
    """`https:name:port` as scheme, name and port; scheme `http` and port `` where they are left out."""
    parts = name.split(":")
    if len(parts) == 1:
        return "http", parts[0], ""
    if len(parts) == 2:
        return "http", parts[0], parts[1]
    if len(parts) == 3 and parts[0] in ("", "http", "https"):
        return parts[0] or "http", parts[1], parts[2]
    raise bad_request(f'invalid {plural.removesuffix("s")} request "{name}"')


def split_path(raw_path: str) -> tuple[str, str]:
    """The path up to `/proxy`, and what follows with its slash; both undecoded."""
    parts = raw_path.split("/")
    end = 8 if parts[3] == "namespaces" else 6
    rest = parts[end:]
    return "/".join(parts[:end]), "/" + "/".join(rest) if rest else ""


def pod_address(pod: JSON, port: str) -> tuple[str, int]:
    """Raises APIError 400 for a pod without an address, or a port that is no number."""
    address = (pod.get("status") or {}).get("podIP")
    if not address:
        raise bad_request("address not allowed")
    if port:
        if not port.isdigit() or not 0 < int(port) < 65536:
            raise bad_request(f'invalid pod request "{pod["metadata"]["name"]}:{port}"')
        return address, int(port)
    declared = [p["containerPort"] for c in pod["spec"].get("containers") or [] for p in c.get("ports") or []]
    return address, int(declared[0]) if declared else 80


def service_address(through: Backends, namespace: str, name: str, port: str) -> tuple[str, int]:
    """A ready endpoint of a service's port, which is given by name or number. Raises APIError 404 or 503."""
    service = through.store.get("/services", namespace, name)
    if service is None:
        raise not_found("", "services", name)
    if port.isdigit():
        ports = service["spec"].get("ports") or []
        found = next((p for p in ports if p["port"] == int(port)), None)
        if found is None:
            raise unavailable(f'no service port {port} found for service "{name}"')
        port = found.get("name") or ""
    candidates = [
        (address, int(slice_port["port"]))
        for piece in through.store.list("discovery.k8s.io/endpointslices", namespace)
        if (piece["metadata"].get("labels") or {}).get(SERVICE_LABEL) == name
        for slice_port in piece.get("ports") or []
        if slice_port.get("port") and (slice_port.get("name") or "") == port
        for endpoint in piece.get("endpoints") or []
        if (endpoint.get("conditions") or {}).get("ready", True)
        for address in endpoint.get("addresses") or []
    ]
    if not candidates:
        raise unavailable(f'no endpoints available for service "{name}"')
    return random.choice(candidates)  # noqa: S311


def unavailable(message: str) -> APIError:
    return APIError(503, "ServiceUnavailable", message)


def _forwarded(request: web.BaseRequest, path: str) -> CIMultiDict[str]:
    headers: CIMultiDict[str] = CIMultiDict()
    for key, value in request.headers.items():
        lower = key.lower()
        if lower not in NOT_PASSED_ON and not lower.startswith(("impersonate-", "x-remote-", "sec-websocket-")):
            headers.add(key, value)
    peer = request.remote or ""
    headers["X-Forwarded-For"] = ", ".join(filter(None, [request.headers.get("X-Forwarded-For", ""), peer]))
    headers["X-Forwarded-Uri"] = path
    headers["X-Forwarded-Host"] = request.host
    headers["X-Forwarded-Proto"] = request.scheme
    return headers


def _url(request: web.BaseRequest, target: Target, rest: str) -> URL:
    query = f"?{request.rel_url.raw_query_string}" if request.rel_url.raw_query_string else ""
    return URL(f"{target.url}{rest}{query}", encoded=True)


async def _http(
    request: web.BaseRequest, through: Backends, target: Target, prefix: str, rest: str
) -> web.StreamResponse:
    headers = _forwarded(request, request.rel_url.raw_path)
    if request.content_length is not None:
        headers["Content-Length"] = str(request.content_length)
    try:
        async with through.session.request(
            request.method,
            _url(request, target, rest),
            headers=headers,
            data=request.content if request.can_read_body else None,
            allow_redirects=False,
            ssl=target.tls or True,
            skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
        ) as upstream:
            response = web.StreamResponse(status=upstream.status, reason=upstream.reason)
            for key, value in upstream.headers.items():
                if key.lower() not in HOP_BY_HOP:
                    response.headers.add(key, value)
            if "Location" in upstream.headers:
                response.headers["Location"] = rewritten(upstream.headers["Location"], target.url, prefix)
            return await relay(request, upstream, response)
    except (TimeoutError, aiohttp.ClientError, OSError) as error:
        raise _not_reached(target, error) from error


async def _web_socket(request: web.BaseRequest, through: Backends, target: Target, rest: str) -> web.StreamResponse:
    protocols = [p.strip() for p in request.headers.get("Sec-WebSocket-Protocol", "").split(",") if p.strip()]
    try:
        upstream = await through.session.ws_connect(
            _url(request, target, rest),
            headers=_forwarded(request, request.rel_url.raw_path),
            protocols=protocols,
            ssl=target.tls or True,
            max_msg_size=0,
            compress=0,
        )
    except aiohttp.WSServerHandshakeError as error:
        raise APIError(error.status, "", error.message) from error
    except (TimeoutError, aiohttp.ClientError, OSError) as error:
        raise _not_reached(target, error) from error
    async with upstream:
        return await pass_through(request, upstream)


def rewritten(location: str, target_url: str, prefix: str) -> str:
    """A redirect to somewhere within the target as the client reaches it; others stay."""
    where = urlsplit(location)
    if where.netloc and f"{where.scheme}://{where.netloc}" != target_url:
        return location
    if not where.netloc and not location.startswith("/"):
        return location
    rest = where.path or "/"
    return prefix + rest + (f"?{where.query}" if where.query else "") + (f"#{where.fragment}" if where.fragment else "")


def _not_reached(target: Target, error: Exception) -> APIError:
    os_error = getattr(error, "os_error", None)
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return unavailable("error trying to reach service: EOF")
    if isinstance(error, aiohttp.ClientPayloadError | aiohttp.ClientResponseError):
        return unavailable(f"error trying to reach service: {error}")
    refused = getattr(os_error, "errno", None) == 111
    why = "connect: connection refused" if refused else str(os_error or error) or "i/o timeout"
    return unavailable(f"error trying to reach service: dial tcp {urlsplit(target.url).netloc}: {why}")
