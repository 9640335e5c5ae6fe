"""HorizontalPodAutoscalers, PodDisruptionBudgets, PriorityClasses, Leases and APIServices."""

from typing import Any

import pytest

from tests.localcluster.apiserver.kinds.written import Written

HPA = Written("autoscaling", "HorizontalPodAutoscaler", "v2")
BUDGET = Written("policy", "PodDisruptionBudget")
PRIORITY = Written("scheduling.k8s.io", "PriorityClass")
LEASE = Written("coordination.k8s.io", "Lease")
API_SERVICE = Written("apiregistration.k8s.io", "APIService")
TARGET = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "d"}


def hpa(**spec: Any) -> dict[str, Any]:
    return {"spec": {"scaleTargetRef": TARGET, "maxReplicas": 3, **spec}}


def test_behavior_is_completed_where_part_of_it_is_given() -> None:
    created = HPA.created(hpa(behavior={"scaleUp": {"selectPolicy": "Min"}}))
    behavior = created["spec"]["behavior"]
    assert behavior["scaleUp"]["selectPolicy"] == "Min"
    assert behavior["scaleUp"]["stabilizationWindowSeconds"] == 0
    assert "stabilizationWindowSeconds" not in behavior["scaleDown"]
    assert created["status"] == {"currentMetrics": None, "desiredReplicas": 0}
    assert "behavior" not in HPA.created(hpa())["spec"]


@pytest.mark.parametrize(
    ("target", "errors"),
    [
        ({"apiVersion": "v1", "kind": "ReplicationController", "name": "r"}, []),
        (
            {"apiVersion": "a/b/c", "kind": "K", "name": "n"},
            ['apiVersion: Invalid value: "a/b/c": unexpected GroupVersion string: a/b/c'],
        ),
        (TARGET | {"name": "a/b"}, ["name: Invalid value: \"a/b\": may not contain '/'"]),
    ],
)
def test_targets_of_autoscalers(target: dict[str, Any], errors: list[str]) -> None:
    found = HPA.create_errors(hpa(scaleTargetRef=target))
    assert found == [f"spec.scaleTargetRef.{e}" for e in errors]


@pytest.mark.parametrize(
    ("metric", "error"),
    [
        (
            {"type": "External", "external": {"metric": {"name": "m"}, "target": {"type": "Value"}}},
            "external.target.averageValue: Required value: must set either a target value for metric or a per-pod "
            "target",
        ),
        (
            {"type": "Pods", "pods": {"metric": {"name": "m"}, "target": {"type": "Value", "averageValue": "0"}}},
            'pods.target.averageValue: Invalid value: "0": must be positive',
        ),
        (
            {
                "type": "ContainerResource",
                "containerResource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 5}},
            },
            "containerResource.container: Required value: must specify a container",
        ),
        (
            {
                "type": "Resource",
                "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 5}},
                "pods": {},
            },
            None,
        ),
    ],
)
def test_metrics_of_autoscalers(metric: dict[str, Any], error: str | None) -> None:
    found = HPA.create_errors(hpa(metrics=[metric]))
    if error is None:
        assert "spec.metrics[0].pods: Forbidden: must populate the given metric source only" in found
    else:
        assert found == [f"spec.metrics[0].{error}"]


def test_an_autoscaler_at_zero_may_stay_there() -> None:
    metric = {"type": "External", "external": {"metric": {"name": "m"}, "target": {"type": "Value", "value": "1"}}}
    at_zero = hpa(minReplicas=0, metrics=[metric])
    assert HPA.create_errors(at_zero) == ["spec.minReplicas: Invalid value: 0: must be greater than or equal to 1"]
    assert HPA.update_errors(at_zero, at_zero) == []


def test_budgets() -> None:
    assert BUDGET.created({})["status"] == {
        "currentHealthy": 0, "desiredHealthy": 0, "disruptionsAllowed": 0, "expectedPods": 0,
    }  # fmt: skip
    assert BUDGET.create_errors({"spec": {"minAvailable": "150%", "unhealthyPodEvictionPolicy": "X"}}) == [
        'spec.minAvailable: Invalid value: "150%": must not be greater than 100%',
        'spec.unhealthyPodEvictionPolicy: Unsupported value: "X": supported values: "AlwaysAllow", "IfHealthyBudget"',
    ]
    assert BUDGET.create_errors({"spec": {"maxUnavailable": -1}}) == [
        "spec.maxUnavailable: Invalid value: -1: must be greater than or equal to 0"
    ]
    assert BUDGET.status_errors({}, {"currentHealthy": -1}) == [
        "status.currentHealthy: Invalid value: -1: must be greater than or equal to 0"
    ]


def test_priority_classes() -> None:
    assert PRIORITY.created({"value": 5})["preemptionPolicy"] == "PreemptLowerPriority"
    assert PRIORITY.create_errors({"value": 1_000_000_001}) == [
        "value: Forbidden: maximum allowed value of a user defined priority is 1000000000"
    ]
    assert PRIORITY.create_errors({"metadata": {"name": "system-x"}}) == [
        "metadata.name: Forbidden: priority class names with 'system-' prefix are reserved for system use only. "
        "error: system-x is not a known system priority class"
    ]
    assert PRIORITY.create_errors({"metadata": {"name": "system-node-critical"}, "value": 2_000_001_000}) == []
    assert PRIORITY.update_errors({"value": 1}, {"value": 2}) == ["value: Forbidden: may not be changed in an update."]


def test_leases() -> None:
    assert LEASE.created({})["spec"] == {}
    assert LEASE.create_errors({"spec": {"preferredHolder": "me"}}) == [
        "spec.preferredHolder: Forbidden: may only be specified if `strategy` is defined"
    ]
    assert LEASE.create_errors({"spec": {"strategy": "X"}}) == [
        'spec.strategy: Unsupported value: "X": supported values: "OldestEmulationVersion"'
    ]


def test_api_services() -> None:
    spec = {"group": "g.example", "version": "v1", "groupPriorityMinimum": 100, "versionPriority": 10}
    named = {"metadata": {"name": "v1.g.example"}}
    assert API_SERVICE.create_errors(named | {"spec": spec}) == []
    assert API_SERVICE.create_errors({"metadata": {"name": "other"}, "spec": spec}) == [
        'metadata.name: Invalid value: "other": must be `spec.version+"."+spec.group`: "v1.g.example"'
    ]
    remote = spec | {"service": {"name": "s"}, "insecureSkipTLSVerify": True, "caBundle": "YQ=="}
    assert API_SERVICE.created(named | {"spec": remote})["spec"]["service"]["port"] == 443
    assert API_SERVICE.create_errors(named | {"spec": remote}) == [
        "spec.service.namespace: Required value",
        "spec.insecureSkipTLSVerify: Invalid value: true: may not be true if caBundle is present",
    ]
    local = spec | {"caBundle": "YQ==", "groupPriorityMinimum": 0}
    assert API_SERVICE.create_errors(named | {"spec": local}) == [
        "spec.groupPriorityMinimum: Invalid value: 0: must be positive and less than 20000",
        'spec.caBundle: Invalid value: "1 bytes": local APIServices may not have a caBundle',
    ]
