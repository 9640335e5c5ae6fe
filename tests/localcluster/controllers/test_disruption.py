"""How many pods a PodDisruptionBudget lets go."""

from __future__ import annotations

import pytest

from localcluster.controllers import disruption
from tests.localcluster.controllers.objects import NOW, ago, meta, pod


def budget(status=None, **spec):
    return {"metadata": meta("b"), "spec": spec, "status": status or {}}


@pytest.mark.parametrize(
    ("spec", "healthy", "expected", "allowed"),
    [
        ({"minAvailable": 2}, 2, 2, 0),
        ({"minAvailable": 2}, 3, 3, 1),
        ({"minAvailable": "50%"}, 3, 3, 1),
        ({"maxUnavailable": 1}, 3, 3, 1),
        ({"maxUnavailable": "30%"}, 4, 4, 2),
        ({"maxUnavailable": 1}, 2, 4, 0),
    ],
)
def test_allowed_disruptions(spec, healthy, expected, allowed):
    status = disruption.status_of(budget(**spec), [pod(str(n)) for n in range(healthy)], expected, NOW)
    assert status["disruptionsAllowed"] == allowed
    assert status["conditions"][0]["reason"] == ("SufficientPods" if allowed else "InsufficientPods")


def test_evicted_pods_count_until_their_deletion_is_seen():
    evicted = budget({"disruptedPods": {"a": ago(10), "b": ago(300), "gone": ago(1)}}, minAvailable=1)
    status = disruption.status_of(evicted, [pod("a"), pod("b")], 2, NOW)
    assert status["disruptedPods"] == {"a": ago(10)}
    assert status["currentHealthy"] == 1


def test_the_status_settles():
    one = budget(minAvailable=1)
    one["status"] = disruption.status_of(one, [pod()], 1, NOW)
    assert disruption.status_of(one, [pod()], 1, NOW) == one["status"]
