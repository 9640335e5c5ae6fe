"""What a Service is given: cluster addresses, address families and node ports."""

from __future__ import annotations

import ipaddress
import random
from collections.abc import Iterator
from typing import Any

from localcluster.apiserver.errors import FieldError, invalid, invalid_value
from localcluster.apiserver.kinds.base import Context
from localcluster.apiserver.kinds.service_validation import validate_cluster_ips

JSON = dict[str, Any]

STORAGE = "/services"
TYPES_WITH_PORTS = ("NodePort", "LoadBalancer")
TYPES_WITH_ADDRESS = ("ClusterIP", "NodePort", "LoadBalancer")


def is_headless(spec: JSON) -> bool:
    return list(spec.get("clusterIPs") or ()) == ["None"]


def needs_address(spec: JSON) -> bool:
    return spec.get("type") in TYPES_WITH_ADDRESS and spec.get("clusterIP") != "None"


def needs_node_ports(spec: JSON) -> bool:
    return spec.get("type") in TYPES_WITH_PORTS


def needs_health_port(spec: JSON) -> bool:
    return spec.get("type") == "LoadBalancer" and spec.get("externalTrafficPolicy") == "Local"


def allocate(service: JSON, old: JSON | None, context: Context) -> None:
    """Fill in what the server gives. Raises APIError 422 where what the client asks for is not to be had."""
    spec = service["spec"]
    if spec.get("type") != "ExternalName":
        errors = validate_cluster_ips(spec)
        if not errors:
            errors = _choose_families(spec)
        _refuse(service, errors)
    taken = _Taken(service, context)
    former = old["spec"] if old is not None else {}
    if needs_address(spec):
        _refuse(service, _give_address(spec, former, taken, context))
    _refuse(service, _give_node_ports(spec, former, taken, context))
    if needs_health_port(spec):
        _refuse(service, _give_health_port(spec, former, taken, context))
    elif spec.get("healthCheckNodePort") == 0:
        del spec["healthCheckNodePort"]


def _refuse(service: JSON, errors: list[FieldError]) -> None:
    if errors:
        raise invalid("", "Service", service["metadata"].get("name", ""), errors)


class _Taken:
    """The addresses and ports of the other Services."""

    def __init__(self, service: JSON, context: Context) -> None:
        uid = service["metadata"].get("uid")
        others = [o["spec"] for o in context.store.list(STORAGE) if o["metadata"].get("uid") != uid]
        self.addresses = {address for spec in others for address in spec.get("clusterIPs") or ()}
        self.ports = {port for spec in others for port in _ports_of(spec)}


def _ports_of(spec: JSON) -> Iterator[int]:
    yield from (port["nodePort"] for port in spec.get("ports") or () if port.get("nodePort"))
    if spec.get("healthCheckNodePort"):
        yield spec["healthCheckNodePort"]


# ---- address families: the cluster has IPv4 only


def _choose_families(spec: JSON) -> list[FieldError]:
    families: list[str] = list(spec.get("ipFamilies") or ())
    addresses = spec.get("clusterIPs") or []
    errors: list[FieldError] = []
    for i, address in enumerate(addresses):
        if address == "None":
            break
        family = "IPv6" if ":" in address else "IPv4"
        if i >= len(families):
            if family == "IPv6":
                errors.append(
                    invalid_value(f"spec.clusterIPs[{i}]", addresses, f"{family} is not configured on this cluster")
                )
            families.append(family)
    policy = spec.get("ipFamilyPolicy")
    if is_headless(spec) and not spec.get("selector"):
        # Nothing is allocated, so even a cluster of one family lets such a Service have both.
        families = families or ["IPv4"]
        if len(families) < 2 and policy != "SingleStack":
            families.append("IPv6" if families[0] == "IPv4" else "IPv4")
        spec["ipFamilies"] = families
        spec["ipFamilyPolicy"] = policy or ("RequireDualStack" if len(families) > 1 else "SingleStack")
        return errors
    for i, family in enumerate(families):
        if family == "IPv6" and i < len(spec.get("ipFamilies") or ()):
            errors.append(invalid_value(f"spec.ipFamilies[{i}]", family, "not configured on this cluster"))
    if policy == "RequireDualStack" or (policy is None and len(families) > 1):
        detail = "this cluster is not configured for dual-stack services"
        errors.append(invalid_value("spec.ipFamilyPolicy", policy or "RequireDualStack", detail))
    spec["ipFamilies"] = families or ["IPv4"]
    spec["ipFamilyPolicy"] = policy or "SingleStack"
    return errors


# ---- cluster addresses


def _give_address(spec: JSON, former: JSON, taken: _Taken, context: Context) -> list[FieldError]:
    asked = spec.get("clusterIP", "")
    if asked and asked in (former.get("clusterIPs") or ()):
        return []
    if former and needs_address(former) and former.get("clusterIP"):
        return []  # A change of the address is for the validation to refuse.
    network = ipaddress.ip_network(context.service_cidr)
    if asked:
        problem = ""
        if ipaddress.ip_address(asked) not in network:
            problem = "the provided network does not match the current range"
        elif asked in taken.addresses:
            problem = "provided IP is already allocated"
        if problem:
            detail = f"failed to allocate IP {asked}: {problem}"
            return [invalid_value("spec.clusterIPs", spec["clusterIPs"], detail)]
        return []
    address = _free_address(network, taken.addresses)
    if not address:
        return [invalid_value("spec.clusterIPs", [""], "failed to allocate a serviceIP: range is full")]
    spec["clusterIP"] = address
    spec["clusterIPs"] = [address]
    return []


def _free_address(network: ipaddress.IPv4Network | ipaddress.IPv6Network, taken: set[str]) -> str:
    """An address of the upper part of the range; the lower one is left to those who ask for a certain address
    (https://kubernetes.io/docs/concepts/services-networking/cluster-ip-allocation/). Empty if there is none."""
    last = min(network.num_addresses - 2, 2**20)
    reserved = min(max(16, network.num_addresses // 16), 256)
    for low, high in ((reserved + 1, last), (1, min(reserved, last))):
        if low > high:
            continue
        start = random.randint(low, high)  # noqa: S311
        for offset in (*range(start, high + 1), *range(low, start)):
            address = str(network[offset])
            if address not in taken:
                return address
    return ""


# ---- node ports


def _give_node_ports(spec: JSON, former: JSON, taken: _Taken, context: Context) -> list[FieldError]:
    if not needs_node_ports(spec):
        return []
    wants_all = spec.get("type") == "NodePort" or spec.get("allocateLoadBalancerNodePorts") is not False
    own = set(_ports_of(former))
    given: dict[int, int] = {}  # One node port serves the TCP and the UDP side of the same port.
    used: set[int] = set()
    for i, port in enumerate(spec.get("ports") or ()):
        number = port.get("nodePort") or 0
        if not number and port.get("port") in given:
            number = port["nodePort"] = given[port["port"]]
        if number:
            if number not in own and number not in used:
                problem = _port_problem(number, taken.ports, context)
                if problem:
                    return [invalid_value(f"spec.ports[{i}].nodePort", number, problem)]
        elif wants_all:
            asked = {p["nodePort"] for p in spec["ports"] if p.get("nodePort")}
            number = _free_port(taken.ports | used | own | asked, context)
            if not number:
                return [invalid_value(f"spec.ports[{i}].nodePort", 0, "failed to allocate a nodePort: range is full")]
            port["nodePort"] = number
        else:
            port.pop("nodePort", None)
            continue
        used.add(number)
        given.setdefault(port.get("port", 0), number)
    return []


def _port_problem(number: int, taken: set[int], context: Context) -> str:
    low, high = context.node_ports
    if not low <= number <= high:
        return f"provided port is not in the valid range. The range of valid ports is {low}-{high}"
    return "provided port is already allocated" if number in taken else ""


def _free_port(taken: set[int], context: Context) -> int:
    """A free port of the upper part of the range, 0 if there is none
    (https://kubernetes.io/docs/concepts/services-networking/service/#avoid-nodeport-collisions)."""
    low, high = context.node_ports
    size = high - low + 1
    reserved = min(max(16, size // 32), 128) if size > 16 else 0
    for first, last in ((low + reserved, high), (low, low + reserved - 1)):
        free = [port for port in range(first, last + 1) if port not in taken]
        if free:
            return random.choice(free)  # noqa: S311
    return 0


def _give_health_port(spec: JSON, former: JSON, taken: _Taken, context: Context) -> list[FieldError]:
    number = spec.get("healthCheckNodePort") or 0
    if number:
        if number == former.get("healthCheckNodePort") or needs_health_port(former):
            return []
        problem = _port_problem(number, taken.ports, context)
        detail = f"failed to allocate requested HealthCheck NodePort {number}: {problem}"
        return [invalid_value("spec.healthCheckNodePort", number, detail)] if problem else []
    number = _free_port(taken.ports | set(_ports_of(spec)), context)
    if not number:
        return [
            invalid_value("spec.healthCheckNodePort", 0, "failed to allocate a HealthCheck NodePort: range is full")
        ]
    spec["healthCheckNodePort"] = number
    return []
