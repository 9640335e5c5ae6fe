"""Autoscalers of every version as autoscaling/v2."""

from __future__ import annotations

import json
from typing import Any

import kubernetes_validate
import pytest

from kubeless.api import InvalidSpec
from kubeless.api.autoscaling import to_v2

TARGET = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "hello"}
CPU = {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}}}


def autoscaler(version: str = "", metadata: dict[str, Any] | None = None, **spec: Any) -> dict[str, Any]:
    made: dict[str, Any] = {"metadata": metadata or {}, "spec": {"maxReplicas": 3, "scaleTargetRef": TARGET, **spec}}
    return {"apiVersion": version, **made} if version else made


def metrics(converted: dict[str, Any]) -> list[Any]:
    kubernetes_validate.validate({**converted, "metadata": {"name": "x"}}, "1.32", strict=True)
    found: list[Any] = converted["spec"]["metrics"]
    return found


def test_v1() -> None:
    converted = to_v2(autoscaler("autoscaling/v1", minReplicas=1, targetCPUUtilizationPercentage=50))
    assert metrics(converted) == [CPU]
    assert converted["spec"]["minReplicas"] == 1
    assert converted["spec"]["scaleTargetRef"] == TARGET
    assert "targetCPUUtilizationPercentage" not in converted["spec"]


def test_v1_with_what_it_keeps_in_annotations() -> None:
    more = {"type": "Resource", "resource": {"name": "memory", "targetAverageValue": "100Mi"}}
    behavior = {"ScaleDown": {"stabilizationWindowSeconds": 10}}
    annotations = {
        "autoscaling.alpha.kubernetes.io/metrics": json.dumps([more]),
        "autoscaling.alpha.kubernetes.io/behavior": json.dumps({"scaleDown": behavior["ScaleDown"]}),
        "autoscaling.alpha.kubernetes.io/conditions": "[]",
        "mine": "stays",
    }
    converted = to_v2(autoscaler("autoscaling/v1", {"annotations": annotations}, targetCPUUtilizationPercentage=50))
    assert [metric["resource"]["name"] for metric in metrics(converted)] == ["cpu", "memory"]
    assert converted["spec"]["behavior"] == {"scaleDown": {"stabilizationWindowSeconds": 10}}
    assert converted["metadata"] == {"annotations": {"mine": "stays"}}


@pytest.mark.parametrize("version", ["autoscaling/v2beta1", ""])
@pytest.mark.parametrize(
    ("old", "new"),
    [
        ({"type": "Resource", "resource": {"name": "cpu", "targetAverageUtilization": 50}}, CPU),
        (
            {"type": "Resource", "resource": {"name": "memory", "targetAverageValue": "1Gi"}},
            {
                "type": "Resource",
                "resource": {"name": "memory", "target": {"type": "AverageValue", "averageValue": "1Gi"}},
            },
        ),
        (
            {
                "type": "ContainerResource",
                "containerResource": {"name": "cpu", "container": "a", "targetAverageUtilization": 9},
            },
            {
                "type": "ContainerResource",
                "containerResource": {
                    "name": "cpu",
                    "container": "a",
                    "target": {"type": "Utilization", "averageUtilization": 9},
                },
            },
        ),
        (
            {
                "type": "Pods",
                "pods": {"metricName": "qps", "targetAverageValue": "5", "selector": {"matchLabels": {"a": "b"}}},
            },
            {
                "type": "Pods",
                "pods": {
                    "metric": {"name": "qps", "selector": {"matchLabels": {"a": "b"}}},
                    "target": {"type": "AverageValue", "averageValue": "5"},
                },
            },
        ),
        (  # what `kubeless autoscale create --metric qps` wrote
            {
                "type": "Object",
                "object": {
                    "metricName": "function_calls",
                    "target": {"apiVersion": "autoscaling/v2beta1", "kind": "Service", "name": "hello"},
                    "targetValue": "5",
                },
            },
            {
                "type": "Object",
                "object": {
                    "metric": {"name": "function_calls"},
                    "describedObject": {"apiVersion": "autoscaling/v2beta1", "kind": "Service", "name": "hello"},
                    "target": {"type": "Value", "value": "5"},
                },
            },
        ),
        (
            {
                "type": "Object",
                "object": {
                    "metricName": "m",
                    "target": {"kind": "Service", "name": "h"},
                    "targetValue": "0",
                    "averageValue": "7",
                },
            },
            {
                "type": "Object",
                "object": {
                    "metric": {"name": "m"},
                    "describedObject": {"kind": "Service", "name": "h"},
                    "target": {"type": "AverageValue", "averageValue": "7"},
                },
            },
        ),
        (
            {
                "type": "External",
                "external": {"metricName": "q", "metricSelector": {"matchLabels": {"a": "b"}}, "targetValue": "3"},
            },
            {
                "type": "External",
                "external": {
                    "metric": {"name": "q", "selector": {"matchLabels": {"a": "b"}}},
                    "target": {"type": "Value", "value": "3"},
                },
            },
        ),
    ],
)
def test_v2beta1(version: str, old: dict[str, Any], new: dict[str, Any]) -> None:
    assert metrics(to_v2(autoscaler(version, metrics=[old]))) == [new]


@pytest.mark.parametrize("version", ["autoscaling/v2beta2", "autoscaling/v2", ""])
def test_later_forms_stay(version: str) -> None:
    described = {"kind": "Service", "name": "hello"}
    written = [
        CPU,
        {"type": "Pods", "pods": {"metric": {"name": "a"}, "target": {"type": "AverageValue", "averageValue": "1"}}},
        {
            "type": "Object",
            "object": {"describedObject": described, "metric": {"name": "a"}, "target": {"type": "Value", "value": 1}},
        },
    ]
    behavior = {"scaleUp": {"stabilizationWindowSeconds": 0}}
    converted = to_v2(autoscaler(version, metrics=written, behavior=behavior))
    assert metrics(converted) == written
    assert converted["spec"]["behavior"] == behavior
    assert converted["apiVersion"] == "autoscaling/v2"


def test_the_author_s_object_stays_as_it_is() -> None:
    written = autoscaler("autoscaling/v1", targetCPUUtilizationPercentage=50)
    before = json.dumps(written)
    to_v2(written)
    assert json.dumps(written) == before


@pytest.mark.parametrize(
    ("written", "field"),
    [
        (autoscaler("autoscaling/v3"), "apiVersion"),
        (autoscaler(metrics={}), "spec.metrics"),
        (autoscaler(metrics=[{"type": "Weather"}]), "spec.metrics[0].type"),
        (autoscaler(metrics=[{"type": "Pods"}]), "spec.metrics[0].pods"),
        (autoscaler(metrics=[{"type": "Resource", "resource": {"name": "cpu"}}]), "spec.metrics[0].resource.target"),
        (
            autoscaler(metrics=[{"type": "Object", "object": {"targetValue": 1}}]),
            "spec.metrics[0].object.describedObject",
        ),
        ({"spec": []}, "spec"),
    ],
)
def test_what_no_version_has_is_refused(written: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidSpec) as refused:
        to_v2(written)
    assert refused.value.field == f"spec.horizontalPodAutoscaler.{field}"
