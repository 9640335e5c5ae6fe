"""Follows all objects by their metadata, and deletes, unblocks or orphans what the graph says has to be looked at."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from localcluster.client import ApiStatusError, ClientError, Conflict, NotFound, PatchType
from localcluster.controllers.discovery import Discovered, discover
from localcluster.controllers.garbage.graph import FOREGROUND, ORPHAN, Graph, Node, Owner, owners_of
from localcluster.controllers.manager import Controller, Manager
from localcluster.informer import Informer
from localcluster.resource_types import ResourceType
from localcluster.workqueue import WorkQueue

JSON = dict[str, Any]
log = logging.getLogger(__name__)

DISCOVERY_SECONDS = 30.0
DEFINITIONS = ResourceType(
    "apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition", namespaced=False
)
# Events have no owners and are many.
IGNORED = frozenset({("", "events"), ("events.k8s.io", "events")})


def only_ownership(obj: JSON) -> JSON:
    """What the graph needs, and no more, of an object's metadata."""
    meta = obj["metadata"]
    kept = ("name", "namespace", "uid", "resourceVersion", "ownerReferences", "finalizers", "deletionTimestamp")
    return {"metadata": {key: meta[key] for key in kept if key in meta}}


class GarbageCollector(Controller):
    """`run_discovery` keeps an informer for every resource that can be watched and deleted."""

    name = "garbage-collector-controller"
    workers = 4

    def __init__(self, manager: Manager) -> None:
        super().__init__(manager)
        self.checks: WorkQueue[str] = WorkQueue()
        self.orphans: WorkQueue[str] = WorkQueue()
        self.graph = Graph(self.checks.add, self.orphans.add)
        self.synced = asyncio.Event()
        self.kinds: dict[tuple[str, str], Discovered] = {}
        self._monitors: dict[ResourceType, tuple[Informer, asyncio.Task[None] | None]] = {}
        self._definitions_changed = asyncio.Event()

    def jobs(self) -> list[Any]:
        jobs: list[Any] = [self.run_discovery()]
        jobs += [self._gated(self.checks, self.check) for _ in range(self.workers)]
        jobs += [self._gated(self.orphans, self.orphan_dependents) for _ in range(2)]
        return jobs

    async def _gated(self, queue: WorkQueue[str], act: Any) -> None:
        await self.synced.wait()
        await self.work_on(queue, act)

    # ---- what there is

    async def run_discovery(self) -> None:
        while True:
            # A definition that changes from here on is looked at in the next round.
            self._definitions_changed.clear()
            try:
                found = await discover(self.client)
            except ClientError as error:
                log.debug("discovery: %s", error)
                await asyncio.sleep(0.5)
                continue
            await self._monitor({d.type: d for d in found.resources}, keep_missing=bool(found.failed))
            try:
                async with asyncio.timeout(DISCOVERY_SECONDS):
                    await self._definitions_changed.wait()
                    # The definition's change comes before its resource is served.
                    await asyncio.sleep(0.3)
            except TimeoutError:
                continue

    async def _monitor(self, found: dict[ResourceType, Discovered], keep_missing: bool) -> None:
        self.kinds = {(d.type.group, d.type.kind): d for d in found.values()} | (
            {k: v for k, v in self.kinds.items() if keep_missing and (v.type not in found)}
        )
        wanted = {
            of
            for of, d in found.items()
            if d.verbs >= {"delete", "list", "watch"} and (of.group, of.plural) not in IGNORED
        }
        for of in wanted - set(self._monitors):
            self._start(of)
        if not keep_missing:
            for of in set(self._monitors) - wanted:
                self._stop(of)
        if self.synced.is_set():
            return
        # Only at the start: later, one resource that cannot be listed must not hold up the discovery of others.
        new = [informer for informer, _ in self._monitors.values() if not informer.synced.is_set()]
        try:
            async with asyncio.timeout(20):
                await asyncio.gather(*(informer.synced.wait() for informer in new))
        except TimeoutError:
            log.debug("not all resources could be listed")
        self.synced.set()

    def _start(self, of: ResourceType) -> None:
        shared = self.manager.shared().get(of)
        if shared is not None:
            self._monitors[of] = (shared, None)
            informer = shared
        else:
            informer = Informer(self.client, of, metadata_only=True, trim=only_ownership)
            self._monitors[of] = (informer, asyncio.ensure_future(informer.run()))

        def changed(old: JSON | None, new: JSON | None) -> None:
            if new is not None:
                if old is not None and old["metadata"]["uid"] != new["metadata"]["uid"]:
                    self.graph.remove(old["metadata"]["uid"])
                self.graph.put(of, new)
            elif old is not None:
                self.graph.remove(old["metadata"]["uid"])
            if of.kind == DEFINITIONS.kind:
                self._definitions_changed.set()

        informer.add_handler(changed)

    def _stop(self, of: ResourceType) -> None:
        informer, task = self._monitors.pop(of)
        if task is not None:
            task.cancel()
            for obj in informer.list():
                self.graph.remove(obj["metadata"]["uid"])

    # ---- one object

    async def check(self, uid: str) -> None:
        """Delete the object if none of its owners is left; unblock its owners, or itself, where they wait."""
        node = self.graph.nodes.get(uid)
        if node is None or not node.seen or node.of is None:
            return
        if node.deleting and not node.waits_for_dependents:
            return
        if node.waits_for_dependents:
            await self._check_foreground(node)
            return
        if not node.owners:
            return
        try:
            live = await self.client.get(node.of, node.name, node.namespace or None)
        except NotFound:
            # The watch will tell.
            return
        if live["metadata"]["uid"] != uid or not live["metadata"].get("ownerReferences"):
            return
        if owners_of(live) != node.owners:
            # The watch is behind; what it brings is looked at then.
            self.checks.add_after(uid, 0.5)
            return
        solid, gone, waiting = await self._classify(node)
        if solid:
            if gone or waiting:
                await self._remove_references(node.of, live, {owner.uid for owner in (*gone, *waiting)})
            return
        propagation = "Background"
        if waiting and node.dependents:
            # Its owner waits for all below it; references that would wait for each other in a circle block no more.
            if any(dependent.waits_for_dependents for dependent in self.graph.dependents(node)):
                await self._unblock(node, live)
            propagation = "Foreground"
        elif ORPHAN in (live["metadata"].get("finalizers") or ()):
            propagation = "Orphan"
        elif FOREGROUND in (live["metadata"].get("finalizers") or ()):
            propagation = "Foreground"
        await self._delete(node, live, propagation)

    async def _check_foreground(self, node: Node) -> None:
        blocking = self.graph.blocking(node)
        if not blocking:
            await self._remove_finalizer(node, FOREGROUND)
            return
        for dependent in blocking:
            if not dependent.deleting:
                self.checks.add(dependent.uid)

    async def _classify(self, node: Node) -> tuple[list[Owner], list[Owner], list[Owner]]:
        """The owners that are there, that are gone, and that wait for their dependents to go."""
        states: dict[str, list[Owner]] = {"solid": [], "gone": [], "waiting": []}
        for owner in node.owners:
            states[await self._owner_state(node, owner)].append(owner)
        return states["solid"], states["gone"], states["waiting"]

    async def _owner_state(self, node: Node, owner: Owner) -> str:
        if owner.uid in self.graph.gone:
            return "gone"
        kind = self.kinds.get((owner.group, owner.kind))
        if kind is None:
            # It may be served later; until then nothing can be said, so nothing is deleted.
            raise ClientError(f"no resource {owner.kind} in {owner.api_version}")
        if kind.type.namespaced and not node.namespace:
            self.warning_about(node, owner)
            return "solid"
        known = self.graph.nodes.get(owner.uid)
        if known is not None and known.seen and known.of is not None and known.of.group == owner.group:
            same_place = not kind.type.namespaced or known.namespace == node.namespace
            if known.of.kind == owner.kind and known.name == owner.name and same_place:
                return "waiting" if known.waits_for_dependents else "solid"
        try:
            live = await self.client.get(kind.type, owner.name, node.namespace if kind.type.namespaced else None)
        except NotFound:
            self._note_gone(owner, known)
            return "gone"
        if live["metadata"]["uid"] != owner.uid:
            self._note_gone(owner, known)
            return "gone"
        meta = live["metadata"]
        waits = meta.get("deletionTimestamp") and FOREGROUND in (meta.get("finalizers") or ())
        return "waiting" if waits else "solid"

    def _note_gone(self, owner: Owner, known: Node | None) -> None:
        # An object of that uid under another name or in another namespace is no reason to forget the uid.
        if known is None or not known.seen:
            self.graph.remember_gone(owner.uid)

    def warning_about(self, node: Node, owner: Owner) -> None:
        if node.of is None:
            return
        about = {
            "apiVersion": node.of.api_version,
            "kind": node.of.kind,
            "metadata": {"name": node.name, "uid": node.uid, "resourceVersion": ""},
        }
        reference = f"{owner.api_version}, Kind={owner.kind}, name: {owner.name}, uid: {owner.uid}"
        message = f"cluster-scoped objects cannot have namespaced owners: {reference}"
        self.warning(about, "OwnerRefInvalidNamespace", message)

    # ---- writing

    async def _delete(self, node: Node, live: JSON, propagation: str) -> None:
        if node.of is None:
            return
        meta = live["metadata"]
        try:
            # Bound to the version, because a new owner may have come.
            await self.client.delete(
                node.of,
                node.name,
                node.namespace or None,
                propagation=propagation,
                uid=node.uid,
                resource_version=meta["resourceVersion"],
            )
        except NotFound:
            return
        except Conflict:
            self.checks.add_rate_limited(node.uid)

    async def _remove_references(self, of: ResourceType, live: JSON, uids: set[str]) -> None:
        meta = live["metadata"]
        kept = [reference for reference in meta.get("ownerReferences") or () if reference["uid"] not in uids]
        patch = {"metadata": {"resourceVersion": meta["resourceVersion"], "ownerReferences": kept or None}}
        await self._patch(of, live, patch)

    async def _unblock(self, node: Node, live: JSON) -> None:
        references = [
            {**reference, "blockOwnerDeletion": False} for reference in live["metadata"].get("ownerReferences") or ()
        ]
        if node.of is not None and references != live["metadata"].get("ownerReferences"):
            patch = {
                "metadata": {"resourceVersion": live["metadata"]["resourceVersion"], "ownerReferences": references}
            }
            changed = await self._patch(node.of, live, patch)
            if changed is not None:
                live["metadata"] = changed["metadata"]

    async def _remove_finalizer(self, node: Node, finalizer: str) -> None:
        if node.of is None:
            return
        for _ in range(5):
            try:
                live = await self.client.get(node.of, node.name, node.namespace or None)
            except NotFound:
                return
            meta = live["metadata"]
            if meta["uid"] != node.uid or finalizer not in (meta.get("finalizers") or ()):
                return
            left = [entry for entry in meta["finalizers"] if entry != finalizer]
            patch = {"metadata": {"resourceVersion": meta["resourceVersion"], "finalizers": left or None}}
            try:
                await self._patch(node.of, live, patch)
            except Conflict:
                continue
            return
        self.checks.add_rate_limited(node.uid)

    async def _patch(self, of: ResourceType, live: JSON, patch: JSON) -> JSON | None:
        meta = live["metadata"]
        try:
            return await self.client.patch(of, meta["name"], patch, meta.get("namespace"), type=PatchType.MERGE)
        except NotFound:
            return None

    async def orphan_dependents(self, uid: str) -> None:
        """Take the owner out of its dependents, then let it go."""
        node = self.graph.nodes.get(uid)
        if node is None or not node.orphans_dependents:
            return
        for dependent in self.graph.dependents(node):
            if dependent.of is None:
                continue
            for _ in range(5):
                try:
                    live = await self.client.get(dependent.of, dependent.name, dependent.namespace or None)
                    if live["metadata"]["uid"] == dependent.uid:
                        await self._remove_references(dependent.of, live, {uid})
                except NotFound:
                    pass
                except Conflict:
                    continue
                except ApiStatusError as error:
                    if error.code != 422:
                        raise
                break
        await self._remove_finalizer(node, ORPHAN)
