"""The UDP proxy between real sockets, on both event loops."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from localcluster.serviceproxy import udp
from localcluster.serviceproxy.balancer import Balancer
from localcluster.serviceproxy.endpoints import Endpoint

uvloop = pytest.importorskip("uvloop")


class Backend(asyncio.DatagramProtocol):
    """Answers with its name; remembers from which sockets it was asked."""

    def __init__(self, name: bytes) -> None:
        self.name = name
        self.askers: set[tuple[str, int]] = set()

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.endpoint = Endpoint(*transport.get_extra_info("sockname"))

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.askers.add(addr)
        self.transport.sendto(self.name + b":" + data, addr)


class Asker(asyncio.DatagramProtocol):
    def __init__(self) -> None:
        self.answers: asyncio.Queue[bytes] = asyncio.Queue()

    def datagram_received(self, data: bytes, addr: object) -> None:
        self.answers.put_nowait(data)

    async def answer(self) -> bytes:
        return await asyncio.wait_for(self.answers.get(), 3)


async def backend(name: bytes) -> Backend:
    loop = asyncio.get_running_loop()
    _, made = await loop.create_datagram_endpoint(lambda: Backend(name), local_addr=("127.0.0.1", 0))
    return made


async def asker(port: int) -> tuple[asyncio.DatagramTransport, Asker]:
    return await asyncio.get_running_loop().create_datagram_endpoint(Asker, remote_addr=("127.0.0.1", port))


async def listening(balancer: Balancer) -> tuple[asyncio.DatagramTransport, udp.Listener, int]:
    loop = asyncio.get_running_loop()
    transport, listener = await loop.create_datagram_endpoint(
        lambda: udp.Listener(balancer), local_addr=("127.0.0.1", 0)
    )
    return transport, listener, transport.get_extra_info("sockname")[1]


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


async def one_socket_for_a_client() -> None:
    one = await backend(b"one")
    balancer = Balancer()
    balancer.endpoints = [one.endpoint]
    proxy, _, port = await listening(balancer)
    client, asked = await asker(port)
    for number in range(5):
        client.sendto(b"%d" % number)
    assert {await asked.answer() for _ in range(5)} == {b"one:%d" % number for number in range(5)}
    assert len(one.askers) == 1
    for transport in (client, proxy, one.transport):
        transport.close()


async def an_endpoint_that_goes_loses_its_clients() -> None:
    one, two = await backend(b"one"), await backend(b"two")
    balancer = Balancer()
    balancer.endpoints = [one.endpoint]
    proxy, _, port = await listening(balancer)
    client, asked = await asker(port)
    client.sendto(b"a")
    assert await asked.answer() == b"one:a"
    balancer.endpoints = [two.endpoint]
    client.sendto(b"b")
    assert await asked.answer() == b"two:b"
    # One that nobody listens at refuses the first datagram; the next is for another.
    balancer.endpoints = [Endpoint("127.0.0.1", free_port())]
    client.sendto(b"lost")
    await asyncio.sleep(0.05)
    balancer.endpoints = [*balancer.endpoints, two.endpoint]
    client.sendto(b"c")
    assert await asked.answer() == b"two:c"
    for transport in (client, proxy, one.transport, two.transport):
        transport.close()


async def an_endpoint_that_cannot_be_reached_is_passed_over() -> None:
    one = await backend(b"one")
    balancer = Balancer()
    balancer.endpoints = [Endpoint("not an address", 1), one.endpoint]
    proxy, _, port = await listening(balancer)
    client, asked = await asker(port)
    client.sendto(b"a")
    assert await asked.answer() == b"one:a"
    for transport in (client, proxy, one.transport):
        transport.close()


async def silent_clients_are_forgotten() -> None:
    one = await backend(b"one")
    balancer = Balancer()
    balancer.endpoints = [one.endpoint]
    proxy, listener, port = await listening(balancer)
    client, asked = await asker(port)
    client.sendto(b"a")
    assert await asked.answer() == b"one:a"
    assert len(listener._flows) == 1
    await asyncio.sleep(3 * udp.IDLE_SECONDS)
    assert not listener._flows
    for transport in (client, proxy, one.transport):
        transport.close()


@pytest.mark.parametrize("loop", [asyncio.run, uvloop.run])
@pytest.mark.parametrize(
    "scenario",
    [
        one_socket_for_a_client,
        an_endpoint_that_goes_loses_its_clients,
        an_endpoint_that_cannot_be_reached_is_passed_over,
        silent_clients_are_forgotten,
    ],
)
def test_udp(loop: Callable[..., None], scenario: Callable[[], Coroutine], monkeypatch: pytest.MonkeyPatch) -> None:
    if scenario is silent_clients_are_forgotten:
        monkeypatch.setattr(udp, "IDLE_SECONDS", 0.1)
    loop(scenario())
