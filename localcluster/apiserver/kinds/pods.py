"""Pods and PodTemplates: what the server fills in, what may change, and what other kinds need of pod templates."""

from __future__ import annotations

import copy
from typing import Any

from localcluster.apiserver.errors import FieldError, forbidden_field, invalid_value, required
from localcluster.apiserver.kinds import formats, metadata
from localcluster.apiserver.kinds.base import Context, Kind
from localcluster.apiserver.kinds.changes import differences
from localcluster.apiserver.kinds.pod_defaults import (
    default_pod,
    default_pod_spec,
    default_pod_template,
    qos_class,
    share_service_account,
)
from localcluster.apiserver.kinds.pod_status import default_pod_status, validate_pod_status
from localcluster.apiserver.kinds.pod_validation import (
    MAX_INT32,
    MIRROR,
    validate_new_pod,
    validate_pod,
    validate_pod_spec,
    validate_pod_template,
)
from localcluster.apiserver.kinds.pod_warnings import pod_warnings, template_warnings
from localcluster.apiserver.kinds.scheduling_rules import validate_only_added_tolerations
from localcluster.apiserver.kinds.security_context import APPARMOR_CONTAINER
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

_UPDATABLE = (
    "`spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only "
    "additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was "
    "previously negative)"
)
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

    def validate_create(self, new: JSON, context: Context) -> list[FieldError]:
        return validate_new_pod(new)

    def validate_update(self, new: JSON, old: JSON, context: Context) -> list[FieldError]:
        errors = metadata.validate(new, True)
        errors += validate_pod(new)
        errors += _annotation_changes(new, old)
        return errors + validate_spec_change(new["spec"], old["spec"])

    def validate_status(self, new: JSON, old: JSON, context: Context) -> list[FieldError]:
        return _annotation_changes(new, old) + validate_pod_status(new, old)

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


def _annotation_changes(new: JSON, old: JSON) -> list[FieldError]:
    now, before = (pod["metadata"].get("annotations") or {} for pod in (new, old))
    errors: list[FieldError] = []
    for key in {**before, **now}:
        if now.get(key) == before.get(key):
            continue
        verb = "remove or update" if key in before else "add"
        path = f"metadata.annotations[{key}]"
        if key.startswith(APPARMOR_CONTAINER):
            errors.append(forbidden_field(path, f"may not {verb} AppArmor annotations"))
        if key == MIRROR:
            errors.append(forbidden_field(path, f"may not {verb} mirror pod annotation"))
    return errors


def validate_spec_change(new: JSON, old: JSON) -> list[FieldError]:
    """Errors of a change of a pod's spec: only a few fields may."""
    errors: list[FieldError] = []
    for kind in ("containers", "initContainers"):
        now, before = new.get(kind) or [], old.get(kind) or []
        if len(now) != len(before):
            return [*errors, forbidden_field(f"spec.{kind}", "pod updates may not add or remove containers")]
        for i, container in enumerate(now):
            image = container.get("image", "")
            if not image:
                errors.append(required(f"spec.{kind}[{i}].image"))
            if image != image.strip():
                detail = "must not have leading or trailing whitespace"
                errors.append(invalid_value(f"spec.{kind}[{i}].image", image, detail))
    found, stop = _deadline_change(new.get("activeDeadlineSeconds"), old.get("activeDeadlineSeconds"))
    errors += found
    if stop:
        return errors
    errors += validate_only_added_tolerations(new.get("tolerations"), old.get("tolerations"), "spec.tolerations")
    gates = {gate.get("name") for gate in old.get("schedulingGates") or ()}
    for i, gate in enumerate(new.get("schedulingGates") or ()):
        if gate.get("name") not in gates:
            detail = f"only deletion is allowed, but found new scheduling gate '{gate.get('name')}'"
            errors.append(forbidden_field(f"spec.schedulingGates[{i}].name", detail))
    masked = _with_allowed_changes_undone(new, old)
    if old.get("schedulingGates"):
        errors += _gated_change(masked, old)
    if masked != old:
        detail = f"pod updates may not change fields other than {_UPDATABLE}\n{differences(old, masked)}"
        errors.append(forbidden_field("spec", detail))
    return errors


def _deadline_change(now: int | None, before: int | None) -> tuple[list[FieldError], bool]:
    path = "spec.activeDeadlineSeconds"
    if now is None:
        detail = "must not update from a positive integer to nil value"
        return ([] if before is None else [invalid_value(path, None, detail)]), False
    if errors := formats.in_range(path, now, 0, MAX_INT32):
        return errors, True
    if before is not None and before < now:
        return [invalid_value(path, now, "must be less than or equal to previous value")], True
    return [], False


def _with_allowed_changes_undone(new: JSON, old: JSON) -> JSON:
    masked = copy.deepcopy(new)
    for kind in ("containers", "initContainers"):
        for container, before in zip(masked.get(kind) or (), old.get(kind) or (), strict=True):
            container["image"] = before.get("image", "")
    names = ["activeDeadlineSeconds", "schedulingGates", "tolerations"]
    grace = "terminationGracePeriodSeconds"
    if (old.get(grace) or 0) < 0 and masked.get(grace) == 1:
        names.append(grace)
    for name in names:
        masked.pop(name, None)
        if name in old:
            masked[name] = old[name]
    return masked


def _gated_change(masked: JSON, old: JSON) -> list[FieldError]:
    """While a pod may not be scheduled yet, its node selector may get stricter."""
    errors: list[FieldError] = []
    now, before = masked.get("nodeSelector") or {}, old.get("nodeSelector") or {}
    if any(now.get(key) != value for key, value in before.items()):
        detail = "only additions to spec.nodeSelector are allowed (no mutations or deletions)"
        errors.append(invalid_value("spec.nodeSelector", now, detail))
    Kind._keep(masked, old, "nodeSelector")
    affinity, former = masked.get("affinity") or {}, old.get("affinity") or {}
    errors += _node_affinity_change(affinity.get("nodeAffinity"), former.get("nodeAffinity"))
    if masked.get("affinity") is not None:
        Kind._keep(affinity, former, "nodeAffinity")
        if not affinity and "affinity" not in old:
            del masked["affinity"]
    return errors


def _node_affinity_change(new: JSON | None, old: JSON | None) -> list[FieldError]:
    name = "requiredDuringSchedulingIgnoredDuringExecution"
    path = f"spec.affinity.nodeAffinity.{name}.nodeSelectorTerms"
    before = ((old or {}).get(name) or {}).get("nodeSelectorTerms") or []
    now = ((new or {}).get(name) or {}).get("nodeSelectorTerms") or []
    if before and len(before) != len(now):
        detail = "no additions/deletions to non-empty NodeSelectorTerms list are allowed"
        return [invalid_value(path, now, detail)]
    errors: list[FieldError] = []
    for i, (term, former) in enumerate(zip(now, before, strict=False)):
        for kind in ("matchExpressions", "matchFields"):
            kept = former.get(kind) or []
            if (
                not (former.get("matchExpressions") or former.get("matchFields"))
                or (term.get(kind) or [])[: len(kept)] != kept
            ):
                detail = "only additions are allowed (no mutations or deletions)"
                errors.append(invalid_value(f"{path}[{i}]", term, detail))
                break
    return errors


def validate_ephemeral_change(new: JSON, old: JSON) -> list[FieldError]:
    """Errors of a write to ``/ephemeralcontainers``: containers can only be added."""
    errors = metadata.validate(new, True) + validate_pod(new) + _annotation_changes(new, old)
    if MIRROR in (old["metadata"].get("annotations") or {}):
        return [forbidden_field("", "static pods do not support ephemeral containers")]
    path = "spec.ephemeralContainers"
    now = {c.get("name"): c for c in new["spec"].get("ephemeralContainers") or ()}
    for container in old["spec"].get("ephemeralContainers") or ():
        name = container.get("name", "")
        if name not in now:
            detail = f'existing ephemeral containers "{name}" may not be removed\n'
            errors.append(forbidden_field(path, detail))
        elif now[name] != container:
            changed = differences(container, now[name])
            detail = f'existing ephemeral containers "{name}" may not be changed\n{changed}'
            errors.append(forbidden_field(path, detail))
    return errors


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
