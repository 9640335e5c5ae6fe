"""Which endpoints a port of a Service leads to. Pure functions over EndpointSlices."""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Iterable
from typing import Any, NamedTuple

JSON = dict[str, Any]

SERVICE_LABEL = "kubernetes.io/service-name"
DEFAULT_AFFINITY_SECONDS = 10800


class Endpoint(NamedTuple):
    address: str
    port: int


class Listen(NamedTuple):
    """Where a port of a Service is to be reached."""

    protocol: str
    address: str
    port: int


class Target(NamedTuple):
    """What stands behind one port of one Service."""

    namespace: str
    service: str
    port_name: str
    affinity_seconds: int


def is_ready(endpoint: JSON) -> bool:
    return bool((endpoint.get("conditions") or {}).get("ready", True))


def endpoints(slices: Iterable[JSON], port_name: str, protocol: str, leaving: Collection[str] = ()) -> list[Endpoint]:
    """The endpoints that get new connections: ready ones; if there are none, those that still serve while they
    terminate (KEP-1669). Those at `leaving` addresses count as terminating."""
    ready: dict[Endpoint, None] = {}
    serving: dict[Endpoint, None] = {}
    for piece in slices:
        for port in piece.get("ports") or []:
            if (port.get("name") or "") != port_name or (port.get("protocol") or "TCP") != protocol:
                continue
            if not port.get("port"):
                continue
            for entry in piece.get("endpoints") or []:
                conditions = entry.get("conditions") or {}
                for address in entry.get("addresses") or []:
                    found = Endpoint(address, int(port["port"]))
                    if is_ready(entry) and address not in leaving:
                        ready[found] = None
                    elif conditions.get("serving", is_ready(entry)) and (
                        conditions.get("terminating") or address in leaving
                    ):
                        serving[found] = None
    return sorted(ready or serving)


def listens(service: JSON, node_address: str) -> list[tuple[Listen, Target]]:
    """What a Service asks this node to listen on: its ClusterIP if that is a loopback address, and its NodePorts.

    Others' ClusterIPs cannot be bound here; headless and ExternalName services have none.
    """
    spec, meta = service["spec"], service["metadata"]
    ip = spec.get("clusterIP") or ""
    if spec.get("type") == "ExternalName" or not _is_loopback(ip):
        return []
    affinity = 0
    if spec.get("sessionAffinity") == "ClientIP":
        config = (spec.get("sessionAffinityConfig") or {}).get("clientIP") or {}
        affinity = int(config.get("timeoutSeconds") or DEFAULT_AFFINITY_SECONDS)
    found: list[tuple[Listen, Target]] = []
    for port in spec.get("ports") or []:
        protocol = port.get("protocol", "TCP")
        if protocol not in ("TCP", "UDP"):
            continue
        target = Target(meta["namespace"], meta["name"], port.get("name") or "", affinity)
        found.append((Listen(protocol, ip, int(port["port"])), target))
        if port.get("nodePort"):
            found.append((Listen(protocol, node_address, int(port["nodePort"])), target))
    return found


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False
