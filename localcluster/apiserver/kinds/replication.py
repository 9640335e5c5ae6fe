"""ReplicationControllers, the predecessors of ReplicaSets."""

from __future__ import annotations

from typing import Any, ClassVar

from localcluster.apiserver.errors import FieldError, forbidden_field, invalid_value, required
from localcluster.apiserver.kinds import formats
from localcluster.apiserver.kinds.base import Context
from localcluster.apiserver.kinds.field_rules import not_above_replicas, not_negative_fields, pod_name_warnings
from localcluster.apiserver.kinds.formats import unsupported
from localcluster.apiserver.kinds.label_selectors import NO_MATCH
from localcluster.apiserver.kinds.pods import default_pod_template, template_warnings, validate_pod_template
from localcluster.apiserver.kinds.with_status import KindWithStatus

JSON = dict[str, Any]


class ReplicationController(KindWithStatus):
    counts_generations = True
    default_propagation = "Orphan"
    empty_status: ClassVar[dict[str, Any]] = {"replicas": 0}
    omitted_of_spec = ("selector", "minReadySeconds")
    omitted_of_status = (
        "fullyLabeledReplicas", "readyReplicas", "availableReplicas", "observedGeneration", "conditions",
    )  # fmt: skip

    def default(self, obj: JSON) -> None:
        super().default(obj)
        spec = obj["spec"]
        if spec.get("replicas") is None:
            spec["replicas"] = 1
        if spec.get("template") is not None:
            default_pod_template(spec["template"])
            labels = spec["template"]["metadata"].get("labels")
            if labels:
                spec.setdefault("selector", dict(labels))
                if not obj["metadata"].get("labels"):
                    obj["metadata"]["labels"] = dict(labels)

    def validate_create(self, new: JSON, context: Context) -> list[FieldError]:
        spec = new["spec"]
        errors = formats.not_negative("spec.minReadySeconds", spec.get("minReadySeconds"))
        selector, template = spec.get("selector") or {}, spec.get("template")
        if not selector:
            errors.append(required("spec.selector"))
        errors += formats.not_negative("spec.replicas", spec.get("replicas"))
        if template is None:
            return [*errors, required("spec.template")]
        labels = template["metadata"].get("labels")
        if any((labels or {}).get(key) != value for key, value in selector.items()):
            errors.append(invalid_value("spec.template.metadata.labels", labels, NO_MATCH))
        errors += validate_pod_template(template, "spec.template")
        policy = template["spec"].get("restartPolicy", "")
        if policy != "Always":
            errors.append(unsupported("spec.template.spec.restartPolicy", policy, "Always"))
        if template["spec"].get("activeDeadlineSeconds") is not None:
            detail = "activeDeadlineSeconds in ReplicationController is not Supported"
            errors.append(forbidden_field("spec.template.spec.activeDeadlineSeconds", detail))
        return errors

    def validate_status(self, new: JSON, old: JSON, context: Context) -> list[FieldError]:
        status = new["status"]
        parts = ("fullyLabeledReplicas", "readyReplicas", "availableReplicas")
        errors = not_negative_fields(status, "status", "replicas", *parts, "observedGeneration")
        errors += not_above_replicas(status, *parts)
        available = status.get("availableReplicas", 0)
        if available > status.get("readyReplicas", 0):
            errors.append(invalid_value("status.availableReplicas", available, "cannot be greater than readyReplicas"))
        return errors

    def warnings(self, new: JSON, old: JSON | None) -> list[str]:
        found = pod_name_warnings(new) if old is None else []
        template = new["spec"].get("template")
        if template is None or (old is not None and old["spec"].get("template") == template):
            return found
        return found + template_warnings(template)

    def selectable_fields(self, obj: JSON) -> dict[str, str]:
        return {"status.replicas": str((obj.get("status") or {}).get("replicas", 0))}
