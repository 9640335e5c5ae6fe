"""StatefulSets: defaults, rules, and what may change of them."""

from __future__ import annotations

from typing import Any, ClassVar

from localcluster.apiserver.errors import FieldError, forbidden_field, invalid_value
from localcluster.apiserver.kinds import field_rules as rules
from localcluster.apiserver.kinds import formats, label_selectors, metadata
from localcluster.apiserver.kinds.base import JSON, Context
from localcluster.apiserver.kinds.pod_validation import validate_pod_template
from localcluster.apiserver.kinds.workloads import (
    Workload,
    always_restarts,
    available_within_ready,
    labels_mismatch,
    validate_selector,
)


class StatefulSet(Workload):
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
        found = validate_selector(spec.get("selector"), "spec.selector", "statefulset")
        selector, template = spec.get("selector"), spec["template"]
        if not label_selectors.is_usable(selector):
            found.append(invalid_value("spec.selector", label_selectors.quoted(selector), ""))
        else:
            if selector is None or not label_selectors.is_empty(selector):
                found += labels_mismatch(selector, template, "spec.template")
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
        return found + always_restarts(template, "spec.template", "StatefulSet")

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
        found += available_within_ready(status, "cannot be greater than status.readyReplicas")
        return found + rules.not_decremented(status, old.get("status") or {}, "collisionCount")
