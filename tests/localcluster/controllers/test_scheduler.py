"""Which node a pod fits on, and what is said if none."""

from __future__ import annotations

import pytest

from localcluster.controllers.scheduler import filters
from localcluster.controllers.scheduler.filters import NodeState
from tests.localcluster.controllers.objects import meta, pod


def state(name="n", *pods, labels=None, cpu="1", spec=None, ready=True):
    conditions = [{"type": "Ready", "status": "True"}] if ready else []
    status = {"allocatable": {"cpu": cpu, "memory": "1Gi", "pods": "3"}, "conditions": conditions}
    node = {"metadata": meta(name, labels={"zone": name} | (labels or {})), "spec": spec or {}, "status": status}
    return NodeState(node, list(pods))


def refused(a_pod, a_state, *others):
    found = filters.refusal(a_pod, a_state, [a_state, *others])
    return found.reasons if found else None


def test_a_plain_pod_fits():
    assert refused(pod(), state()) is None


@pytest.mark.parametrize(
    ("a_pod", "a_state", "reasons"),
    [
        (pod(), state(spec={"unschedulable": True}), ("node(s) were unschedulable",)),
        (pod(), state(spec={"taints": [{"key": "k", "effect": "NoSchedule"}]}), ("node(s) had untolerated taint(s)",)),
        (pod(), state(ready=False), ("node(s) had untolerated taint(s)",)),
        (
            pod(spec={"nodeSelector": {"disk": "ssd"}}),
            state(),
            ("node(s) didn't match Pod's node affinity/selector",),
        ),
        (pod(requests={"cpu": "2", "memory": "2Gi"}), state(), ("Insufficient cpu", "Insufficient memory")),
        (pod(requests={"cpu": "600m"}), state("n", pod(requests={"cpu": "600m"})), ("Insufficient cpu",)),
        (pod(), state("n", pod(), pod(), pod()), ("Too many pods",)),
    ],
)
def test_why_a_node_does_not_fit(a_pod, a_state, reasons):
    assert refused(a_pod, a_state) == reasons


def test_required_affinity():
    terms = [{"matchExpressions": [{"key": "zone", "operator": "In", "values": ["n"]}]}]
    affinity = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}}
    picky = pod(spec={"affinity": affinity})
    assert refused(picky, state("n")) is None
    assert refused(picky, state("m")) is not None


def spread(name="p"):
    term = {"topologyKey": "zone", "labelSelector": {"matchLabels": {"app": "x"}}}
    affinity = {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}
    return pod(name, labels={"app": "x"}, spec={"affinity": affinity})


def test_pods_that_do_not_want_each_other():
    taken, free = state("n", spread("other")), state("m")
    assert refused(spread(), free, taken) is None
    assert refused(spread(), taken, free) == ("node(s) didn't satisfy existing pods anti-affinity rules",)


def test_the_message():
    taint = filters.Refusal(("node(s) had untolerated taint(s)",))
    full = filters.Refusal(("Insufficient cpu", "Too many pods"), helps=True)
    assert filters.message([full, taint, taint]) == (
        "0/3 nodes are available: 1 Insufficient cpu, 1 Too many pods, 2 node(s) had untolerated taint(s). "
        "no new claims to deallocate, preemption: 0/3 nodes are available: "
        "1 No preemption victims found for incoming pod, 2 Preemption is not helpful for scheduling."
    )
    assert filters.message([]) == "no nodes available to schedule pods"


def test_the_emptier_node_is_better():
    busy, idle = state("busy", pod(requests={"cpu": "500m"})), state("idle")
    assert max([busy, idle], key=lambda s: filters.score(pod(), s)).name == "idle"
