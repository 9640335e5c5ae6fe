"""Who owns whom: a node for each object of the cluster, kept by uid, with just what the collector needs."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from localcluster.resource_types import ResourceType

JSON = dict[str, Any]

FOREGROUND = "foregroundDeletion"
ORPHAN = "orphan"


class Owner(NamedTuple):
    """An owner reference."""

    uid: str
    api_version: str
    kind: str
    name: str
    blocks: bool

    @property
    def group(self) -> str:
        return self.api_version.rpartition("/")[0]


class Node:
    """An object. `seen` is false for an owner that only others have told of."""

    __slots__ = ("deleting", "dependents", "finalizers", "name", "namespace", "of", "owners", "seen", "uid")

    def __init__(self, uid: str, of: ResourceType | None, namespace: str, name: str) -> None:
        self.uid = uid
        self.of = of
        self.namespace = namespace
        self.name = name
        self.owners: tuple[Owner, ...] = ()
        self.finalizers: tuple[str, ...] = ()
        self.deleting = False
        self.dependents: set[str] = set()
        self.seen = True

    @property
    def waits_for_dependents(self) -> bool:
        return self.deleting and FOREGROUND in self.finalizers

    @property
    def orphans_dependents(self) -> bool:
        return self.deleting and ORPHAN in self.finalizers


def owners_of(obj: JSON) -> tuple[Owner, ...]:
    return tuple(
        Owner(r["uid"], r["apiVersion"], r["kind"], r["name"], bool(r.get("blockOwnerDeletion")))
        for r in obj["metadata"].get("ownerReferences") or ()
    )


class Graph:
    """Changes come in by `put` and `remove`; uids to look at go out through the two callbacks.

    Args:
        check: an object that may have to be deleted, or whose finalizer may have to go.
        orphan: an owner whose dependents are to be let go.
    """

    def __init__(self, check: Callable[[str], None], orphan: Callable[[str], None]) -> None:
        self.nodes: dict[str, Node] = {}
        self.gone: dict[str, None] = {}
        self._check = check
        self._orphan = orphan

    def put(self, of: ResourceType, obj: JSON) -> None:
        """An object is new or has changed."""
        meta = obj["metadata"]
        uid = meta["uid"]
        node = self.nodes.get(uid)
        if node is None:
            if not self._concerns(meta):
                self.nodes[uid] = Node(uid, of, meta.get("namespace", ""), meta["name"])
                return
            node = self.nodes[uid] = Node(uid, of, meta.get("namespace", ""), meta["name"])
        elif not node.seen:
            node.seen = True
            if (node.name, node.namespace) != (meta["name"], meta.get("namespace", "")):
                # Those who gave other coordinates must be looked at again.
                for dependent in node.dependents:
                    self._check(dependent)
            node.of, node.namespace, node.name = of, meta.get("namespace", ""), meta["name"]
        self._set_owners(node, owners_of(obj))
        started_deletion = bool(meta.get("deletionTimestamp")) and not node.deleting
        finalizers = tuple(meta.get("finalizers") or ())
        changed = finalizers != node.finalizers
        node.finalizers = finalizers
        node.deleting = bool(meta.get("deletionTimestamp"))
        if not (started_deletion or changed):
            return
        if node.orphans_dependents:
            self._orphan(uid)
        elif node.waits_for_dependents:
            self._check(uid)
            for dependent in node.dependents:
                self._check(dependent)

    @staticmethod
    def _concerns(meta: JSON) -> bool:
        return bool(meta.get("ownerReferences") or meta.get("deletionTimestamp") or meta.get("finalizers"))

    def _set_owners(self, node: Node, owners: tuple[Owner, ...]) -> None:
        if owners == node.owners:
            return
        before = {owner.uid for owner in node.owners}
        after = {owner.uid for owner in owners}
        node.owners = owners
        for owner in owners:
            if owner.uid in before:
                continue
            known = self.nodes.get(owner.uid)
            if known is None:
                known = self.nodes[owner.uid] = Node(owner.uid, None, node.namespace, owner.name)
                known.seen = False
            known.dependents.add(node.uid)
            if not known.seen or known.waits_for_dependents or owner.uid in self.gone:
                self._check(node.uid)
        for uid in before - after:
            self._drop_dependent(uid, node.uid)
        # An owner that waited for this one may be free now; and an object may have lost its last owner that is there.
        if before:
            self._check(node.uid)

    def _drop_dependent(self, owner: str, dependent: str) -> None:
        known = self.nodes.get(owner)
        if known is None:
            return
        known.dependents.discard(dependent)
        if known.waits_for_dependents:
            self._check(owner)
        if not known.seen and not known.dependents:
            del self.nodes[owner]

    def remove(self, uid: str) -> None:
        """An object is gone: its dependents are looked at, and an owner that waited for it."""
        node = self.nodes.pop(uid, None)
        if node is None:
            return
        for owner in node.owners:
            self._drop_dependent(owner.uid, uid)
        if node.dependents:
            self.remember_gone(uid)
            # Its dependents still name it.
            ghost = self.nodes[uid] = Node(uid, node.of, node.namespace, node.name)
            ghost.seen = False
            ghost.dependents = node.dependents
            for dependent in list(node.dependents):
                self._check(dependent)

    def remember_gone(self, uid: str) -> None:
        """uids never come back, so that an owner was found to be gone need not be asked again."""
        self.gone[uid] = None
        while len(self.gone) > 500:
            del self.gone[next(iter(self.gone))]

    def dependents(self, node: Node) -> Iterable[Node]:
        return [self.nodes[uid] for uid in list(node.dependents) if uid in self.nodes]

    def blocking(self, node: Node) -> list[Node]:
        """The dependents for which a foreground deletion of their owner waits."""
        return [
            dependent
            for dependent in self.dependents(node)
            if any(owner.uid == node.uid and owner.blocks for owner in dependent.owners)
        ]
