"""How many replicas a metric asks for: ratios, and pods that have no metric or are not ready."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from localcluster import quantity
from localcluster.controllers import conditions, pods
from localcluster.controllers.times import parse_time

JSON = dict[str, Any]

CPU_INITIALIZATION_SECONDS = 300.0
INITIAL_READINESS_SECONDS = 30.0
TOLERANCE = 0.1


class CannotCompute(Exception):
    """There is no basis for a number of replicas; the message goes into the condition."""


@dataclass(frozen=True)
class PodMetric:
    """A pod's value in thousandths, and the window in which it was measured."""

    value: int
    timestamp: datetime | None = None
    window_seconds: float = 30.0


@dataclass(frozen=True)
class Tolerances:
    """How far a ratio may be from 1 without anything being done."""

    up: float = TOLERANCE
    down: float = TOLERANCE

    def within(self, ratio: float) -> bool:
        return 1.0 - self.down - 1e-9 <= ratio <= 1.0 + self.up + 1e-9


@dataclass(frozen=True)
class Grouped:
    """The target's pods by what their metric is worth."""

    ready: int
    unready: frozenset[str]
    missing: frozenset[str]
    ignored: frozenset[str]


def group(members: Iterable[JSON], metrics: Mapping[str, PodMetric], is_cpu: bool, now: datetime) -> Grouped:
    """Failed and terminating pods are ignored, pending ones and those that are only starting are not ready."""
    ready, unready, missing, ignored = 0, set(), set(), set()
    for pod in members:
        name = pod["metadata"]["name"]
        if pod["metadata"].get("deletionTimestamp") or pods.phase(pod) == "Failed":
            ignored.add(name)
        elif pods.phase(pod) == "Pending":
            unready.add(name)
        elif name not in metrics:
            missing.add(name)
        elif is_cpu and _starts(pod, metrics[name], now):
            unready.add(name)
        else:
            ready += 1
    return Grouped(ready, frozenset(unready), frozenset(missing), frozenset(ignored))


def _starts(pod: JSON, metric: PodMetric, now: datetime) -> bool:
    """Whether the CPU of a pod is still that of its start."""
    condition = conditions.find(pod.get("status", {}).get("conditions"), "Ready")
    started = parse_time(pod.get("status", {}).get("startTime"))
    if condition is None or started is None:
        return True
    changed = parse_time(condition.get("lastTransitionTime"))
    if started + timedelta(seconds=CPU_INITIALIZATION_SECONDS) > now:
        measured_before = (
            metric.timestamp is not None
            and changed is not None
            and metric.timestamp < changed + timedelta(seconds=metric.window_seconds)
        )
        return bool(condition["status"] == "False" or measured_before)
    never_ready = changed is not None and started + timedelta(seconds=INITIAL_READINESS_SECONDS) > changed
    return bool(condition["status"] == "False" and never_ready)


@dataclass(frozen=True)
class Proposal:
    """Replicas, and the current values for the status (utilization in percent, average in thousandths)."""

    replicas: int
    utilization: int | None = None
    average: int | None = None


def requests(members: Iterable[JSON], resource: str, container: str = "") -> dict[str, int]:
    """What each pod requests of the resource, in thousandths; every container must."""
    found = {}
    for pod in members:
        total = 0
        spec = pod["spec"]
        sidecars = [c for c in spec.get("initContainers") or () if c.get("restartPolicy") == "Always"]
        for entry in [*spec["containers"], *sidecars]:
            if container and entry["name"] != container:
                continue
            request = ((entry.get("resources") or {}).get("requests") or {}).get(resource)
            if request is None:
                name = pod["metadata"]["name"]
                raise CannotCompute(f"missing request for {resource} in container {entry['name']} of Pod {name}")
            total += quantity.parse(request).milli_value
        found[pod["metadata"]["name"]] = total
    return found


def by_utilization(
    members: list[JSON],
    metrics: Mapping[str, PodMetric],
    target: int,
    current: int,
    resource: str,
    tolerances: Tolerances,
    now: datetime,
    container: str = "",
) -> Proposal:
    """Replicas for an averageUtilization (percent of the requests)."""
    if not members:
        raise CannotCompute("no pods returned by selector while calculating replica count")
    grouped = group(members, metrics, resource == "cpu", now)
    requested = requests(members, resource, container)
    values = _measured(metrics, grouped, requested)
    ratio, utilization, average = _utilization(values, requested, target)

    def filled(name: str, full: bool) -> int:
        return max(100, target) * requested[name] // 100 if full else 0

    replicas = _with_gaps(
        values, grouped, ratio, current, tolerances, filled, lambda v: _utilization(v, requested, target)[0]
    )
    return Proposal(replicas, utilization, average)


def _utilization(values: Mapping[str, int], requested: Mapping[str, int], target: int) -> tuple[float, int, int]:
    total = sum(requested[name] for name in values if name in requested)
    if total == 0:
        raise CannotCompute("no metrics returned matched known pods")
    used = sum(value for name, value in values.items() if name in requested)
    utilization = used * 100 // total
    return utilization / target, utilization, used // len(values)


def by_average(
    members: list[JSON],
    metrics: Mapping[str, PodMetric],
    target: int,
    current: int,
    tolerances: Tolerances,
    now: datetime,
    is_cpu: bool = False,
) -> Proposal:
    """Replicas for an averageValue over pods, in thousandths."""
    if not members:
        raise CannotCompute("no pods returned by selector while calculating replica count")
    grouped = group(members, metrics, is_cpu, now)
    values = _measured(metrics, grouped, None)

    def ratio_of(found: Mapping[str, int]) -> float:
        return sum(found.values()) / len(found) / target

    def filled(name: str, full: bool) -> int:
        return target if full else 0

    ratio = ratio_of(values)
    replicas = _with_gaps(values, grouped, ratio, current, tolerances, filled, ratio_of)
    return Proposal(replicas, None, sum(values.values()) // len(values))


def _measured(metrics: Mapping[str, PodMetric], grouped: Grouped, known: Mapping[str, int] | None) -> dict[str, int]:
    left_out = grouped.unready | grouped.ignored
    values = {n: m.value for n, m in metrics.items() if n not in left_out and (known is None or n in known)}
    if not values:
        raise CannotCompute("did not receive metrics for targeted pods (pods might be unready)")
    return values


def _with_gaps(
    values: dict[str, int],
    grouped: Grouped,
    ratio: float,
    current: int,
    tolerances: Tolerances,
    filled: Any,
    ratio_of: Any,
) -> int:
    """Pods without a metric are taken to use all when that would scale down, and nothing when it would scale up."""
    up_with_unready = bool(grouped.unready) and ratio > 1.0
    if not up_with_unready and not grouped.missing:
        return current if tolerances.within(ratio) else math.ceil(ratio * grouped.ready - 1e-9)
    completed = dict(values)
    for name in grouped.missing if ratio != 1.0 else ():
        completed[name] = filled(name, ratio < 1.0)
    for name in grouped.unready if up_with_unready else ():
        completed[name] = 0
    new_ratio: float = ratio_of(completed)
    if tolerances.within(new_ratio) or (ratio < 1.0 < new_ratio) or (ratio > 1.0 > new_ratio):
        return current
    replicas = math.ceil(new_ratio * len(completed) - 1e-9)
    if (new_ratio < 1.0 and replicas > current) or (new_ratio > 1.0 and replicas < current):
        return current
    return replicas


def by_value(value: int, target: int, current: int, members: Iterable[JSON], tolerances: Tolerances) -> Proposal:
    """Replicas for one value of an object or of the outside against a target Value; both in thousandths."""
    ratio = value / target
    if current == 0:
        return Proposal(math.ceil(ratio - 1e-9))
    if tolerances.within(ratio):
        return Proposal(current)
    ready = sum(pods.is_ready(pod) for pod in members if pods.is_active(pod))
    return Proposal(math.ceil(ratio * ready - 1e-9))


def by_value_per_pod(value: int, target: int, status_replicas: int, tolerances: Tolerances) -> Proposal:
    """Replicas for such a value against a target AverageValue."""
    replicas = status_replicas
    if status_replicas == 0 or not tolerances.within(value / (target * status_replicas)):
        replicas = math.ceil(value / target - 1e-9)
    return Proposal(replicas, None, math.ceil(value / status_replicas) if status_replicas else value)
