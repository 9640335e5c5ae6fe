"""Keeps the rules of aggregated ClusterRoles in step with the roles that their selectors find.

    aggregation = RoleAggregation(store, now)     # inside the event loop; writes right after the change that caused it

Here in place of kube-controller-manager's controller of that name, so that the default roles hold without it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from localcluster.apiserver.auth.default_objects import aggregated_rules
from localcluster.apiserver.auth.rbac import CLUSTER_ROLES, GROUP
from localcluster.apiserver.kinds.base import JSON
from localcluster.apiserver.store import Event, Store

_MANAGER = "clusterrole-aggregation-controller"


class RoleAggregation:
    """Follows the stored ClusterRoles; `now` gives the time as RFC 3339 with seconds."""

    def __init__(self, store: Store, now: Callable[[], str]) -> None:
        self._store = store
        self._now = now
        self._scheduled = False
        self.stop = store.subscribe(CLUSTER_ROLES, self._changed)

    def _changed(self, event: Event) -> None:
        # Not within the write that caused it: watchers would see the two in the wrong order.
        if not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self.update)

    def update(self) -> None:
        """Write every aggregated role whose rules are not what they should be."""
        self._scheduled = False
        # Aggregated roles may be parts of others: each round can settle one more level.
        for _ in range(len(self._store.list(CLUSTER_ROLES))):
            if not self._update_once():
                return

    def _update_once(self) -> bool:
        changed = False
        for role in self._store.list(CLUSTER_ROLES):
            if not role.get("aggregationRule") or role["metadata"].get("deletionTimestamp"):
                continue
            rules = aggregated_rules(role, self._store.list(CLUSTER_ROLES))
            if rules != (role.get("rules") or []):
                self._store.update(CLUSTER_ROLES, self._with_rules(role, rules), role)
                changed = True
        return changed

    def _with_rules(self, role: JSON, rules: list[JSON]) -> JSON:
        entry = {
            "manager": _MANAGER,
            "operation": "Apply",
            "apiVersion": f"{GROUP}/v1",
            "time": self._now(),
            "fieldsType": "FieldsV1",
            "fieldsV1": {"f:rules": {}},
        }
        metadata = dict(role["metadata"])
        others = [e for e in metadata.get("managedFields") or () if e.get("manager") != _MANAGER]
        metadata["managedFields"] = [entry, *others]
        return {**role, "metadata": metadata, "rules": rules}
