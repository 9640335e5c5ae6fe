"""Evaluates the metrics of an autoscaler: for each the replicas that it asks for and what the status shows."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from localcluster import quantity
from localcluster.controllers.autoscaling import calculation
from localcluster.controllers.autoscaling.calculation import CannotCompute, Proposal, Tolerances
from localcluster.controllers.autoscaling.metrics import Metrics, MetricsUnavailable
from localcluster.controllers.scales import NoSuchKind, Scales

JSON = dict[str, Any]


class MetricFailed(Exception):
    """A metric gave no number.

    Args:
        reason: of the condition ScalingActive and of the event.
        message: of the event; the condition's begins with what it means.
        summary: how the failure of all metrics names it.
    """

    def __init__(self, reason: str, message: str, summary: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.summary = summary


@dataclass(frozen=True)
class Evaluated:
    """Replicas for a metric, its name in conditions and events, and its entry in status.currentMetrics."""

    replicas: int
    name: str
    status: JSON


@dataclass(frozen=True)
class Target:
    """What is scaled: its pods, the selector of them as text, and its replicas by spec and by status."""

    namespace: str
    selector: str
    members: list[JSON]
    replicas: int
    status_replicas: int


def milli_text(value: int) -> str:
    """A quantity from thousandths."""
    return str(quantity.parse(f"{value}m"))


def _milli(text: Any) -> int:
    return quantity.parse(text).milli_value


def tolerances(autoscaler: JSON) -> Tolerances:
    """behavior.scaleUp.tolerance and scaleDown.tolerance, 0.1 where they are not given."""
    behavior = autoscaler["spec"].get("behavior") or {}

    def of(key: str) -> float:
        given = (behavior.get(key) or {}).get("tolerance")
        return calculation.TOLERANCE if given is None else float(quantity.parse(given))

    return Tolerances(of("scaleUp"), of("scaleDown"))


class Evaluator:
    def __init__(self, metrics: Metrics, scales: Scales) -> None:
        self._metrics = metrics
        self._scales = scales

    async def evaluate(self, autoscaler: JSON, spec: JSON, target: Target, now: datetime) -> Evaluated:
        """One entry of spec.metrics; raises `MetricFailed`."""
        allowed = tolerances(autoscaler)
        if spec["type"] == "Resource":
            return await self._resource(spec["resource"], target, allowed, now, "")
        if spec["type"] == "ContainerResource":
            source = spec["containerResource"]
            return await self._resource(source, target, allowed, now, source["container"])
        if spec["type"] == "Pods":
            return await self._pods(spec["pods"], target, allowed, now)
        if spec["type"] == "Object":
            return await self._object(spec["object"], target, allowed)
        return await self._external(spec["external"], target, allowed)

    async def _resource(
        self, source: JSON, target: Target, allowed: Tolerances, now: datetime, container: str
    ) -> Evaluated:
        name, wanted = source["name"], source["target"]
        utilization = wanted["type"] == "Utilization" or wanted.get("averageUtilization") is not None
        try:
            try:
                measured = await self._metrics.resource(target.namespace, target.selector, name, container)
            except MetricsUnavailable as error:
                raise CannotCompute(f"unable to get metrics for resource {name}: {error}") from error
            if utilization:
                percent = wanted["averageUtilization"]
                found = calculation.by_utilization(
                    target.members, measured, percent, target.replicas, name, allowed, now, container
                )
            else:
                average = _milli(wanted["averageValue"])
                found = calculation.by_average(
                    target.members, measured, average, target.replicas, allowed, now, name == "cpu"
                )
        except CannotCompute as error:
            what = "utilization" if utilization else "usage"
            reason = "FailedGetContainerResourceMetric" if container else "FailedGetResourceMetric"
            message = f"failed to get {name} {what}: {error}"
            kind = "container" if container else "resource"
            raise MetricFailed(reason, message, f"failed to get {name} {kind} metric value: {message}") from error
        kind, key = ("container resource", "containerResource") if container else ("resource", "resource")
        title = f"{name} {kind} utilization (percentage of request)" if utilization else f"{name} {kind}"
        current: JSON = {"averageValue": milli_text(found.average or 0)}
        if found.utilization is not None:
            current["averageUtilization"] = found.utilization
        entry = {"name": name, "current": current} | ({"container": container} if container else {})
        return Evaluated(found.replicas, title, {"type": key[0].upper() + key[1:], key: entry})

    async def _pods(self, source: JSON, target: Target, allowed: Tolerances, now: datetime) -> Evaluated:
        name = source["metric"]["name"]
        try:
            try:
                measured = await self._metrics.pods(target.namespace, target.selector, source["metric"])
            except MetricsUnavailable as error:
                raise CannotCompute(f"unable to get metric {name}: {error}") from error
            average = _milli(source["target"]["averageValue"])
            found = calculation.by_average(target.members, measured, average, target.replicas, allowed, now)
        except CannotCompute as error:
            raise MetricFailed(
                "FailedGetPodsMetric", str(error), f"failed to get pods metric value: {error}"
            ) from error
        entry = {"metric": source["metric"], "current": {"averageValue": milli_text(found.average or 0)}}
        return Evaluated(found.replicas, f"pods metric {name}", {"type": "Pods", "pods": entry})

    async def _object(self, source: JSON, target: Target, allowed: Tolerances) -> Evaluated:
        described, name = source["describedObject"], source["metric"]["name"]
        try:
            try:
                of = await self._scales.resource(described.get("apiVersion", "v1"), described["kind"])
                value = await self._metrics.object(target.namespace, of.qualified, described, source["metric"])
            except (MetricsUnavailable, NoSuchKind) as error:
                where = f"{described['kind']} on {target.namespace} {described['name']}/{error}"
                raise CannotCompute(f"unable to get metric {name}: {where}") from error
            found, current = _against(source["target"], value, target, allowed)
        except CannotCompute as error:
            raise MetricFailed(
                "FailedGetObjectMetric", str(error), f"failed to get object metric value: {error}"
            ) from error
        entry = {"metric": source["metric"], "describedObject": described, "current": current}
        return Evaluated(found.replicas, f"{described['kind']} metric {name}", {"type": "Object", "object": entry})

    async def _external(self, source: JSON, target: Target, allowed: Tolerances) -> Evaluated:
        name = source["metric"]["name"]
        selector = _go_selector(source["metric"].get("selector"))
        try:
            try:
                value = sum(await self._metrics.external(target.namespace, source["metric"]))
            except MetricsUnavailable as error:
                where = f"{target.namespace}/{name}/{selector}"
                raise CannotCompute(f"unable to get external metric {where}: {error}") from error
            found, current = _against(source["target"], value, target, allowed)
        except CannotCompute as error:
            raise MetricFailed(
                "FailedGetExternalMetric", str(error), f"failed to get {name} external metric value: {error}"
            ) from error
        entry = {"metric": source["metric"], "current": current}
        return Evaluated(found.replicas, f"external metric {name}({selector})", {"type": "External", "external": entry})


def _against(wanted: JSON, value: int, target: Target, allowed: Tolerances) -> tuple[Proposal, JSON]:
    if wanted["type"] == "AverageValue" or wanted.get("averageValue") is not None:
        average = _milli(wanted["averageValue"])
        found = calculation.by_value_per_pod(value, average, target.status_replicas, allowed)
        return found, {"averageValue": milli_text(found.average or 0)}
    found = calculation.by_value(value, _milli(wanted["value"]), target.replicas, target.members, allowed)
    return found, {"value": milli_text(value)}


def _go_selector(selector: JSON | None) -> str:
    """As Go prints a LabelSelector."""
    if selector is None:
        return "nil"
    pairs = "".join(f"{k}: {v}," for k, v in sorted((selector.get("matchLabels") or {}).items()))
    expressions = ""
    for e in selector.get("matchExpressions") or ():
        values = " ".join(e.get("values") or [])
        expressions += f"LabelSelectorRequirement{{Key:{e['key']},Operator:{e['operator']},Values:[{values}],}},"
    return (
        f"&LabelSelector{{MatchLabels:map[string]string{{{pairs}}},"
        f"MatchExpressions:[]LabelSelectorRequirement{{{expressions}}},}}"
    )
