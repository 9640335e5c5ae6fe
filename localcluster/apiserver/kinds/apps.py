"""The kinds of the group apps; those of Deployments, ReplicaSets and ControllerRevisions are here."""

from __future__ import annotations

import copy
from typing import Any, ClassVar

from localcluster.apiserver.errors import FieldError, forbidden_field, invalid_value, required
from localcluster.apiserver.kinds import field_rules as rules
from localcluster.apiserver.kinds import formats
from localcluster.apiserver.kinds.base import JSON, Context, Kind
from localcluster.apiserver.kinds.daemon_sets import DaemonSet
from localcluster.apiserver.kinds.stateful_sets import StatefulSet
from localcluster.apiserver.kinds.workloads import (
    Workload,
    available_within_ready,
    selector_is_immutable,
    validate_replica_template,
    validate_selector,
)


class Deployment(Workload):
    status_keeps_labels = True
    omitted_of_spec = ("minReadySeconds", "paused")
    omitted_of_status = (*Workload.omitted_of_status, "replicas", "updatedReplicas", "unavailableReplicas")

    def default(self, obj: JSON) -> None:
        super().default(obj)
        spec = obj["spec"]
        spec.setdefault("replicas", 1)
        spec.setdefault("revisionHistoryLimit", 10)
        spec.setdefault("progressDeadlineSeconds", 600)
        strategy = spec.setdefault("strategy", {})
        if not strategy.get("type"):
            strategy["type"] = "RollingUpdate"
        if strategy["type"] == "RollingUpdate":
            rolling = strategy.setdefault("rollingUpdate", {})
            rolling.setdefault("maxUnavailable", "25%")
            rolling.setdefault("maxSurge", "25%")

    def generation_of(self, obj: JSON) -> Any:
        # Annotations are part of what a Deployment hands to its ReplicaSets.
        return obj.get("spec"), obj["metadata"].get("annotations") or {}

    def validate_create(self, new: JSON, context: Context) -> list[FieldError]:
        spec = new["spec"]
        found = formats.not_negative("spec.replicas", spec.get("replicas"))
        found += validate_selector(spec.get("selector"), "spec.selector", "deployment")
        found += validate_replica_template(spec)
        found += self._validate_strategy(spec["strategy"])
        found += rules.not_negative_fields(spec, "spec", "minReadySeconds", "revisionHistoryLimit")
        deadline = spec.get("progressDeadlineSeconds")
        found += formats.not_negative("spec.progressDeadlineSeconds", deadline)
        if deadline is not None and deadline <= spec.get("minReadySeconds", 0):
            detail = "must be greater than minReadySeconds"
            found.append(invalid_value("spec.progressDeadlineSeconds", deadline, detail))
        return found

    @staticmethod
    def _validate_strategy(strategy: JSON) -> list[FieldError]:
        path = "spec.strategy.rollingUpdate"
        rolling = strategy.get("rollingUpdate")
        if strategy["type"] == "Recreate":
            detail = "may not be specified when strategy `type` is 'Recreate'"
            return [] if rolling is None else [forbidden_field(path, detail)]
        if strategy["type"] != "RollingUpdate":
            shown = rolling and {
                "MaxUnavailable": rolling.get("maxUnavailable", 0),
                "MaxSurge": rolling.get("maxSurge", 0),
            }
            value = {"Type": strategy["type"], "RollingUpdate": shown}
            return [formats.unsupported("spec.strategy", value, "Recreate", "RollingUpdate")]
        unavailable, surge = strategy["rollingUpdate"]["maxUnavailable"], strategy["rollingUpdate"]["maxSurge"]
        found = rules.positive_int_or_percent(f"{path}.maxUnavailable", unavailable)
        found += rules.positive_int_or_percent(f"{path}.maxSurge", surge)
        if not rules.int_or_percent_value(unavailable) and not rules.int_or_percent_value(surge):
            detail = "may not be 0 when `maxSurge` is 0"
            found.append(invalid_value(f"{path}.maxUnavailable", unavailable, detail))
        return found + rules.at_most_100_percent(f"{path}.maxUnavailable", unavailable)

    def validate_update(self, new: JSON, old: JSON, context: Context) -> list[FieldError]:
        return self.validate_create(new, context) + selector_is_immutable(new, old)

    def validate_status(self, new: JSON, old: JSON, context: Context) -> list[FieldError]:
        status = new["status"]
        found = rules.not_negative_fields(
            status, "status", "observedGeneration", "replicas", "updatedReplicas", "readyReplicas",
            "availableReplicas", "unavailableReplicas", "collisionCount",
        )  # fmt: skip
        found += rules.not_above_replicas(status, "updatedReplicas", "readyReplicas", "availableReplicas")
        found += available_within_ready(status, "cannot be greater than readyReplicas")
        return found + rules.not_decremented(status, old.get("status") or {}, "collisionCount")


class ReplicaSet(Workload):
    empty_status: ClassVar[dict[str, Any]] = {"replicas": 0}
    omitted_of_status = (*Workload.omitted_of_status, "fullyLabeledReplicas")

    def default(self, obj: JSON) -> None:
        super().default(obj)
        obj["spec"].setdefault("replicas", 1)

    def validate_create(self, new: JSON, context: Context) -> list[FieldError]:
        spec = new["spec"]
        found = rules.not_negative_fields(spec, "spec", "replicas", "minReadySeconds")
        found += validate_selector(spec.get("selector"), "spec.selector", "deployment")
        return found + validate_replica_template(spec)

    def validate_update(self, new: JSON, old: JSON, context: Context) -> list[FieldError]:
        return self.validate_create(new, context) + selector_is_immutable(new, old)

    def validate_status(self, new: JSON, old: JSON, context: Context) -> list[FieldError]:
        status = new["status"]
        found = rules.not_negative_fields(
            status, "status", "replicas", "fullyLabeledReplicas", "readyReplicas", "availableReplicas",
            "observedGeneration",
        )  # fmt: skip
        found += rules.not_above_replicas(status, "fullyLabeledReplicas", "readyReplicas", "availableReplicas")
        return found + available_within_ready(status, "cannot be greater than readyReplicas")


class ControllerRevision(Kind):
    def default(self, obj: JSON) -> None:
        obj.setdefault("revision", 0)

    def validate_create(self, new: JSON, context: Context) -> list[FieldError]:
        found = [required("data", "data is mandatory")] if new.get("data") is None else []
        return found + formats.not_negative("revision", new.get("revision"))

    def validate_update(self, new: JSON, old: JSON, context: Context) -> list[FieldError]:
        data = copy.deepcopy(new.get("data"))
        return self.validate_create(new, context) + rules.immutable("data", data, old.get("data"))


KINDS: dict[str, type[Kind]] = {
    "ControllerRevision": ControllerRevision,
    "DaemonSet": DaemonSet,
    "Deployment": Deployment,
    "ReplicaSet": ReplicaSet,
    "StatefulSet": StatefulSet,
}
