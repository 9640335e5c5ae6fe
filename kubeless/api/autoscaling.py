"""HorizontalPodAutoscalers of any version (autoscaling/v1, v2beta1, v2beta2, v2) as autoscaling/v2.

The forms are those of the Kubernetes API reference up to 1.25, the last one that served the beta versions. Kubeless's
manifests leave `apiVersion` out, so each metric is read by its own form.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from kubeless.api.errors import InvalidSpec, Reason
from kubeless.api.reading import JSON, described, without_nulls

API_VERSION = "autoscaling/v2"
VERSIONS = ("autoscaling/v1", "autoscaling/v2beta1", "autoscaling/v2beta2", "autoscaling/v2")

_V1_METRICS = "autoscaling.alpha.kubernetes.io/metrics"
_V1_BEHAVIOR = "autoscaling.alpha.kubernetes.io/behavior"
_V1_STATUS = ("autoscaling.alpha.kubernetes.io/conditions", "autoscaling.alpha.kubernetes.io/current-metrics")
_SOURCES = {
    "Resource": "resource",
    "ContainerResource": "containerResource",
    "Pods": "pods",
    "Object": "object",
    "External": "external",
}


def to_v2(autoscaler: Mapping[str, Any], field: str = "spec.horizontalPodAutoscaler") -> JSON:
    """`metadata` (labels and annotations as they are) and `spec` of autoscaling/v2; no status.

    Raises InvalidSpec for what no version has. What the API server checks of a v2 object is left to it.
    """
    autoscaler = without_nulls(autoscaler)
    version = autoscaler.get("apiVersion") or API_VERSION
    if version not in VERSIONS:
        raise _invalid(f"{field}.apiVersion", f'"{version}" is not one of {", ".join(VERSIONS)}')
    metadata = dict(_object(autoscaler.get("metadata"), f"{field}.metadata"))
    annotations = dict(_object(metadata.get("annotations"), f"{field}.metadata.annotations"))
    spec = dict(_object(autoscaler.get("spec"), f"{field}.spec"))
    metrics = list(_list(spec.pop("metrics", None), f"{field}.spec.metrics"))
    if utilization := spec.pop("targetCPUUtilizationPercentage", None):
        target = {"type": "Utilization", "averageUtilization": utilization}
        metrics.insert(0, {"type": "Resource", "resource": {"name": "cpu", "target": target}})
    # autoscaling/v1 keeps what it has no fields for in annotations.
    if text := annotations.pop(_V1_METRICS, ""):
        metrics += _list(_annotation(text, _V1_METRICS, field), f"{field}.metadata.annotations")
    if text := annotations.pop(_V1_BEHAVIOR, ""):
        spec.setdefault("behavior", _annotation(text, _V1_BEHAVIOR, field))
    for name in _V1_STATUS:
        annotations.pop(name, None)
    if metrics:
        spec["metrics"] = [_metric(metric, f"{field}.spec.metrics[{number}]") for number, metric in enumerate(metrics)]
    metadata = {name: value for name, value in metadata.items() if name in ("name", "labels")}
    if annotations:
        metadata["annotations"] = annotations
    return {"apiVersion": API_VERSION, "kind": "HorizontalPodAutoscaler", "metadata": metadata, "spec": spec}


def _metric(metric: Any, field: str) -> JSON:
    metric = _object(metric, field)
    kind = metric.get("type") or next((kind for kind, name in _SOURCES.items() if name in metric), "")
    kind = next((known for known in _SOURCES if known.lower() == str(kind).lower()), "")
    if not kind:
        raise _invalid(f"{field}.type", f'"{metric.get("type") or ""}" is not one of {", ".join(_SOURCES)}')
    name = _SOURCES[kind]
    if name not in metric:
        raise _invalid(f"{field}.{name}", f"is missing in a metric of the type {kind}")
    source = _object(metric[name], f"{field}.{name}")
    return {"type": kind, name: _CONVERSIONS[kind](source, f"{field}.{name}")}


def _resource(source: Mapping[str, Any], field: str) -> JSON:
    """`targetAverageUtilization`, `targetAverageValue` of v2beta1; the same for a container's resource."""
    converted = {name: source[name] for name in ("name", "container") if name in source}
    return {**converted, "target": _target(source, field)}


def _pods(source: Mapping[str, Any], field: str) -> JSON:
    return {"metric": _identifier(source, "metricName", "selector"), "target": _target(source, field)}


def _external(source: Mapping[str, Any], field: str) -> JSON:
    return {"metric": _identifier(source, "metricName", "metricSelector"), "target": _target(source, field)}


def _object_metric(source: Mapping[str, Any], field: str) -> JSON:
    """In v2beta1 `target` is the object and the figures are beside it; later it is `describedObject`."""
    if "describedObject" in source:
        described_object = source["describedObject"]
        target = _target(source, field)
    else:
        described_object = source.get("target")
        target = _target({name: value for name, value in source.items() if name != "target"}, field)
    if not isinstance(described_object, Mapping):
        raise _invalid(f"{field}.describedObject", "is missing: the object that the metric is about")
    return {
        "describedObject": described_object,
        "metric": _identifier(source, "metricName", "selector"),
        "target": target,
    }


_CONVERSIONS = {
    "Resource": _resource,
    "ContainerResource": _resource,
    "Pods": _pods,
    "Object": _object_metric,
    "External": _external,
}


def _identifier(source: Mapping[str, Any], name: str, selector: str) -> JSON:
    if isinstance(metric := source.get("metric"), Mapping):
        return dict(metric)
    identifier = {"name": source.get(name, "")}
    if selector in source:
        identifier["selector"] = source[selector]
    return identifier


def _target(source: Mapping[str, Any], field: str) -> JSON:
    """The MetricTarget of v2, which has one of value, averageValue and averageUtilization."""
    if isinstance(target := source.get("target"), Mapping):
        target = dict(target)
    else:
        # Of an object's metric the value is mandatory in v2beta1, also beside an average, which goes first.
        names = {
            "averageUtilization": "targetAverageUtilization",
            "averageValue": "averageValue" if "averageValue" in source else "targetAverageValue",
            "value": "targetValue",
        }
        target = {new: source[old] for new, old in names.items() if old in source}
    kind = next((kind for name, kind in _TARGETS.items() if name in target), "")
    if not kind:
        raise _invalid(f"{field}.target", f"has no figure to scale by: one of {', '.join(_TARGETS)}")
    kind = target.get("type") or kind
    figure = next((name for name, of in _TARGETS.items() if of == kind and name in target), "")
    if not figure:
        raise _invalid(f"{field}.target.type", f'"{kind}" does not go with its figure')
    return {"type": kind, figure: target[figure]}


_TARGETS = {"averageUtilization": "Utilization", "averageValue": "AverageValue", "value": "Value"}


def _annotation(text: Any, name: str, field: str) -> Any:
    try:
        return without_nulls(json.loads(text))
    except (TypeError, ValueError) as error:
        raise _invalid(f"{field}.metadata.annotations", f"{name} is not JSON: {error}") from None


def _object(value: Any, field: str) -> Mapping[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise _invalid(field, f"must be an object, not {described(value)}")
    return value


def _list(value: Any, field: str) -> list[Any]:
    if value is None:
        return []
    if not isinstance(value, list):
        raise _invalid(field, f"must be a list, not {described(value)}")
    return value


def _invalid(field: str, message: str) -> InvalidSpec:
    return InvalidSpec(field, message, Reason.INVALID_AUTOSCALER)
