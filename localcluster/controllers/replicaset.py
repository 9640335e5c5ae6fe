"""The ReplicaSet controller: as many pods as asked for, taken over, made or deleted."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from localcluster.controllers import conditions, labels, owners, pods
from localcluster.controllers.creation import create_pods, delete_pods
from localcluster.controllers.manager import Controller, Manager
from localcluster.controllers.times import now, seconds_since
from localcluster.informer import Key, key_of
from localcluster.resource_types import PODS, REPLICA_SETS

JSON = dict[str, Any]


def status_of(rs: JSON, claimed: Sequence[JSON], failure: Exception | None, difference: int, now: datetime) -> JSON:
    """The ReplicaSet's status by its pods.

    Args:
        difference: active pods less those wanted, when `failure` kept it from being made up.
    """
    template_labels = rs["spec"]["template"].get("metadata", {}).get("labels") or {}
    seconds = rs["spec"].get("minReadySeconds") or 0
    active = [pod for pod in claimed if pods.is_active(pod)]
    status: JSON = {"replicas": len(active), "observedGeneration": rs["metadata"].get("generation", 0)}
    counts = {
        "fullyLabeledReplicas": sum(labels.selects_map(template_labels, p["metadata"].get("labels")) for p in active),
        "readyReplicas": sum(pods.is_ready(pod) for pod in active),
        "availableReplicas": sum(pods.is_available(pod, seconds, now) for pod in active),
    }
    status |= {key: count for key, count in counts.items() if count}
    status["terminatingReplicas"] = sum(pods.is_terminating(pod) for pod in claimed)
    present = conditions.without(rs.get("status", {}).get("conditions"))
    if failure is None:
        present = conditions.without(present, "ReplicaFailure")
    elif conditions.find(present, "ReplicaFailure") is None:
        reason = "FailedCreate" if difference < 0 else "FailedDelete"
        present = conditions.with_condition(present, "ReplicaFailure", "True", reason, str(failure), now)
    if present:
        status["conditions"] = present
    return status


def seconds_to_availability(rs: JSON, claimed: Iterable[JSON], now: datetime) -> float | None:
    """When the next ready pod will have been ready for minReadySeconds."""
    seconds = rs["spec"].get("minReadySeconds") or 0
    waits = [
        seconds - seconds_since(pods.ready_since(pod), now)
        for pod in claimed
        if pods.is_active(pod) and pods.is_ready(pod) and not pods.is_available(pod, seconds, now)
    ]
    return max(0.05, min(waits)) if waits else None


class ReplicaSetController(Controller):
    name = "replicaset-controller"
    workers = 6

    def __init__(self, manager: Manager) -> None:
        self.replica_sets = manager.informer(REPLICA_SETS, {"controller": owners.controller_uids})
        self.pods = manager.informer(PODS, {"controller": owners.controller_uids})
        super().__init__(manager, [self.replica_sets, self.pods])
        self.replica_sets.add_handler(self._replica_set_changed)
        self.pods.add_handler(self._pod_changed)

    def _replica_set_changed(self, old: JSON | None, new: JSON | None) -> None:
        if new is not None:
            self.queue.add(key_of(new))

    def _pod_changed(self, old: JSON | None, new: JSON | None) -> None:
        for pod in (old, new):
            if pod is None:
                continue
            owner = owners.controller_of(pod)
            namespace = pod["metadata"]["namespace"]
            if owner is not None and owner["kind"] == "ReplicaSet":
                self.queue.add((namespace, owner["name"]))
            elif owner is None and not pod["metadata"].get("deletionTimestamp"):
                for rs in self.replica_sets.list(namespace):
                    if labels.matches(rs["spec"]["selector"], pod["metadata"].get("labels")):
                        self.queue.add(key_of(rs))

    async def reconcile(self, key: Key) -> None:
        rs = self.replica_sets.get(*key)
        if rs is None:
            return

        async def read() -> JSON:
            return await self.client.get(REPLICA_SETS, key[1], key[0])

        claimed = await owners.claim(rs, REPLICA_SETS, rs["spec"]["selector"], self.pods, read)
        failure: Exception | None = None
        difference = 0
        if not rs["metadata"].get("deletionTimestamp"):
            difference = sum(pods.is_active(pod) for pod in claimed) - int(rs["spec"].get("replicas") or 0)
            failure = await self._make_up(rs, claimed, difference)
            claimed = self._now(rs)
        rs = self.replica_sets.get(*key) or rs
        status = status_of(rs, claimed, failure, difference, now())
        if status != rs.get("status"):
            await self.replica_sets.update_status({**rs, "status": status})
        if failure is not None:
            raise failure
        seconds = seconds_to_availability(rs, claimed, now())
        if seconds is not None:
            self.queue.add_after(key, seconds)

    async def _make_up(self, rs: JSON, claimed: Sequence[JSON], difference: int) -> Exception | None:
        if difference < 0:
            reference = owners.controller_reference(rs, REPLICA_SETS)
            made = pods.from_template(rs["spec"]["template"], reference, f"{rs['metadata']['name']}-")
            return await create_pods(self, rs, self.pods, [made] * -difference)
        if difference > 0:
            active = [pod for pod in claimed if pods.is_active(pod)]
            ordered = pods.deletion_order(active, self._related(rs), now())
            return await delete_pods(self, rs, self.pods, ordered[:difference])
        return None

    def _now(self, rs: JSON) -> list[JSON]:
        """The claimed pods after the writes."""
        return [
            pod
            for pod in self.pods.by_index("controller", rs["metadata"]["uid"])
            if labels.matches(rs["spec"]["selector"], pod["metadata"].get("labels"))
        ]

    def _related(self, rs: JSON) -> list[JSON]:
        """The pods of all ReplicaSets of the same Deployment."""
        owner = owners.controller_of(rs)
        siblings = self.replica_sets.by_index("controller", owner["uid"]) if owner is not None else [rs]
        return [pod for s in siblings for pod in self.pods.by_index("controller", s["metadata"]["uid"])]
