"""Requests that are passed on: logs, exec, attach and port-forward to a node's kubelet, and the proxies of nodes, pods
and services.

Of the server it needs: `store` (pods, nodes, services, EndpointSlices), `pki` (for its client certificate towards
kubelets) and `stopping` (an event, to close its connections).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import web

from localcluster.apiserver.errors import path_not_found
from localcluster.apiserver.resources import Resource
from localcluster.apiserver.streams import commands, logs, proxies
from localcluster.apiserver.streams.backends import backends

if TYPE_CHECKING:
    from localcluster.apiserver.server import Server

__all__ = ["pod_subresource"]


async def pod_subresource(
    request: web.BaseRequest,
    server: Server,
    resource: Resource,
    namespace: str,
    name: str,
    subresource: str,
) -> web.StreamResponse:
    """Answer a request whose user and rights were checked. Raises `APIError` as long as no answer has begun.

    The proxies pass on the path as it was sent, undecoded.
    """
    through = backends(server)
    if subresource == "proxy":
        return await proxies.answer(request, through, resource.plural, namespace, name)
    match resource.plural, subresource:
        case "pods", "log":
            return await logs.answer(request, through, namespace, name)
        case "pods", "exec" | "attach" | "portforward":
            return await commands.answer(request, through, namespace, name, subresource)
    raise path_not_found()
