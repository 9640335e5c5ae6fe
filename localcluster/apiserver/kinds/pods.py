"""Pods and PodTemplates: what the server fills in, what may change, and what other kinds need of pod templates."""

from __future__ import annotations

import copy
from typing import Any

from localcluster.apiserver.errors import FieldError
from localcluster.apiserver.kinds import metadata
from localcluster.apiserver.kinds.base import Context, Kind
from localcluster.apiserver.kinds.pod_changes import (
    take_resources,
    validate_annotation_change,
    validate_ephemeral_change,
    validate_resize,
    validate_spec_change,
)
from localcluster.apiserver.kinds.pod_defaults import (
    default_pod,
    default_pod_spec,
    default_pod_template,
    qos_class,
    share_service_account,
)
from localcluster.apiserver.kinds.pod_status import default_pod_status, validate_pod_status
from localcluster.apiserver.kinds.pod_validation import (
    validate_new_pod,
    validate_pod,
    validate_pod_spec,
    validate_pod_template,
)
from localcluster.apiserver.kinds.pod_warnings import pod_warnings, template_warnings
from localcluster.apiserver.kinds.with_status import KindWithStatus

__all__ = [
    "Pod",
    "PodTemplate",
    "default_pod",
    "default_pod_spec",
    "default_pod_template",
    "template_warnings",
    "validate_pod_spec",
    "validate_pod_template",
]

JSON = dict[str, Any]

_SCHEDULING_GATED: JSON = {
    "type": "PodScheduled",
    "status": "False",
    "lastProbeTime": None,
    "lastTransitionTime": None,
    "reason": "SchedulingGated",
    "message": "Scheduling is blocked due to non-empty scheduling gates",
}


class Pod(KindWithStatus):
    counts_generations = True
    delete_answers_object = True

    def default(self, obj: JSON) -> None:
        if obj.get("spec") is None:
            obj["spec"] = {}
        default_pod(obj)
        obj["status"] = obj.get("status") or {}
        default_pod_status(obj["status"])

    def prepare_create(self, new: JSON, context: Context) -> None:
        spec = new["spec"]
        share_service_account(spec)
        new["status"] = {"phase": "Pending", "qosClass": qos_class(spec)}
        if spec.get("schedulingGates"):
            new["status"]["conditions"] = [copy.deepcopy(_SCHEDULING_GATED)]
        _select_by_own_labels(new)

    def prepare_update(self, new: JSON, old: JSON, context: Context) -> None:
        share_service_account(new["spec"])
        self._keep(new, old, "status")

    def prepare_status(self, new: JSON, old: JSON, context: Context) -> None:
        super().prepare_status(new, old, context)
        self._keep(new["metadata"], old["metadata"], "ownerReferences")
        status = new["status"]
        default_pod_status(status)
        # The class belongs to the spec, whatever a writer of the status says.
        status.pop("qosClass", None)
        if quality := (old.get("status") or {}).get("qosClass"):
            status["qosClass"] = quality

    def prepare_subresource(self, name: str, new: JSON, old: JSON, context: Context) -> None:
        asked, meta = new["spec"], new["metadata"]
        for key in ("spec", "status"):
            self._keep(new, old, key)
        if name == "ephemeralcontainers":
            self._keep(new["spec"], asked, "ephemeralContainers")
        else:
            new["spec"] = take_resources(asked, old["spec"])
        new["metadata"] = copy.deepcopy(old["metadata"])
        self._keep(new["metadata"], meta, "managedFields", "resourceVersion")

    def validate_subresource(self, name: str, new: JSON, old: JSON, context: Context) -> list[FieldError]:
        if name == "ephemeralcontainers":
            return validate_ephemeral_change(new, old)
        return validate_resize(new, old)

    def validate_create(self, new: JSON, context: Context) -> list[FieldError]:
        return validate_new_pod(new)

    def validate_update(self, new: JSON, old: JSON, context: Context) -> list[FieldError]:
        errors = metadata.validate(new, True)
        errors += validate_pod(new)
        errors += validate_annotation_change(new, old)
        return errors + validate_spec_change(new["spec"], old["spec"])

    def validate_status(self, new: JSON, old: JSON, context: Context) -> list[FieldError]:
        return validate_annotation_change(new, old) + validate_pod_status(new, old)

    def warnings(self, new: JSON, old: JSON | None) -> list[str]:
        if old is not None and old.get("spec") == new.get("spec"):
            return []
        return pod_warnings(new, new=old is None)

    def selectable_fields(self, obj: JSON) -> dict[str, str]:
        spec, status = obj.get("spec") or {}, obj.get("status") or {}
        return {
            "spec.nodeName": spec.get("nodeName", ""),
            "spec.restartPolicy": spec.get("restartPolicy", ""),
            "spec.schedulerName": spec.get("schedulerName", ""),
            "spec.serviceAccountName": spec.get("serviceAccountName", ""),
            "spec.hostNetwork": str(bool(spec.get("hostNetwork"))).lower(),
            "status.phase": status.get("phase", ""),
            "status.podIP": status.get("podIP", ""),
            "status.podIPs": status.get("podIP", ""),
            "status.nominatedNodeName": status.get("nominatedNodeName", ""),
        }

    def generation_of(self, obj: JSON) -> Any:
        return obj.get("spec")


def _select_by_own_labels(pod: JSON) -> None:
    """Turn matchLabelKeys of affinity and topology spread into requirements on the pod's own label values."""
    labels, spec = pod["metadata"].get("labels") or {}, pod["spec"]
    terms = list(spec.get("topologySpreadConstraints") or ())
    for kind in ("podAffinity", "podAntiAffinity"):
        affinity = (spec.get("affinity") or {}).get(kind) or {}
        terms += affinity.get("requiredDuringSchedulingIgnoredDuringExecution") or ()
        for weighted in affinity.get("preferredDuringSchedulingIgnoredDuringExecution") or ():
            terms.append(weighted.get("podAffinityTerm") or {})
    for term in terms:
        if term.get("labelSelector") is None:
            continue
        for keys, operator in (("matchLabelKeys", "In"), ("mismatchLabelKeys", "NotIn")):
            for key in term.get(keys) or ():
                if key in labels:
                    expressions = term["labelSelector"].setdefault("matchExpressions", [])
                    expressions.append({"key": key, "operator": operator, "values": [labels[key]]})


class PodTemplate(Kind):
    counts_generations = True

    def default(self, obj: JSON) -> None:
        if obj.get("template") is None:
            obj["template"] = {}
        default_pod_template(obj["template"])

    def validate_create(self, new: JSON, context: Context) -> list[FieldError]:
        return validate_pod_template(new["template"], "template")

    def warnings(self, new: JSON, old: JSON | None) -> list[str]:
        return (
            []
            if old is not None and old.get("template") == new["template"]
            else template_warnings(new["template"], "template")
        )
