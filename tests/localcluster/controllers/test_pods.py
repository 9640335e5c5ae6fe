"""What controllers ask of pods."""

from __future__ import annotations

from localcluster.controllers import pods
from tests.localcluster.controllers.objects import NOW, ago, pod


def order(*members, related=()):
    return [p["metadata"]["name"] for p in pods.deletion_order(members, related, NOW)]


def test_the_pods_that_have_come_least_far_go_first():
    found = order(
        pod("ready", node="n"),
        pod("unready", ready=False, node="n"),
        pod("unassigned", "Pending", None),
        pod("pending", "Pending", None, node="n"),
    )
    assert found == ["unassigned", "pending", "unready", "ready"]


def test_cheaper_pods_go_before_dearer_ones():
    cheap = {"annotations": {pods.DELETION_COST: "-5"}}
    assert order(pod("dear", node="n"), pod("cheap", node="n", **cheap)) == ["cheap", "dear"]


def test_crowded_nodes_are_relieved_and_younger_and_restarted_pods_go_first():
    crowded = [pod("a", node="full"), pod("b", node="full"), pod("c", node="free")]
    assert order(*crowded, related=crowded)[-1] == "c"
    assert order(pod("old", node="n", ready_for=4000), pod("young", node="n", ready_for=10)) == ["young", "old"]
    restarted = {"containerStatuses": [{"name": "c", "restartCount": 3}]}
    assert order(pod("steady", node="n"), pod("restarted", node="n", status=restarted)) == ["restarted", "steady"]


def test_a_pod_is_available_after_the_time_it_must_be_ready():
    assert pods.is_available(pod(ready_for=10), 10, NOW)
    assert not pods.is_available(pod(ready_for=9), 10, NOW)
    assert not pods.is_available(pod(ready=False), 0, NOW)


def test_terminating_pods_are_not_active():
    assert pods.is_active(pod())
    assert not pods.is_active(pod(deletionTimestamp=ago(1)))
    assert not pods.is_active(pod(phase="Failed"))
    assert pods.is_terminating(pod(deletionTimestamp=ago(1)))


def test_a_pod_from_a_template_does_not_share_it():
    template = {"metadata": {"labels": {"a": "b"}, "finalizers": ["x/y"]}, "spec": {"containers": [{"name": "c"}]}}
    made = pods.from_template(template, {"uid": "u"}, "web-")
    made["spec"]["containers"][0]["name"] = "changed"
    assert template["spec"]["containers"][0]["name"] == "c"
    assert made["metadata"]["generateName"] == "web-"
    assert made["metadata"]["finalizers"] == ["x/y"]
