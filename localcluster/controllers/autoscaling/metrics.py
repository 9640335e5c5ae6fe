"""Reads the metrics APIs: metrics.k8s.io, custom.metrics.k8s.io and external.metrics.k8s.io."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import quote

from localcluster import quantity
from localcluster.client import ApiStatusError, Client, ClientError
from localcluster.controllers import labels
from localcluster.controllers.autoscaling.calculation import PodMetric
from localcluster.controllers.discovery import discover
from localcluster.controllers.times import parse_time

JSON = dict[str, Any]


class MetricsUnavailable(Exception):
    """A metric could not be read; the message goes into the condition."""


def _why(error: ClientError, what: str) -> str:
    """As client-go words it; an API that is not there answers with plain text."""
    if isinstance(error, ApiStatusError) and error.code == 404 and not error.reason:
        return f"the server could not find the requested resource (get {what})"
    if isinstance(error, ApiStatusError) and error.code == 503 and not error.reason:
        return f"the server is currently unable to handle the request (get {what})"
    return str(error)


def _seconds(text: str) -> float:
    """Go's notation: ``1m30s``."""
    scale = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
    return sum(float(n) * scale[unit] for n, unit in re.findall(r"(\d+(?:\.\d+)?)(ms|h|m|s)", text)) or 30.0


class Metrics:
    """Values are in thousandths."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def resource(self, namespace: str, selector: str, name: str, container: str = "") -> dict[str, PodMetric]:
        """What each pod (or its container) uses of cpu or memory."""
        path = f"/apis/metrics.k8s.io/v1beta1/namespaces/{namespace}/pods"
        try:
            answer = await self._client.request("GET", path, query={"labelSelector": selector})
        except ClientError as error:
            why = _why(error, "pods.metrics.k8s.io")
            raise MetricsUnavailable(f"unable to fetch metrics from resource metrics API: {why}") from error
        if not answer.get("items"):
            raise MetricsUnavailable("no metrics returned from resource metrics API")
        found: dict[str, PodMetric] = {}
        for item in answer["items"]:
            pod = item["metadata"]["name"]
            containers = item.get("containers") or []
            if container:
                containers = [c for c in containers if c["name"] == container]
                if not containers:
                    raise MetricsUnavailable(f"container {container} not present in metrics for pod {namespace}/{pod}")
            usages = [c["usage"].get(name) for c in containers]
            if not usages or None in usages:
                # A pod of which a container is not measured yet has no metric.
                continue
            value = sum(quantity.parse(usage).milli_value for usage in usages)
            found[pod] = PodMetric(value, parse_time(item.get("timestamp")), _seconds(item.get("window", "30s")))
        return found

    async def _custom_root(self) -> str:
        versions = {
            d.type.version for d in (await discover(self._client)).resources if d.type.group == "custom.metrics.k8s.io"
        }
        for version in ("v1beta2", "v1beta1"):
            if version in versions:
                return f"/apis/custom.metrics.k8s.io/{version}"
        # A group without listed resources is still asked.
        for version in ("v1beta2", "v1beta1"):
            try:
                await self._client.request("GET", f"/apis/custom.metrics.k8s.io/{version}")
            except ApiStatusError:
                continue
            return f"/apis/custom.metrics.k8s.io/{version}"
        raise MetricsUnavailable("no custom metrics API (custom.metrics.k8s.io) registered")

    async def _custom(self, path: str, query: dict[str, str], what: str) -> list[JSON]:
        try:
            answer = await self._client.request("GET", await self._custom_root() + path, query=query)
        except (ClientError, MetricsUnavailable) as error:
            why = _why(error, what) if isinstance(error, ClientError) else str(error)
            raise MetricsUnavailable(f"unable to fetch metrics from custom metrics API: {why}") from error
        items: list[JSON] = answer.get("items") or []
        return items

    async def pods(self, namespace: str, selector: str, metric: JSON) -> dict[str, PodMetric]:
        """A custom metric of each pod."""
        name = metric["name"]
        query = {"labelSelector": selector} | _metric_selector(metric, "metricLabelSelector")
        items = await self._custom(f"/namespaces/{namespace}/pods/*/{quote(name)}", query, "pods.custom.metrics.k8s.io")
        if not items:
            raise MetricsUnavailable("no metrics returned from custom metrics API")
        return {
            item["describedObject"]["name"]: PodMetric(
                quantity.parse(item["value"]).milli_value,
                parse_time(item.get("timestamp")),
                float(item.get("windowSeconds") or item.get("window") or 60),
            )
            for item in items
        }

    async def object(self, namespace: str, resource: str, described: JSON, metric: JSON) -> int:
        """A custom metric of one object; `resource` is like ``services`` or ``ingresses.networking.k8s.io``."""
        name = quote(metric["name"])
        path = f"/namespaces/{namespace}/{resource}/{described['name']}/{name}"
        if described["kind"] == "Namespace" and not described.get("apiVersion", "v1").partition("/")[2]:
            path = f"/namespaces/{described['name']}/metrics/{name}"
        items = await self._custom(
            path, _metric_selector(metric, "metricLabelSelector"), f"{resource}.custom.metrics.k8s.io"
        )
        if not items:
            raise MetricsUnavailable("no metrics returned from custom metrics API")
        return quantity.parse(items[0]["value"]).milli_value

    async def external(self, namespace: str, metric: JSON) -> list[int]:
        path = f"/apis/external.metrics.k8s.io/v1beta1/namespaces/{namespace}/{quote(metric['name'])}"
        try:
            answer = await self._client.request("GET", path, query=_metric_selector(metric, "labelSelector"))
        except ClientError as error:
            why = _why(error, f"{metric['name']}.external.metrics.k8s.io")
            raise MetricsUnavailable(f"unable to fetch metrics from external metrics API: {why}") from error
        items = answer.get("items") or []
        if not items:
            raise MetricsUnavailable("no metrics returned from external metrics API")
        return [quantity.parse(item["value"]).milli_value for item in items]


def _metric_selector(metric: JSON, parameter: str) -> dict[str, str]:
    text = labels.as_text(metric.get("selector"))
    return {parameter: text} if text else {}
