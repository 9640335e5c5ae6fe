"""The pod loop: which pods should run here, which do, and what the API server is told of them.

It knows nothing of processes: what runs pods is a `PodProvider`.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any, NamedTuple, Protocol

from localcluster.client import Client, NotFound, PatchType
from localcluster.informer import Informer, version_of, without_managed_fields, work
from localcluster.node.provider import PodNotifier, PodProvider
from localcluster.node.status import now_text
from localcluster.resource_types import PODS
from localcluster.workqueue import WorkQueue

log = logging.getLogger(__name__)

JSON = dict[str, Any]

WORKERS = 8
STATUS_DELAY_SECONDS = 0.01
"""Changes of a status within this time are told at once."""
DEFAULT_GRACE_SECONDS = 30
FINAL_PHASES = ("Succeeded", "Failed")
MANAGED_STATUS = (
    "phase", "conditions", "message", "reason", "hostIP", "hostIPs", "podIP", "podIPs", "startTime",
    "initContainerStatuses", "containerStatuses", "qosClass", "observedGeneration",
)  # fmt: skip
"""The fields of a status that this loop owns; others' fields, and others' conditions, stay."""
MANAGED_CONDITIONS = ("PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled")


class Told(NamedTuple):
    """What was last reported of a pod, and what the server has made of it."""

    status: JSON
    stored: JSON


class Provider(PodProvider, PodNotifier, Protocol):
    """All that the loop needs."""


class PodLoop:
    """Brings what runs in line with the pods that are bound to a node, and reports it. One queue key is a pod's uid."""

    def __init__(self, client: Client, node_name: str, provider: Provider) -> None:
        self._client = client
        self._provider = provider
        self._pods: dict[str, JSON] = {}
        self._told: dict[str, Told] = {}
        self._deleted: set[str] = set()
        self._queue: WorkQueue[str] = WorkQueue(max_seconds=5.0)
        self._informer = Informer(client, PODS, field_selector=f"spec.nodeName={node_name}")
        self._informer.add_handler(self._heard)
        provider.on_change(lambda uid: self._queue.add_after(uid, STATUS_DELAY_SECONDS))

    async def run(self) -> None:
        """Follow until cancelled."""
        tasks = [
            asyncio.create_task(self._informer.run()),
            asyncio.create_task(self._adopt_left_over()),
            *(asyncio.create_task(work(self._queue, self._reconcile, name="pod")) for _ in range(WORKERS)),
        ]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()

    async def _adopt_left_over(self) -> None:
        """After the first list: pods that a node process before this one left and whose objects are gone are ended."""
        await self._informer.synced.wait()
        for pod in self._provider.get_pods():
            self._queue.add(pod["metadata"]["uid"])

    def _heard(self, old: JSON | None, new: JSON | None) -> None:
        for obj in (old, new):
            if obj is not None:
                uid = obj["metadata"]["uid"]
                if obj is new:
                    self._take_in(obj)
                elif new is None or new["metadata"]["uid"] != uid:
                    self._pods.pop(uid, None)
                self._queue.add(uid)

    def _take_in(self, pod: JSON) -> None:
        """Unless something later is known, from the answer to a write for example."""
        known = self._pods.get(pod["metadata"]["uid"])
        if known is None or version_of(pod) >= version_of(known):
            self._pods[pod["metadata"]["uid"]] = pod

    async def _reconcile(self, uid: str) -> None:
        pod = self._pods.get(uid)
        if pod is None:
            self._remove(uid)
            return
        known = self._provider.get_pod(uid) is not None
        final = (pod.get("status") or {}).get("phase") in FINAL_PHASES
        if pod["metadata"].get("deletionTimestamp"):
            if known:
                self._provider.update_pod(pod)
                self._provider.delete_pod(uid, int(pod["metadata"].get("deletionGracePeriodSeconds") or 0))
        elif known or not final:
            self._provider.create_pod(pod)
            self._provider.update_pod(pod)
            if final and not self._provider.is_stopped(uid):
                self._end(uid, pod)
        await self._report(pod)
        if pod["metadata"].get("deletionTimestamp") and self._provider.is_stopped(uid):
            await self._finish(pod)

    def _end(self, uid: str, pod: JSON) -> None:
        """Somebody else has declared the pod finished: nothing of it may run, and its phase stays."""
        status = self._provider.pod_status(uid)
        if status is not None and status["phase"] not in FINAL_PHASES:
            grace = pod["spec"].get("terminationGracePeriodSeconds")
            self._provider.delete_pod(uid, DEFAULT_GRACE_SECONDS if grace is None else int(grace))

    def _remove(self, uid: str) -> None:
        """The object is gone: end what runs, then forget it."""
        if (pod := self._provider.get_pod(uid)) is not None:
            meta = pod["metadata"]
            grace = meta.get("deletionGracePeriodSeconds")
            if grace is None:
                grace = pod["spec"].get("terminationGracePeriodSeconds", DEFAULT_GRACE_SECONDS)
            if not self._provider.is_stopped(uid):
                self._provider.delete_pod(uid, int(grace))
            if self._provider.is_stopped(uid):
                self._provider.forget_pod(uid)
            else:
                return
        self._told.pop(uid, None)
        self._deleted.discard(uid)

    async def _finish(self, pod: JSON) -> None:
        """Nothing runs any more: let the object go. One with finalizers stays until those are gone."""
        meta = pod["metadata"]
        if meta["uid"] in self._deleted:
            return
        self._deleted.add(meta["uid"])
        try:
            await self._client.delete(PODS, meta["name"], meta["namespace"], grace_period_seconds=0, uid=meta["uid"])
        except NotFound:
            pass
        except Exception:
            self._deleted.discard(meta["uid"])
            raise

    async def _report(self, pod: JSON) -> None:
        """Tell the server a status that is new, or that somebody else has changed there."""
        uid, meta = pod["metadata"]["uid"], pod["metadata"]
        status = self._provider.pod_status(uid)
        if status is None:
            return
        stored = pod.get("status") or {}
        told = self._told.get(uid)
        if told is not None and told.status == status and told.stored == managed(stored):
            return
        patch = status_patch(stored, status if told is None else overriding(stored, told, status))
        if patch:
            try:
                answer = await self._client.patch(
                    PODS,
                    meta["name"],
                    {"metadata": {"uid": uid}, "status": patch},
                    meta["namespace"],
                    type=PatchType.STRATEGIC,
                    subresource="status",
                )
            except NotFound:
                return
            stored = answer.get("status") or {}
            if uid in self._pods:
                self._take_in(without_managed_fields(answer))
        # A server may leave out what it does not know: its answer, not the status, tells whether others have written.
        self._told[uid] = Told(status, managed(stored))


def managed(stored: JSON) -> JSON:
    """What this loop owns of a stored status."""
    found = {name: stored[name] for name in MANAGED_STATUS if name in stored}
    if "conditions" in found:
        found["conditions"] = sorted(
            (c for c in found["conditions"] if c["type"] in MANAGED_CONDITIONS), key=lambda c: str(c["type"])
        )
    return found


def overriding(stored: JSON, told: Told, status: JSON) -> JSON:
    """The status to report where somebody else has written: a condition that they turned is turned back now, and a
    pod that they declared finished stays so."""
    have, had, ours = (_by_type(conditions) for conditions in (stored, told.stored, told.status))
    conditions = []
    for condition in status["conditions"]:
        kind, value = condition["type"], condition["status"]
        current = have.get(kind, {})
        if had.get(kind, {}).get("status") == value != current.get("status"):
            condition = condition | {"lastTransitionTime": now_text()}
        elif current.get("status") == value and ours.get(kind) == condition:
            # Nothing new here: it was turned back before, and since when is known there.
            condition = condition | {"lastTransitionTime": current.get("lastTransitionTime")}
        conditions.append(condition)
    status = status | {"conditions": conditions}
    if stored.get("phase") in FINAL_PHASES and status["phase"] != stored["phase"]:
        status |= {name: stored[name] for name in ("phase", "reason", "message") if name in stored}
    return status


def _by_type(status: JSON) -> dict[str, JSON]:
    return {c["type"]: c for c in status.get("conditions") or []}


def status_patch(stored: JSON, status: JSON) -> JSON:
    """The strategic merge patch from what the server has to a status; empty if they are alike."""
    patch: JSON = {}
    for name in MANAGED_STATUS:
        if name in status:
            if stored.get(name) != status[name]:
                patch[name] = status[name]
        elif name in stored:
            patch[name] = None
    if "conditions" in patch:
        have = _by_type(stored)
        changed = [c for c in patch["conditions"] if _plain(have.get(c["type"])) != c]
        # A merged condition keeps the fields that the patch does not name.
        patch["conditions"] = [
            c | {k: None for k in ("reason", "message") if k in have.get(c["type"], {}) and k not in c} for c in changed
        ]
        if not changed:
            del patch["conditions"]
    return patch


def _plain(condition: JSON | None) -> JSON | None:
    """Without the null that servers store for a time that nobody sets."""
    if condition is None:
        return None
    return {k: v for k, v in condition.items() if not (k == "lastProbeTime" and v is None)}
