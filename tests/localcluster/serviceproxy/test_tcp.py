"""The TCP proxy between real sockets, on both event loops."""

import asyncio
import socket

import pytest

from localcluster.serviceproxy import tcp
from localcluster.serviceproxy.balancer import Balancer
from localcluster.serviceproxy.endpoints import Endpoint

uvloop = pytest.importorskip("uvloop")


async def backend(name: bytes) -> tuple[asyncio.Server, Endpoint]:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        data = await reader.read()
        writer.write(name + b":" + data)
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    return server, Endpoint("127.0.0.1", server.sockets[0].getsockname()[1])


async def ask(port: int, data: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(data)
    writer.write_eof()
    answer = await reader.read()
    writer.close()
    return answer


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


async def scenario() -> None:
    first, one = await backend(b"one")
    second, two = await backend(b"two")
    balancer = Balancer()
    balancer.endpoints = [one, two]
    port = free_port()
    proxy = await tcp.listen("127.0.0.1", port, balancer)
    # Data and end of input before the endpoint is connected, and more than the buffers hold.
    big = b"x" * 5_000_000
    answers = [await ask(port, data) for data in (b"a", b"b", big, b"")]
    assert answers == [b"one:a", b"two:b", b"one:" + big, b"two:"]

    # An endpoint that is gone is passed over.
    balancer.endpoints = [Endpoint("127.0.0.1", free_port()), two]
    assert await ask(port, b"c") == b"two:c"

    balancer.endpoints = []
    with pytest.raises(ConnectionResetError):
        assert await ask(port, b"d") == b""
    for server in (proxy, first, second):
        server.close()


@pytest.mark.parametrize("runner", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
def test_bytes_reach_endpoints_in_turn(runner) -> None:
    runner(asyncio.wait_for(scenario(), 20))
