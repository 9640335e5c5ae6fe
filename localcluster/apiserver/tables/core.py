"""Tables of the core group but pods: Services, Nodes, Secrets, Events …; and of role bindings."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from localcluster.apiserver.tables import cells
from localcluster.apiserver.tables.cells import JSON, NONE, UNKNOWN, UNSET
from localcluster.apiserver.tables.columns import AGE, NAME, Column, of_field, plain

SERVICE_COLUMNS = (
    NAME,
    of_field("Type", "core.v1.ServiceSpec.type"),
    of_field("Cluster-IP", "core.v1.ServiceSpec.clusterIP"),
    of_field("External-IP", "core.v1.ServiceSpec.externalIPs"),
    of_field("Port(s)", "core.v1.ServiceSpec.ports"),
    AGE,
    of_field("Selector", "core.v1.ServiceSpec.selector", priority=1),
)
ENDPOINTS_COLUMNS = (NAME, of_field("Endpoints", "core.v1.Endpoints.subsets"), AGE)
NODE_COLUMNS = (
    NAME,
    plain("Status", "The status of the node"),
    plain("Roles", "The roles of the node"),
    AGE,
    of_field("Version", "core.v1.NodeSystemInfo.kubeletVersion"),
    of_field("Internal-IP", "core.v1.NodeStatus.addresses", priority=1),
    of_field("External-IP", "core.v1.NodeStatus.addresses", priority=1),
    of_field("OS-Image", "core.v1.NodeSystemInfo.osImage", priority=1),
    of_field("Kernel-Version", "core.v1.NodeSystemInfo.kernelVersion", priority=1),
    of_field("Container-Runtime", "core.v1.NodeSystemInfo.containerRuntimeVersion", priority=1),
)
EVENT_COLUMNS = (
    of_field("Last Seen", "core.v1.Event.lastTimestamp"),
    of_field("Type", "core.v1.Event.type"),
    of_field("Reason", "core.v1.Event.reason"),
    of_field("Object", "core.v1.Event.involvedObject"),
    of_field("Subobject", "core.v1.ObjectReference.fieldPath", priority=1),
    of_field("Source", "core.v1.Event.source", priority=1),
    of_field("Message", "core.v1.Event.message"),
    of_field("First Seen", "core.v1.Event.firstTimestamp", priority=1),
    of_field("Count", "core.v1.Event.count", priority=1),
    Column("Name", field="meta.ObjectMeta.name", priority=1, format="name"),
)
NAMESPACE_COLUMNS = (NAME, plain("Status", "The status of the namespace"), AGE)
SECRET_COLUMNS = (NAME, of_field("Type", "core.v1.Secret.type"), of_field("Data", "core.v1.Secret.data"), AGE)
CONFIG_MAP_COLUMNS = (NAME, of_field("Data", "core.v1.ConfigMap.data"), AGE)
SERVICE_ACCOUNT_COLUMNS = (NAME, AGE)
VOLUME_COLUMNS = (
    NAME,
    of_field("Capacity", "core.v1.PersistentVolumeSpec.capacity"),
    of_field("Access Modes", "core.v1.PersistentVolumeSpec.accessModes"),
    of_field("Reclaim Policy", "core.v1.PersistentVolumeSpec.persistentVolumeReclaimPolicy"),
    of_field("Status", "core.v1.PersistentVolumeStatus.phase"),
    of_field("Claim", "core.v1.PersistentVolumeSpec.claimRef"),
    plain("StorageClass", "StorageClass of the pv"),
    plain("VolumeAttributesClass", "VolumeAttributesClass of the pv"),
    of_field("Reason", "core.v1.PersistentVolumeStatus.reason"),
    AGE,
    of_field("VolumeMode", "core.v1.PersistentVolumeSpec.volumeMode", priority=1),
)
CLAIM_COLUMNS = (
    NAME,
    of_field("Status", "core.v1.PersistentVolumeClaimStatus.phase"),
    of_field("Volume", "core.v1.PersistentVolumeClaimSpec.volumeName"),
    of_field("Capacity", "core.v1.PersistentVolumeClaimStatus.capacity"),
    of_field("Access Modes", "core.v1.PersistentVolumeClaimStatus.accessModes"),
    plain("StorageClass", "StorageClass of the pvc"),
    plain("VolumeAttributesClass", "VolumeAttributesClass of the pvc"),
    AGE,
    of_field("VolumeMode", "core.v1.PersistentVolumeClaimSpec.volumeMode", priority=1),
)
QUOTA_COLUMNS = (
    NAME,
    plain("Request", "Request represents a minimum amount of cpu/memory that a container may consume."),
    plain(
        "Limit",
        "Limits control the maximum amount of cpu/memory that a container may use independent of contention on the "
        "node.",
    ),
    AGE,
)
COMPONENT_STATUS_COLUMNS = (
    NAME,
    plain("Status", "Status of the component conditions"),
    plain("Message", "Message of the component conditions"),
    plain("Error", "Error of the component conditions"),
)
ROLE_BINDING_COLUMNS = (
    NAME,
    of_field("Role", "rbac.v1.RoleBinding.roleRef"),
    AGE,
    plain("Users", "Users in the roleBinding", priority=1),
    plain("Groups", "Groups in the roleBinding", priority=1),
    plain("ServiceAccounts", "ServiceAccounts in the roleBinding", priority=1),
)
CLUSTER_ROLE_BINDING_COLUMNS = (
    NAME,
    of_field("Role", "rbac.v1.ClusterRoleBinding.roleRef"),
    AGE,
    plain("Users", "Users in the clusterRoleBinding", priority=1),
    plain("Groups", "Groups in the clusterRoleBinding", priority=1),
    plain("ServiceAccounts", "ServiceAccounts in the clusterRoleBinding", priority=1),
)


def load_balancer(status: JSON) -> str:
    """The addresses that a load balancer reports, sorted."""
    points = (status.get("loadBalancer") or {}).get("ingress") or ()
    found = {p.get("ip") or p.get("hostname") for p in points}
    return ",".join(sorted(address for address in found if address))


def _external_address(spec: JSON, status: JSON) -> str:
    external = ",".join(spec.get("externalIPs") or ())
    match spec.get("type"):
        case "ClusterIP" | "NodePort":
            return external or NONE
        case "LoadBalancer":
            return ",".join(part for part in (load_balancer(status), external) if part) or "<pending>"
        case "ExternalName":
            return str(spec.get("externalName", ""))
    return UNKNOWN


def _service_port(port: JSON) -> str:
    node_port = f":{port['nodePort']}" if port.get("nodePort") else ""
    return f"{port.get('port', 0)}{node_port}/{port.get('protocol', '')}"


def service_row(obj: JSON, now: datetime) -> list[Any]:
    spec = obj.get("spec") or {}
    return [
        cells.name(obj),
        spec.get("type", ""),
        next(iter(spec.get("clusterIPs") or ()), NONE),
        _external_address(spec, obj.get("status") or {}),
        ",".join(_service_port(p) for p in spec.get("ports") or ()) or NONE,
        cells.age(obj, now),
        cells.labels(spec.get("selector")),
    ]


def endpoints_row(obj: JSON, now: datetime) -> list[Any]:
    found = []
    for subset in obj.get("subsets") or ():
        addresses = [a.get("ip", "") for a in subset.get("addresses") or ()]
        ports = [p.get("port", 0) for p in subset.get("ports") or ()]
        if ports:
            found += [f"[{ip}]:{port}" if ":" in ip else f"{ip}:{port}" for port in ports for ip in addresses]
        else:
            found += addresses
    return [cells.name(obj), cells.some(found, len(found), NONE), cells.age(obj, now)]


_ROLE_PREFIX = "node-role.kubernetes.io/"


def _node_roles(labels: dict[str, str]) -> str:
    roles = {key[len(_ROLE_PREFIX) :] for key in labels if key.startswith(_ROLE_PREFIX)}
    roles.add(labels.get("kubernetes.io/role", ""))
    return ",".join(sorted(role for role in roles if role)) or NONE


def _kernel(info: JSON) -> str:
    version, architecture = info.get("kernelVersion") or UNKNOWN, info.get("architecture")
    return f"{version} ({architecture})" if architecture else version


def node_row(obj: JSON, now: datetime) -> list[Any]:
    status, spec = obj.get("status") or {}, obj.get("spec") or {}
    info = status.get("nodeInfo") or {}
    addresses = status.get("addresses") or ()
    ready = cells.condition_status(status.get("conditions"), "Ready")
    state = [{"": "Unknown", "True": "Ready"}.get(ready, "NotReady")]
    if spec.get("unschedulable"):
        state.append("SchedulingDisabled")

    def address(type: str) -> str:
        return next((a.get("address", "") for a in addresses if a.get("type") == type), NONE)

    return [
        cells.name(obj),
        ",".join(state),
        _node_roles(obj["metadata"].get("labels") or {}),
        cells.age(obj, now),
        info.get("kubeletVersion", ""),
        address("InternalIP"),
        address("ExternalIP"),
        info.get("osImage") or UNKNOWN,
        _kernel(info),
        info.get("containerRuntimeVersion") or UNKNOWN,
    ]


def event_row(obj: JSON, now: datetime) -> list[Any]:
    """A row of a core event; those of events.k8s.io are converted first."""
    first = cells.since(obj.get("firstTimestamp") or obj.get("eventTime"), now)
    last = cells.since(obj["lastTimestamp"], now) if obj.get("lastTimestamp") else first
    count = obj.get("count") or 1
    if series := obj.get("series"):
        last, count = cells.since(series.get("lastObservedTime"), now), series.get("count", 0)
    about, source = obj.get("involvedObject") or {}, obj.get("source") or {}
    target = about.get("kind", "").lower()
    if about.get("name"):
        target += f"/{about['name']}"
    component = source.get("component") or obj.get("reportingComponent") or ""
    instance = source.get("host") or obj.get("reportingInstance") or ""
    return [
        last,
        obj.get("type", ""),
        obj.get("reason", ""),
        target,
        about.get("fieldPath", ""),
        f"{component}, {instance}" if instance else component,
        str(obj.get("message", "")).strip(),
        first,
        count,
        cells.name(obj),
    ]


def namespace_row(obj: JSON, now: datetime) -> list[Any]:
    return [cells.name(obj), (obj.get("status") or {}).get("phase", ""), cells.age(obj, now)]


def secret_row(obj: JSON, now: datetime) -> list[Any]:
    return [cells.name(obj), obj.get("type", ""), len(obj.get("data") or ()), cells.age(obj, now)]


def config_map_row(obj: JSON, now: datetime) -> list[Any]:
    return [cells.name(obj), len(obj.get("data") or ()) + len(obj.get("binaryData") or ()), cells.age(obj, now)]


def service_account_row(obj: JSON, now: datetime) -> list[Any]:
    return [cells.name(obj), cells.age(obj, now)]


def _storage_class(obj: JSON) -> str:
    annotations = obj["metadata"].get("annotations") or {}
    old = annotations.get("volume.beta.kubernetes.io/storage-class")
    return str(old if old is not None else (obj.get("spec") or {}).get("storageClassName", ""))


def _phase(obj: JSON) -> str:
    return "Terminating" if obj["metadata"].get("deletionTimestamp") else (obj.get("status") or {}).get("phase", "")


def volume_row(obj: JSON, now: datetime) -> list[Any]:
    spec, status = obj.get("spec") or {}, obj.get("status") or {}
    claim = spec.get("claimRef")
    return [
        cells.name(obj),
        (spec.get("capacity") or {}).get("storage", "0"),
        cells.access_modes(spec.get("accessModes")),
        spec.get("persistentVolumeReclaimPolicy", ""),
        _phase(obj),
        f"{claim.get('namespace', '')}/{claim.get('name', '')}" if claim else "",
        _storage_class(obj),
        spec.get("volumeAttributesClassName", UNSET),
        status.get("reason", ""),
        cells.age(obj, now),
        spec.get("volumeMode", UNSET),
    ]


def claim_row(obj: JSON, now: datetime) -> list[Any]:
    spec, status = obj.get("spec") or {}, obj.get("status") or {}
    bound = bool(spec.get("volumeName"))
    return [
        cells.name(obj),
        _phase(obj),
        spec.get("volumeName", ""),
        (status.get("capacity") or {}).get("storage", "0") if bound else "",
        cells.access_modes(status.get("accessModes")) if bound else "",
        _storage_class(obj),
        spec.get("volumeAttributesClassName", UNSET),
        cells.age(obj, now),
        spec.get("volumeMode", UNSET),
    ]


def quota_row(obj: JSON, now: datetime) -> list[Any]:
    status = obj.get("status") or {}
    used = status.get("used") or {}
    requests: list[str] = []
    limits: list[str] = []
    for resource, hard in sorted((status.get("hard") or {}).items()):
        (limits if resource.startswith("limits.") else requests).append(f"{resource}: {used.get(resource, '0')}/{hard}")
    return [cells.name(obj), ", ".join(requests), ", ".join(limits), cells.age(obj, now)]


def component_status_row(obj: JSON, now: datetime) -> list[Any]:
    healthy = next((c for c in obj.get("conditions") or () if c.get("type") == "Healthy"), None)
    if healthy is None:
        return [cells.name(obj), "Unknown", "", ""]
    state = "Healthy" if healthy.get("status") == "True" else "Unhealthy"
    return [cells.name(obj), state, healthy.get("message", ""), healthy.get("error", "")]


def role_binding_row(obj: JSON, now: datetime) -> list[Any]:
    role = obj.get("roleRef") or {}
    subjects: dict[str, list[str]] = {"User": [], "Group": [], "ServiceAccount": []}
    for subject in obj.get("subjects") or ():
        name = subject.get("name", "")
        if subject.get("kind") == "ServiceAccount":
            name = f"{subject.get('namespace', '')}/{name}"
        if subject.get("kind") in subjects:
            subjects[subject["kind"]].append(name)
    return [
        cells.name(obj),
        f"{role.get('kind', '')}/{role.get('name', '')}",
        cells.age(obj, now),
        *(", ".join(names) for names in subjects.values()),
    ]
