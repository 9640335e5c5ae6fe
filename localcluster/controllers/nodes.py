"""The node life cycle: nodes that stop reporting become Unknown and tainted, and their pods are not ready."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from localcluster.client import ApiStatusError, ClientError, Conflict, NotFound
from localcluster.controllers import conditions, pods, taints
from localcluster.controllers.manager import Controller, Manager
from localcluster.controllers.times import format_time, now
from localcluster.informer import Informer, Key, key_of
from localcluster.resource_types import LEASES, NODES, PODS

JSON = dict[str, Any]

GRACE_SECONDS = 50.0
"""How long a node may be silent (--node-monitor-grace-period)."""
STARTUP_GRACE_SECONDS = 60.0
MONITOR_SECONDS = 5.0
LEASE_NAMESPACE = "kube-node-lease"
TTL_ANNOTATION = "node.alpha.kubernetes.io/ttl"
REPORTED = ("Ready", "MemoryPressure", "DiskPressure", "PIDPressure")
PRESSURES = {
    "MemoryPressure": "node.kubernetes.io/memory-pressure",
    "DiskPressure": "node.kubernetes.io/disk-pressure",
    "PIDPressure": "node.kubernetes.io/pid-pressure",
    "NetworkUnavailable": "node.kubernetes.io/network-unavailable",
}
OURS = frozenset({taints.NOT_READY, taints.UNREACHABLE, taints.UNSCHEDULABLE, *PRESSURES.values()})


def ready_status(node: JSON) -> str | None:
    """True, False or Unknown; None before the node has ever said."""
    ready = conditions.find(node.get("status", {}).get("conditions"), "Ready")
    return str(ready["status"]) if ready is not None else None


def wanted_taints(node: JSON, now: datetime) -> list[JSON]:
    """spec.taints with ours as the conditions ask for them, the others as they are."""
    present = node["spec"].get("taints") or []
    wanted: list[tuple[str, str]] = []
    state = ready_status(node)
    if state != "True":
        key = taints.UNREACHABLE if state == "Unknown" else taints.NOT_READY
        wanted += [(key, "NoSchedule"), (key, "NoExecute")]
    for type, key in PRESSURES.items():
        if conditions.is_true(node.get("status", {}).get("conditions"), type):
            wanted.append((key, "NoSchedule"))
    if node["spec"].get("unschedulable"):
        wanted.append((taints.UNSCHEDULABLE, "NoSchedule"))
    kept = [t for t in present if t["key"] not in OURS or (t["key"], t["effect"]) in wanted]
    known = {(t["key"], t["effect"]) for t in kept}
    for key, effect in wanted:
        if (key, effect) not in known:
            kept.append({"key": key, "effect": effect, "timeAdded": format_time(now)})
    return kept


def silent_conditions(node: JSON, now: datetime) -> list[JSON]:
    """The conditions of a node that has stopped reporting."""
    found = list(node.get("status", {}).get("conditions") or ())
    for type in REPORTED:
        old = conditions.find(found, type)
        if old is None:
            never = {"reason": "NodeStatusNeverUpdated", "message": "Kubelet never posted node status."}
            moment = node["metadata"]["creationTimestamp"]
            times = {"lastHeartbeatTime": moment, "lastTransitionTime": format_time(now)}
            found.append({"type": type, "status": "Unknown", **times, **never})
        elif old["status"] != "Unknown":
            words = {"reason": "NodeStatusUnknown", "message": "Kubelet stopped posting node status."}
            changed = {**old, "status": "Unknown", "lastTransitionTime": format_time(now), **words}
            found = [changed if c is old else c for c in found]
    return found


@dataclass
class _Heard:
    """The last sign of life of a node, and when by our clock it came: nodes' clocks may be wrong."""

    sign: Any
    at: float


class NodeController(Controller):
    name = "node-controller"
    workers = 2

    def __init__(self, manager: Manager) -> None:
        self.nodes = manager.informer(NODES)
        self.pods = manager.informer(PODS, {"node": lambda pod: (pod["spec"].get("nodeName") or "",)})
        self.leases = Informer(manager.client, LEASES, namespace=LEASE_NAMESPACE)
        super().__init__(manager, [self.nodes, self.pods, self.leases])
        self._heard: dict[str, _Heard] = {}
        self.nodes.add_handler(self._node_changed)

    def jobs(self) -> list[Any]:
        return [*super().jobs(), self.leases.run(), self._monitor()]

    def _node_changed(self, old: JSON | None, new: JSON | None) -> None:
        if new is not None:
            self.queue.add(key_of(new))
            if old is None:
                name = new["metadata"]["name"]
                self.normal(new, "RegisteredNode", f"Node {name} event: Registered Node {name} in Controller")
        elif old is not None:
            name = old["metadata"]["name"]
            self._heard.pop(name, None)
            self.normal(old, "RemovingNode", f"Node {name} event: Removing Node {name} from Controller")

    async def _monitor(self) -> None:
        for informer in self.needs:
            await informer.synced.wait()
        while True:
            for node in self.nodes.list():
                self._listen(node)
                if self._is_silent(node) and silent_conditions(node, now()) != node.get("status", {}).get("conditions"):
                    self.queue.add(key_of(node))
            await asyncio.sleep(MONITOR_SECONDS)

    def _listen(self, node: JSON) -> None:
        name = node["metadata"]["name"]
        ready = conditions.find(node.get("status", {}).get("conditions"), "Ready") or {}
        lease = self.leases.get(LEASE_NAMESPACE, name) or {}
        sign = (
            node["metadata"]["uid"],
            ready.get("lastHeartbeatTime") if ready.get("status") != "Unknown" else None,
            (lease.get("spec") or {}).get("renewTime"),
        )
        heard = self._heard.get(name)
        if heard is None or heard.sign != sign:
            self._heard[name] = _Heard(sign, asyncio.get_running_loop().time())

    def _is_silent(self, node: JSON) -> bool:
        heard = self._heard.get(node["metadata"]["name"])
        if heard is None or not all(informer.synced.is_set() for informer in self.needs):
            return False
        grace = GRACE_SECONDS if ready_status(node) is not None else STARTUP_GRACE_SECONDS
        return asyncio.get_running_loop().time() - heard.at > grace

    async def reconcile(self, key: Key) -> None:
        node = self.nodes.get(*key)
        if node is None:
            return
        try:
            if self._is_silent(node):
                found = silent_conditions(node, now())
                if found != node.get("status", {}).get("conditions"):
                    status = {**(node.get("status") or {}), "conditions": found}
                    node = await self.nodes.update_status({**node, "status": status})
                    name = node["metadata"]["name"]
                    self.normal(node, "NodeNotReady", f"Node {name} status is now: NodeNotReady")
            patch: JSON = {}
            wanted = wanted_taints(node, now())
            if wanted != (node["spec"].get("taints") or []):
                patch["spec"] = {"taints": wanted or None}
            if (node["metadata"].get("annotations") or {}).get(TTL_ANNOTATION) is None:
                patch["metadata"] = {"annotations": {TTL_ANNOTATION: "0"}}
            if patch:
                patch.setdefault("metadata", {})["resourceVersion"] = node["metadata"]["resourceVersion"]
                node = await self.nodes.patch(node, patch)
        except (NotFound, Conflict):
            # The change that came between brings the node here again.
            return
        if ready_status(node) in ("False", "Unknown"):
            await self._mark_pods(self.pods.by_index("node", key[1]))

    async def _mark_pods(self, affected: Sequence[JSON]) -> None:
        for pod in affected:
            if not pods.is_ready(pod):
                continue
            moment = format_time(now())
            words = {"status": "False", "lastTransitionTime": moment}
            found = [{**c, **words} if c["type"] == "Ready" else c for c in pod["status"]["conditions"]]
            try:
                await self.pods.update_status({**pod, "status": {**pod["status"], "conditions": found}})
            except ApiStatusError as error:
                if error.code not in (404, 409):
                    raise
                continue
            self.warning(pod, "NodeNotReady", "Node is not ready")


class TaintEvictionController(Controller):
    """Deletes pods from nodes with NoExecute taints, when their tolerations end."""

    name = "taint-eviction-controller"
    workers = 2

    def __init__(self, manager: Manager) -> None:
        self.nodes = manager.informer(NODES)
        self.pods = manager.informer(PODS, {"node": lambda pod: (pod["spec"].get("nodeName") or "",)})
        super().__init__(manager, [self.nodes, self.pods])
        self._evict_at: dict[str, float] = {}
        self.nodes.add_handler(self._node_changed)
        self.cancel_with(self.pods)
        self.pods.add_handler(self._pod_changed)

    def _node_changed(self, old: JSON | None, new: JSON | None) -> None:
        def harmful(node: JSON | None) -> list[JSON]:
            return [t for t in (node or {}).get("spec", {}).get("taints") or () if t["effect"] == "NoExecute"]

        if new is not None and harmful(old) != harmful(new):
            for pod in self.pods.by_index("node", new["metadata"]["name"]):
                self.queue.add(key_of(pod))

    def _pod_changed(self, old: JSON | None, new: JSON | None) -> None:
        if new is None:
            if old is not None:
                self._evict_at.pop(old["metadata"]["uid"], None)
        elif new["spec"].get("nodeName") and (old is None or old["spec"] != new["spec"]):
            self.queue.add(key_of(new))

    async def reconcile(self, key: Key) -> None:
        pod = self.pods.get(*key)
        if pod is None or pod["metadata"].get("deletionTimestamp") or not pod["spec"].get("nodeName"):
            return
        uid = pod["metadata"]["uid"]
        node = self.nodes.get("", pod["spec"]["nodeName"])
        found = (node or {}).get("spec", {}).get("taints") or []
        seconds = taints.eviction_seconds(found, pod["spec"].get("tolerations") or ())
        if seconds is None:
            if self._evict_at.pop(uid, None) is not None:
                self.normal(pod, "TaintManagerEviction", f"Cancelling deletion of Pod {key[0]}/{key[1]}")
            return
        clock = asyncio.get_running_loop().time()
        due = self._evict_at.setdefault(uid, clock + seconds)
        if clock < due:
            self.queue.add_after(key, due - clock)
            return
        self.normal(pod, "TaintManagerEviction", f"Marking for deletion Pod {key[0]}/{key[1]}")
        message = "Taint manager: deleting due to NoExecute taint"
        await disrupt(self.pods, pod, "DeletionByTaintManager", message)
        self._evict_at.pop(uid, None)


async def disrupt(
    informer: Informer, pod: JSON, reason: str, message: str, *, failed: bool = False, force: bool = False
) -> None:
    """Delete a pod for the cluster's sake, with the condition DisruptionTarget first."""
    status = dict(pod.get("status") or {})
    status["conditions"] = conditions.with_condition(
        status.get("conditions"), "DisruptionTarget", "True", reason, message, now()
    )
    if failed and not pods.is_finished(pod):
        status["phase"] = "Failed"
    try:
        if status != pod.get("status"):
            pod = await informer.update_status({**pod, "status": status})
        await informer.delete(pod, grace_period_seconds=0 if force else None)
    except (NotFound, Conflict):
        return


class PodGarbageCollector(Controller):
    """Deletes pods of nodes that are gone, pods that were to go before they had a node, and too many finished ones."""

    name = "pod-garbage-collector-controller"
    period_seconds = 20.0
    quarantine_seconds = 40.0
    """How long a node must have been gone."""
    max_finished = 12500

    def __init__(self, manager: Manager) -> None:
        self.nodes = manager.informer(NODES)
        self.pods = manager.informer(PODS)
        super().__init__(manager, [self.nodes, self.pods])
        self._missing_since: dict[str, float] = {}

    def jobs(self) -> list[Any]:
        return [self._run()]

    async def _run(self) -> None:
        while True:
            for informer in self.needs:
                await informer.synced.wait()
            try:
                await self._collect()
            except ClientError:
                await asyncio.sleep(1)
            await asyncio.sleep(self.period_seconds)

    async def _collect(self) -> None:
        everything = self.pods.list()
        finished = sorted(
            (pod for pod in everything if pods.is_finished(pod)), key=lambda p: p["metadata"]["creationTimestamp"]
        )
        for pod in finished[: max(0, len(finished) - self.max_finished)]:
            await self.pods.delete(pod, grace_period_seconds=0)
        gone = await self._gone_nodes({pod["spec"]["nodeName"] for pod in everything if pod["spec"].get("nodeName")})
        for pod in everything:
            node = pod["spec"].get("nodeName")
            if node in gone:
                message = "PodGC: node no longer exists"
                await disrupt(self.pods, pod, "DeletionByPodGC", message, failed=True, force=True)
            elif not node and pod["metadata"].get("deletionTimestamp"):
                await self.pods.delete(pod, grace_period_seconds=0)

    async def _gone_nodes(self, named: set[str]) -> set[str]:
        clock = asyncio.get_running_loop().time()
        missing = {name for name in named if self.nodes.get("", name) is None}
        self._missing_since = {name: self._missing_since.get(name, clock) for name in missing}
        gone = set()
        for name, since in self._missing_since.items():
            if clock - since < self.quarantine_seconds:
                continue
            try:
                await self.client.get(NODES, name)
            except NotFound:
                gone.add(name)
        return gone
