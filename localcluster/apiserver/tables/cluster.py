"""Tables of networking, discovery, coordination, scheduling, storage, admission and aggregation."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from localcluster.apiserver.tables import cells
from localcluster.apiserver.tables.cells import JSON, NONE, UNSET
from localcluster.apiserver.tables.columns import AGE, NAME, of_field, plain
from localcluster.apiserver.tables.core import load_balancer

INGRESS_COLUMNS = (
    NAME,
    plain("Class", "The name of the IngressClass resource that should be used for additional configuration"),
    plain("Hosts", "Hosts that incoming requests are matched against before the ingress rule"),
    plain("Address", "Address is a list containing ingress points for the load-balancer"),
    plain("Ports", "Ports of TLS configurations that open"),
    AGE,
)
INGRESS_CLASS_COLUMNS = (
    NAME,
    plain("Controller", "Controller that is responsible for handling this class"),
    plain("Parameters", "A reference to a resource with additional parameters"),
    AGE,
)
NETWORK_POLICY_COLUMNS = (NAME, of_field("Pod-Selector", "networking.v1.NetworkPolicySpec.podSelector"), AGE)
ENDPOINT_SLICE_COLUMNS = (
    NAME,
    of_field("AddressType", "discovery.v1.EndpointSlice.addressType"),
    of_field("Ports", "discovery.v1.EndpointSlice.ports"),
    of_field("Endpoints", "discovery.v1.EndpointSlice.endpoints"),
    AGE,
)
LEASE_COLUMNS = (NAME, of_field("Holder", "coordination.v1.LeaseSpec.holderIdentity"), AGE)
PRIORITY_CLASS_COLUMNS = (
    NAME,
    of_field("Value", "scheduling.v1.PriorityClass.value", "integer"),
    of_field("Global-Default", "scheduling.v1.PriorityClass.globalDefault", "boolean"),
    AGE,
    of_field("PreemptionPolicy", "scheduling.v1.PriorityClass.preemptionPolicy"),
)
STORAGE_CLASS_COLUMNS = (
    NAME,
    of_field("Provisioner", "storage.v1.StorageClass.provisioner"),
    of_field("ReclaimPolicy", "storage.v1.StorageClass.reclaimPolicy"),
    of_field("VolumeBindingMode", "storage.v1.StorageClass.volumeBindingMode"),
    of_field("AllowVolumeExpansion", "storage.v1.StorageClass.allowVolumeExpansion"),
    AGE,
)
WEBHOOK_COLUMNS = (NAME, plain("Webhooks", "Webhooks indicates the number of webhooks registered in this configuration",
    "integer"), AGE)  # fmt: skip
API_SERVICE_COLUMNS = (
    NAME,
    plain("Service", "The reference to the service that hosts this API endpoint."),
    plain("Available", "Whether this service is available."),
    AGE,
)


def _hosts(rules: list[JSON]) -> str:
    hosts: list[str] = []
    more = False
    for rule in rules:
        # The rule that comes after three hosts were found makes it "more", whether it has a host or not.
        more = more or len(hosts) == 3
        if not more and rule.get("host"):
            hosts.append(rule["host"])
    if not hosts:
        return "*"
    return ",".join(hosts) + (f" + {len(rules) - 3} more..." if more else "")


def ingress_row(obj: JSON, now: datetime) -> list[Any]:
    spec = obj.get("spec") or {}
    return [
        cells.name(obj),
        spec.get("ingressClassName", NONE),
        _hosts(spec.get("rules") or []),
        load_balancer(obj.get("status") or {}),
        "80, 443" if spec.get("tls") else "80",
        cells.age(obj, now),
    ]


def ingress_class_row(obj: JSON, now: datetime) -> list[Any]:
    spec = obj.get("spec") or {}
    reference = spec.get("parameters")
    parameters = NONE
    if reference is not None:
        group = f".{reference['apiGroup']}" if "apiGroup" in reference else ""
        parameters = f"{reference.get('kind', '')}{group}/{reference.get('name', '')}"
    return [cells.name(obj), spec.get("controller", ""), parameters, cells.age(obj, now)]


def network_policy_row(obj: JSON, now: datetime) -> list[Any]:
    return [cells.name(obj), cells.selector((obj.get("spec") or {}).get("podSelector")), cells.age(obj, now)]


def endpoint_slice_row(obj: JSON, now: datetime) -> list[Any]:
    ports = [str(p.get("port") or p.get("name") or "*") for p in obj.get("ports") or ()]
    addresses = [a for e in obj.get("endpoints") or () for a in e.get("addresses") or ()]
    return [
        cells.name(obj),
        obj.get("addressType", ""),
        cells.some(ports, len(ports), UNSET),
        cells.some(addresses, len(addresses), UNSET),
        cells.age(obj, now),
    ]


def lease_row(obj: JSON, now: datetime) -> list[Any]:
    return [cells.name(obj), (obj.get("spec") or {}).get("holderIdentity", ""), cells.age(obj, now)]


def priority_class_row(obj: JSON, now: datetime) -> list[Any]:
    return [
        cells.name(obj),
        obj.get("value", 0),
        bool(obj.get("globalDefault")),
        cells.age(obj, now),
        obj.get("preemptionPolicy", ""),
    ]


def storage_class_row(obj: JSON, now: datetime) -> list[Any]:
    annotations = obj["metadata"].get("annotations") or {}
    is_default = any(
        annotations.get(f"storageclass.{prefix}kubernetes.io/is-default-class") == "true" for prefix in ("", "beta.")
    )
    return [
        cells.name(obj) + (" (default)" if is_default else ""),
        obj.get("provisioner", ""),
        obj.get("reclaimPolicy", "Delete"),
        obj.get("volumeBindingMode", "Immediate"),
        bool(obj.get("allowVolumeExpansion")),
        cells.age(obj, now),
    ]


def webhook_row(obj: JSON, now: datetime) -> list[Any]:
    return [cells.name(obj), len(obj.get("webhooks") or ()), cells.age(obj, now)]


def api_service_row(obj: JSON, now: datetime) -> list[Any]:
    service = (obj.get("spec") or {}).get("service")
    where = f"{service.get('namespace', '')}/{service.get('name', '')}" if service else "Local"
    available = "Unknown"
    for condition in (obj.get("status") or {}).get("conditions") or ():
        if condition.get("type") == "Available":
            available = condition.get("status", "")
            if available != "True":
                available = f"{available} ({condition.get('reason', '')})"
    return [cells.name(obj), where, available, cells.age(obj, now)]
