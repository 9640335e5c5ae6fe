"""Binds pods that name the default scheduler to nodes; those that fit nowhere wait until something changes."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

from localcluster.client import ApiStatusError, Conflict, NotFound, PatchType
from localcluster.controllers import conditions, pods
from localcluster.controllers.manager import Controller, Manager
from localcluster.controllers.scheduler import filters
from localcluster.controllers.scheduler.filters import NodeState
from localcluster.controllers.times import format_time, now
from localcluster.informer import Key, key_of
from localcluster.resource_types import NODES, PODS

JSON = dict[str, Any]

SCHEDULER = "default-scheduler"
GATED = ("SchedulingGated", "Scheduling is blocked due to non-empty scheduling gates")
# Whatever might have been overlooked, a pod is tried again after this time.
FLUSH_SECONDS = 300.0
MAX_BACKOFF_SECONDS = 10


@dataclass(frozen=True)
class _Tried:
    """How often a pod was tried in vain, and when last, by the loop's clock."""

    times: int
    at: float

    @property
    def backoff_seconds(self) -> float:
        return float(min(2 ** (self.times - 1), MAX_BACKOFF_SECONDS))


def is_waiting(pod: JSON) -> bool:
    """Whether the pod is ours to place."""
    spec = pod["spec"]
    return spec.get("schedulerName", SCHEDULER) == SCHEDULER and not spec.get("nodeName") and pods.is_active(pod)


def _node_of(pod: JSON) -> tuple[str, ...]:
    return (pod["spec"].get("nodeName") or "",)


class Scheduler(Controller):
    name = SCHEDULER
    workers = 1

    def __init__(self, manager: Manager) -> None:
        self.pods = manager.informer(PODS, {"node": _node_of})
        self.nodes = manager.informer(NODES)
        super().__init__(manager, [self.pods, self.nodes])
        self._unschedulable: dict[Key, _Tried] = {}
        self._assumed: dict[str, tuple[str, JSON]] = {}
        self.cancel_with(self.pods)
        self.pods.add_handler(self._pod_changed)
        self.nodes.add_handler(self._node_changed)

    # ---- when to try

    def _pod_changed(self, old: JSON | None, new: JSON | None) -> None:
        pod = new if new is not None else old
        if pod is None:
            return
        uid, key = pod["metadata"]["uid"], key_of(pod)
        if new is None or new["spec"].get("nodeName"):
            self._assumed.pop(uid, None)
            self._unschedulable.pop(key, None)
        if new is not None and is_waiting(new):
            if (
                old is None
                or old["spec"] != new["spec"]
                or old["metadata"].get("labels") != new["metadata"].get("labels")
            ):
                self.queue.add(key)
        elif old is not None and old["spec"].get("nodeName") and (new is None or pods.is_finished(new)):
            self._retry()

    def _node_changed(self, old: JSON | None, new: JSON | None) -> None:
        if new is None or not self._unschedulable:
            return

        def matters(node: JSON | None) -> Any:
            if node is None:
                return None
            status = node.get("status", {})
            ready = conditions.is_true(status.get("conditions"), "Ready")
            return node["spec"], node["metadata"].get("labels"), status.get("allocatable"), ready

        if matters(old) != matters(new):
            self._retry()

    def _retry(self) -> None:
        """Something changed that may make room; a pod that has often fitted nowhere waits longer."""
        clock = asyncio.get_running_loop().time()
        for key, tried in self._unschedulable.items():
            self.queue.add_after(key, tried.at + tried.backoff_seconds - clock)

    # ---- one pod

    async def reconcile(self, key: Key) -> None:
        pod = self.pods.get(*key)
        if pod is None or not is_waiting(pod) or pod["metadata"]["uid"] in self._assumed:
            self._unschedulable.pop(key, None)
            return
        if pod["spec"].get("schedulingGates"):
            await self._tell(pod, *GATED)
            return
        nodes = self._states()
        refusals = []
        fitting: list[NodeState] = []
        for state in nodes:
            refused = filters.refusal(pod, state, nodes)
            if refused is None:
                fitting.append(state)
            else:
                refusals.append(refused)
        if not fitting:
            times = self._unschedulable[key].times + 1 if key in self._unschedulable else 1
            self._unschedulable[key] = _Tried(times, asyncio.get_running_loop().time())
            message = filters.message(refusals)
            self.manager.recorder.event(SCHEDULER, pod, "Warning", "FailedScheduling", message, action="Scheduling")
            await self._tell(pod, "Unschedulable", message)
            self.queue.add_after(key, FLUSH_SECONDS)
            return
        await self._bind(pod, max(fitting, key=lambda state: filters.score(pod, state)))

    def _states(self) -> list[NodeState]:
        nodes = self.nodes.list()
        placed: dict[str, list[JSON]] = {}
        for node in nodes:
            name = node["metadata"]["name"]
            placed[name] = [pod for pod in self.pods.by_index("node", name) if not pods.is_finished(pod)]
        for name, pod in self._assumed.values():
            placed.setdefault(name, []).append(pod)
        return filters.states(nodes, placed)

    async def _bind(self, pod: JSON, state: NodeState) -> None:
        meta = pod["metadata"]
        binding = {
            "apiVersion": "v1",
            "kind": "Binding",
            "metadata": {"name": meta["name"], "namespace": meta["namespace"], "uid": meta["uid"]},
            "target": {"kind": "Node", "name": state.name},
        }
        self._assumed[meta["uid"]] = (state.name, pod)
        try:
            await self.client.create(PODS, binding, meta["namespace"], name=meta["name"], subresource="binding")
        except (NotFound, Conflict):
            # It is gone, or another scheduler was first.
            self._assumed.pop(meta["uid"], None)
            return
        except BaseException:
            self._assumed.pop(meta["uid"], None)
            raise
        self._unschedulable.pop(key_of(pod), None)
        current = self.pods.get(*key_of(pod))
        if current is None or current["spec"].get("nodeName"):
            self._assumed.pop(meta["uid"], None)
        message = f"Successfully assigned {meta['namespace']}/{meta['name']} to {state.name}"
        self.manager.recorder.event(SCHEDULER, pod, "Normal", "Scheduled", message, action="Binding")

    async def _tell(self, pod: JSON, reason: str, message: str) -> None:
        present = conditions.find(pod.get("status", {}).get("conditions"), "PodScheduled")
        if present is not None and (present.get("reason"), present.get("message")) == (reason, message):
            return
        moment = format_time(now())
        if present is not None and present["status"] == "False":
            moment = present.get("lastTransitionTime") or moment
        word = {"type": "PodScheduled", "status": "False", "lastProbeTime": None, "lastTransitionTime": moment}
        word |= {"reason": reason, "message": message}
        try:
            await self.pods.patch(
                pod, {"status": {"conditions": [word]}}, type=PatchType.STRATEGIC, subresource="status"
            )
        except ApiStatusError as error:
            if error.code not in (404, 409):
                raise
