"""What is passed on to pods, services and kubelets: only where it may go, and whole or visibly broken off."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Callable
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from localcluster.apiserver.server import Server, Settings
from localcluster.certs import Pki

POD_IP = "127.65.0.77"
NODE_IP = "127.65.0.1"
HALF = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n%s\r\n\r\n"
CHUNKED = HALF % b"Transfer-Encoding: chunked" + b"5\r\nhalf \r\n"
COUNTED = HALF % b"Content-Length: 1000" + b"half "

Listen = Callable[..., Any]


@pytest.fixture
async def listen(server: Server) -> AsyncIterator[Listen]:
    """Starts servers that answer any request with given bytes and reset the connection; the answer is their port."""
    started: list[asyncio.Server] = []
    pair = server.pki.serving("kubelet", "kubelet", ["localhost"])
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(pair.certificate_file, pair.key_file)

    async def start(answer: bytes, address: str = POD_IP, secure: bool = False) -> int:
        async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
                await reader.readuntil(b"\r\n\r\n")
                writer.write(answer)
                await writer.drain()
                linger = struct.pack("ii", 1, 0)
                writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            writer.transport.abort()

        made = await asyncio.start_server(speak, address, 0, ssl=tls if secure else None)
        started.append(made)
        return int(made.sockets[0].getsockname()[1])

    yield start
    for each in started:
        each.close()


def put_pod(server: Server, address: str, node: str = "") -> None:
    spec = {"containers": [{"name": "c", "image": "i"}], "nodeName": node}
    meta = {"name": "p", "namespace": "default"}
    server.store.create("/pods", {"metadata": meta, "spec": spec, "status": {"podIP": address}})


def put_node(server: Server, address: str, port: int) -> None:
    status = {
        "addresses": [{"type": "InternalIP", "address": address}],
        "daemonEndpoints": {"kubeletEndpoint": {"Port": port}},
    }
    server.store.create("/nodes", {"metadata": {"name": "n"}, "spec": {}, "status": status})


def put_service(server: Server, address: str, port: int) -> None:
    meta = {"name": "s", "namespace": "default"}
    server.store.create("/services", {"metadata": meta, "spec": {"ports": [{"port": 80}]}})
    labels = {"kubernetes.io/service-name": "s"}
    piece = {"endpoints": [{"addresses": [address]}], "ports": [{"port": port}], "addressType": "IPv4"}
    server.store.create("discovery.k8s.io/endpointslices", {"metadata": {**meta, "labels": labels}, **piece})


@pytest.mark.parametrize("answer", [CHUNKED, COUNTED])
async def test_an_answer_that_breaks_off_breaks_off_for_the_client_too(
    server: Server, client: aiohttp.ClientSession, listen: Listen, answer: bytes
) -> None:
    put_pod(server, POD_IP)
    port = await listen(answer)
    put_service(server, POD_IP, port)
    for path in (f"pods/p:{port}/proxy/", "services/s:80/proxy/"):
        async with client.get(f"/api/v1/namespaces/default/{path}") as response:
            assert response.status == 200
            assert await response.content.readexactly(5) == b"half "
            with pytest.raises(aiohttp.ClientError):
                await response.content.read()


async def test_a_log_that_breaks_off(server: Server, client: aiohttp.ClientSession, listen: Listen) -> None:
    put_pod(server, POD_IP, "n")
    put_node(server, NODE_IP, await listen(CHUNKED, NODE_IP, secure=True))
    async with client.get("/api/v1/namespaces/default/pods/p/log") as response:
        assert response.status == 200
        assert await response.content.readexactly(5) == b"half "
        with pytest.raises(aiohttp.ClientError):
            await response.content.read()


async def test_what_resets_before_it_answers_is_not_available(
    server: Server, client: aiohttp.ClientSession, listen: Listen
) -> None:
    put_pod(server, POD_IP, "n")
    port = await listen(b"")
    put_node(server, NODE_IP, await listen(b"", NODE_IP, secure=True))
    pod = "/api/v1/namespaces/default/pods/p"
    upgrade = {"Connection": "Upgrade", "Upgrade": "SPDY/3.1"}
    for method, path, headers, code in (
        ("GET", f"{pod}:{port}/proxy/", {}, 503),
        ("GET", f"{pod}/log", {}, 500),
        ("POST", f"{pod}/exec?command=x&stdout=1", upgrade, 500),
    ):
        async with client.request(method, path, headers=headers) as response:
            assert (response.status, (await response.json())["kind"]) == (code, "Status"), path
    with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
        await client.ws_connect(f"{pod}/exec?command=x&stdout=1", protocols=["v5.channel.k8s.io"])
    assert caught.value.status == 500


@pytest.mark.parametrize("address", ["127.0.0.1", "10.1.2.3", "::1", "0.0.0.0", "localhost"])
async def test_the_proxies_lead_into_the_cluster_only(
    server: Server, client: aiohttp.ClientSession, address: str
) -> None:
    put_pod(server, address, "n")
    put_node(server, address, server.port)
    put_service(server, address, server.port)
    for path in (
        f"namespaces/default/pods/https:p:{server.port}/proxy/version",
        "namespaces/default/services/https:s:80/proxy/version",
        "namespaces/default/pods/p/log",
        "nodes/n/proxy/version",
    ):
        async with client.get(f"/api/v1/{path}") as response:
            assert (response.status, (await response.json())["message"]) == (400, "address not allowed"), path


async def test_the_service_of_the_api_server_itself(server: Server, client: aiohttp.ClientSession) -> None:
    async with client.get("/api/v1/namespaces/default/services/https:kubernetes:https/proxy/version") as response:
        assert (response.status, "gitVersion" in await response.json()) == (200, True)


@pytest.mark.parametrize(
    ("address", "allowed"), [("10.1.2.3", True), (POD_IP, True), ("127.0.0.1", False), ("169.254.169.254", False)]
)
async def test_without_a_node_of_its_own_pods_are_elsewhere(tmp_path: Any, address: str, allowed: bool) -> None:
    from localcluster.apiserver.errors import APIError
    from localcluster.apiserver.streams.backends import backends

    server = Server(Settings(tmp_path, port=0, service_cidr="10.96.0.0/16"), Pki.open(tmp_path))
    await server.start()
    try:
        with contextlib.nullcontext() if allowed else pytest.raises(APIError):
            backends(server).check_address(address)
    finally:
        await server.stop()


async def test_a_command_whose_node_breaks_off(server: Server, client: aiohttp.ClientSession) -> None:
    async def run(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(protocols=["v5.channel.k8s.io"])
        await socket.prepare(request)
        await socket.send_bytes(b"\x01half ")
        assert request.transport is not None
        request.transport.abort()
        return socket

    pair = server.pki.serving("kubelet", "kubelet", ["localhost"])
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(pair.certificate_file, pair.key_file)
    app = web.Application()
    app.router.add_route("*", "/{rest:.*}", run)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, NODE_IP, 0, ssl_context=tls).start()
    put_pod(server, POD_IP, "n")
    put_node(server, NODE_IP, runner.addresses[0][1])
    path = "/api/v1/namespaces/default/pods/p/exec?command=x&stdout=1"
    async with client.ws_connect(path, protocols=["v5.channel.k8s.io"]) as command:
        assert await command.receive_bytes() == b"\x01half "
        await command.receive()
        assert command.close_code == aiohttp.WSCloseCode.ABNORMAL_CLOSURE
    await runner.cleanup()
