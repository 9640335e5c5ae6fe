"""Namespaces, Nodes and ComponentStatuses."""

from __future__ import annotations

import ipaddress
from typing import Any, ClassVar

from localcluster.apiserver.errors import FieldError, duplicate, forbidden_field, invalid_value
from localcluster.apiserver.kinds import formats
from localcluster.apiserver.kinds.base import Context, Kind
from localcluster.apiserver.kinds.formats import check, dns1123_label
from localcluster.apiserver.kinds.pod_defaults import default_resource_list, drop_empty
from localcluster.apiserver.kinds.resource_rules import validate_quantity
from localcluster.apiserver.kinds.scheduling_rules import validate_taints
from localcluster.apiserver.kinds.with_status import KindWithStatus

JSON = dict[str, Any]

NAME_LABEL = "kubernetes.io/metadata.name"
_FINALIZER = "kubernetes"
_STANDARD_FINALIZERS = ("kubernetes", "orphan", "foregroundDeletion")
_POD_CIDR_CHANGE = 'node updates may not change podCIDR except from "" to valid'


class Namespace(KindWithStatus):
    name_rule = staticmethod(dns1123_label)
    empty_status: ClassVar[dict[str, Any]] = {"phase": "Active"}
    delete_answers_object = True

    def default(self, obj: JSON) -> None:
        super().default(obj)
        _name_label(obj)
        drop_empty(obj["spec"], ("finalizers",))
        status = obj["status"]
        if not status.get("phase"):
            status["phase"] = "Active"
        for condition in status.get("conditions") or ():
            condition.setdefault("lastTransitionTime", None)

    def prepare_create(self, new: JSON, context: Context) -> None:
        super().prepare_create(new, context)
        finalizers = new["spec"].setdefault("finalizers", [])
        if _FINALIZER not in finalizers:
            finalizers.append(_FINALIZER)
        # The name may have been generated only now.
        _name_label(new)

    def prepare_update(self, new: JSON, old: JSON, context: Context) -> None:
        super().prepare_update(new, old, context)
        # Finalizers of the spec are written through /finalize only.
        self._keep(new["spec"], old.get("spec") or {}, "finalizers")

    def validate_create(self, new: JSON, context: Context) -> list[FieldError]:
        return validate_spec_finalizers(new, "spec.finalizers")

    def validate_update(self, new: JSON, old: JSON, context: Context) -> list[FieldError]:
        return []

    def validate_status(self, new: JSON, old: JSON, context: Context) -> list[FieldError]:
        going = bool(new["metadata"].get("deletionTimestamp"))
        phase = new["status"].get("phase", "")
        wanted = "Terminating" if going else "Active"
        if phase == wanted:
            return []
        state = "is not empty" if going else "is empty"
        return [invalid_value("status.Phase", phase, f"may only be '{wanted}' if `deletionTimestamp` {state}")]

    def selectable_fields(self, obj: JSON) -> dict[str, str]:
        return {"name": obj["metadata"]["name"], "status.phase": (obj.get("status") or {}).get("phase", "")}


def _name_label(obj: JSON) -> None:
    name = obj["metadata"].get("name")
    if name:
        if obj["metadata"].get("labels") is None:
            obj["metadata"]["labels"] = {}
        obj["metadata"]["labels"][NAME_LABEL] = name


def validate_spec_finalizers(namespace: JSON, path: str) -> list[FieldError]:
    """Errors of ``spec.finalizers`` of a namespace."""
    errors: list[FieldError] = []
    for name in (namespace.get("spec") or {}).get("finalizers") or ():
        errors += check(path, name, formats.qualified_name(name))
        if "/" not in name and name not in _STANDARD_FINALIZERS:
            detail = "name is neither a standard finalizer name nor is it fully qualified"
            errors.append(invalid_value(path, name, detail))
    return errors


class Node(KindWithStatus):
    empty_status: ClassVar[dict[str, Any]] = {
        "daemonEndpoints": {"kubeletEndpoint": {"Port": 0}},
        "nodeInfo": {
            "architecture": "",
            "bootID": "",
            "containerRuntimeVersion": "",
            "kernelVersion": "",
            "kubeProxyVersion": "",
            "kubeletVersion": "",
            "machineID": "",
            "operatingSystem": "",
            "osImage": "",
            "systemUUID": "",
        },
    }
    omitted_of_spec = ("podCIDR", "podCIDRs", "providerID", "unschedulable", "taints", "externalID")
    omitted_of_status = ("capacity", "allocatable", "conditions", "addresses", "images", "volumesInUse", "phase")

    def default(self, obj: JSON) -> None:
        super().default(obj)
        spec, status = obj["spec"], obj["status"]
        if spec.get("podCIDR") and not spec.get("podCIDRs"):
            spec["podCIDRs"] = [spec["podCIDR"]]
        elif spec.get("podCIDRs") and not spec.get("podCIDR"):
            spec["podCIDR"] = spec["podCIDRs"][0]
        if status.get("allocatable") is None and status.get("capacity") is not None:
            status["allocatable"] = dict(status["capacity"])
        for name in ("capacity", "allocatable"):
            default_resource_list(status.get(name))

    def prepare_create(self, new: JSON, context: Context) -> None:
        # Kubelets register with the status they have; it is kept.
        return

    def validate_create(self, new: JSON, context: Context) -> list[FieldError]:
        errors = validate_taints(new["spec"].get("taints"), "metadata.taints")
        errors += _resources(new)
        ranges = new["spec"].get("podCIDRs") or []
        for i, value in enumerate(ranges):
            errors += check(f"spec.podCIDRs[{i}]", value, formats.cidr(value))
        if len(ranges) > 1 and not errors:
            versions = {ipaddress.ip_network(value, strict=False).version for value in ranges}
            if len(versions) < 2 or len(ranges) > 2:
                detail = "may specify no more than one CIDR for each IP family"
                errors.append(invalid_value("spec.podCIDRs", ranges, detail))
            errors += [duplicate(f"spec.podCIDRs[{i}]", v) for i, v in enumerate(ranges) if v in ranges[:i]]
        return errors

    def validate_update(self, new: JSON, old: JSON, context: Context) -> list[FieldError]:
        errors = _resources(new)
        addresses = new["status"].get("addresses") or []
        for i, address in enumerate(addresses):
            if address in addresses[:i]:
                shown = {"Type": address.get("type", ""), "Address": address.get("address", "")}
                errors.append(duplicate(f"status.addresses[{i}]", shown))
        now, before = new["spec"], old["spec"]
        if before.get("podCIDRs") and before["podCIDRs"] != now.get("podCIDRs"):
            errors.append(forbidden_field("spec.podCIDRs", _POD_CIDR_CHANGE))
        if before.get("providerID") and before["providerID"] != now.get("providerID"):
            detail = 'node updates may not change providerID except from "" to valid'
            errors.append(forbidden_field("spec.providerID", detail))
        errors += validate_taints(now.get("taints"), "metadata.taints")
        if now.get("externalID") != before.get("externalID"):
            errors.append(forbidden_field("spec.externalID", "may not be updated"))
        return errors

    def validate_status(self, new: JSON, old: JSON, context: Context) -> list[FieldError]:
        return self.validate_update(new, old, context)

    def selectable_fields(self, obj: JSON) -> dict[str, str]:
        return {"spec.unschedulable": str(bool((obj.get("spec") or {}).get("unschedulable"))).lower()}


def _resources(node: JSON) -> list[FieldError]:
    errors: list[FieldError] = []
    for kind in ("capacity", "allocatable"):
        for name, text in (node["status"].get(kind) or {}).items():
            errors += validate_quantity(name, text, f"status.{kind}.{name}")
    return errors


class ComponentStatus(Kind):
    deprecation = "v1 ComponentStatus is deprecated in v1.19+"
