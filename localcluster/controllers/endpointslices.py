"""The EndpointSlice controller (discovery.k8s.io/v1): the pods of each Service with their conditions."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from localcluster.client import ApiStatusError, Forbidden, NotFound
from localcluster.controllers import endpoint_addresses as addresses
from localcluster.controllers import labels, pods
from localcluster.controllers.manager import Controller, Manager
from localcluster.controllers.owners import controller_reference
from localcluster.informer import Key, key_of
from localcluster.resource_types import ENDPOINT_SLICES, NODES, PODS, SERVICES

JSON = dict[str, Any]

MANAGED_BY = "endpointslice.kubernetes.io/managed-by"
MANAGER = "endpointslice-controller.k8s.io"
SERVICE_NAME = "kubernetes.io/service-name"
MAX_ENDPOINTS = 100
ZONE = "topology.kubernetes.io/zone"


def endpoint(service: JSON, pod: JSON, family: str, node: JSON | None) -> JSON | None:
    """The pod as an endpoint; None if it has no address of the family."""
    found = addresses.addresses(pod, family)
    if not found:
        return None
    serving = pods.is_ready(pod)
    terminating = bool(pod["metadata"].get("deletionTimestamp"))
    ready = addresses.publishes_not_ready(service) or (serving and not terminating)
    meta = pod["metadata"]
    made: JSON = {
        "addresses": found[:1],
        "conditions": {"ready": ready, "serving": serving, "terminating": terminating},
        "targetRef": {"kind": "Pod", "namespace": meta["namespace"], "name": meta["name"], "uid": meta["uid"]},
    }
    if host := addresses.host_name(service, pod):
        made["hostname"] = host
    if pod["spec"].get("nodeName"):
        made["nodeName"] = pod["spec"]["nodeName"]
    zone = ((node or {}).get("metadata", {}).get("labels") or {}).get(ZONE)
    if zone:
        made["zone"] = zone
    return made


def wanted_endpoints(
    service: JSON, members: Iterable[JSON], nodes: Mapping[str, JSON], family: str
) -> dict[str, tuple[list[JSON], list[JSON]]]:
    """Ports and endpoints, grouped by ports. Pods of a Node that does not exist are left out, unless the Service
    publishes all addresses."""
    groups: dict[str, tuple[list[JSON], list[JSON]]] = {}
    for pod in sorted(members, key=lambda p: p["metadata"]["name"]):
        node = nodes.get(pod["spec"].get("nodeName") or "")
        if not addresses.has_address(pod) or (node is None and not addresses.publishes_not_ready(service)):
            continue
        made = endpoint(service, pod, family, node)
        if made is not None:
            ports = addresses.ports(service, pod)
            groups.setdefault(json.dumps(ports), (ports, []))[1].append(made)
    return groups


def slice_labels(service: JSON) -> dict[str, str]:
    found = {k: v for k, v in (service["metadata"].get("labels") or {}).items() if k != addresses.HEADLESS}
    found |= {MANAGED_BY: MANAGER, SERVICE_NAME: service["metadata"]["name"]}
    if addresses.is_headless(service):
        found[addresses.HEADLESS] = ""
    return found


def make_slice(service: JSON, family: str, ports: Sequence[JSON], endpoints: Sequence[JSON], changed: str) -> JSON:
    meta = service["metadata"]
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "generateName": f"{meta['name']}-",
            "namespace": meta["namespace"],
            "labels": slice_labels(service),
            "annotations": {addresses.LAST_CHANGE: changed},
            "ownerReferences": [controller_reference(service, SERVICES)],
        },
        "addressType": family,
        "endpoints": list(endpoints),
        "ports": list(ports),
    }


def _identity(made: JSON) -> str:
    return str(made.get("targetRef", {}).get("uid") or made["addresses"])


def plan(
    service: JSON,
    groups: Mapping[str, tuple[list[JSON], list[JSON]]],
    family: str,
    present: Sequence[JSON],
    changed: str,
) -> tuple[list[JSON], list[JSON], list[JSON]]:
    """What to create, update and delete, with as few slices touched as possible.

    A Service without endpoints keeps one empty slice.
    """
    create: list[JSON] = []
    update: list[JSON] = []
    delete: list[JSON] = []
    groups = groups or {"[]": ([], [])}
    by_ports: dict[str, list[JSON]] = {}
    for entry in sorted(present, key=lambda s: s["metadata"]["creationTimestamp"]):
        by_ports.setdefault(json.dumps(_ordered(entry.get("ports") or [])), []).append(entry)
    spare = [entry for key, entries in by_ports.items() if key not in groups for entry in entries]
    for key, (ports, endpoints) in groups.items():
        left = {_identity(e): e for e in endpoints}
        filled: list[tuple[JSON, list[JSON]]] = []
        for entry in by_ports.get(key, []):
            kept = [left.pop(i) for i in map(_identity, entry.get("endpoints") or ()) if i in left]
            filled.append((entry, kept))
        remaining = list(left.values())
        for _, kept in filled:
            room = MAX_ENDPOINTS - len(kept)
            kept += remaining[:room]
            remaining = remaining[room:]
        needed = [pair for pair in filled if pair[1]] or (filled[:1] if not endpoints else [])
        delete += [entry for entry, kept in filled if not any(entry is e for e, _ in needed)]
        for entry, kept in needed:
            if _differs(entry, service, ports, kept):
                update.append(_updated(entry, service, ports, kept, changed))
        while remaining or (not endpoints and not needed):
            part, remaining = remaining[:MAX_ENDPOINTS], remaining[MAX_ENDPOINTS:]
            if spare:
                update.append(_updated(spare.pop(0), service, ports, part, changed))
            else:
                create.append(make_slice(service, family, ports, part, changed))
            if not endpoints:
                break
    return create, update, delete + spare


def _ordered(ports: Sequence[JSON]) -> list[JSON]:
    keys = ("name", "port", "protocol", "appProtocol")
    return [{k: port[k] for k in keys if k in port} for port in ports]


def _differs(entry: JSON, service: JSON, ports: Sequence[JSON], endpoints: Sequence[JSON]) -> bool:
    wanted = slice_labels(service)
    return (
        list(entry.get("endpoints") or []) != list(endpoints)
        or (entry["metadata"].get("labels") or {}) != wanted
        or _ordered(entry.get("ports") or []) != list(ports)
    )


def _updated(entry: JSON, service: JSON, ports: Sequence[JSON], endpoints: Sequence[JSON], changed: str) -> JSON:
    meta = {**entry["metadata"], "labels": slice_labels(service)}
    meta["annotations"] = {**(meta.get("annotations") or {}), addresses.LAST_CHANGE: changed}
    return {**entry, "metadata": meta, "endpoints": list(endpoints), "ports": list(ports)}


def services_of(slice: JSON) -> Iterable[str]:
    """Indexer: slices of this controller by namespace and Service."""
    found = slice["metadata"].get("labels") or {}
    if found.get(MANAGED_BY) != MANAGER or not found.get(SERVICE_NAME):
        return ()
    return (f"{slice['metadata']['namespace']}/{found[SERVICE_NAME]}",)


class EndpointSliceController(Controller):
    name = "endpoint-slice-controller"

    def __init__(self, manager: Manager) -> None:
        self.services = manager.informer(SERVICES)
        self.pods = manager.informer(PODS, {"namespace": lambda pod: (pod["metadata"]["namespace"],)})
        self.nodes = manager.informer(NODES)
        self.slices = manager.informer(ENDPOINT_SLICES, {"service": services_of})
        super().__init__(manager, [self.services, self.pods, self.nodes, self.slices])
        self.services.add_handler(self._service_changed)
        self.pods.add_handler(self._pod_changed)
        self.nodes.add_handler(self._node_changed)
        self.slices.add_handler(self._slice_changed)

    def _service_changed(self, old: JSON | None, new: JSON | None) -> None:
        found = new if new is not None else old
        if found is not None:
            self.queue.add(key_of(found))

    def _pod_changed(self, old: JSON | None, new: JSON | None) -> None:
        found = [pod for pod in (old, new) if pod is not None]
        if not any(pod.get("status", {}).get("podIP") for pod in found):
            return
        namespace = found[0]["metadata"]["namespace"]
        for service in self.services.list(namespace):
            if addresses.has_endpoints(service) and any(
                labels.selects_map(service["spec"]["selector"], pod["metadata"].get("labels")) for pod in found
            ):
                self.queue.add(key_of(service))

    def _node_changed(self, old: JSON | None, new: JSON | None) -> None:
        """A Node that comes or goes brings or takes the endpoints of its pods."""
        if old is not None and new is not None:
            return
        for service in self.services.list():
            if addresses.has_endpoints(service):
                self.queue.add(key_of(service))

    def _slice_changed(self, old: JSON | None, new: JSON | None) -> None:
        for entry in (old, new):
            for value in services_of(entry) if entry is not None else ():
                namespace, _, name = value.partition("/")
                self.queue.add((namespace, name))

    async def reconcile(self, key: Key) -> None:
        service = self.services.get(*key)
        present = self.slices.by_index("service", f"{key[0]}/{key[1]}")
        if service is None or service["metadata"].get("deletionTimestamp"):
            # The garbage collector takes the slices of a Service that is gone.
            return
        if not addresses.has_endpoints(service):
            return
        selector = service["spec"]["selector"]
        members = [
            pod
            for pod in self.pods.by_index("namespace", key[0])
            if labels.selects_map(selector, pod["metadata"].get("labels"))
        ]
        nodes = {node["metadata"]["name"]: node for node in self.nodes.list()}
        changed = addresses.last_change(service, members)
        families = service["spec"].get("ipFamilies") or ["IPv4"]
        for family in families:
            groups = wanted_endpoints(service, members, nodes, family)
            if addresses.is_headless(service) and not service["spec"].get("ports"):
                groups = {"[]": ([], [e for _, entries in groups.values() for e in entries])} if groups else {}
            of_family = [entry for entry in present if entry.get("addressType") == family]
            await self._write(plan(service, groups, family, of_family, changed))
        for entry in present:
            if entry.get("addressType") not in families:
                await self.slices.delete(entry)

    async def _write(self, planned: tuple[list[JSON], list[JSON], list[JSON]]) -> None:
        create, update, delete = planned
        for entry in update:
            try:
                await self.slices.update(entry)
            except NotFound:
                continue
        for entry in create:
            try:
                await self.slices.create(entry)
            except Forbidden as error:
                if not error.has_cause("NamespaceTerminating"):
                    raise
        for entry in delete:
            try:
                await self.slices.delete(entry)
            except ApiStatusError as error:
                if error.code not in (404, 409):
                    raise
