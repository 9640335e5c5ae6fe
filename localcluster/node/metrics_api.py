"""metrics.k8s.io/v1beta1 of the pods here, as a metrics-server answers it, for the API server's aggregation layer.

The node serves it and registers it itself (Service, EndpointSlice, APIService), so that the API is there exactly when
there is somebody who measures. On a cluster of several nodes a metrics-server does that job; it finds what it needs at
`/metrics/resource`.
"""

from __future__ import annotations

import base64
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson
from aiohttp import web

from localcluster.client import Client, ClientError, NotFound
from localcluster.node.certificate import METRICS_NAMESPACE, METRICS_SERVICE
from localcluster.node.summary import Summary
from localcluster.resource_types import ENDPOINT_SLICES, SERVICES, ResourceType

log = logging.getLogger(__name__)

JSON = dict[str, Any]

API_VERSION = "metrics.k8s.io/v1beta1"
API_SERVICES = ResourceType("apiregistration.k8s.io", "v1", "apiservices", "APIService", namespaced=False)
SERVICE_PORT = 4443
"""Not 443: the service proxy may not be allowed to bind that."""
FIELD_MANAGER = "localcluster-node"
MANAGED_BY = "app.kubernetes.io/managed-by"
NODE_LABEL = "localcluster/node"


class MetricsAPI:
    """Answers requests for NodeMetrics and PodMetrics."""

    def __init__(self, summary: Summary, node_labels: Mapping[str, str]) -> None:
        self._summary = summary
        self._node_labels = dict(node_labels)

    async def answer(self, request: web.BaseRequest) -> web.Response:
        parts = [part for part in request.path.split("/") if part][1:]
        if parts == ["metrics.k8s.io"]:
            return _answer(_group())
        parts = parts[2:]
        if not parts:
            return _answer(_resources())
        namespace = ""
        if parts[0] == "namespaces" and len(parts) > 2:
            namespace, parts = parts[1], parts[2:]
        if parts[0] not in ("nodes", "pods") or len(parts) > 2:
            return web.Response(status=404, text="404 page not found")
        kind = "NodeMetrics" if parts[0] == "nodes" else "PodMetrics"
        found = (
            [self._summary.node_metrics(self._node_labels)]
            if parts[0] == "nodes"
            else self._summary.pod_metrics(namespace)
        )
        as_table = "as=Table" in request.headers.get("Accept", "")
        if len(parts) == 2:
            one = next((m for m in found if m["metadata"]["name"] == parts[1]), None)
            if one is None:
                return _not_found(parts[0], f"{namespace}/{parts[1]}" if namespace else parts[1], parts[1])
            return _answer(_table([one]) if as_table else one)
        selector = request.query.get("labelSelector", "")
        found = [m for m in found if selects(selector, m["metadata"].get("labels") or {})]
        if name := request.query.get("fieldSelector", "").partition("metadata.name=")[2]:
            found = [m for m in found if m["metadata"]["name"] == name]
        if as_table:
            return _answer(_table(found))
        return _answer({"kind": f"{kind}List", "apiVersion": API_VERSION, "metadata": {}, "items": found})


def _answer(body: JSON, status: int = 200) -> web.Response:
    return web.Response(body=orjson.dumps(body), status=status, content_type="application/json")


def _not_found(plural: str, shown: str, name: str) -> web.Response:
    message = f'{plural}.metrics.k8s.io "{shown}" not found'
    details = {"name": shown, "group": "metrics.k8s.io", "kind": plural}
    status = {
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": message,
        "reason": "NotFound", "details": details, "code": 404,
    }  # fmt: skip
    return _answer(status, 404)


def _group() -> JSON:
    version = {"groupVersion": API_VERSION, "version": "v1beta1"}
    return {
        "kind": "APIGroup",
        "apiVersion": "v1",
        "name": "metrics.k8s.io",
        "versions": [version],
        "preferredVersion": version,
    }


def _resources() -> JSON:
    def one(plural: str, kind: str, namespaced: bool) -> JSON:
        return {"name": plural, "singularName": "", "namespaced": namespaced, "kind": kind, "verbs": ["get", "list"]}

    return {
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": API_VERSION,
        "resources": [one("nodes", "NodeMetrics", False), one("pods", "PodMetrics", True)],
    }


def _table(found: list[JSON]) -> JSON:
    """The columns of metrics-server's tables: Name, cpu, memory, Window."""
    columns = [
        {"name": name, "type": kind, "format": form, "description": text, "priority": 0}
        for name, kind, form, text in (
            ("Name", "string", "name", "Name of the resource"),
            ("cpu", "string", "quantity", ""),
            ("memory", "string", "quantity", ""),
            ("Window", "string", "duration", ""),
        )
    ]
    rows = []
    for metrics in found:
        usages = [metrics["usage"]] if "usage" in metrics else [c["usage"] for c in metrics["containers"]]
        cpu = sum(int(u["cpu"].removesuffix("n")) for u in usages)
        memory = sum(int(u["memory"].removesuffix("Ki")) for u in usages)
        cells = [metrics["metadata"]["name"], f"{cpu}n", f"{memory}Ki", metrics["window"]]
        partial = {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": metrics["metadata"]}
        rows.append({"cells": cells, "object": partial})
    return {
        "kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": {}, "columnDefinitions": columns, "rows": rows,
    }  # fmt: skip


def selects(selector: str, labels: Mapping[str, str]) -> bool:
    """Whether labels match a selector string (https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/)."""
    import re

    for term in re.split(r",(?![^(]*\))", selector):
        term = term.strip()
        if not term:
            continue
        if match := re.fullmatch(r"(\S+)\s+(in|notin)\s*\(([^)]*)\)", term):
            values = {value.strip() for value in match.group(3).split(",")}
            if (labels.get(match.group(1)) in values) != (match.group(2) == "in"):
                return False
        elif "!=" in term:
            key, _, value = term.partition("!=")
            if labels.get(key.strip()) == value.strip():
                return False
        elif "=" in term:
            key, _, value = term.partition("=")
            if labels.get(key.strip()) != value.strip().lstrip("=").strip():
                return False
        elif term.startswith("!"):
            if term[1:].strip() in labels:
                return False
        elif term not in labels:
            return False
    return True


class Taken(Exception):
    """Somebody else, a metrics-server for example, has registered the API; the message says by which object."""


class Registration:
    """The objects by which the aggregation layer finds this node's metrics API.

    Only objects with this node's label are changed or deleted: in a cluster with a metrics-server all three names are
    that one's.
    """

    def __init__(self, client: Client, node_name: str) -> None:
        self._client = client
        # A label's value is at most 63 characters long and ends with a letter or digit.
        self._labels = {MANAGED_BY: FIELD_MANAGER, NODE_LABEL: node_name[:63].rstrip("-_.")}
        self._made: list[tuple[ResourceType, JSON]] = []

    async def register(self, host_ip: str, port: int, authority_file: Path) -> None:
        """Raises `ClientError`, `Taken`."""
        made = self._objects(host_ip, port, base64.b64encode(authority_file.read_bytes()).decode())
        present = [await self._present(of, obj["metadata"]) for of, obj in made]
        self._made = []
        for (of, obj), found in zip(made, present, strict=True):
            if found is None:
                stored = await self._client.create(of, obj)
            else:
                meta = {**obj["metadata"], "uid": found["metadata"]["uid"]}
                stored = await self._client.apply(
                    of, {**obj, "metadata": meta}, field_manager=FIELD_MANAGER, force=True
                )
            self._made.append((of, stored["metadata"]))

    async def unregister(self) -> None:
        """The node stops: nobody measures any more."""
        for of, meta in reversed(self._made):
            try:
                await self._client.delete(of, meta["name"], meta.get("namespace"), uid=meta["uid"])
            except ClientError as error:
                log.debug("%s %s: %s", of.qualified, meta["name"], error)

    async def _present(self, of: ResourceType, meta: JSON) -> JSON | None:
        """The object of this node that is there already, from before a crash for example. Raises `Taken`."""
        try:
            found = await self._client.get(of, meta["name"], meta.get("namespace"))
        except NotFound:
            return None
        labels = found["metadata"].get("labels") or {}
        if any(labels.get(name) != value for name, value in self._labels.items()):
            raise Taken(f"{of.qualified} {meta['name']} is not this node's")
        return found

    def _objects(self, host_ip: str, port: int, authority: str) -> list[tuple[ResourceType, JSON]]:
        meta: JSON = {"name": METRICS_SERVICE, "namespace": METRICS_NAMESPACE, "labels": self._labels}
        service = {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": meta,
            "spec": {"ports": [{"name": "https", "port": SERVICE_PORT, "targetPort": port, "protocol": "TCP"}]},
        }
        piece = {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {**meta, "labels": {**self._labels, "kubernetes.io/service-name": METRICS_SERVICE}},
            "addressType": "IPv4",
            "endpoints": [{"addresses": [host_ip], "conditions": {"ready": True}}],
            "ports": [{"name": "https", "port": port, "protocol": "TCP"}],
        }
        api_service = {
            "apiVersion": "apiregistration.k8s.io/v1",
            "kind": "APIService",
            "metadata": {"name": "v1beta1.metrics.k8s.io", "labels": self._labels},
            "spec": {
                "group": "metrics.k8s.io",
                "version": "v1beta1",
                "groupPriorityMinimum": 100,
                "versionPriority": 100,
                "caBundle": authority,
                "service": {"name": METRICS_SERVICE, "namespace": METRICS_NAMESPACE, "port": SERVICE_PORT},
            },
        }
        return [(SERVICES, service), (ENDPOINT_SLICES, piece), (API_SERVICES, api_service)]
