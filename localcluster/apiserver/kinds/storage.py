"""PersistentVolumes and PersistentVolumeClaims: kept and checked; nothing provisions them here."""

from __future__ import annotations

import copy
from typing import Any, ClassVar

from localcluster.apiserver.errors import FieldError, forbidden_field, invalid_value, required
from localcluster.apiserver.kinds import formats, metadata
from localcluster.apiserver.kinds.base import Context
from localcluster.apiserver.kinds.changes import differences
from localcluster.apiserver.kinds.formats import check, unsupported
from localcluster.apiserver.kinds.pod_defaults import default_claim_spec, default_resource_list, drop_empty
from localcluster.apiserver.kinds.resource_rules import validate_quantity
from localcluster.apiserver.kinds.scheduling_rules import validate_node_selector
from localcluster.apiserver.kinds.volumes import VOLUME_KINDS, no_backsteps, validate_csi_driver, validate_volume_source
from localcluster.apiserver.kinds.with_status import KindWithStatus
from localcluster.quantity import parse

JSON = dict[str, Any]

_ACCESS_MODES = ("ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod")
_VOLUME_MODES = ("Block", "Filesystem")
_RECLAIM = ("Delete", "Recycle", "Retain")
_POSITIVE = "must be greater than zero"
_CLAIM_CHANGE = (
    "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims"
)
# Sources that only persistent volumes have, besides those of pods.
_SOURCES = (*VOLUME_KINDS, "local")


class PersistentVolumeClaim(KindWithStatus):
    empty_status: ClassVar[dict[str, Any]] = {"phase": "Pending"}
    delete_answers_object = True

    def default(self, obj: JSON) -> None:
        super().default(obj)
        default_claim_spec(obj["spec"])
        status = obj["status"]
        default_resource_list(status.get("capacity"))
        drop_empty(status, ("accessModes", "capacity", "conditions"))

    def prepare_create(self, new: JSON, context: Context) -> None:
        super().prepare_create(new, context)
        # Admission plugin StorageObjectInUseProtection.
        finalizers = new["metadata"].setdefault("finalizers", [])
        if "kubernetes.io/pvc-protection" not in finalizers:
            finalizers.append("kubernetes.io/pvc-protection")

    def validate_create(self, new: JSON, context: Context) -> list[FieldError]:
        return validate_claim_spec(new["spec"], "spec")

    def validate_update(self, new: JSON, old: JSON, context: Context) -> list[FieldError]:
        errors = metadata.validate(new, True) + validate_claim_spec(new["spec"], "spec")
        now, before = copy.deepcopy(new["spec"]), copy.deepcopy(old["spec"])
        bound = (old.get("status") or {}).get("phase") == "Bound"
        if not before.get("volumeName"):
            self._keep(before, now, "volumeName")
        if before.get("storageClassName") is None and now.get("storageClassName") is not None:
            self._keep(now, before, "storageClassName")
        if bound and now["resources"].get("requests") is not None:
            self._keep(now["resources"]["requests"], before["resources"].get("requests") or {}, "storage")
        if bound and now.get("volumeAttributesClassName") is not None:
            self._keep(now, before, "volumeAttributesClassName")
        if now != before:
            errors.append(forbidden_field("spec", f"{_CLAIM_CHANGE}\n{differences(before, now)}"))
        return errors + self._validate_size_change(new, old)

    def _validate_size_change(self, new: JSON, old: JSON) -> list[FieldError]:
        def size(resources: JSON | None) -> Any:
            return parse((resources or {}).get("storage", "0"))

        now, before = size(new["spec"]["resources"].get("requests")), size(old["spec"]["resources"].get("requests"))
        errors: list[FieldError] = []
        if now < before and now <= size((old.get("status") or {}).get("capacity")):
            detail = "field can not be less than status.capacity"
            errors.append(forbidden_field("spec.resources.requests.storage", detail))
        mode = new["spec"].get("volumeMode")
        if mode != old["spec"].get("volumeMode"):
            errors.append(invalid_value("volumeMode", mode, formats.IMMUTABLE))
        return errors

    def validate_status(self, new: JSON, old: JSON, context: Context) -> list[FieldError]:
        return [
            invalid_value(f"status.capacity[{name}]", parse(text).value, "must be a valid resource quantity")
            for name, text in (new["status"].get("capacity") or {}).items()
            if parse(text).nanos < 0
        ]


def validate_claim_spec(spec: JSON, path: str) -> list[FieldError]:
    """Errors of a PersistentVolumeClaimSpec."""
    errors: list[FieldError] = []
    if not spec.get("accessModes"):
        errors.append(required(f"{path}.accessModes", "at least 1 access mode is required"))
    errors += metadata.validate_label_selector(spec.get("selector"), f"{path}.selector")
    errors += _access_modes(spec.get("accessModes") or [], f"{path}.accessModes")
    size, here = ((spec.get("resources") or {}).get("requests") or {}).get("storage"), f"{path}.resources[storage]"
    if size is None:
        errors.append(required(here))
    elif parse(size).nanos <= 0:
        errors.append(invalid_value(here, str(parse(size)), _POSITIVE))
    else:
        errors += validate_quantity("storage", size, here)
    if name := spec.get("storageClassName"):
        errors += check(f"{path}.storageClassName", name, formats.dns1123_subdomain(name))
    mode = spec.get("volumeMode")
    if mode is not None and mode not in _VOLUME_MODES:
        errors.append(unsupported(f"{path}.volumeMode", mode, *_VOLUME_MODES))
    for kind in ("dataSource", "dataSourceRef"):
        errors += _data_source(spec.get(kind), f"{path}.{kind}")
    source, reference = spec.get("dataSource"), spec.get("dataSourceRef")
    if source is not None and (reference or {}).get("namespace"):
        detail = "may not be specified when dataSourceRef.namespace is specified"
        errors.append(invalid_value(path, f"{path}.dataSource", detail))
    elif source is not None and reference is not None and source != reference:
        errors.append(invalid_value(path, f"{path}.dataSource", "must match dataSourceRef"))
    if name := spec.get("volumeAttributesClassName"):
        errors += check(f"{path}.volumeAttributesClassName", name, formats.dns1123_subdomain(name))
    return errors


def validate_claim_template(template: JSON, path: str) -> list[FieldError]:
    """Errors of the claim template of a generic ephemeral volume."""
    meta = template.get("metadata") or {}
    errors = metadata.validate_annotations(meta.get("annotations"), f"{path}.metadata.annotations")
    errors += metadata.validate_labels(meta.get("labels"), f"{path}.metadata.labels")
    for key in meta:
        if key not in ("annotations", "labels") and meta[key]:
            errors.append(forbidden_field(f"{path}.metadata.{key}", "cannot be set"))
    return errors + validate_claim_spec(template.get("spec") or {}, f"{path}.spec")


def _access_modes(modes: list[str], path: str) -> list[FieldError]:
    errors = [unsupported(path, mode, *_ACCESS_MODES) for mode in modes if mode not in _ACCESS_MODES]
    if "ReadWriteOncePod" in modes and any(m in _ACCESS_MODES[:3] for m in modes):
        errors.append(forbidden_field(path, "may not use ReadWriteOncePod with other access modes"))
    return errors


def _data_source(source: JSON | None, path: str) -> list[FieldError]:
    if source is None:
        return []
    errors = [required(f"{path}.{key}") for key in ("name", "kind") if not source.get(key)]
    group = source.get("apiGroup") or ""
    if not group and source.get("kind") != "PersistentVolumeClaim":
        detail = "must be 'PersistentVolumeClaim' when referencing the default apiGroup"
        errors.append(invalid_value(path, source.get("kind", ""), detail))
    if group:
        errors += check(f"{path}.apiGroup", group, formats.dns1123_subdomain(group))
    if namespace := source.get("namespace"):
        errors += check(f"{path}.namespace", namespace, formats.dns1123_label(namespace))
    return errors


class PersistentVolume(KindWithStatus):
    empty_status: ClassVar[dict[str, Any]] = {"phase": "Pending"}
    delete_answers_object = True

    def default(self, obj: JSON) -> None:
        super().default(obj)
        spec = obj["spec"]
        drop_empty(spec, ("persistentVolumeReclaimPolicy", "storageClassName", "mountOptions", "accessModes"))
        spec.setdefault("persistentVolumeReclaimPolicy", "Retain")
        if spec.get("volumeMode") is None:
            spec["volumeMode"] = "Filesystem"
        default_resource_list(spec.get("capacity"))
        if (path := spec.get("hostPath")) is not None and path.get("type") is None:
            path["type"] = ""
        if (reference := spec.get("claimRef")) is not None:
            reference.setdefault("kind", "PersistentVolumeClaim")
            reference.setdefault("apiVersion", "v1")

    def prepare_create(self, new: JSON, context: Context) -> None:
        super().prepare_create(new, context)
        finalizers = new["metadata"].setdefault("finalizers", [])
        if "kubernetes.io/pv-protection" not in finalizers:
            finalizers.append("kubernetes.io/pv-protection")

    def validate_create(self, new: JSON, context: Context) -> list[FieldError]:
        return _validate_volume_spec(new["spec"], "spec")

    def validate_update(self, new: JSON, old: JSON, context: Context) -> list[FieldError]:
        errors = self.validate_create(new, context)
        now, before = new["spec"], old["spec"]
        source, former = ({k: spec[k] for k in _SOURCES if k in spec} for spec in (now, before))
        if source != former:
            detail = f"spec.persistentvolumesource is immutable after creation\n{differences(former, source)}"
            errors.append(forbidden_field("spec.persistentvolumesource", detail))
        if now.get("volumeMode") != before.get("volumeMode"):
            errors.append(invalid_value("volumeMode", now.get("volumeMode"), formats.IMMUTABLE))
        if before.get("nodeAffinity") is not None and now.get("nodeAffinity") != before["nodeAffinity"]:
            detail = f"{formats.IMMUTABLE}, except for updating from beta label to GA"
            errors.append(invalid_value("nodeAffinity", now.get("nodeAffinity"), detail))
        return errors


def _validate_volume_spec(spec: JSON, path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    if not spec.get("accessModes"):
        errors.append(required(f"{path}.accessModes"))
    errors += _access_modes(spec.get("accessModes") or [], f"{path}.accessModes")
    capacity = spec.get("capacity") or {}
    if not capacity:
        errors.append(required(f"{path}.capacity"))
    if list(capacity) != ["storage"]:
        errors.append(unsupported(f"{path}.capacity", capacity or None, "storage"))
    for name, text in capacity.items():
        here, amount = f"{path}.capacity[{name}]", parse(text)
        if amount.value < 0:
            errors.append(invalid_value(here, amount.value, "must be a valid resource quantity"))
        if amount.nanos <= 0:
            errors.append(invalid_value(here, str(amount), _POSITIVE))
    policy = spec.get("persistentVolumeReclaimPolicy", "")
    if policy and policy not in _RECLAIM:
        errors.append(unsupported(f"{path}.persistentVolumeReclaimPolicy", policy, *_RECLAIM))
    affinity = spec.get("nodeAffinity")
    if affinity is not None:
        here = f"{path}.nodeAffinity.required"
        wanted = affinity.get("required")
        missing = [required(here, "must specify required node constraints")]
        errors += missing if wanted is None else validate_node_selector(wanted, here)
    errors += _source(spec, path)
    root = (spec.get("hostPath") or {}).get("path", "x").rstrip("/") == ""
    if root and policy == "Recycle":
        detail = "may not be 'recycle' for a hostPath mount of '/'"
        errors.append(forbidden_field(f"{path}.persistentVolumeReclaimPolicy", detail))
    if name := spec.get("storageClassName"):
        errors += check(f"{path}.storageClassName", name, formats.dns1123_subdomain(name))
    mode = spec.get("volumeMode")
    if mode is not None and mode not in _VOLUME_MODES:
        errors.append(unsupported(f"{path}.volumeMode", mode, *_VOLUME_MODES))
    return errors


def _source(spec: JSON, path: str) -> list[FieldError]:
    given = [kind for kind in _SOURCES if spec.get(kind) is not None]
    if not given:
        return [required(path, "must specify a volume type")]
    errors: list[FieldError] = []
    kind = given[0]
    source, here = spec[kind], f"{path}.{kind}"
    if kind == "csi":
        errors += validate_csi_driver(source.get("driver", ""), f"{here}.driver")
        if not source.get("volumeHandle"):
            errors.append(required(f"{here}.volumeHandle"))
    elif kind == "local":
        folder = source.get("path", "")
        errors += no_backsteps(folder, f"{here}.path") if folder else [required(f"{here}.path")]
        if spec.get("nodeAffinity") is None:
            errors.append(required(f"{path}.nodeAffinity", "Local volume requires node affinity"))
    else:
        errors += validate_volume_source(kind, source, here)
    return errors + [forbidden_field(f"{path}.{k}", "may not specify more than 1 volume type") for k in given[1:]]
