"""Status of Deployments."""

from __future__ import annotations

from datetime import timedelta

import pytest

from localcluster.controllers import conditions
from localcluster.controllers.deployment import status as statuses
from tests.localcluster.controllers.objects import NOW, deployment, replica_set


def progressing(status):
    return conditions.find(status["conditions"], "Progressing")


def test_counts_leave_zeros_out_and_tell_what_is_not_available():
    status = statuses.counted(deployment(3), replica_set("new", 2, 1), [replica_set("old", 2)], NOW)
    assert status["replicas"] == 4
    assert status["updatedReplicas"] == 2
    assert status["availableReplicas"] == 3
    assert status["unavailableReplicas"] == 1
    none = statuses.counted(deployment(0), replica_set("new", 0), [], NOW)
    assert {"replicas", "updatedReplicas", "readyReplicas"}.isdisjoint(none)


def test_available_when_enough_pods_are():
    enough = statuses.counted(deployment(4), replica_set("new", 4, 3), [], NOW)
    assert conditions.find(enough["conditions"], "Available")["reason"] == "MinimumReplicasAvailable"
    few = statuses.counted(deployment(4), replica_set("new", 4, 2), [], NOW)
    assert conditions.find(few["conditions"], "Available")["reason"] == "MinimumReplicasUnavailable"


def test_a_rollout_goes_from_updated_to_available():
    web = deployment(2)
    first = statuses.rollout(web, replica_set("new", 2, 0), [], NOW)
    assert progressing(first)["reason"] == "ReplicaSetUpdated"
    assert progressing(first)["message"] == 'ReplicaSet "new" is progressing.'
    web["status"] = first
    done = statuses.rollout(web, replica_set("new", 2), [], NOW + timedelta(seconds=5))
    assert progressing(done)["reason"] == "NewReplicaSetAvailable"
    assert progressing(done)["message"] == 'ReplicaSet "new" has successfully progressed.'
    assert progressing(done)["lastTransitionTime"] == progressing(first)["lastTransitionTime"]


def test_without_progress_until_the_deadline_it_has_failed():
    web = deployment(2, progressDeadlineSeconds=60)
    web["status"] = statuses.rollout(web, replica_set("new", 2, 0), [], NOW)
    assert statuses.seconds_to_deadline(web, web["status"], NOW + timedelta(seconds=20)) == 41
    later = NOW + timedelta(seconds=61)
    late = statuses.rollout(web, replica_set("new", 2, 0), [], later)
    assert (progressing(late)["status"], progressing(late)["reason"]) == ("False", "ProgressDeadlineExceeded")
    assert statuses.seconds_to_deadline(web, late, later) is None


def test_nothing_new_changes_nothing():
    web = deployment(2)
    web["status"] = statuses.rollout(web, replica_set("new", 2), [], NOW)
    assert statuses.rollout(web, replica_set("new", 2), [], NOW + timedelta(hours=5)) == web["status"]


def test_without_a_deadline_there_is_no_such_condition():
    web = deployment(2, progressDeadlineSeconds=statuses.NO_DEADLINE)
    assert progressing(statuses.rollout(web, replica_set("new", 2), [], NOW)) is None


def test_why_pods_cannot_be_made_is_told():
    failure = {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": "quota"}
    broken = replica_set("new", 2, 0, conditions=[failure])
    found = conditions.find(statuses.rollout(deployment(2), broken, [], NOW)["conditions"], "ReplicaFailure")
    assert (found["reason"], found["message"]) == ("FailedCreate", "quota")
    web = deployment(2)
    web["status"] = {"conditions": [found]}
    healed = statuses.rollout(web, replica_set("new", 2), [], NOW)
    assert conditions.find(healed["conditions"], "ReplicaFailure") is None


@pytest.mark.parametrize(
    ("paused", "reason", "expected"),
    [
        (True, "NewReplicaSetAvailable", "DeploymentPaused"),
        (True, "DeploymentPaused", None),
        (False, "DeploymentPaused", "DeploymentResumed"),
        (False, "ReplicaSetUpdated", None),
        (True, "ProgressDeadlineExceeded", None),
    ],
)
def test_pause_and_resume_are_told_once(paused, reason, expected):
    web = deployment(2, paused=paused)
    web["status"] = {"conditions": [statuses.condition("Progressing", "True", reason, "", NOW)]}
    word = statuses.paused_condition(web, NOW)
    assert (word["reason"] if word else None) == expected
