"""Reconciles Deployments: reads the ReplicaSets, decides (`scaling`, `revisions`, `status`), writes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from localcluster.client import AlreadyExists, ApiStatusError
from localcluster.controllers import conditions, owners, pods
from localcluster.controllers.deployment import revisions, scaling
from localcluster.controllers.deployment import status as statuses
from localcluster.controllers.manager import Controller, Manager
from localcluster.controllers.times import now
from localcluster.informer import Key, key_of
from localcluster.resource_types import DEPLOYMENTS, PODS, REPLICA_SETS

JSON = dict[str, Any]


class DeploymentController(Controller):
    name = "deployment-controller"

    def __init__(self, manager: Manager) -> None:
        self.deployments = manager.informer(DEPLOYMENTS)
        self.replica_sets = manager.informer(REPLICA_SETS, {"controller": owners.controller_uids})
        self.pods = manager.informer(PODS, {"controller": owners.controller_uids})
        super().__init__(manager, [self.deployments, self.replica_sets, self.pods])
        self.cancel_with(self.deployments)
        self.deployments.add_handler(self._deployment_changed)
        self.replica_sets.add_handler(self._replica_set_changed)
        self.pods.add_handler(self._pod_changed)

    # ---- what to look at

    def _deployment_changed(self, old: JSON | None, new: JSON | None) -> None:
        if new is not None:
            self.queue.add(key_of(new))

    def _replica_set_changed(self, old: JSON | None, new: JSON | None) -> None:
        for rs in (old, new):
            if rs is None:
                continue
            owner = owners.controller_of(rs)
            namespace = rs["metadata"]["namespace"]
            if owner is not None and owner["kind"] == "Deployment":
                self.queue.add((namespace, owner["name"]))
            elif owner is None:
                for deployment in self.deployments.list(namespace):
                    self.queue.add(key_of(deployment))

    def _pod_changed(self, old: JSON | None, new: JSON | None) -> None:
        """A Recreate rollout goes on when the last old pod is gone."""
        if new is not None or old is None:
            return
        owner = owners.controller_of(old)
        rs = self.replica_sets.get(old["metadata"]["namespace"], owner["name"]) if owner is not None else None
        reference = owners.controller_of(rs) if rs is not None else None
        if reference is not None and reference["kind"] == "Deployment":
            self.queue.add((old["metadata"]["namespace"], reference["name"]))

    # ---- one Deployment

    async def reconcile(self, key: Key) -> None:
        deployment = self.deployments.get(*key)
        if deployment is None:
            return
        if not deployment["spec"].get("selector") or deployment["spec"]["selector"] == {}:
            return

        async def read() -> JSON:
            return await self.client.get(DEPLOYMENTS, key[1], key[0])

        owned = await owners.claim(deployment, DEPLOYMENTS, deployment["spec"]["selector"], self.replica_sets, read)
        if deployment["metadata"].get("deletionTimestamp"):
            new, old = self._split(deployment, owned)
            await self._write_status(deployment, statuses.counted(deployment, new, old, now()))
            return
        word = statuses.paused_condition(deployment, now())
        if word is not None:
            status = {**(deployment.get("status") or {})}
            status["conditions"] = statuses.put(status.get("conditions") or [], word)
            deployment = await self._write_status(deployment, status)
        if deployment["spec"].get("paused") or scaling.is_scaling(deployment, owned):
            await self._scale(deployment, owned)
        elif scaling.is_rolling(deployment):
            await self._roll(deployment, owned)
        else:
            await self._recreate(deployment, owned)

    def _split(self, deployment: JSON, owned: Sequence[JSON]) -> tuple[JSON | None, list[JSON]]:
        new = revisions.find_new(deployment, owned)
        return new, [rs for rs in owned if rs is not new]

    async def _scale(self, deployment: JSON, owned: Sequence[JSON]) -> None:
        new, old = self._split(deployment, owned)
        if new is not None:
            deployment, new = await self._number(deployment, new, old)
        sizes = scaling.scaled(deployment, new, old)
        for rs, replicas in sizes:
            # Within proportions even a ReplicaSet that keeps its size is told the new total.
            if replicas != scaling.size(rs) or len(sizes) > 1 or scaling.is_scaling(deployment, [rs]):
                _, changed = await self._resize(deployment, rs, replicas)
                new, old = self._replaced(new, old, changed)
        if deployment["spec"].get("paused"):
            await self._clean_up(deployment, old)
        await self._write_status(deployment, statuses.counted(deployment, new, old, now()))

    async def _roll(self, deployment: JSON, owned: Sequence[JSON]) -> None:
        found, old = self._split(deployment, owned)
        deployment, new = await self._ensure_new(deployment, found, old)
        wanted = scaling.new_size(deployment, [*old, new], scaling.size(new))
        resized, new = await self._resize(deployment, new, wanted)
        if not resized:
            for rs, replicas in scaling.old_sizes(deployment, new, old):
                _, changed = await self._resize(deployment, rs, replicas)
                old = [changed if rs is entry else entry for entry in old]
        if statuses.is_complete(deployment, deployment.get("status") or {}):
            await self._clean_up(deployment, old)
        await self._report(deployment, new, old)

    async def _recreate(self, deployment: JSON, owned: Sequence[JSON]) -> None:
        found, old = self._split(deployment, owned)
        if found is not None:
            deployment, found = await self._number(deployment, found, old)
        shrunk = False
        for rs in scaling.active(old):
            _, changed = await self._resize(deployment, rs, 0)
            old = [changed if rs is entry else entry for entry in old]
            shrunk = True
        if shrunk or self._old_pods_run(old):
            await self._report(deployment, found, old)
            return
        deployment, new = await self._ensure_new(deployment, found, old)
        _, new = await self._resize(deployment, new, scaling.size(deployment))
        if statuses.is_complete(deployment, deployment.get("status") or {}):
            await self._clean_up(deployment, old)
        await self._report(deployment, new, old)

    def _old_pods_run(self, old: Sequence[JSON]) -> bool:
        return any(
            rs.get("status", {}).get("replicas")
            or any(not pods.is_finished(pod) for pod in self.pods.by_index("controller", rs["metadata"]["uid"]))
            for rs in old
        )

    def _replaced(self, new: JSON | None, old: list[JSON], changed: JSON) -> tuple[JSON | None, list[JSON]]:
        uid = changed["metadata"]["uid"]
        if new is not None and new["metadata"]["uid"] == uid:
            return changed, old
        return new, [changed if rs["metadata"]["uid"] == uid else rs for rs in old]

    # ---- the new ReplicaSet

    async def _ensure_new(self, deployment: JSON, found: JSON | None, old: Sequence[JSON]) -> tuple[JSON, JSON]:
        if found is not None:
            return await self._number(deployment, found, old)
        surge = scaling.bounds(deployment)[0]
        replicas = scaling.new_size(deployment, old, 0)
        wanted = revisions.make_replica_set(deployment, replicas, surge, revisions.next_revision(old))
        name = wanted["metadata"]["name"]
        moment = now()
        try:
            new = await self.replica_sets.create(wanted)
        except AlreadyExists:
            # Usually it is our own that the cache did not know of; else another template has the same hash.
            existing = await self.client.get(REPLICA_SETS, name, deployment["metadata"]["namespace"])
            if owners.is_controlled_by(existing, deployment) and revisions.same_template(
                existing["spec"]["template"], deployment["spec"]["template"]
            ):
                return await self._number(deployment, self.replica_sets.observe(existing), old)
            status = {**(deployment.get("status") or {})}
            status["collisionCount"] = (status.get("collisionCount") or 0) + 1
            await self._write_status(deployment, status)
            raise
        except ApiStatusError as error:
            if error.has_cause("NamespaceTerminating"):
                raise
            message = f'Failed to create new replica set "{name}": {error.message}'
            status = {**(deployment.get("status") or {})}
            word = statuses.condition("Progressing", "False", "ReplicaSetCreateError", message, moment)
            if statuses.has_deadline(deployment):
                status["conditions"] = statuses.put(status.get("conditions") or [], word)
                await self._write_status(deployment, status)
            self.warning(deployment, "ReplicaSetCreateError", message)
            raise
        if replicas > 0:
            self.normal(deployment, "ScalingReplicaSet", f"Scaled up replica set {name} from 0 to {replicas}")
        word = statuses.condition(
            "Progressing", "True", "NewReplicaSetCreated", f'Created new replica set "{name}"', moment
        )
        deployment = await self._tell_revision(deployment, new, word)
        return deployment, new

    async def _number(self, deployment: JSON, new: JSON, old: Sequence[JSON]) -> tuple[JSON, JSON]:
        """Bring the new ReplicaSet's annotations and the Deployment's revision up to date."""
        annotations = revisions.new_annotations(deployment, new, revisions.next_revision(old))
        patch: JSON = {}
        if annotations != revisions.annotations_of(new):
            patch["metadata"] = {"annotations": annotations}
        seconds = deployment["spec"].get("minReadySeconds") or 0
        if seconds != (new["spec"].get("minReadySeconds") or 0):
            patch["spec"] = {"minReadySeconds": seconds}
        if patch:
            new = await self._patch_replica_set(new, patch)
        name = new["metadata"]["name"]
        word = statuses.condition("Progressing", "True", "FoundNewReplicaSet", f'Found new replica set "{name}"', now())
        known = conditions.find(deployment.get("status", {}).get("conditions"), "Progressing") is not None
        return await self._tell_revision(deployment, new, None if known else word), new

    async def _tell_revision(self, deployment: JSON, new: JSON, word: JSON | None) -> JSON:
        if word is not None and statuses.has_deadline(deployment):
            status = {**(deployment.get("status") or {})}
            status["conditions"] = statuses.put(status.get("conditions") or [], word)
            deployment = {**deployment, "status": status}
        revision = revisions.annotations_of(new).get(revisions.REVISION)
        if revisions.annotations_of(deployment).get(revisions.REVISION) == revision:
            # The condition is written with the rest of the status.
            return deployment
        annotations = {**revisions.annotations_of(deployment), revisions.REVISION: revision}
        meta = {**deployment["metadata"], "annotations": annotations}
        # Through the status, because another write of annotations starts a new generation.
        return await self.deployments.update_status({**deployment, "metadata": meta})

    # ---- writing

    async def _resize(self, deployment: JSON, rs: JSON, replicas: int) -> tuple[bool, JSON]:
        """Set size and size annotations; whether the size changed, and the ReplicaSet as it is now."""
        before = scaling.size(rs)
        sizes = revisions.size_annotations(scaling.size(deployment), scaling.bounds(deployment)[0])
        patch: JSON = {}
        if any(revisions.annotations_of(rs).get(key) != value for key, value in sizes.items()):
            patch["metadata"] = {"annotations": sizes}
        if replicas != before:
            patch["spec"] = {"replicas": replicas}
        if not patch:
            return False, rs
        rs = await self._patch_replica_set(rs, patch)
        if replicas == before:
            return False, rs
        verb = "up" if replicas > before else "down"
        name = rs["metadata"]["name"]
        message = f"Scaled {verb} replica set {name} from {before} to {replicas}"
        self.normal(deployment, "ScalingReplicaSet", message)
        return True, rs

    async def _patch_replica_set(self, rs: JSON, patch: JSON) -> JSON:
        meta = patch.setdefault("metadata", {})
        meta["resourceVersion"] = rs["metadata"]["resourceVersion"]
        return await self.replica_sets.patch(rs, patch)

    async def _clean_up(self, deployment: JSON, old: Sequence[JSON]) -> None:
        for rs in revisions.to_clean_up(deployment, old):
            await self.replica_sets.delete(rs, propagation="Background")

    async def _report(self, deployment: JSON, new: JSON | None, old: Sequence[JSON]) -> None:
        status = statuses.rollout(deployment, new, old, now())
        await self._write_status(deployment, status)
        seconds = statuses.seconds_to_deadline(deployment, status, now())
        if seconds is not None:
            self.queue.add_after(key_of(deployment), seconds)

    async def _write_status(self, deployment: JSON, status: JSON) -> JSON:
        stored = self.deployments.get(*key_of(deployment))
        if stored is not None and stored.get("status") == status:
            return deployment
        return await self.deployments.update_status({**deployment, "status": status})
