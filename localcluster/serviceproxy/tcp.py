"""TCP connections through the proxy: bytes both ways, with flow control and half-closed connections."""

from __future__ import annotations

import asyncio
from typing import cast

from localcluster.serviceproxy.balancer import Balancer

CONNECT_SECONDS = 5.0


class _Side(asyncio.Protocol):
    """One of the two connections; `peer` is the other."""

    peer: _Side | None = None
    transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        if self.peer is not None and self.peer.transport is not None:
            self.peer.transport.write(data)

    def eof_received(self) -> bool:
        if self.peer is None or self.peer.transport is None:
            return False
        if self.peer.transport.can_write_eof() and not self.peer.transport.is_closing():
            self.peer.transport.write_eof()
        return True

    def pause_writing(self) -> None:
        if self.peer is not None and self.peer.transport is not None:
            self.peer.transport.pause_reading()

    def resume_writing(self) -> None:
        if self.peer is not None and self.peer.transport is not None:
            self.peer.transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        peer, self.peer = self.peer, None
        if peer is not None and peer.transport is not None:
            if exc is None:
                peer.transport.close()
            else:
                peer.transport.abort()


class Connection(_Side):
    """A client's connection, which gets an endpoint as soon as it is there."""

    def __init__(self, balancer: Balancer) -> None:
        self._balancer = balancer
        self._connecting: asyncio.Task[None] | None = None
        # uvloop begins to read after `connection_made` even if that paused it, so a little may come early.
        self._early: list[bytes] = []
        self._early_end = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        cast(asyncio.Transport, transport).pause_reading()
        self._connecting = asyncio.get_running_loop().create_task(self._connect())

    async def _connect(self) -> None:
        assert self.transport is not None
        client = (self.transport.get_extra_info("peername") or ("",))[0]
        loop = asyncio.get_running_loop()
        for endpoint in self._balancer.choose(client):
            try:
                async with asyncio.timeout(CONNECT_SECONDS):
                    _, upstream = await loop.create_connection(_Side, endpoint.address, endpoint.port)
            except OSError:
                continue
            if self.transport.is_closing():
                if upstream.transport is not None:
                    upstream.transport.abort()
                return
            self._balancer.connected(client, endpoint)
            self.peer, upstream.peer = upstream, self
            for data in self._early:
                super().data_received(data)
            self._early.clear()
            if self._early_end:
                super().eof_received()
            self.transport.resume_reading()
            return
        self.transport.abort()

    def data_received(self, data: bytes) -> None:
        if self.peer is None:
            self._early.append(data)
            cast(asyncio.Transport, self.transport).pause_reading()
        else:
            super().data_received(data)

    def eof_received(self) -> bool:
        if self.peer is None:
            self._early_end = True
            return True
        return super().eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        if self.peer is None and self._connecting is not None:
            self._connecting.cancel()
        super().connection_lost(exc)


async def listen(address: str, port: int, balancer: Balancer) -> asyncio.Server:
    """Raises `OSError` where the address cannot be bound."""
    return await asyncio.get_running_loop().create_server(
        lambda: Connection(balancer), address, port, backlog=1024, start_serving=True
    )
