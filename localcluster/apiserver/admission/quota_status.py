"""Writes into each ResourceQuota's status what its namespace takes, right after that has changed.

    status = QuotaStatus(store)      # inside the event loop; follows the stored objects by itself

Here and in no controller: who has created something reads its usage with the next request, as on a real server, whose
admission writes it too.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from localcluster.apiserver.admission.quota_usage import storage_of, total
from localcluster.apiserver.kinds.base import JSON
from localcluster.apiserver.store import Event, Store

STORAGE = "/resourcequotas"


class QuotaStatus:
    """Follows the quotas, and of other objects those that some quota counts."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._pending: set[str] = set()
        self._followed: dict[str, Callable[[], None]] = {STORAGE: store.subscribe(STORAGE, self._changed)}
        for quota in store.list(STORAGE):
            self._follow(quota)
            # The process may have ended between a change and what follows from it.
            self._pending.add(quota["metadata"]["namespace"])
        self.update()

    def stop(self) -> None:
        for unsubscribe in self._followed.values():
            unsubscribe()
        self._followed.clear()

    def _follow(self, quota: JSON) -> None:
        for name in quota["spec"].get("hard") or {}:
            storage = storage_of(name)
            if storage not in self._followed:
                self._followed[storage] = self._store.subscribe(storage, self._changed)

    def _changed(self, event: Event) -> None:
        namespace = event.key.partition("/")[0]
        if not self._store.list(STORAGE, namespace):
            return
        if event.storage == STORAGE:
            self._follow(event.obj)
        if not self._pending:
            # Not within the write that caused it: watchers would see the two in the wrong order.
            asyncio.get_running_loop().call_soon(self.update)
        self._pending.add(namespace)

    def update(self) -> None:
        """Write the statuses of all namespaces in which something has changed."""
        namespaces, self._pending = self._pending, set()
        for namespace in sorted(namespaces):
            for quota in self._store.list(STORAGE, namespace):
                status = status_of(quota, self._store)
                if status != (quota.get("status") or {}):
                    self._store.update(STORAGE, {**quota, "metadata": dict(quota["metadata"]), "status": status}, quota)


def status_of(quota: JSON, store: Store) -> JSON:
    """The status that a quota should have now."""
    hard = quota["spec"].get("hard") or {}
    used = {name: str(value) for name, value in total(quota, store).items()}
    return {"hard": dict(hard), "used": used} if hard else {}
