"""Nodes that are silent, tainted or gone."""

from __future__ import annotations

import pytest

from localcluster.controllers import nodes, taints
from tests.localcluster.controllers.objects import NOW, meta


def node(ready="True", *, spec=None, **conditions):
    found = [{"type": t, "status": s} for t, s in ({"Ready": ready} | conditions).items() if s]
    return {"metadata": meta("n"), "spec": spec or {}, "status": {"conditions": found}}


def keys(found):
    return [(t["key"].removeprefix("node.kubernetes.io/"), t["effect"]) for t in found]


@pytest.mark.parametrize(
    ("ready", "expected"),
    [
        ("True", []),
        ("False", [("not-ready", "NoSchedule"), ("not-ready", "NoExecute")]),
        ("Unknown", [("unreachable", "NoSchedule"), ("unreachable", "NoExecute")]),
        ("", [("not-ready", "NoSchedule"), ("not-ready", "NoExecute")]),
    ],
)
def test_conditions_become_taints(ready, expected):
    assert keys(nodes.wanted_taints(node(ready), NOW)) == expected


def test_taints_of_others_stay_and_ours_go_when_their_reason_does():
    mine = {"key": "mine", "effect": "NoSchedule"}
    old = {"key": taints.NOT_READY, "effect": "NoSchedule"}
    assert nodes.wanted_taints(node(spec={"taints": [mine, old]}), NOW) == [mine]
    cordoned = node(spec={"taints": [mine], "unschedulable": True}, MemoryPressure="True")
    assert keys(nodes.wanted_taints(cordoned, NOW)) == [
        ("mine", "NoSchedule"),
        ("memory-pressure", "NoSchedule"),
        ("unschedulable", "NoSchedule"),
    ]


def test_taints_settle():
    down = node("Unknown")
    down["spec"]["taints"] = nodes.wanted_taints(down, NOW)
    assert nodes.wanted_taints(down, NOW) == down["spec"]["taints"]


def test_a_silent_node_is_unknown():
    found = nodes.silent_conditions(node("True", DiskPressure="False"), NOW)
    assert {c["type"]: (c["status"], c["reason"]) for c in found} == {
        "Ready": ("Unknown", "NodeStatusUnknown"),
        "DiskPressure": ("Unknown", "NodeStatusUnknown"),
        "MemoryPressure": ("Unknown", "NodeStatusNeverUpdated"),
        "PIDPressure": ("Unknown", "NodeStatusNeverUpdated"),
    }
    silent = {"metadata": meta("n"), "spec": {}, "status": {"conditions": found}}
    assert nodes.silent_conditions(silent, NOW) == found


UNREACHABLE = {"key": taints.UNREACHABLE, "effect": "NoExecute"}


@pytest.mark.parametrize(
    ("tolerations", "seconds"),
    [
        ([], 0),
        ([{"operator": "Exists"}], None),
        ([{"key": taints.UNREACHABLE, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}], 300),
        ([{"key": "other", "operator": "Exists"}], 0),
        ([{"operator": "Exists", "tolerationSeconds": 9}, {"operator": "Exists"}], 9),
    ],
)
def test_how_long_a_pod_may_stay(tolerations, seconds):
    assert taints.eviction_seconds([UNREACHABLE], tolerations) == seconds


def test_tolerations_by_value_and_effect():
    taint = {"key": "k", "value": "v", "effect": "NoSchedule"}
    assert taints.tolerates({"key": "k", "value": "v"}, taint)
    assert not taints.tolerates({"key": "k", "value": "w"}, taint)
    assert not taints.tolerates({"key": "k", "value": "v", "effect": "NoExecute"}, taint)
    assert taints.untolerated([taint], [], ("NoSchedule",)) == taint
    assert taints.untolerated([taint], [], ("NoExecute",)) is None
