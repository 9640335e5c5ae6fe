"""Which replica of the controller works: the one that holds the Lease.

As with client-go's leader election, expiry is judged by one's own clock: by how long ago the Lease was last seen to
change. The others take over `LEASE_SECONDS` after the holder was killed, at once after it stopped in good order.
"""

from __future__ import annotations

import asyncio
import logging
import time
from datetime import UTC, datetime
from typing import Any

from kubeless.cluster import AlreadyExists, Cluster, ClusterError, Conflict
from kubeless.cluster.resources import LEASES

JSON = dict[str, Any]

LEASE_SECONDS = 10
RENEW_SECONDS = 2.0
GIVE_UP_SECONDS = 7.0
"""After so long without a renewal the holder stops working: less than LEASE_SECONDS, so that there are never two."""

_log = logging.getLogger(__name__)


class Leadership:
    """One replica's part in the election of `namespace`/`name`.

    `identity` must be no other running process's; the name of a pod is right, also for its next container.
    """

    def __init__(self, cluster: Cluster, namespace: str, name: str, identity: str) -> None:
        self._cluster = cluster
        self._namespace = namespace
        self._name = name
        self._identity = identity
        self._seen: tuple[str, str] | None = None
        self._seen_at = 0.0
        self._lease: JSON | None = None
        self.held = False

    async def acquire(self) -> None:
        """Returns when this replica is the one that works."""
        told = ""
        while True:
            try:
                if await self._try_to_acquire():
                    self.held = True
                    _log.info("%s holds the lease %s/%s", self._identity, self._namespace, self._name)
                    return
                holder = ((self._lease or {}).get("spec") or {}).get("holderIdentity") or "nobody"
                if holder != told:
                    _log.info("waiting: %s holds the lease %s/%s", holder, self._namespace, self._name)
                    told = holder
            except ClusterError as error:
                _log.warning("lease %s/%s: %s", self._namespace, self._name, error)
            await asyncio.sleep(RENEW_SECONDS)

    async def hold(self) -> None:
        """Renew the lease; returns when it could not be, and another replica may take over."""
        renewed = time.monotonic()
        while time.monotonic() - renewed < GIVE_UP_SECONDS:
            await asyncio.sleep(RENEW_SECONDS)
            try:
                left = GIVE_UP_SECONDS - (time.monotonic() - renewed)
                async with asyncio.timeout(max(left, 0.1)):
                    if not await self._renew():
                        _log.error("the lease was taken over by another replica")
                        break
                renewed = time.monotonic()
            except (ClusterError, TimeoutError) as error:
                _log.warning("the lease could not be renewed: %s", error or "no answer in time")
        self.held = False

    async def release(self) -> None:
        """Let another replica take over at once."""
        if not self.held or self._lease is None:
            return
        self.held = False
        spec = {**self._lease["spec"], "holderIdentity": "", "leaseDurationSeconds": 1}
        try:
            async with asyncio.timeout(RENEW_SECONDS):
                await self._cluster.replace({**self._lease, "spec": spec})
        except (ClusterError, TimeoutError) as error:
            _log.warning("the lease could not be released: %s", error or "no answer in time")

    async def _try_to_acquire(self) -> bool:
        lease = await self._cluster.find(LEASES, self._name, self._namespace)
        try:
            if lease is None:
                self._lease = await self._cluster.create(self._made())
                return True
            self._lease = lease
            spec = lease.get("spec") or {}
            if not self._may_take(spec):
                return False
            holder = spec.get("holderIdentity") or ""
            changed = self._spec(acquired=_now(), transitions=(spec.get("leaseTransitions") or 0) + (holder != ""))
            self._lease = await self._cluster.replace({**lease, "spec": changed})
            return True
        except (AlreadyExists, Conflict):
            return False  # another replica was faster

    def _may_take(self, spec: JSON) -> bool:
        holder = spec.get("holderIdentity") or ""
        seen = (holder, str(spec.get("renewTime")))
        now = time.monotonic()
        if seen != self._seen:
            self._seen, self._seen_at = seen, now
        duration = spec.get("leaseDurationSeconds") or LEASE_SECONDS
        return holder in ("", self._identity) or now - self._seen_at >= duration

    async def _renew(self) -> bool:
        """False if somebody else holds the lease."""
        if self._lease is None:
            return False
        old = self._lease["spec"]
        spec = self._spec(acquired=old["acquireTime"], transitions=old.get("leaseTransitions") or 0)
        try:
            self._lease = await self._cluster.replace({**self._lease, "spec": spec})
        except Conflict:
            # An answer that got lost may have been a renewal; or somebody edited the lease.
            self._lease = await self._cluster.get(LEASES, self._name, self._namespace)
            return bool((self._lease.get("spec") or {}).get("holderIdentity") == self._identity)
        return True

    def _made(self) -> JSON:
        return {
            "apiVersion": LEASES.api_version,
            "kind": LEASES.kind,
            "metadata": {"name": self._name, "namespace": self._namespace},
            "spec": self._spec(acquired=_now(), transitions=0),
        }

    def _spec(self, *, acquired: str, transitions: int) -> JSON:
        return {
            "holderIdentity": self._identity,
            "leaseDurationSeconds": LEASE_SECONDS,
            "acquireTime": acquired,
            "renewTime": _now(),
            "leaseTransitions": transitions,
        }


def _now() -> str:
    """A MicroTime."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
