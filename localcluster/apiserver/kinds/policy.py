"""PodDisruptionBudgets: defaults and rules."""

from __future__ import annotations

from typing import Any, ClassVar

from localcluster.apiserver.errors import FieldError, invalid_value
from localcluster.apiserver.kinds import field_rules as rules
from localcluster.apiserver.kinds import formats, label_selectors, metadata
from localcluster.apiserver.kinds.base import JSON, Context, Kind
from localcluster.apiserver.kinds.with_status import KindWithStatus

_COUNTS = ("disruptionsAllowed", "currentHealthy", "desiredHealthy", "expectedPods")


class PodDisruptionBudget(KindWithStatus):
    counts_generations = True
    unconditional_update = False
    empty_status: ClassVar[dict[str, Any]] = dict.fromkeys(_COUNTS, 0)
    omitted_of_status = ("observedGeneration", "disruptedPods", "conditions")

    def validate_create(self, new: JSON, context: Context) -> list[FieldError]:
        spec = new["spec"]
        found: list[FieldError] = []
        if "minAvailable" in spec and "maxUnavailable" in spec:
            shown = {
                "MinAvailable": spec["minAvailable"],
                "Selector": label_selectors.quoted(spec.get("selector")),
                "MaxUnavailable": spec["maxUnavailable"],
                "UnhealthyPodEvictionPolicy": spec.get("unhealthyPodEvictionPolicy"),
            }
            found.append(invalid_value("spec", shown, "minAvailable and maxUnavailable cannot be both set"))
        for name in ("minAvailable", "maxUnavailable"):
            if name in spec:
                found += rules.positive_int_or_percent(f"spec.{name}", spec[name])
                found += rules.at_most_100_percent(f"spec.{name}", spec[name])
        found += metadata.validate_label_selector(spec.get("selector"), "spec.selector")
        policy, policies = spec.get("unhealthyPodEvictionPolicy"), ("AlwaysAllow", "IfHealthyBudget")
        if policy is not None and policy not in policies:
            found.append(formats.unsupported("spec.unhealthyPodEvictionPolicy", policy, *policies))
        return found

    def validate_status(self, new: JSON, old: JSON, context: Context) -> list[FieldError]:
        return rules.not_negative_fields(new["status"], "status", *_COUNTS)


KINDS: dict[str, type[Kind]] = {"PodDisruptionBudget": PodDisruptionBudget}
