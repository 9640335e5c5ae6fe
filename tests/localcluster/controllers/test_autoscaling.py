"""The algorithm of the HorizontalPodAutoscaler."""

from __future__ import annotations

from datetime import timedelta

import pytest

from localcluster.controllers.autoscaling import behavior, calculation
from localcluster.controllers.autoscaling.behavior import History
from localcluster.controllers.autoscaling.calculation import CannotCompute, PodMetric, Tolerances
from tests.localcluster.controllers.objects import NOW, ago, pod

ALLOWED = Tolerances()


def target(count, cpu="100m", **more):
    return [pod(f"p{n}", requests={"cpu": cpu}, **more) for n in range(count)]


def used(*values):
    return {f"p{n}": PodMetric(value, NOW - timedelta(seconds=10)) for n, value in enumerate(values)}


def cpu(members, metrics, percent, current):
    return calculation.by_utilization(members, metrics, percent, current, "cpu", ALLOWED, NOW)


@pytest.mark.parametrize(
    ("values", "percent", "expected"),
    [
        ((100, 100), 50, 4),
        ((50, 50), 50, 2),
        ((54, 54), 50, 2),
        ((56, 56), 50, 3),
        ((20, 20), 50, 1),
        ((0, 0), 50, 0),
    ],
)
def test_utilization_within_tolerance_changes_nothing(values, percent, expected):
    assert cpu(target(2), used(*values), percent, 2).replicas == expected


def test_the_status_shows_utilization_and_average():
    found = cpu(target(2), used(100, 50), 50, 2)
    assert (found.utilization, found.average) == (75, 75)


def test_pods_without_a_metric_damp_both_ways():
    # Two of three use 100 % where 50 % is wanted; with 0 % for the third it is 66 %.
    assert cpu(target(3), used(100, 100), 50, 3).replicas == 4
    # Scaling down, the missing one counts with 100 %.
    assert cpu(target(3), used(20, 20), 50, 3).replicas == 3


def test_pods_that_start_do_not_count_for_scaling_up():
    starting = [*target(2), pod("p2", ready=False, requests={"cpu": "100m"}, status={"startTime": ago(20)})]
    assert cpu(starting, used(100, 100, 900), 50, 3).replicas == 4
    pending = [*target(1), pod("p1", "Pending", None, requests={"cpu": "100m"})]
    assert cpu(pending, used(60), 50, 2).replicas == 2


def test_failed_and_terminating_pods_are_ignored():
    members = [*target(1), pod("p1", "Failed"), pod("p2", deletionTimestamp=ago(1))]
    for member in members[1:]:
        member["spec"]["containers"][0]["resources"] = {"requests": {"cpu": "100m"}}
    assert cpu(members, used(100, 900, 900), 50, 1).replicas == 2


def test_what_keeps_it_from_a_number():
    with pytest.raises(CannotCompute, match="missing request for cpu in container c of Pod p0"):
        cpu([pod("p0")], used(1), 50, 1)
    with pytest.raises(CannotCompute, match="did not receive metrics for targeted pods"):
        cpu([pod("p0", "Pending", None, requests={"cpu": "1"})], used(1), 50, 1)


def test_averages_over_pods():
    members = target(3)
    assert calculation.by_average(members, used(3000, 3000, 3000), 2000, 3, ALLOWED, NOW).replicas == 5
    assert calculation.by_average(members, used(1000, 1000, 1000), 2000, 3, ALLOWED, NOW).replicas == 2


def test_values_of_objects():
    assert calculation.by_value(30_000, 10_000, 2, target(2), ALLOWED).replicas == 6
    assert calculation.by_value(10_500, 10_000, 2, target(2), ALLOWED).replicas == 2
    assert calculation.by_value(25_000, 10_000, 0, [], ALLOWED).replicas == 3
    assert calculation.by_value_per_pod(25_000, 10_000, 1, ALLOWED).replicas == 3
    assert calculation.by_value_per_pod(25_000, 10_000, 0, ALLOWED).replicas == 3
    assert calculation.by_value_per_pod(20_500, 10_000, 2, ALLOWED).average == 10_250


def autoscaler(minimum=1, maximum=100, **rules):
    return {"spec": {"minReplicas": minimum, "maxReplicas": maximum, "behavior": rules}}


def decide(scaler, history, current, proposed, now=1000.0):
    size, words = behavior.decide(scaler, history, current, proposed, now)
    return size, [word.reason for word in words]


def test_growth_is_limited_to_double_or_four():
    assert decide(autoscaler(), History(), 1, 50) == (5, ["ReadyForNewScale", "ScaleUpLimit"])
    assert decide(autoscaler(), History(), 10, 50) == (20, ["ReadyForNewScale", "ScaleUpLimit"])
    grown = History(ups=[(990.0, 10)])
    assert decide(autoscaler(), grown, 20, 50)[0] == 20


def test_the_spec_limits():
    assert decide(autoscaler(maximum=3), History(), 2, 9) == (3, ["ReadyForNewScale", "TooManyReplicas"])
    assert decide(autoscaler(minimum=2), History(), 3, 0) == (2, ["ReadyForNewScale", "TooFewReplicas"])


def test_shrinking_waits_for_the_window():
    recent = History([(800.0, 7), (650.0, 9)])
    assert decide(autoscaler(), recent, 10, 2) == (7, ["ScaleDownStabilized", "DesiredWithinRange"])
    assert decide(autoscaler(), History([(650.0, 9)]), 10, 2)[0] == 2


def test_growing_can_be_stabilised_too():
    rules = autoscaler(scaleUp={"stabilizationWindowSeconds": 60})
    assert decide(rules, History([(950.0, 3)]), 3, 6) == (3, ["ScaleUpStabilized", "DesiredWithinRange"])


def test_policies():
    slow = autoscaler(
        scaleUp={"policies": [{"type": "Pods", "value": 2, "periodSeconds": 60}]},
        scaleDown={
            "stabilizationWindowSeconds": 0,
            "selectPolicy": "Min",
            "policies": [
                {"type": "Pods", "value": 5, "periodSeconds": 60},
                {"type": "Percent", "value": 10, "periodSeconds": 60},
            ],
        },
    )
    assert decide(slow, History(), 10, 50)[0] == 12
    assert decide(slow, History(ups=[(950.0, 1)]), 11, 50)[0] == 12
    assert decide(slow, History(), 20, 1) == (18, ["ReadyForNewScale", "ScaleDownLimit"])
    assert decide(slow, History(downs=[(950.0, 2)]), 18, 1)[0] == 18


def test_disabled_directions():
    fixed = autoscaler(scaleDown={"selectPolicy": "Disabled", "stabilizationWindowSeconds": 0})
    assert decide(fixed, History(), 5, 1)[0] == 5
