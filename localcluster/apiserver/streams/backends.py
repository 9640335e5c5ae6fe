"""What requests are passed on to, and the API server's connections to it."""

from __future__ import annotations

import asyncio
import ipaddress
import ssl
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import aiohttp
from aiohttp import web

from localcluster.apiserver.errors import APIError, bad_request, not_found

if TYPE_CHECKING:
    from localcluster.apiserver.server import Server

JSON = dict[str, Any]

CONNECT_SECONDS = 10.0
DEFAULT_KUBELET_PORT = 10250
KUBELET_CLIENT = "kube-apiserver-kubelet-client"

_known: WeakKeyDictionary[Server, Backends] = WeakKeyDictionary()


def backends(server: Server) -> Backends:
    """The connections of one server, made with the first use and closed when it stops."""
    if server not in _known:
        _known[server] = Backends(server)
    return _known[server]


class Backends:
    """Kubelets, pods and services as one API server reaches them."""

    def __init__(self, server: Server) -> None:
        self.store = server.store
        self._pki = server.pki
        self._pod_network = ipaddress.ip_network(server.settings.pod_cidr)
        self._own_node = ipaddress.ip_network(server.settings.service_cidr).is_loopback
        self._kubelet_tls: ssl.SSLContext | None = None
        self.session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=15, ssl=unverified()),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS),
        )
        self._closing = asyncio.create_task(self._close_with(server.stopping))

    async def _close_with(self, stopping: asyncio.Event) -> None:
        await stopping.wait()
        await self.session.close()

    @property
    def kubelet_tls(self) -> ssl.SSLContext:
        """With the API server's client certificate. A kubelet's own certificate is not verified, which is Kubernetes'
        default too (kube-apiserver without --kubelet-certificate-authority): kubelets sign theirs themselves."""
        if self._kubelet_tls is None:
            pair = self._pki.client("apiserver-kubelet-client", KUBELET_CLIENT, ["system:masters"])
            self._kubelet_tls = unverified()
            self._kubelet_tls.load_cert_chain(pair.certificate_file, pair.key_file)
        return self._kubelet_tls

    def pod(self, namespace: str, name: str) -> JSON:
        """Raises APIError 404."""
        found = self.store.get("/pods", namespace, name)
        if found is None:
            raise not_found("", "pods", name)
        return found

    def check_address(self, address: str) -> None:
        """Refuse what is no address of a pod or a node: statuses and endpoints may say anything, and this machine has
        more to reach than the cluster, the API server itself for one. Raises APIError 400.

        Where the cluster's own node runs everything, all addresses are in the range of the pods, the node's too; else
        those are fine that Kubernetes takes, none of which is a loopback one.
        """
        try:
            found = ipaddress.ip_address(address)
        except ValueError:
            raise bad_request("address not allowed") from None
        local = found.is_loopback or found.is_link_local or found.is_unspecified or found.is_multicast
        if found not in self._pod_network and (self._own_node or local):
            raise bad_request("address not allowed")

    def kubelet_url(self, node_name: str) -> str:
        """Where the kubelet API of a node is. Raises APIError 404, 400 where the node has no address or a wrong one."""
        node = self.store.get("/nodes", "", node_name)
        if node is None:
            raise not_found("", "nodes", node_name)
        status = node.get("status") or {}
        port = ((status.get("daemonEndpoints") or {}).get("kubeletEndpoint") or {}).get("Port") or DEFAULT_KUBELET_PORT
        addresses = {entry["type"]: entry["address"] for entry in reversed(status.get("addresses") or [])}
        for kind in ("InternalIP", "Hostname", "ExternalIP"):
            if kind in addresses:
                self.check_address(addresses[kind])
                return f"https://{addresses[kind]}:{port}"
        raise bad_request(f"no preferred addresses found; known addresses: {list(addresses.values())}")


async def relay(
    request: web.BaseRequest, upstream: aiohttp.ClientResponse, response: web.StreamResponse
) -> web.StreamResponse:
    """Begin an answer and pass on the body of another one; where either side breaks off, so does the other."""
    await response.prepare(request)
    try:
        async for chunk in upstream.content.iter_any():
            await response.write(chunk)
        await response.write_eof()
    except (aiohttp.ClientError, OSError, TimeoutError):
        hang_up(request)
    return response


def hang_up(request: web.BaseRequest) -> None:
    """Close the client's connection: what says "not all of it" once an answer has begun."""
    if request.transport is not None:
        request.transport.close()


def unverified() -> ssl.SSLContext:
    """For servers whose certificate nobody vouches for: kubelets, and `https:` pods and services of the proxies."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def container_of(pod: JSON, wanted: str) -> str:
    """The container that a request is about. Raises APIError 400 for an unknown or a missing name."""
    name, spec = pod["metadata"]["name"], pod["spec"]
    main = [c["name"] for c in spec.get("containers") or []]
    everything = [
        *(c["name"] for c in spec.get("initContainers") or []),
        *main,
        *(c["name"] for c in spec.get("ephemeralContainers") or []),
    ]
    if wanted:
        if wanted not in everything:
            raise bad_request(f"container {wanted} is not valid for pod {name}")
        return wanted
    if len(main) == 1:
        return str(main[0])
    raise bad_request(f"a container name must be specified for pod {name}, choose one of: [{' '.join(everything)}]")


def unreachable(url: str, error: Exception) -> APIError:
    """A kubelet that does not answer, worded as Go's HTTP client."""
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return APIError(500, "", f'Get "{url}": EOF')
    os_error = getattr(error, "os_error", None) or error
    refused = getattr(os_error, "errno", None) == 111
    why = "connect: connection refused" if refused else str(os_error) or type(error).__name__
    where = url.split("/")[2]
    return APIError(500, "", f'Get "{url}": dial tcp {where}: {why}')
