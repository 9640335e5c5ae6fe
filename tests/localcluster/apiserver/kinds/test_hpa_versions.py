"""HorizontalPodAutoscalers between autoscaling/v1 and v2."""

import copy
import json
from typing import Any

from localcluster.apiserver.kinds import behaviour
from localcluster.apiserver.kinds.hpa_versions import ANNOTATIONS, to_v1, to_v2

TARGET = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "d"}
METRICS: list[dict[str, Any]] = [
    {
        "type": "Resource",
        "resource": {"name": "memory", "target": {"type": "AverageValue", "averageValue": "100Mi"}},
    },
    {"type": "Pods", "pods": {"metric": {"name": "qps"}, "target": {"type": "AverageValue", "averageValue": "2k"}}},
    {
        "type": "Object",
        "object": {
            "describedObject": {"apiVersion": "v1", "kind": "Service", "name": "s"},
            "metric": {"name": "rps"},
            "target": {"type": "Value", "value": "1500m"},
        },
    },
    {
        "type": "External",
        "external": {
            "metric": {"name": "lag", "selector": {"matchLabels": {"t": "x"}}},
            "target": {"type": "Value", "value": "30"},
        },
    },
    {
        "type": "ContainerResource",
        "containerResource": {
            "name": "cpu",
            "container": "c",
            "target": {"type": "Utilization", "averageUtilization": 5},
        },
    },
    {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 60}}},
]
BEHAVIOR = {
    "scaleUp": {
        "stabilizationWindowSeconds": 5,
        "selectPolicy": "Max",
        "policies": [{"type": "Pods", "value": 4, "periodSeconds": 15}],
    }
}


def v2(**spec: Any) -> dict[str, Any]:
    spec = {"scaleTargetRef": TARGET, "minReplicas": 1, "maxReplicas": 3, **spec}
    obj = {"apiVersion": "autoscaling/v2", "metadata": {"name": "h", "annotations": {"mine": "x"}}, "spec": spec}
    behaviour("autoscaling", "v2", "HorizontalPodAutoscaler").default(obj)
    return obj


def test_what_v1_cannot_say_comes_back_from_annotations() -> None:
    obj = v2(metrics=copy.deepcopy(METRICS), behavior=copy.deepcopy(BEHAVIOR))
    obj["status"] |= {
        "currentMetrics": [
            {
                "type": "Resource",
                "resource": {"name": "cpu", "current": {"averageUtilization": 5, "averageValue": "1"}},
            }
        ],
        "conditions": [{"type": "ScalingActive", "status": "True", "reason": "r", "message": "m"}],
        "desiredReplicas": 2,
        "currentReplicas": 2,
    }
    before = copy.deepcopy(obj)
    one = to_v1(obj)
    assert obj == before
    assert one["spec"]["targetCPUUtilizationPercentage"] == 60
    assert one["status"]["currentCPUUtilizationPercentage"] == 5
    assert set(one["metadata"]["annotations"]) == {"mine", *ANNOTATIONS}
    assert to_v2(one) == before


def test_the_encoding_of_annotations() -> None:
    annotations = to_v1(v2(metrics=METRICS[1:3], behavior=BEHAVIOR))["metadata"]["annotations"]
    assert json.loads(annotations["autoscaling.alpha.kubernetes.io/metrics"]) == [
        {"type": "Pods", "pods": {"metricName": "qps", "targetAverageValue": "2k"}},
        {
            "type": "Object",
            "object": {
                "target": {"kind": "Service", "name": "s", "apiVersion": "v1"},
                "metricName": "rps",
                "targetValue": "1500m",
            },
        },
    ]
    assert annotations["autoscaling.alpha.kubernetes.io/behavior"].startswith(
        '{"ScaleUp":{"StabilizationWindowSeconds":5,"SelectPolicy":"Max","Policies":[{"Type":"Pods","Value":4,'
        '"PeriodSeconds":15}],"Tolerance":null},"ScaleDown":{"StabilizationWindowSeconds":null,'
    )


def test_v1_without_a_percentage_aims_at_80() -> None:
    spec = {"scaleTargetRef": TARGET, "maxReplicas": 3}
    two = to_v2({"metadata": {"name": "h"}, "spec": spec})
    assert two["spec"]["metrics"][0]["resource"]["target"] == {"type": "Utilization", "averageUtilization": 80}
    assert "annotations" not in two["metadata"]


def test_rules_of_v1_are_those_of_v2() -> None:
    kind = behaviour("autoscaling", "v1", "HorizontalPodAutoscaler")
    obj = {"metadata": {"name": "h"}, "spec": {"scaleTargetRef": TARGET, "maxReplicas": 3, "minReplicas": 4}}
    kind.default(obj)
    errors = kind.validate_create(obj, None)  # type: ignore[arg-type]
    assert [str(e) for e in errors] == [
        "spec.maxReplicas: Invalid value: 3: must be greater than or equal to `minReplicas`"
    ]
