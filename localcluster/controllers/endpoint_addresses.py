"""Which pods of a Service are its endpoints, at which addresses and ports, and whether they are ready."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from localcluster.controllers import pods
from localcluster.controllers.times import format_time, parse_time

JSON = dict[str, Any]

HEADLESS = "service.kubernetes.io/headless"
LAST_CHANGE = "endpoints.kubernetes.io/last-change-trigger-time"


def has_endpoints(service: JSON) -> bool:
    """Services without a selector, and names for others, get none from us."""
    spec = service["spec"]
    return bool(spec.get("selector")) and spec.get("type") != "ExternalName"


def is_headless(service: JSON) -> bool:
    return bool(service["spec"].get("clusterIP") == "None")


def publishes_not_ready(service: JSON) -> bool:
    return bool(service["spec"].get("publishNotReadyAddresses"))


def has_address(pod: JSON) -> bool:
    return bool(pod.get("status", {}).get("podIP")) and not pods.is_finished(pod)


def addresses(pod: JSON, family: str) -> list[str]:
    """The pod's addresses of a family (IPv4, IPv6)."""
    status = pod.get("status", {})
    found = [entry["ip"] for entry in status.get("podIPs") or () if entry.get("ip")] or [status.get("podIP")]
    return [ip for ip in found if ip and (":" in ip) == (family == "IPv6")]


def host_name(service: JSON, pod: JSON) -> str:
    """The name under a headless Service by which DNS knows the pod."""
    spec = pod["spec"]
    belongs = spec.get("subdomain") == service["metadata"]["name"]
    return str(spec.get("hostname") or "") if belongs else ""


def target_port(service_port: JSON, pod: JSON) -> int | None:
    """The number of a port, which may be named in the pod; None if the pod has none of that name."""
    target = service_port.get("targetPort") or service_port["port"]
    if isinstance(target, int):
        return target
    protocol = service_port.get("protocol", "TCP")
    # Restartable init containers serve too.
    sidecars = [c for c in pod["spec"].get("initContainers") or () if c.get("restartPolicy") == "Always"]
    for container in [*pod["spec"]["containers"], *sidecars]:
        for port in container.get("ports") or ():
            if port.get("name") == target and port.get("protocol", "TCP") == protocol:
                return int(port["containerPort"])
    return None


def _fnv128(text: str) -> int:
    value = 0x6C62272E07BB014262B821756295C58D
    for byte in text.encode():
        value = (value ^ byte) * 0x0000000001000000000000000000013B & (1 << 128) - 1
    return value


def slice_port_rank(port: JSON) -> int:
    """The real controller puts ports in the order of a hash of Go's dump of them; clients see that order."""
    protocol, app_protocol = port["protocol"], port.get("appProtocol", "<nil>")
    return _fnv128(
        f"(v1.EndpointPort){{Name:(*string){port['name']} Protocol:(*v1.Protocol){protocol} "
        f"Port:(*int32){port['port']} AppProtocol:(*string){app_protocol}}}"
    )


def subset_port_rank(port: JSON) -> int:
    """The same for v1 Endpoints, whose ports have other types."""
    protocol, app_protocol = port["protocol"], port.get("appProtocol", "<nil>")
    return _fnv128(
        f"(v1.EndpointPort){{Name:(string){port['name']} Port:(int32){port['port']} "
        f"Protocol:(v1.Protocol){protocol} AppProtocol:(*string){app_protocol}}}"
    )


def ports(service: JSON, pod: JSON, rank: Callable[[JSON], int] = slice_port_rank) -> list[JSON]:
    """The pod's ports for the Service, in the order that `rank` gives."""
    found = []
    for service_port in service["spec"].get("ports") or ():
        number = target_port(service_port, pod)
        if number is None:
            continue
        port = {"name": service_port.get("name", ""), "port": number, "protocol": service_port.get("protocol", "TCP")}
        if service_port.get("appProtocol"):
            port["appProtocol"] = service_port["appProtocol"]
        found.append(port)
    return sorted(found, key=rank)


def last_change(service: JSON, members: Iterable[JSON]) -> str:
    """When the newest cause of a change came: a pod's readiness, or the Service itself."""
    moments = [parse_time(service["metadata"]["creationTimestamp"])]
    moments += [parse_time(pods.ready_since(pod)) for pod in members]
    return format_time(max(moment for moment in moments if moment is not None))
