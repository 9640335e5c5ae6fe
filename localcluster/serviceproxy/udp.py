"""UDP through the proxy: a socket for each client, forgotten when it has been silent for a while."""

from __future__ import annotations

import asyncio
from typing import cast

from localcluster.serviceproxy.balancer import Balancer

IDLE_SECONDS = 60.0
MAX_CLIENTS = 1000


class _Upstream(asyncio.DatagramProtocol):
    def __init__(self, listener: Listener, client: tuple[str, int]) -> None:
        self._listener = listener
        self._client = client

    def datagram_received(self, data: bytes, addr: object) -> None:
        if self._listener.transport is not None:
            self._listener.transport.sendto(data, self._client)


class Listener(asyncio.DatagramProtocol):
    """One bound UDP port of a Service."""

    def __init__(self, balancer: Balancer) -> None:
        self._balancer = balancer
        self.transport: asyncio.DatagramTransport | None = None
        self._clients: dict[tuple[str, int], tuple[asyncio.DatagramTransport, float]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        now = asyncio.get_running_loop().time()
        known = self._clients.get(addr)
        if known is not None and now - known[1] < IDLE_SECONDS:
            self._clients[addr] = (known[0], now)
            known[0].sendto(data)
            return
        task = asyncio.ensure_future(self._connect(data, addr))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _connect(self, data: bytes, addr: tuple[str, int]) -> None:
        self._forget_idle()
        endpoint = next(self._balancer.choose(addr[0]), None)
        if endpoint is None or len(self._clients) >= MAX_CLIENTS:
            return
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(
            lambda: _Upstream(self, addr), remote_addr=(endpoint.address, endpoint.port)
        )
        self._balancer.connected(addr[0], endpoint)
        self._clients[addr] = (transport, loop.time())
        transport.sendto(data)

    def _forget_idle(self) -> None:
        limit = asyncio.get_running_loop().time() - IDLE_SECONDS
        for addr, (transport, last) in list(self._clients.items()):
            if last < limit:
                transport.close()
                del self._clients[addr]

    def connection_lost(self, exc: Exception | None) -> None:
        for transport, _ in self._clients.values():
            transport.close()


async def listen(address: str, port: int, balancer: Balancer) -> asyncio.DatagramTransport:
    """Raises `OSError` where the address cannot be bound."""
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(lambda: Listener(balancer), local_addr=(address, port))
    return transport
