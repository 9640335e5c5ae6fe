"""Sizes of a Deployment's ReplicaSets."""

from __future__ import annotations

import pytest

from localcluster.controllers.deployment import scaling
from tests.localcluster.controllers.objects import deployment, replica_set


def sizes(found: scaling.Sizes) -> dict[str, int]:
    return {rs["metadata"]["name"]: size for rs, size in found}


@pytest.mark.parametrize(
    ("replicas", "surge", "unavailable", "expected"),
    [
        (10, "25%", "25%", (3, 2)),
        (1, "25%", "25%", (1, 0)),
        (2, 1, 0, (1, 0)),
        (10, 0, "1%", (0, 1)),
        (3, 0, 5, (0, 3)),
        (0, 1, 1, (1, 0)),
    ],
)
def test_percentages_of_surge_round_up_and_of_unavailability_down(replicas, surge, unavailable, expected):
    assert scaling.bounds(deployment(replicas, surge, unavailable)) == expected


def test_a_recreate_deployment_has_no_surge():
    recreate = deployment(4, strategy={"type": "Recreate"})
    assert scaling.bounds(recreate) == (0, 0)
    assert scaling.new_size(recreate, [replica_set("old", 4)], 0) == 4


@pytest.mark.parametrize(("old", "new", "expected"), [(10, 0, 3), (8, 3, 5), (0, 10, 10), (13, 0, 0), (0, 12, 10)])
def test_the_new_one_grows_into_the_surge(old, new, expected):
    sets = [replica_set("old", old), replica_set("new", new)]
    assert scaling.new_size(deployment(10), sets, new) == expected


def test_old_pods_go_only_as_far_as_availability_allows():
    found = scaling.old_sizes(deployment(10), replica_set("new", 3, 0), [replica_set("old", 10)])
    assert sizes(found) == {"old": 8}


def test_no_old_pod_goes_while_the_new_one_is_not_available_and_none_may_be_missing():
    assert scaling.old_sizes(deployment(1, 1, 0), replica_set("new", 1, 0), [replica_set("old", 1)]) == []
    assert sizes(scaling.old_sizes(deployment(1, 1, 0), replica_set("new", 1), [replica_set("old", 1)])) == {"old": 0}


def test_unhealthy_old_pods_go_first():
    broken, healthy = replica_set("broken", 4, 0, age=50), replica_set("healthy", 8, age=90)
    found = scaling.old_sizes(deployment(10), replica_set("new", 1, 1), [broken, healthy])
    assert sizes(found) == {"broken": 0, "healthy": 7}


def test_scaling_in_the_midst_of_a_rollout_is_proportional():
    annotations = {"deployment.kubernetes.io/max-replicas": "12", "deployment.kubernetes.io/desired-replicas": "10"}
    new = replica_set("new", 4, age=10, annotations=annotations)
    old = replica_set("old", 8, age=90, annotations=annotations)
    grown = deployment(20, 2, 2)
    assert scaling.is_scaling(grown, [old, new])
    assert sizes(scaling.scaled(grown, new, [old])) == {"old": 15, "new": 7}
    shrunk = sizes(scaling.scaled(deployment(5, 2, 2), new, [old]))
    assert sum(shrunk.values()) == 7
    assert shrunk["old"] > shrunk["new"]


def test_the_only_active_one_gets_the_whole_size():
    assert sizes(scaling.scaled(deployment(3), replica_set("new", 1), [replica_set("old", 0)])) == {"new": 3}
    assert sizes(scaling.scaled(deployment(3), None, [replica_set("old", 1)])) == {"old": 3}


def test_when_the_new_one_is_complete_the_old_ones_go():
    annotations = {"deployment.kubernetes.io/desired-replicas": "3"}
    new = replica_set("new", 3, annotations=annotations)
    assert sizes(scaling.scaled(deployment(3), new, [replica_set("old", 1)])) == {"old": 0}
