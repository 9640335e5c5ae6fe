"""Lets claims and volumes go that nobody uses: takes away the finalizers that admission gave them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from localcluster.client import Conflict, NotFound
from localcluster.controllers.manager import Controller, Manager
from localcluster.informer import Informer, Key, key_of
from localcluster.resource_types import PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES, PODS

JSON = dict[str, Any]

CLAIM_FINALIZER = "kubernetes.io/pvc-protection"
VOLUME_FINALIZER = "kubernetes.io/pv-protection"


def claims_of(pod: JSON) -> list[str]:
    """The claims that a pod uses. One that has no node yet uses none: no kubelet starts it with a claim that goes."""
    if not pod["spec"].get("nodeName"):
        return []
    found = []
    for volume in pod["spec"].get("volumes") or ():
        if source := volume.get("persistentVolumeClaim"):
            found.append(str(source["claimName"]))
        elif "ephemeral" in volume:
            found.append(f"{pod['metadata']['name']}-{volume['name']}")
    return found


def without_finalizer(obj: JSON, finalizer: str) -> JSON | None:
    """A copy without the finalizer; None if there is nothing to take away."""
    meta = obj["metadata"]
    finalizers = meta.get("finalizers") or []
    if not meta.get("deletionTimestamp") or finalizer not in finalizers:
        return None
    return {**obj, "metadata": {**meta, "finalizers": [entry for entry in finalizers if entry != finalizer]}}


class ClaimProtectionController(Controller):
    name = "persistentvolumeclaim-protection-controller"
    workers = 1

    def __init__(self, manager: Manager) -> None:
        self.claims = manager.informer(PERSISTENT_VOLUME_CLAIMS)
        self.pods = manager.informer(PODS, {"claim": _claim_keys})
        super().__init__(manager, [self.claims, self.pods])
        self.claims.add_handler(self._claim_changed)
        self.pods.add_handler(self._pod_changed)

    def _claim_changed(self, old: JSON | None, new: JSON | None) -> None:
        if new is not None and new["metadata"].get("deletionTimestamp"):
            self.queue.add(key_of(new))

    def _pod_changed(self, old: JSON | None, new: JSON | None) -> None:
        if new is None and old is not None and len(self.claims):
            for name in claims_of(old):
                self.queue.add((old["metadata"]["namespace"], name))

    async def reconcile(self, key: Key) -> None:
        if not self.pods.by_index("claim", "/".join(key)):
            await _release(self.claims, key, CLAIM_FINALIZER)


class VolumeProtectionController(Controller):
    name = "persistentvolume-protection-controller"
    workers = 1

    def __init__(self, manager: Manager) -> None:
        self.volumes = manager.informer(PERSISTENT_VOLUMES)
        super().__init__(manager, [self.volumes])
        self.volumes.add_handler(self._changed)

    def _changed(self, old: JSON | None, new: JSON | None) -> None:
        if new is not None and new["metadata"].get("deletionTimestamp"):
            self.queue.add(key_of(new))

    async def reconcile(self, key: Key) -> None:
        volume = self.volumes.get(*key)
        if volume is not None and volume.get("status", {}).get("phase") != "Bound":
            await _release(self.volumes, key, VOLUME_FINALIZER)


async def _release(informer: Informer, key: Key, finalizer: str) -> None:
    obj = informer.get(*key)
    released = without_finalizer(obj, finalizer) if obj is not None else None
    if released is not None:
        try:
            await informer.update(released)
        except (NotFound, Conflict):
            # It is gone, or its change brings it here again.
            return


def _claim_keys(pod: JSON) -> Iterable[str]:
    return [f"{pod['metadata']['namespace']}/{name}" for name in claims_of(pod)]
