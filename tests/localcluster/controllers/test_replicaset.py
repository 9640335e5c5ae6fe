"""Status of ReplicaSets."""

from __future__ import annotations

from datetime import timedelta

from localcluster.controllers import conditions
from localcluster.controllers.replicaset import seconds_to_availability, status_of
from tests.localcluster.controllers.objects import NOW, ago, pod, replica_set


def test_counts():
    rs = replica_set("rs", 3)
    members = [
        pod("a", labels={"app": "web"}),
        pod("b", labels={"app": "web"}, ready=False),
        pod("c", labels={"app": "web"}, deletionTimestamp=ago(1)),
        pod("d", phase="Failed"),
    ]
    assert status_of(rs, members, None, 0, NOW) == {
        "replicas": 2,
        "fullyLabeledReplicas": 2,
        "readyReplicas": 1,
        "availableReplicas": 1,
        "terminatingReplicas": 1,
        "observedGeneration": 1,
    }


def test_a_failure_stays_until_all_is_well():
    rs = replica_set("rs", 1)
    rs["status"] = status_of(rs, [], RuntimeError("quota"), -1, NOW)
    found = conditions.find(rs["status"]["conditions"], "ReplicaFailure")
    assert (found["reason"], found["message"]) == ("FailedCreate", "quota")
    later = status_of(rs, [], RuntimeError("other"), -1, NOW + timedelta(hours=1))
    assert later == rs["status"]
    assert "conditions" not in status_of(rs, [pod()], None, 0, NOW)


def test_a_ready_pod_is_looked_at_again_when_it_will_be_available():
    rs = replica_set("rs", 1)
    rs["spec"]["minReadySeconds"] = 30
    assert seconds_to_availability(rs, [pod(ready_for=10), pod(ready_for=100)], NOW) == 20
    assert seconds_to_availability(rs, [pod(ready=False)], NOW) is None
