"""Empties namespaces that are being deleted, says in conditions what still holds them, and lets them go."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from localcluster.client import ApiStatusError, ClientError, Conflict, NotFound
from localcluster.controllers import conditions
from localcluster.controllers.discovery import Discovered, Discovery, discover
from localcluster.controllers.manager import Controller, Manager
from localcluster.controllers.times import now
from localcluster.informer import Key
from localcluster.resource_types import NAMESPACES, PODS

JSON = dict[str, Any]

FINALIZER = "kubernetes"
LOOK_AGAIN_SECONDS = (0.2, 5.0)
CONCURRENT_RESOURCES = 4


@dataclass
class Remains:
    """What is left of a namespace: objects by resource (``configmaps.`` and its group), finalizers that hold them, and
    what went wrong."""

    objects: Counter[str] = field(default_factory=Counter)
    finalizers: Counter[str] = field(default_factory=Counter)
    errors: list[str] = field(default_factory=list)
    undiscovered: list[str] = field(default_factory=list)

    def note(self, found: Discovered, items: Sequence[JSON]) -> None:
        if items:
            self.objects[f"{found.type.plural}.{found.type.group}"] += len(items)
        for item in items:
            self.finalizers.update(item["metadata"].get("finalizers") or ())

    @property
    def is_empty(self) -> bool:
        return not (self.objects or self.errors or self.undiscovered)


def _listed(counts: Mapping[str, int], verb: str) -> str:
    return ", ".join(f"{name} {verb} {counts[name]} resource instances" for name in sorted(counts))


def with_remains(present: Sequence[JSON] | None, remains: Remains, now: datetime) -> list[JSON]:
    """The namespace's conditions (https://kubernetes.io/docs/concepts/overview/working-with-objects/namespaces/);
    those that were never true are told too."""
    discovery = (
        "Discovery failed for some groups, "
        + f"{len(remains.undiscovered)} failing: "
        + ", ".join(remains.undiscovered)
    )
    content = (
        "Failed to delete all resource types, "
        + f"{len(remains.errors)} remaining: "
        + ", ".join(sorted(remains.errors))
    )
    held = "Some content in the namespace has finalizers remaining: " + _listed(remains.finalizers, "in")
    words = [
        (
            "NamespaceDeletionDiscoveryFailure",
            bool(remains.undiscovered),
            ("DiscoveryFailed", discovery),
            ("ResourcesDiscovered", "All resources successfully discovered"),
        ),
        (
            "NamespaceDeletionGroupVersionParsingFailure",
            False,
            ("GroupVersionParsingFailed", ""),
            ("ParsedGroupVersions", "All legacy kube types successfully parsed"),
        ),
        (
            "NamespaceDeletionContentFailure",
            bool(remains.errors),
            ("ContentDeletionFailed", content),
            ("ContentDeleted", "All content successfully deleted, may be waiting on finalization"),
        ),
        (
            "NamespaceContentRemaining",
            bool(remains.objects),
            ("SomeResourcesRemain", "Some resources are remaining: " + _listed(remains.objects, "has")),
            ("ContentRemoved", "All content successfully removed"),
        ),
        (
            "NamespaceFinalizersRemaining",
            bool(remains.finalizers),
            ("SomeFinalizersRemain", held),
            ("ContentHasNoFinalizers", "All content-preserving finalizers finished"),
        ),
    ]
    result = list(present or ())
    for type, true, bad, good in words:
        reason, message = bad if true else good
        result = conditions.with_condition(result, type, str(true), reason, message, now)
    return result


class NamespaceController(Controller):
    name = "namespace-controller"
    workers = 4

    def __init__(self, manager: Manager) -> None:
        self.namespaces = manager.informer(NAMESPACES)
        self.pods = manager.informer(PODS)
        super().__init__(manager, [self.namespaces])
        self._attempts: dict[Key, int] = {}
        self.namespaces.add_handler(self._changed)
        self.pods.add_handler(self._pod_changed)

    def _changed(self, old: JSON | None, new: JSON | None) -> None:
        if new is not None and new["metadata"].get("deletionTimestamp"):
            self.queue.add(("", new["metadata"]["name"]))

    def _pod_changed(self, old: JSON | None, new: JSON | None) -> None:
        """The rest of a namespace waits for its pods."""
        if new is None and old is not None:
            namespace = self.namespaces.get("", old["metadata"]["namespace"])
            if namespace is not None and namespace["metadata"].get("deletionTimestamp"):
                self.queue.add_after(("", namespace["metadata"]["name"]), 0.05)

    async def reconcile(self, key: Key) -> None:
        namespace = self.namespaces.get(*key)
        if namespace is None or not namespace["metadata"].get("deletionTimestamp"):
            return
        finalizers = namespace["spec"].get("finalizers") or []
        if finalizers and FINALIZER not in finalizers:
            return
        if finalizers:
            remains = await self._empty(key[1])
            if not remains.is_empty:
                await self._tell(namespace, remains)
                low, high = LOOK_AGAIN_SECONDS
                tries = self._tries(key)
                self.queue.add_after(key, min(low * 2**tries, high))
                return
        left = [entry for entry in finalizers if entry != FINALIZER]
        try:
            await self.client.update(
                NAMESPACES, {**namespace, "spec": {**namespace["spec"], "finalizers": left}}, subresource="finalize"
            )
        except (NotFound, Conflict):
            # It is gone, or changed and comes again.
            pass
        self._attempts.pop(key, None)

    def _tries(self, key: Key) -> int:
        self._attempts[key] = self._attempts.get(key, -1) + 1
        return self._attempts[key]

    async def _empty(self, name: str) -> Remains:
        """Delete everything, pods before all else, and find out what stays."""
        remains = Remains()
        try:
            discovery = await discover(self.client)
        except ClientError as error:
            remains.undiscovered.append(str(error))
            return remains
        remains.undiscovered = sorted(discovery.failed)
        deletable = _deletable(discovery)
        for found in [d for d in deletable if d.type == PODS]:
            await self._delete_all(name, found, remains)
        if remains.objects:
            return remains
        slots = asyncio.Semaphore(CONCURRENT_RESOURCES)

        async def delete(found: Discovered) -> None:
            async with slots:
                await self._delete_all(name, found, remains)

        await asyncio.gather(*(delete(found) for found in deletable if found.type != PODS))
        return remains

    async def _delete_all(self, name: str, found: Discovered, remains: Remains) -> None:
        of = found.type
        try:
            if "deletecollection" in found.verbs:
                was = (await self.client.delete_collection(of, name, propagation="Background")).get("items")
                if was == []:
                    return
            elif "list" in found.verbs:
                for item in (await self.client.list(of, name, metadata_only=True)).get("items") or ():
                    await self._delete_one(found, name, item["metadata"]["name"])
            if "list" in found.verbs:
                remains.note(found, (await self.client.list(of, name, metadata_only=True)).get("items") or [])
        except ApiStatusError as error:
            if error.code not in (404, 405):
                remains.errors.append(error.message)

    async def _delete_one(self, found: Discovered, namespace: str, name: str) -> None:
        try:
            await self.client.delete(found.type, name, namespace, propagation="Background")
        except NotFound:
            return

    async def _tell(self, namespace: JSON, remains: Remains) -> None:
        status = dict(namespace.get("status") or {})
        status["conditions"] = with_remains(status.get("conditions"), remains, now())
        if status != namespace.get("status"):
            try:
                await self.namespaces.update_status({**namespace, "status": status})
            except (NotFound, Conflict):
                return


def _deletable(discovery: Discovery) -> list[Discovered]:
    """What lives in namespaces and can be deleted; events once, though two groups have them."""
    return [
        d
        for d in discovery.resources
        if d.type.namespaced
        and "delete" in d.verbs
        and not (d.type.group == "events.k8s.io" and d.type.plural == "events")
    ]
