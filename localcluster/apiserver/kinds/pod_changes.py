"""What may change in a pod once it exists: by writing it, its ephemeral containers, or its resources."""

from __future__ import annotations

import copy
from typing import Any

from localcluster.apiserver.errors import FieldError, forbidden_field, invalid_value, required
from localcluster.apiserver.kinds import formats, metadata
from localcluster.apiserver.kinds.changes import differences
from localcluster.apiserver.kinds.pod_defaults import drop_empty, qos_class
from localcluster.apiserver.kinds.pod_validation import MAX_INT32, MIRROR, validate_pod
from localcluster.apiserver.kinds.scheduling_rules import validate_only_added_tolerations
from localcluster.apiserver.kinds.security_context import APPARMOR_CONTAINER

JSON = dict[str, Any]

_UPDATABLE = (
    "`spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only "
    "additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was "
    "previously negative)"
)


def _keep(new: JSON, old: JSON, key: str) -> None:
    new.pop(key, None)
    if key in old:
        new[key] = old[key]


def validate_annotation_change(new: JSON, old: JSON) -> list[FieldError]:
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
    _keep(masked, old, "nodeSelector")
    affinity, former = masked.get("affinity") or {}, old.get("affinity") or {}
    errors += _node_affinity_change(affinity.get("nodeAffinity"), former.get("nodeAffinity"))
    if masked.get("affinity") is not None:
        _keep(affinity, former, "nodeAffinity")
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
    errors = metadata.validate(new, True) + validate_pod(new) + validate_annotation_change(new, old)
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


# ---- /resize


def take_resources(new: JSON, old: JSON) -> JSON:
    """The spec `old` with the containers' resources and resize policies of `new`."""
    spec = copy.deepcopy(old)
    for kind in ("containers", "initContainers"):
        asked = {c.get("name"): c for c in new.get(kind) or ()}
        for container in spec.get(kind) or ():
            wanted = asked.get(container.get("name"), container)
            for key in ("resources", "resizePolicy"):
                _keep(container, wanted, key)
    return spec


def validate_resize(new: JSON, old: JSON) -> list[FieldError]:
    """Errors of a write to ``/resize``: only CPU and memory can change, and the quality of service cannot."""
    errors = metadata.validate(new, True) + validate_pod(new)
    for status in (old.get("status") or {}).get("containerStatuses") or ():
        if (status.get("state") or {}).get("running") is not None and status.get("resources") is None:
            return [*errors, forbidden_field("spec", "Pod running on node without support for resize")]
    if qos_class(new["spec"]) != qos_class(old["spec"]):
        detail = "Pod QOS Class may not change as a result of resizing"
        errors.append(invalid_value("spec", qos_class(new["spec"]), detail))
    if _without_compute(new["spec"]) != _without_compute(old["spec"]):
        errors.append(forbidden_field("spec", "only cpu and memory resources are mutable"))
    return errors


def _without_compute(spec: JSON) -> JSON:
    masked = copy.deepcopy(spec)
    for container in (*(masked.get("containers") or ()), *(masked.get("initContainers") or ())):
        container.pop("resizePolicy", None)
        resources = container.get("resources") or {}
        for kind in ("limits", "requests"):
            for name in ("cpu", "memory"):
                (resources.get(kind) or {}).pop(name, None)
        drop_empty(resources, ("limits", "requests"))
    return masked
