"""Keeps listeners in step with Services and EndpointSlices.

A port without endpoints is not listened on, so clients are refused at once, as kube-proxy does it.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
from collections.abc import Callable
from typing import Any, Protocol

from localcluster.client import Client
from localcluster.informer import Informer
from localcluster.resource_types import ENDPOINT_SLICES, SERVICES
from localcluster.serviceproxy import tcp, udp
from localcluster.serviceproxy.balancer import Balancer
from localcluster.serviceproxy.endpoints import SERVICE_LABEL, Listen, Target, endpoints, is_ready, listens

log = logging.getLogger(__name__)

JSON = dict[str, Any]

BIND_RETRY_SECONDS = 15.0
LEAVE_SECONDS = 3.0
"""The longest that a pod's end waits for the EndpointSlice controller."""
SETTLE_SECONDS = 0.05
"""For connections that were made just before, so that the program can still accept them."""


class _Closable(Protocol):
    def close(self) -> None: ...


class ServiceProxy:
    """The proxy of one node.

    Args:
        node_address: where NodePorts listen.
        warn: told a Service, a reason and a message when a port cannot be bound.
    """

    def __init__(self, client: Client, node_address: str, warn: Callable[[JSON, str, str], None]) -> None:
        self._node_address = node_address
        self._warn = warn
        self.services = Informer(client, SERVICES)
        self._slices = Informer(client, ENDPOINT_SLICES, indexers={"service": _service_of, "address": _addresses_of})
        self._balancers: dict[Listen, tuple[Target, Balancer]] = {}
        self._listeners: dict[Listen, _Closable] = {}
        self._failed: set[Listen] = set()
        self._leaving: set[str] = set()
        self._slices_changed = asyncio.Event()
        self._dirty = asyncio.Event()
        self._updating = asyncio.Lock()
        self.services.add_handler(lambda old, new: self._dirty.set())
        self._slices.add_handler(self._slice_changed)

    # ---- life

    async def run(self) -> None:
        """Follow until cancelled; then all listeners are closed."""
        tasks = [asyncio.create_task(informer.run()) for informer in (self.services, self._slices)]
        try:
            await self.services.synced.wait()
            await self._slices.synced.wait()
            while True:
                self._dirty.clear()
                await self._update()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._dirty.wait(), BIND_RETRY_SECONDS if self._failed else None)
        finally:
            for task in tasks:
                task.cancel()
            for listener in self._listeners.values():
                listener.close()

    async def _update(self) -> None:
        async with self._updating:
            await self._bring_in_step()

    async def _bring_in_step(self) -> None:
        wanted: dict[Listen, tuple[Target, JSON]] = {}
        for service in self.services.list():
            for listen, target in listens(service, self._node_address):
                wanted.setdefault(listen, (target, service))
        for listen in [known for known in self._balancers if known not in wanted]:
            self._close(listen)
            del self._balancers[listen]
        self._failed &= set(wanted)
        for listen, (target, service) in wanted.items():
            known = self._balancers.get(listen)
            if known is None or known[0] != target:
                self._close(listen)
                known = self._balancers[listen] = (target, Balancer(target.affinity_seconds))
            balancer = known[1]
            slices = self._slices.by_index("service", f"{target.namespace}/{target.service}")
            balancer.endpoints = endpoints(slices, target.port_name, listen.protocol, self._leaving)
            if not balancer.endpoints:
                self._close(listen)
            elif listen not in self._listeners:
                await self._open(listen, balancer, service)

    async def _open(self, listen: Listen, balancer: Balancer, service: JSON) -> None:
        try:
            opener = tcp.listen if listen.protocol == "TCP" else udp.listen
            self._listeners[listen] = await opener(listen.address, listen.port, balancer)
        except OSError as error:
            if listen not in self._failed:
                self._failed.add(listen)
                message = bind_failure(listen, error)
                log.warning("service %s/%s: %s", *(service["metadata"][k] for k in ("namespace", "name")), message)
                self._warn(service, "FailedToBind", message)
        else:
            self._failed.discard(listen)

    def _close(self, listen: Listen) -> None:
        if (listener := self._listeners.pop(listen, None)) is not None:
            listener.close()

    # ---- endpoints that go

    async def leave(self, address: str) -> None:
        """A pod here is about to stop: send it nothing new, and wait (LEAVE_SECONDS at most) until the cluster's
        EndpointSlices say so too, for those who read them."""
        if not self._is_listed(address):
            return
        self._leaving.add(address)
        await self._update()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LEAVE_SECONDS):
                while self._is_listed(address):
                    self._slices_changed.clear()
                    await self._slices_changed.wait()
        await asyncio.sleep(SETTLE_SECONDS)

    def _is_listed(self, address: str) -> bool:
        return any(
            is_ready(entry)
            for piece in self._slices.by_index("address", address)
            for entry in piece.get("endpoints") or []
            if address in (entry.get("addresses") or [])
        )

    def _slice_changed(self, old: JSON | None, new: JSON | None) -> None:
        # From now on the slices speak for themselves; the address may soon be another pod's.
        self._leaving = {address for address in self._leaving if self._is_listed(address)}
        self._slices_changed.set()
        self._dirty.set()


def bind_failure(listen: Listen, error: OSError) -> str:
    text = f"cannot listen on {listen.address}:{listen.port}/{listen.protocol}: {error.strerror or error}"
    if error.errno == errno.EACCES:
        text += "; ports below 1024 need privileges (or a lower net.ipv4.ip_unprivileged_port_start)"
    return text


def _service_of(piece: JSON) -> list[str]:
    meta = piece["metadata"]
    name = (meta.get("labels") or {}).get(SERVICE_LABEL)
    return [f"{meta['namespace']}/{name}"] if name else []


def _addresses_of(piece: JSON) -> list[str]:
    return [address for entry in piece.get("endpoints") or [] for address in entry.get("addresses") or []]
