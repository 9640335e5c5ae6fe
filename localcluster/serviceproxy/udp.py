"""UDP through the proxy: a socket for each client, forgotten when there has been silence for a while.

As with a connection tracker, a client's datagrams go to one endpoint as long as that takes them; once it is no longer
among the Service's endpoints, or refuses, the next datagram goes to another.
"""

from __future__ import annotations

import asyncio
import logging
from typing import cast

from localcluster.serviceproxy.balancer import Balancer
from localcluster.serviceproxy.endpoints import Endpoint

log = logging.getLogger(__name__)

IDLE_SECONDS = 60.0
MAX_CLIENTS = 1000
MAX_EARLY_DATAGRAMS = 16
"""How many of a client's datagrams wait while its socket is made; more are lost, as UDP may lose any."""

Address = tuple[str, int]


class _Flow(asyncio.DatagramProtocol):
    """What one client sends and gets."""

    def __init__(self, listener: Listener, client: Address) -> None:
        self.endpoint: Endpoint | None = None
        self.last = 0.0
        self.connecting: asyncio.Task[None] | None = None
        self._listener = listener
        self._client = client
        self._transport: asyncio.DatagramTransport | None = None
        self._early: list[bytes] = []

    def send(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.sendto(data)
        elif len(self._early) < MAX_EARLY_DATAGRAMS:
            self._early.append(data)

    def connected(self, endpoint: Endpoint, transport: asyncio.DatagramTransport) -> None:
        self.endpoint, self._transport = endpoint, transport
        for data in self._early:
            transport.sendto(data)
        self._early.clear()

    def close(self) -> None:
        if self.connecting is not None:
            self.connecting.cancel()
        if self._transport is not None:
            self._transport.close()

    def datagram_received(self, data: bytes, addr: object) -> None:
        self.last = asyncio.get_running_loop().time()
        if self._listener.transport is not None:
            self._listener.transport.sendto(data, self._client)

    def error_received(self, exc: Exception) -> None:
        log.debug("udp %s to %s: %s", self._client, self.endpoint, exc)
        self._listener.forget(self._client, self)


class Listener(asyncio.DatagramProtocol):
    """One bound UDP port of a Service."""

    def __init__(self, balancer: Balancer) -> None:
        self._balancer = balancer
        self.transport: asyncio.DatagramTransport | None = None
        self._flows: dict[Address, _Flow] = {}
        self._sweep: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: Address) -> None:
        now = asyncio.get_running_loop().time()
        flow = self._flows.pop(addr, None)
        if flow is not None and not self._is_good(flow, now):
            flow.close()
            flow = None
        if flow is None:
            if not self._balancer.endpoints:
                return
            flow = _Flow(self, addr)
            flow.connecting = asyncio.create_task(self._connect(flow, addr))
            self._make_room()
        flow.last = now
        # The one that was used last is the last in order.
        self._flows[addr] = flow
        flow.send(data)
        if self._sweep is None:
            self._sweep = asyncio.get_running_loop().call_later(IDLE_SECONDS, self._forget_idle)

    def _is_good(self, flow: _Flow, now: float) -> bool:
        if flow.endpoint is None:
            return True
        return now - flow.last < IDLE_SECONDS and flow.endpoint in self._balancer.endpoints

    async def _connect(self, flow: _Flow, addr: Address) -> None:
        loop = asyncio.get_running_loop()
        for endpoint in self._balancer.choose(addr[0]):
            try:
                transport, _ = await loop.create_datagram_endpoint(
                    lambda: flow, remote_addr=(endpoint.address, endpoint.port)
                )
            except OSError as error:
                log.debug("udp %s to %s: %s", addr, endpoint, error)
                continue
            self._balancer.connected(addr[0], endpoint)
            flow.connected(endpoint, transport)
            return
        log.warning("udp %s: no endpoint can be reached", addr)
        self.forget(addr, flow)

    def _make_room(self) -> None:
        while len(self._flows) >= MAX_CLIENTS:
            self._flows.pop(next(iter(self._flows))).close()

    def forget(self, addr: Address, flow: _Flow) -> None:
        if self._flows.get(addr) is flow:
            del self._flows[addr]
        flow.close()

    def _forget_idle(self) -> None:
        loop = asyncio.get_running_loop()
        limit = loop.time() - IDLE_SECONDS
        for addr, flow in list(self._flows.items()):
            if flow.last <= limit:
                self.forget(addr, flow)
        self._sweep = loop.call_later(IDLE_SECONDS / 2, self._forget_idle) if self._flows else None

    def connection_lost(self, exc: Exception | None) -> None:
        if self._sweep is not None:
            self._sweep.cancel()
            self._sweep = None
        for flow in self._flows.values():
            flow.close()
        self._flows.clear()


async def listen(address: str, port: int, balancer: Balancer) -> asyncio.DatagramTransport:
    """Raises `OSError` where the address cannot be bound."""
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(lambda: Listener(balancer), local_addr=(address, port))
    return transport
