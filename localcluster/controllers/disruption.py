"""The PodDisruptionBudget controller: how many pods may be evicted now."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from localcluster.client import ApiStatusError, NotFound
from localcluster.controllers import conditions, labels, owners, pods
from localcluster.controllers.manager import Controller, Manager
from localcluster.controllers.scales import NoSuchKind, Scales
from localcluster.controllers.times import now, parse_time
from localcluster.informer import Key, key_of
from localcluster.resource_types import DEPLOYMENTS, POD_DISRUPTION_BUDGETS, PODS, REPLICA_SETS

JSON = dict[str, Any]

DELETION_SECONDS = 120.0
"""How long an evicted pod counts as disrupted though its deletion was not seen."""


def desired_healthy(budget: JSON, expected: int) -> int:
    """Of `expected` pods; percentages are rounded up."""
    spec = budget["spec"]
    if spec.get("maxUnavailable") is not None:
        return max(0, expected - _scaled(spec["maxUnavailable"], expected))
    return _scaled(spec.get("minAvailable", 0), expected)


def _scaled(value: int | str, total: int) -> int:
    return value if isinstance(value, int) else -(-int(value.rstrip("%")) * total // 100)


def needs_scale(budget: JSON) -> bool:
    """Whether the number of pods that there should be matters, not just of those that there are."""
    spec = budget["spec"]
    return spec.get("maxUnavailable") is not None or isinstance(spec.get("minAvailable"), str)


def still_disrupted(budget: JSON, members: Sequence[JSON], now: datetime) -> dict[str, str]:
    """status.disruptedPods without those whose deletion was seen or did not come."""
    by_name = {pod["metadata"]["name"]: pod for pod in members}
    kept = {}
    for name, moment in (budget.get("status", {}).get("disruptedPods") or {}).items():
        pod, evicted = by_name.get(name), parse_time(moment)
        if pod is None or pod["metadata"].get("deletionTimestamp") or evicted is None:
            continue
        if now < evicted + timedelta(seconds=DELETION_SECONDS):
            kept[name] = moment
    return kept


def status_of(budget: JSON, members: Sequence[JSON], expected: int, now: datetime) -> JSON:
    disrupted = still_disrupted(budget, members, now)
    healthy = sum(
        pods.is_ready(pod) and not pod["metadata"].get("deletionTimestamp") and pod["metadata"]["name"] not in disrupted
        for pod in members
    )
    desired = desired_healthy(budget, expected)
    allowed = max(0, healthy - desired) if expected > 0 else 0
    generation = budget["metadata"].get("generation", 0)
    status, reason = ("True", "SufficientPods") if allowed > 0 else ("False", "InsufficientPods")
    made: JSON = {
        "observedGeneration": generation,
        "disruptionsAllowed": allowed,
        "currentHealthy": healthy,
        "desiredHealthy": desired,
        "expectedPods": expected,
        "conditions": conditions.with_condition(
            budget.get("status", {}).get("conditions"),
            "DisruptionAllowed",
            status,
            reason,
            "",
            now,
            observedGeneration=generation,
        ),
    }
    if disrupted:
        made["disruptedPods"] = disrupted
    return made


def failed_status(budget: JSON, message: str, now: datetime) -> JSON:
    """Nothing may be disrupted while the numbers are not known."""
    status = dict(budget.get("status") or {})
    status["disruptionsAllowed"] = 0
    for key in ("currentHealthy", "desiredHealthy", "expectedPods"):
        status.setdefault(key, 0)
    generation = budget["metadata"].get("generation", 0)
    status["observedGeneration"] = generation
    status["conditions"] = conditions.with_condition(
        status.get("conditions"),
        "DisruptionAllowed",
        "False",
        "SyncFailed",
        message,
        now,
        observedGeneration=generation,
    )
    return status


class DisruptionController(Controller):
    name = "controllermanager"
    workers = 2

    def __init__(self, manager: Manager) -> None:
        self.budgets = manager.informer(POD_DISRUPTION_BUDGETS)
        self.pods = manager.informer(PODS, {"namespace": lambda pod: (pod["metadata"]["namespace"],)})
        self.replica_sets = manager.informer(REPLICA_SETS)
        self.deployments = manager.informer(DEPLOYMENTS)
        super().__init__(manager, [self.budgets, self.pods, self.replica_sets, self.deployments])
        self.scales = Scales(manager.client)
        self.budgets.add_handler(self._budget_changed)
        self.pods.add_handler(self._pod_changed)
        self.deployments.add_handler(self._owner_changed)
        self.replica_sets.add_handler(self._owner_changed)

    def _budget_changed(self, old: JSON | None, new: JSON | None) -> None:
        if new is not None:
            self.queue.add(key_of(new))

    def _pod_changed(self, old: JSON | None, new: JSON | None) -> None:
        if not len(self.budgets):
            return
        found = [pod for pod in (old, new) if pod is not None]
        for budget in self.budgets.list(found[0]["metadata"]["namespace"]):
            if any(labels.matches(budget["spec"].get("selector"), pod["metadata"].get("labels")) for pod in found):
                self.queue.add(key_of(budget))

    def _owner_changed(self, old: JSON | None, new: JSON | None) -> None:
        if old is None or new is None or old["spec"].get("replicas") == new["spec"].get("replicas"):
            return
        for budget in self.budgets.list(new["metadata"]["namespace"]):
            self.queue.add(key_of(budget))

    async def reconcile(self, key: Key) -> None:
        budget = self.budgets.get(*key)
        if budget is None:
            return
        selector = budget["spec"].get("selector")
        members = [
            pod
            for pod in self.pods.by_index("namespace", key[0])
            if labels.matches(selector, pod["metadata"].get("labels"))
        ]
        if not members:
            self.normal(budget, "NoPods", "No matching pods found")
        try:
            expected = await self._expected(budget, members) if needs_scale(budget) else len(members)
            status = status_of(budget, members, expected, now())
        except (ApiStatusError, NoSuchKind, LookupError) as error:
            message = str(error.args[0] if error.args else error)
            self.warning(
                budget, "CalculateExpectedPodCountFailed", f"Failed to calculate the number of expected pods: {message}"
            )
            status = failed_status(budget, message, now())
        if status != budget.get("status"):
            await self.budgets.update_status({**budget, "status": status})
        if status.get("disruptedPods"):
            self.queue.add_after(key, DELETION_SECONDS)

    async def _expected(self, budget: JSON, members: Sequence[JSON]) -> int:
        """The sizes of what controls the pods, together."""
        sizes: dict[str, int] = {}
        namespace = budget["metadata"]["namespace"]
        for pod in members:
            owner = owners.controller_of(pod)
            if owner is None or owner["uid"] in sizes:
                continue
            uid, size = await self._size(namespace, owner)
            sizes[uid] = size
        return sum(sizes.values())

    async def _size(self, namespace: str, owner: JSON) -> tuple[str, int]:
        if owner["kind"] == "ReplicaSet":
            rs = self.replica_sets.get(namespace, owner["name"])
            above = owners.controller_of(rs) if rs is not None else None
            if rs is not None and above is not None and above["kind"] == "Deployment":
                deployment = self.deployments.get(namespace, above["name"])
                if deployment is not None:
                    return above["uid"], int(deployment["spec"].get("replicas", 1))
            if rs is not None:
                return owner["uid"], int(rs["spec"].get("replicas", 1))
        try:
            scale = await self.scales.get(namespace, owner)
        except NotFound as error:
            raise LookupError(f'{owner["kind"]} "{owner["name"]}" does not implement the scale subresource') from error
        return owner["uid"], int((scale.get("spec") or {}).get("replicas", 0))
