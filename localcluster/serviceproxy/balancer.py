"""Chooses the endpoint for a new connection: round robin, or always the same one for a client (sessionAffinity)."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

from localcluster.serviceproxy.endpoints import Endpoint

MAX_REMEMBERED_CLIENTS = 10_000


class Balancer:
    """The endpoints of one Service port.

    Args:
        affinity_seconds: for how long after its last connection a client keeps its endpoint; 0 for no affinity.
    """

    def __init__(self, affinity_seconds: int = 0) -> None:
        self.endpoints: Sequence[Endpoint] = ()
        self.affinity_seconds = affinity_seconds
        self._next = 0
        self._clients: dict[str, tuple[Endpoint, float]] = {}

    def choose(self, client: str) -> Iterator[Endpoint]:
        """The endpoint to try, then the others in case that it cannot be reached."""
        endpoints = self.endpoints
        if not endpoints:
            return
        first = self._next % len(endpoints)
        if self.affinity_seconds:
            known, last = self._clients.get(client, (None, 0.0))
            if known in endpoints and time.monotonic() - last < self.affinity_seconds:
                first = endpoints.index(known)
            else:
                self._next = first + 1
        else:
            self._next = first + 1
        for step in range(len(endpoints)):
            yield endpoints[(first + step) % len(endpoints)]

    def connected(self, client: str, endpoint: Endpoint) -> None:
        """A connection was made; with affinity the client stays there."""
        if self.affinity_seconds:
            self._clients.pop(client, None)
            self._clients[client] = (endpoint, time.monotonic())
            if len(self._clients) > MAX_REMEMBERED_CLIENTS:
                del self._clients[next(iter(self._clients))]
