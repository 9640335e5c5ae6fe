"""DaemonSets: defaults, rules, and the generations of their templates."""

from __future__ import annotations

from typing import Any, ClassVar

from localcluster.apiserver.errors import FieldError, invalid_value, required
from localcluster.apiserver.kinds import field_rules as rules
from localcluster.apiserver.kinds import formats, label_selectors, metadata
from localcluster.apiserver.kinds.base import JSON, Context
from localcluster.apiserver.kinds.pod_validation import validate_pod_template
from localcluster.apiserver.kinds.workloads import (
    Workload,
    always_restarts,
    labels_mismatch,
    selector_is_immutable,
)

_TEMPLATE_GENERATION = "deprecated.daemonset.template.generation"


class DaemonSet(Workload):
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
            found += labels_mismatch(selector, template, "spec.template")
        if selector is not None and label_selectors.is_empty(selector):
            found.append(invalid_value("spec.selector", {}, "empty selector is invalid for daemonset"))
        found += validate_pod_template(template, "spec.template")
        found += always_restarts(template, "spec.template", "DaemonSet")
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
        return self.validate_create(new, context) + selector_is_immutable(new, old)

    def validate_status(self, new: JSON, old: JSON, context: Context) -> list[FieldError]:
        status = new["status"]
        found = rules.not_negative_fields(
            status, "status", "currentNumberScheduled", "numberMisscheduled", "desiredNumberScheduled", "numberReady",
            "observedGeneration", "updatedNumberScheduled", "numberAvailable", "numberUnavailable", "collisionCount",
        )  # fmt: skip
        return found + rules.not_decremented(status, old.get("status") or {}, "collisionCount")
