"""The Endpoints controller (v1): the addresses of each Service's pods, grouped by ports."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from localcluster.client import AlreadyExists, Forbidden, NotFound
from localcluster.controllers import endpoint_addresses as addresses
from localcluster.controllers import labels, pods
from localcluster.controllers.manager import Controller, Manager
from localcluster.informer import Key, key_of
from localcluster.resource_types import ENDPOINTS, PODS, SERVICES

JSON = dict[str, Any]

MANAGED_BY = "endpoints.kubernetes.io/managed-by"
MANAGER = "endpoint-controller"
MAX_ADDRESSES = 1000


def subsets(service: JSON, members: Iterable[JSON]) -> list[JSON]:
    """Addresses that are ready and that are not, for each set of ports."""
    families = service["spec"].get("ipFamilies") or ["IPv4"]
    by_address: dict[tuple[str, bool], tuple[JSON, list[JSON]]] = {}
    for pod in members:
        found = addresses.addresses(pod, families[0])
        if not found or not addresses.has_address(pod):
            continue
        publishes = addresses.publishes_not_ready(service)
        if pod["metadata"].get("deletionTimestamp") and not publishes:
            continue
        ports = addresses.ports(service, pod, addresses.subset_port_rank)
        if not ports and not (addresses.is_headless(service) and not service["spec"].get("ports")):
            continue
        ready = publishes or pods.is_ready(pod)
        by_address[found[0], ready] = (_address(service, pod, found[0]), ports)
    grouped: dict[str, JSON] = {}
    for (_, ready), (address, ports) in sorted(by_address.items()):
        subset = grouped.setdefault(json.dumps(ports), {"ports": [_port(p) for p in ports]})
        subset.setdefault("addresses" if ready else "notReadyAddresses", []).append(address)
    for subset in grouped.values():
        if not subset["ports"]:
            del subset["ports"]
    return list(grouped.values())


def _port(port: JSON) -> JSON:
    return {key: value for key, value in port.items() if value != ""}


def _address(service: JSON, pod: JSON, ip: str) -> JSON:
    meta = pod["metadata"]
    address: JSON = {
        "ip": ip,
        "targetRef": {"kind": "Pod", "namespace": meta["namespace"], "name": meta["name"], "uid": meta["uid"]},
    }
    if pod["spec"].get("nodeName"):
        address["nodeName"] = pod["spec"]["nodeName"]
    if host := addresses.host_name(service, pod):
        address["hostname"] = host
    return address


def endpoints_labels(service: JSON) -> dict[str, str]:
    found = {k: v for k, v in (service["metadata"].get("labels") or {}).items() if k != addresses.HEADLESS}
    found[MANAGED_BY] = MANAGER
    if addresses.is_headless(service):
        found[addresses.HEADLESS] = ""
    return found


def make_endpoints(service: JSON, members: list[JSON]) -> JSON:
    meta = service["metadata"]
    made: JSON = {
        "apiVersion": "v1",
        "kind": "Endpoints",
        "metadata": {
            "name": meta["name"],
            "namespace": meta["namespace"],
            "labels": endpoints_labels(service),
            "annotations": {addresses.LAST_CHANGE: addresses.last_change(service, members)},
        },
    }
    found = subsets(service, members)
    if found:
        made["subsets"] = found
    return made


class EndpointsController(Controller):
    name = "endpoint-controller"
    workers = 3

    def __init__(self, manager: Manager) -> None:
        self.services = manager.informer(SERVICES)
        self.pods = manager.informer(PODS, {"namespace": lambda pod: (pod["metadata"]["namespace"],)})
        self.endpoints = manager.informer(ENDPOINTS)
        super().__init__(manager, [self.services, self.pods, self.endpoints])
        self.services.add_handler(self._service_changed)
        self.pods.add_handler(self._pod_changed)
        self.endpoints.add_handler(self._service_changed)

    def _service_changed(self, old: JSON | None, new: JSON | None) -> None:
        found = new if new is not None else old
        if found is not None:
            self.queue.add(key_of(found))

    def _pod_changed(self, old: JSON | None, new: JSON | None) -> None:
        found = [pod for pod in (old, new) if pod is not None]
        if not any(pod.get("status", {}).get("podIP") for pod in found):
            return
        for service in self.services.list(found[0]["metadata"]["namespace"]):
            if addresses.has_endpoints(service) and any(
                labels.selects_map(service["spec"]["selector"], pod["metadata"].get("labels")) for pod in found
            ):
                self.queue.add(key_of(service))

    async def reconcile(self, key: Key) -> None:
        service = self.services.get(*key)
        present = self.endpoints.get(*key)
        if service is None:
            # Endpoints without their Service go with it, as leader election no longer uses them.
            if present is not None and (present["metadata"].get("labels") or {}).get(MANAGED_BY) == MANAGER:
                await self.endpoints.delete(present)
            return
        if not addresses.has_endpoints(service):
            return
        members = [
            pod
            for pod in self.pods.by_index("namespace", key[0])
            if labels.selects_map(service["spec"]["selector"], pod["metadata"].get("labels"))
        ]
        wanted = make_endpoints(service, members)
        try:
            if present is None:
                await self.endpoints.create(wanted)
            elif (present.get("subsets") or []) != wanted.get("subsets", []) or (
                present["metadata"].get("labels") or {}
            ) != wanted["metadata"]["labels"]:
                annotations = {**(present["metadata"].get("annotations") or {}), **wanted["metadata"]["annotations"]}
                meta = {**present["metadata"], "labels": wanted["metadata"]["labels"], "annotations": annotations}
                await self.endpoints.update({**present, "metadata": meta, "subsets": wanted.get("subsets", [])})
        except (AlreadyExists, NotFound):
            # The watch tells of what is there now.
            self.queue.add_rate_limited(key)
        except Forbidden as error:
            if not error.has_cause("NamespaceTerminating"):
                raise
