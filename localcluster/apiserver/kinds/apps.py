"""Deployments, ReplicaSets, StatefulSets, DaemonSets and ControllerRevisions: defaults, rules, what may change."""

from __future__ import annotations

import copy
from typing import Any, ClassVar

from localcluster.apiserver.errors import FieldError, forbidden_field, invalid_value, required
from localcluster.apiserver.kinds import field_rules as rules
from localcluster.apiserver.kinds import formats, label_selectors, metadata, pod_defaults, pod_warnings
from localcluster.apiserver.kinds.base import JSON, Context, Kind
from localcluster.apiserver.kinds.pod_validation import validate_pod_template
from localcluster.apiserver.kinds.with_status import KindWithStatus, template_of


def _validate_selector(selector: JSON | None, path: str, of: str) -> list[FieldError]:
    if selector is None:
        return [required(path)]
    found = metadata.validate_label_selector(selector, path)
    if label_selectors.is_empty(selector):
        found.append(invalid_value(path, {}, f"empty selector is invalid for {of}"))
    return found


def _labels_mismatch(selector: JSON | None, template: JSON, path: str) -> list[FieldError]:
    labels = template["metadata"].get("labels")
    if label_selectors.matches(selector, labels):
        return []
    shown = label_selectors.quoted_labels(labels)
    return [invalid_value(f"{path}.metadata.labels", shown, label_selectors.NO_MATCH)]


def _always_restarts(template: JSON, path: str, kind: str) -> list[FieldError]:
    found: list[FieldError] = []
    spec = template["spec"]
    if spec.get("restartPolicy") != "Always":
        found.append(formats.unsupported(f"{path}.spec.restartPolicy", spec.get("restartPolicy", ""), "Always"))
    if "activeDeadlineSeconds" in spec:
        detail = f"activeDeadlineSeconds in {kind} is not Supported"
        found.append(forbidden_field(f"{path}.spec.activeDeadlineSeconds", detail))
    return found


def _validate_replica_template(spec: JSON) -> list[FieldError]:
    """Errors of selector and template together, as Deployments and ReplicaSets have them."""
    selector, template = spec.get("selector"), spec["template"]
    if not label_selectors.is_usable(selector):
        return [invalid_value("spec.selector", label_selectors.quoted(selector), "invalid label selector")]
    found: list[FieldError] = []
    if selector is None or not label_selectors.is_empty(selector):
        found += _labels_mismatch(selector, template, "spec.template")
    found += validate_pod_template(template, "spec.template")
    return found + _always_restarts(template, "spec.template", "ReplicaSet")


def _selector_is_immutable(new: JSON, old: JSON) -> list[FieldError]:
    selector = new["spec"].get("selector")
    before = old["spec"].get("selector")
    return rules.immutable("spec.selector", selector, before, label_selectors.quoted(selector))


class _Workload(KindWithStatus):
    counts_generations = True
    names_pods = True
    """Pods are called after it, so that a name which is no DNS label earns a warning."""
    omitted_of_spec: tuple[str, ...] = ("minReadySeconds",)
    omitted_of_status: tuple[str, ...] = ("observedGeneration", "readyReplicas", "availableReplicas", "conditions")

    def default(self, obj: JSON) -> None:
        super().default(obj)
        pod_defaults.default_pod_template(template_of(obj["spec"]))

    def warnings(self, new: JSON, old: JSON | None) -> list[str]:
        found = rules.pod_name_warnings(new) if old is None and self.names_pods else []
        if old is None or old["spec"].get("template") != new["spec"]["template"]:
            found += pod_warnings.template_warnings(new["spec"]["template"])
        return found


class Deployment(_Workload):
    status_keeps_labels = True
    omitted_of_spec = ("minReadySeconds", "paused")
    omitted_of_status = (*_Workload.omitted_of_status, "replicas", "updatedReplicas", "unavailableReplicas")

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
        found += _validate_selector(spec.get("selector"), "spec.selector", "deployment")
        found += _validate_replica_template(spec)
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
        return self.validate_create(new, context) + _selector_is_immutable(new, old)

    def validate_status(self, new: JSON, old: JSON, context: Context) -> list[FieldError]:
        status = new["status"]
        found = rules.not_negative_fields(
            status, "status", "observedGeneration", "replicas", "updatedReplicas", "readyReplicas",
            "availableReplicas", "unavailableReplicas", "collisionCount",
        )  # fmt: skip
        found += rules.not_above_replicas(status, "updatedReplicas", "readyReplicas", "availableReplicas")
        found += _available_within_ready(status, "cannot be greater than readyReplicas")
        return found + rules.not_decremented(status, old.get("status") or {}, "collisionCount")


def _available_within_ready(status: JSON, detail: str) -> list[FieldError]:
    available = status.get("availableReplicas", 0)
    if available <= status.get("readyReplicas", 0):
        return []
    return [invalid_value("status.availableReplicas", available, detail)]


class ReplicaSet(_Workload):
    empty_status: ClassVar[dict[str, Any]] = {"replicas": 0}
    omitted_of_status = (*_Workload.omitted_of_status, "fullyLabeledReplicas")

    def default(self, obj: JSON) -> None:
        super().default(obj)
        obj["spec"].setdefault("replicas", 1)

    def validate_create(self, new: JSON, context: Context) -> list[FieldError]:
        spec = new["spec"]
        found = rules.not_negative_fields(spec, "spec", "replicas", "minReadySeconds")
        found += _validate_selector(spec.get("selector"), "spec.selector", "deployment")
        return found + _validate_replica_template(spec)

    def validate_update(self, new: JSON, old: JSON, context: Context) -> list[FieldError]:
        return self.validate_create(new, context) + _selector_is_immutable(new, old)

    def validate_status(self, new: JSON, old: JSON, context: Context) -> list[FieldError]:
        status = new["status"]
        found = rules.not_negative_fields(
            status, "status", "replicas", "fullyLabeledReplicas", "readyReplicas", "availableReplicas",
            "observedGeneration",
        )  # fmt: skip
        found += rules.not_above_replicas(status, "fullyLabeledReplicas", "readyReplicas", "availableReplicas")
        return found + _available_within_ready(status, "cannot be greater than readyReplicas")


class StatefulSet(_Workload):
    name_rule = staticmethod(metadata.dns1123_label)
    names_pods = False
    empty_status: ClassVar[dict[str, Any]] = {"availableReplicas": 0, "replicas": 0}
    omitted_of_spec = ("minReadySeconds", "volumeClaimTemplates")
    omitted_of_status = (
        "observedGeneration", "readyReplicas", "currentReplicas", "updatedReplicas", "currentRevision",
        "updateRevision", "conditions",
    )  # fmt: skip

    def default(self, obj: JSON) -> None:
        super().default(obj)
        spec = obj["spec"]
        if not spec.get("podManagementPolicy"):
            spec["podManagementPolicy"] = "OrderedReady"
        strategy = spec.setdefault("updateStrategy", {})
        if not strategy.get("type"):
            strategy["type"] = "RollingUpdate"
        if strategy["type"] == "RollingUpdate":
            strategy.setdefault("rollingUpdate", {}).setdefault("partition", 0)
        retention = spec.setdefault("persistentVolumeClaimRetentionPolicy", {})
        for name in ("whenDeleted", "whenScaled"):
            if not retention.get(name):
                retention[name] = "Retain"
        spec.setdefault("replicas", 1)
        spec.setdefault("revisionHistoryLimit", 10)
        for claim in spec.get("volumeClaimTemplates") or ():
            claim.update(apiVersion="v1", kind="PersistentVolumeClaim")
            claim.setdefault("spec", {}).setdefault("volumeMode", "Filesystem")
            claim.setdefault("status", {}).setdefault("phase", "Pending")

    def validate_create(self, new: JSON, context: Context) -> list[FieldError]:
        spec = new["spec"]
        found: list[FieldError] = []
        if spec["podManagementPolicy"] not in ("OrderedReady", "Parallel"):
            detail = "must be 'OrderedReady' or 'Parallel'"
            found.append(invalid_value("spec.podManagementPolicy", spec["podManagementPolicy"], detail))
        found += self._validate_strategy(spec["updateStrategy"])
        for name in ("whenDeleted", "whenScaled"):
            policy = spec["persistentVolumeClaimRetentionPolicy"][name]
            if policy not in ("Retain", "Delete"):
                path = f"spec.persistentVolumeClaimRetentionPolicy.{name}"
                found.append(formats.unsupported(path, policy, "Retain", "Delete"))
        found += rules.not_negative_fields(spec, "spec", "replicas", "minReadySeconds")
        found += formats.not_negative("spec.ordinals.start", (spec.get("ordinals") or {}).get("start"))
        if spec.get("serviceName"):
            messages = metadata.dns1123_label(spec["serviceName"])
            found += [invalid_value("spec.serviceName", spec["serviceName"], m) for m in messages]
        return found + self._validate_template(spec)

    @staticmethod
    def _validate_strategy(strategy: JSON) -> list[FieldError]:
        path = "spec.updateStrategy"
        rolling = strategy.get("rollingUpdate") or {}
        if strategy["type"] == "OnDelete":
            if "rollingUpdate" not in strategy:
                return []
            shown = {"Partition": rolling.get("partition", 0), "MaxUnavailable": rolling.get("maxUnavailable")}
            detail = "only allowed for updateStrategy 'RollingUpdate'"
            return [invalid_value(f"{path}.rollingUpdate", shown, detail)]
        if strategy["type"] != "RollingUpdate":
            value = {"Type": strategy["type"], "RollingUpdate": None}
            return [invalid_value(path, value, "must be 'RollingUpdate' or 'OnDelete'")]
        found = formats.not_negative(f"{path}.rollingUpdate.partition", rolling.get("partition"))
        unavailable = rolling.get("maxUnavailable")
        if unavailable is not None:
            path = f"{path}.rollingUpdate.maxUnavailable"
            found += rules.positive_int_or_percent(path, unavailable)
            if not rules.int_or_percent_value(unavailable):
                found.append(invalid_value(path, unavailable, "cannot be 0"))
            found += rules.at_most_100_percent(path, unavailable)
        return found

    @staticmethod
    def _validate_template(spec: JSON) -> list[FieldError]:
        found = _validate_selector(spec.get("selector"), "spec.selector", "statefulset")
        selector, template = spec.get("selector"), spec["template"]
        if not label_selectors.is_usable(selector):
            found.append(invalid_value("spec.selector", label_selectors.quoted(selector), ""))
        else:
            if selector is None or not label_selectors.is_empty(selector):
                found += _labels_mismatch(selector, template, "spec.template")
            # Containers may mount the claims of volumeClaimTemplates as if they were volumes of the template.
            claims = [
                {"name": name, "emptyDir": {}}
                for claim in spec.get("volumeClaimTemplates") or ()
                if (name := (claim.get("metadata") or {}).get("name"))
            ]
            names = {claim["name"] for claim in claims}
            volumes = [v for v in template["spec"].get("volumes") or () if v.get("name") not in names]
            whole = {**template, "spec": {**template["spec"], "volumes": [*volumes, *claims]}}
            found += validate_pod_template(whole, "spec.template")
        return found + _always_restarts(template, "spec.template", "StatefulSet")

    _MUTABLE = (
        "replicas", "ordinals", "template", "updateStrategy", "revisionHistoryLimit",
        "persistentVolumeClaimRetentionPolicy", "minReadySeconds",
    )  # fmt: skip

    def validate_update(self, new: JSON, old: JSON, context: Context) -> list[FieldError]:
        found = self.validate_create(new, context)
        before, after = ({k: v for k, v in o["spec"].items() if k not in self._MUTABLE} for o in (old, new))
        if before != after:
            names = ", ".join(f"'{name}'" for name in self._MUTABLE[:-1])
            detail = f"updates to statefulset spec for fields other than {names} and 'minReadySeconds' are forbidden"
            found.append(forbidden_field("spec", detail))
        return found

    def validate_status(self, new: JSON, old: JSON, context: Context) -> list[FieldError]:
        status = new["status"]
        counts = ("readyReplicas", "currentReplicas", "updatedReplicas", "availableReplicas")
        found = rules.not_negative_fields(status, "status", "replicas", *counts, "observedGeneration", "collisionCount")
        found += rules.not_above_replicas(status, *counts)
        found += _available_within_ready(status, "cannot be greater than status.readyReplicas")
        return found + rules.not_decremented(status, old.get("status") or {}, "collisionCount")


_TEMPLATE_GENERATION = "deprecated.daemonset.template.generation"


class DaemonSet(_Workload):
    names_pods = False
    empty_status: ClassVar[dict[str, Any]] = {
        "currentNumberScheduled": 0,
        "numberMisscheduled": 0,
        "desiredNumberScheduled": 0,
        "numberReady": 0,
    }
    omitted_of_status = (
        "observedGeneration", "updatedNumberScheduled", "numberAvailable", "numberUnavailable", "conditions",
    )  # fmt: skip

    def default(self, obj: JSON) -> None:
        super().default(obj)
        spec = obj["spec"]
        strategy = spec.setdefault("updateStrategy", {})
        if not strategy.get("type"):
            strategy["type"] = "RollingUpdate"
        if strategy["type"] == "RollingUpdate":
            rolling = strategy.setdefault("rollingUpdate", {})
            rolling.setdefault("maxUnavailable", 1)
            rolling.setdefault("maxSurge", 0)
        spec.setdefault("revisionHistoryLimit", 10)

    def prepare_create(self, new: JSON, context: Context) -> None:
        super().prepare_create(new, context)
        self._set_template_generation(new, 1)

    def prepare_update(self, new: JSON, old: JSON, context: Context) -> None:
        super().prepare_update(new, old, context)
        text = (old["metadata"].get("annotations") or {}).get(_TEMPLATE_GENERATION, "1")
        number = int(text) if text.isdecimal() else 1
        self._set_template_generation(new, number + (new["spec"]["template"] != old["spec"]["template"]))

    @staticmethod
    def _set_template_generation(obj: JSON, number: int) -> None:
        annotations = obj["metadata"].get("annotations") or {}
        obj["metadata"]["annotations"] = {**annotations, _TEMPLATE_GENERATION: str(number)}

    def validate_create(self, new: JSON, context: Context) -> list[FieldError]:
        spec = new["spec"]
        selector, template = spec.get("selector"), spec["template"]
        found = metadata.validate_label_selector(selector, "spec.selector")
        if not found:
            found += _labels_mismatch(selector, template, "spec.template")
        if selector is not None and label_selectors.is_empty(selector):
            found.append(invalid_value("spec.selector", {}, "empty selector is invalid for daemonset"))
        found += validate_pod_template(template, "spec.template")
        found += _always_restarts(template, "spec.template", "DaemonSet")
        found += formats.not_negative("spec.minReadySeconds", spec.get("minReadySeconds"))
        found += self._validate_strategy(spec["updateStrategy"])
        return found + formats.not_negative("spec.revisionHistoryLimit", spec.get("revisionHistoryLimit"))

    @staticmethod
    def _validate_strategy(strategy: JSON) -> list[FieldError]:
        path = "spec.updateStrategy"
        if strategy["type"] == "OnDelete":
            return []
        if strategy["type"] != "RollingUpdate":
            value = {"Type": strategy["type"], "RollingUpdate": None}
            return [formats.unsupported(path, value, "RollingUpdate", "OnDelete")]
        rolling = strategy["rollingUpdate"]
        unavailable, surge = rolling["maxUnavailable"], rolling["maxSurge"]
        path = f"{path}.rollingUpdate"
        found = rules.positive_int_or_percent(f"{path}.maxUnavailable", unavailable)
        found += rules.positive_int_or_percent(f"{path}.maxSurge", surge)
        found += rules.at_most_100_percent(f"{path}.maxUnavailable", unavailable)
        found += rules.at_most_100_percent(f"{path}.maxSurge", surge)
        has_unavailable = rules.int_or_percent_value(unavailable) != 0
        has_surge = rules.int_or_percent_value(surge) != 0
        if has_unavailable and has_surge:
            found.append(invalid_value(f"{path}.maxSurge", surge, "may not be set when maxUnavailable is non-zero"))
        elif not has_unavailable and not has_surge:
            found.append(required(f"{path}.maxUnavailable", "cannot be 0 when maxSurge is 0"))
        return found

    def validate_update(self, new: JSON, old: JSON, context: Context) -> list[FieldError]:
        return self.validate_create(new, context) + _selector_is_immutable(new, old)

    def validate_status(self, new: JSON, old: JSON, context: Context) -> list[FieldError]:
        status = new["status"]
        found = rules.not_negative_fields(
            status, "status", "currentNumberScheduled", "numberMisscheduled", "desiredNumberScheduled", "numberReady",
            "observedGeneration", "updatedNumberScheduled", "numberAvailable", "numberUnavailable", "collisionCount",
        )  # fmt: skip
        return found + rules.not_decremented(status, old.get("status") or {}, "collisionCount")


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
