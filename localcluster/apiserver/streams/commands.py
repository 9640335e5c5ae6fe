"""pods/exec, pods/attach and pods/portforward: WebSockets that are passed through to the kubelet."""

from __future__ import annotations

import asyncio

import aiohttp
from aiohttp import WSCloseCode, WSMsgType, web
from yarl import URL

from localcluster.apiserver.errors import bad_request
from localcluster.apiserver.streams.backends import Backends, container_of, hang_up, unreachable
from localcluster.apiserver.streams.logs import refused

# The API's names of the options and the kubelet's.
_FLAGS = {"stdin": "input", "stdout": "output", "stderr": "error", "tty": "tty"}


async def answer(
    request: web.BaseRequest, through: Backends, namespace: str, name: str, subresource: str
) -> web.StreamResponse:
    """Raises APIError as long as the client's connection is not upgraded."""
    pod = through.pod(namespace, name)
    query: list[tuple[str, str]] = []
    path = f"/portForward/{namespace}/{name}"
    if subresource != "portforward":
        container = container_of(pod, request.query.get("container", ""))
        path = f"/{subresource}/{namespace}/{name}/{container}"
        query += [("command", word) for word in request.query.getall("command", [])]
        for flag, kubelets in _FLAGS.items():
            if request.query.get(flag, "").lower() in ("1", "true"):
                query.append((kubelets, "1"))
    else:
        query += [("ports", port) for port in request.query.getall("ports", [])]
    node_name = pod["spec"].get("nodeName")
    if not node_name:
        raise bad_request(f"pod {name} does not have a host assigned")
    url = through.kubelet_url(node_name) + path
    if request.headers.get("Upgrade", "").lower() != "websocket":
        if "upgrade" not in request.headers.get("Connection", "").lower():
            raise bad_request("Upgrade request required")
        # The kubelet says what is wrong: with the container, or else with SPDY, which nothing here speaks.
        return await _refusal(through, URL(url).with_query(query), f"pods/{subresource}", name)
    offered_protocols = [p.strip() for p in request.headers.get("Sec-WebSocket-Protocol", "").split(",") if p.strip()]
    try:
        upstream = await through.session.ws_connect(
            URL(url).with_query(query),
            protocols=offered_protocols,
            ssl=through.kubelet_tls,
            max_msg_size=0,
            compress=0,
        )
    except aiohttp.WSServerHandshakeError as error:
        raise refused(error.status, error.message, f"pods/{subresource}", name) from error
    except (TimeoutError, aiohttp.ClientError, OSError) as error:
        raise unreachable(url, error) from error
    async with upstream:
        return await pass_through(request, upstream)


async def _refusal(through: Backends, url: URL, resource: str, name: str) -> web.Response:
    try:
        async with through.session.post(url, ssl=through.kubelet_tls) as answer:
            raise refused(answer.status, (await answer.text()), resource, name)
    except (TimeoutError, aiohttp.ClientError, OSError) as error:
        raise unreachable(str(url), error) from error


async def pass_through(request: web.BaseRequest, upstream: aiohttp.ClientWebSocketResponse) -> web.WebSocketResponse:
    """Accept the client's WebSocket with the protocol that the other side chose, and pass messages both ways."""
    protocols = (upstream.protocol,) if upstream.protocol else ()
    client = web.WebSocketResponse(protocols=protocols, max_msg_size=0, compress=False)
    await client.prepare(request)
    directions = [
        asyncio.create_task(_copy(client, upstream)),
        asyncio.create_task(_copy(upstream, client)),
    ]
    try:
        await asyncio.wait(directions, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in directions:
            task.cancel()
        await asyncio.gather(*directions, return_exceptions=True)
        await upstream.close(code=_sendable(client.close_code))
        if upstream.close_code == WSCloseCode.ABNORMAL_CLOSURE:
            # It broke off without a word: the client is not to take that for the end.
            hang_up(request)
        await client.close(code=_sendable(upstream.close_code))
    return client


def _sendable(code: int | None) -> int:
    """1005, 1006 and 1015 only say how a connection was found to have ended; no frame may hold them (RFC 6455, 7.4)."""
    return code if code is not None and code not in (1005, 1006, 1015) else 1000


async def _copy(
    source: web.WebSocketResponse | aiohttp.ClientWebSocketResponse,
    target: web.WebSocketResponse | aiohttp.ClientWebSocketResponse,
) -> None:
    async for message in source:
        try:
            if message.type is WSMsgType.BINARY:
                await target.send_bytes(message.data)
            elif message.type is WSMsgType.TEXT:
                await target.send_str(message.data)
        except ConnectionError:
            return
