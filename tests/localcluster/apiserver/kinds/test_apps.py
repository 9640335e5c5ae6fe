"""Deployments, ReplicaSets, StatefulSets, DaemonSets and ControllerRevisions."""

import copy
from typing import Any

import pytest

from tests.localcluster.apiserver.kinds.written import CONTEXT, Written

DEPLOYMENT, REPLICA_SET = Written("apps", "Deployment"), Written("apps", "ReplicaSet")
STATEFUL_SET, DAEMON_SET = Written("apps", "StatefulSet"), Written("apps", "DaemonSet")
REVISION = Written("apps", "ControllerRevision")
ALL = [DEPLOYMENT, REPLICA_SET, STATEFUL_SET, DAEMON_SET]


def workload(pod: dict[str, Any] | None = None, **spec: Any) -> dict[str, Any]:
    template = {
        "metadata": {"labels": {"a": "b"}},
        "spec": {"containers": [{"name": "c", "image": "i"}], **(pod or {})},
    }
    return {"spec": {"selector": {"matchLabels": {"a": "b"}}, "template": template, **spec}}


@pytest.mark.parametrize("kind", ALL)
def test_the_least_that_is_accepted(kind: Written) -> None:
    assert kind.create_errors(workload()) == []


@pytest.mark.parametrize("kind", ALL)
def test_pods_of_workloads_restart_always(kind: Written) -> None:
    errors = kind.create_errors(workload({"restartPolicy": "Never", "activeDeadlineSeconds": 5}))
    path = "spec.template.spec"
    assert f'{path}.restartPolicy: Unsupported value: "Never": supported values: "Always"' in errors
    assert any(e.startswith(f"{path}.activeDeadlineSeconds: Forbidden") for e in errors)


@pytest.mark.parametrize("kind", [DEPLOYMENT, REPLICA_SET, DAEMON_SET])
def test_selectors_are_fixed(kind: Written) -> None:
    other = workload()
    other["spec"]["selector"] = {"matchExpressions": [{"key": "a", "operator": "Exists"}]}
    assert kind.update_errors(workload(), other) == [
        'spec.selector: Invalid value: {"matchExpressions":[{"key":"a","operator":"Exists"}]}: field is immutable'
    ]


def test_what_go_leaves_out_is_left_out() -> None:
    created = DEPLOYMENT.created(workload(paused=False, minReadySeconds=0))
    assert not created["spec"].keys() & {"paused", "minReadySeconds"}
    status = {"replicas": 0, "readyReplicas": 0, "collisionCount": 0, "conditions": []}
    DEPLOYMENT.kind.default(shown := created | {"status": status})
    assert shown["status"] == {"collisionCount": 0}


def test_a_write_to_the_status_may_annotate_but_not_label_a_deployment() -> None:
    old = DEPLOYMENT.created(workload())
    new = copy.deepcopy(old)
    new["spec"]["replicas"] = 9
    new["status"] = {"replicas": 1}
    new["metadata"] |= {"annotations": {"revision": "1"}, "labels": {"x": "y"}, "uid": "other"}
    DEPLOYMENT.kind.prepare_status(new, old, CONTEXT)
    assert (new["spec"], new["status"]) == (old["spec"], {"replicas": 1})
    assert new["metadata"] == old["metadata"] | {"annotations": {"revision": "1"}}


def test_annotations_count_as_a_new_generation_of_a_deployment() -> None:
    generation = DEPLOYMENT.kind.generation_of
    old = DEPLOYMENT.created(workload())
    assert generation(old) == generation({**old, "metadata": {**old["metadata"], "labels": {"x": "y"}}})
    assert generation(old) != generation({**old, "metadata": {**old["metadata"], "annotations": {"x": "y"}}})


def test_counts_of_a_status_fit_together() -> None:
    assert DEPLOYMENT.status_errors(workload(), {"replicas": 1, "readyReplicas": 2, "availableReplicas": -1}) == [
        "status.availableReplicas: Invalid value: -1: must be greater than or equal to 0",
        "status.readyReplicas: Invalid value: 2: cannot be greater than status.replicas",
    ]
    assert REPLICA_SET.status_errors(workload(), {"replicas": 2, "readyReplicas": 1, "availableReplicas": 2}) == [
        "status.availableReplicas: Invalid value: 2: cannot be greater than readyReplicas"
    ]
    assert DEPLOYMENT.status_errors(workload(), {"collisionCount": 1}, {"collisionCount": 2}) == [
        "status.collisionCount: Invalid value: 1: cannot be decremented"
    ]


def test_strategies() -> None:
    assert DEPLOYMENT.create_errors(workload(strategy={"type": "Odd"})) == [
        'spec.strategy: Unsupported value: {"Type":"Odd","RollingUpdate":null}: '
        'supported values: "Recreate", "RollingUpdate"'
    ]
    both = {"rollingUpdate": {"maxSurge": 1, "maxUnavailable": "50%"}}
    assert DAEMON_SET.create_errors(workload(updateStrategy=both)) == [
        "spec.updateStrategy.rollingUpdate.maxSurge: Invalid value: 1: may not be set when maxUnavailable is non-zero"
    ]
    assert STATEFUL_SET.create_errors(workload(updateStrategy={"rollingUpdate": {"maxUnavailable": 0}})) == [
        "spec.updateStrategy.rollingUpdate.maxUnavailable: Invalid value: 0: cannot be 0"
    ]


def test_claims_are_volumes_of_a_stateful_set() -> None:
    claim = {
        "metadata": {"name": "data"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    }
    container = {"name": "c", "image": "i", "volumeMounts": [{"name": "data", "mountPath": "/d"}]}
    obj = workload({"containers": [container]}, volumeClaimTemplates=[claim])
    assert STATEFUL_SET.create_errors(obj) == []
    created = STATEFUL_SET.created(obj)
    assert created["spec"]["volumeClaimTemplates"][0]["kind"] == "PersistentVolumeClaim"
    assert "volumes" not in created["spec"]["template"]["spec"]


def test_what_may_change_of_a_stateful_set() -> None:
    assert STATEFUL_SET.update_errors(workload(), workload({"hostNetwork": True}, replicas=3)) == []
    [error] = STATEFUL_SET.update_errors(workload(), workload(serviceName="s"))
    assert error.startswith("spec: Forbidden: updates to statefulset spec for fields other than 'replicas', ")


def test_daemon_sets_count_their_templates() -> None:
    key = "deprecated.daemonset.template.generation"
    new, old = DAEMON_SET.updated(workload(), workload({"hostPID": True}))
    assert (old["metadata"]["annotations"][key], new["metadata"]["annotations"][key]) == ("1", "2")
    assert DAEMON_SET.updated(workload(), workload())[0]["metadata"]["annotations"][key] == "1"


def test_a_name_that_makes_bad_host_names_is_warned_of() -> None:
    obj = DEPLOYMENT.created(workload() | {"metadata": {"name": "a.b"}})
    assert DEPLOYMENT.kind.warnings(obj, None) == [
        "metadata.name: this is used in Pod names and hostnames, which can result in surprising behavior; "
        "a DNS label is recommended: [must not contain dots]"
    ]


def test_revisions_do_not_change() -> None:
    assert REVISION.create_errors({}) == ["data: Required value: data is mandatory"]
    assert REVISION.update_errors({"data": {"a": 1}}, {"data": {"a": 2}, "revision": 3}) == [
        'data: Invalid value: {"a":2}: field is immutable'
    ]
