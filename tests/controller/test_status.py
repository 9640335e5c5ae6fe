"""What a Function's status says, by what is seen of its Deployment and its pods."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from controller import status
from controller.reasons import Condition
from controller.status import Verdict
from tests.controller.samples import make_function

JSON = dict[str, Any]

FUNCTION = make_function()
SERVICE = {"spec": {"ports": [{"port": 8080}]}}
NOW = datetime(2024, 5, 1, 12, 0, 0, tzinfo=UTC)


def deployment(*, replicas: int = 1, generation: int = 1, conditions: Any = (), **counts: int) -> JSON:
    """Seen by its controller in this generation, unless `observedGeneration` says otherwise."""
    return {
        "metadata": {"generation": generation},
        "spec": {"replicas": replicas, "template": {"metadata": {"annotations": {"kubeless.io/template": "t"}}}},
        "status": {"observedGeneration": generation, "conditions": list(conditions), **counts},
    }


def pod(name: str = "p", template: str = "t", created: str = "2024-05-01T11:00:00Z", **told: Any) -> JSON:
    return {
        "metadata": {
            "name": name,
            "labels": {"pod-template-hash": template},
            "annotations": {"kubeless.io/template": template},
            "creationTimestamp": created,
        },
        "status": told,
    }


def ended(code: int = 1, message: str = "", reason: str = "Error") -> JSON:
    return {"terminated": {"exitCode": code, "message": message, "reason": reason}}


def waiting(reason: str, message: str = "") -> JSON:
    return {"waiting": {"reason": reason, "message": message}}


def container(name: str, state: JSON, last: JSON | None = None, *, ready: bool = False) -> JSON:
    return {"name": name, "state": state, "lastState": last or {}, "ready": ready, "image": "an/image"}


def ready_of(found: JSON, *pods: JSON, **more: str) -> Verdict:
    return status.deployed(FUNCTION, found, SERVICE, list(pods), **more)[0]


def rolling(**counts: int) -> JSON:
    """A new version is not there yet; of the one before a pod serves."""
    found = deployment()
    found["status"].update({"replicas": 2, "updatedReplicas": 1, "availableReplicas": 1, **counts})
    return found


def starting() -> JSON:
    found = deployment()
    found["status"].update({"replicas": 1, "updatedReplicas": 1, "unavailableReplicas": 1})
    return found


def test_ready_when_only_the_new_version_is_there() -> None:
    found = deployment()
    found["status"].update({"replicas": 1, "updatedReplicas": 1, "availableReplicas": 1})
    verdict = ready_of(found)
    assert (verdict.status, verdict.reason) == ("True", "Ready")
    assert "http://hello.ns.svc:8080" in verdict.message


def test_a_function_that_is_being_scaled_up_stays_ready() -> None:
    found = deployment(replicas=5)
    found["status"].update({"replicas": 5, "updatedReplicas": 5, "availableReplicas": 1})
    assert ready_of(found).status == "True"


def test_scaled_to_zero_is_ready() -> None:
    assert ready_of(deployment(replicas=0)).reason == "ScaledToZero"


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        (deployment(), "Deploying"),
        (starting(), "Deploying"),
        (rolling(), "RollingOut"),
        (rolling(replicas=1, updatedReplicas=1, observedGeneration=0), "RollingOut"),
    ],
)
def test_what_is_under_way_is_unknown(found: JSON, reason: str) -> None:
    verdict = ready_of(found)
    assert (verdict.status, verdict.reason) == ("Unknown", reason)


def test_an_installation_that_takes_long_is_told() -> None:
    at_it = pod(initContainerStatuses=[container("install", {"running": {}})])
    assert ready_of(starting(), at_it).reason == "Provisioning"


INSTALL = container("install", ended(message="ERROR: no match\n\nthe dependencies could not be installed: ERROR"))
PREPARE = container("prepare", waiting("CrashLoopBackOff"), ended(message="the checksum is wrong"))


@pytest.mark.parametrize(
    ("told", "reason", "words"),
    [
        (
            {"initContainerStatuses": [INSTALL]},
            "ProvisioningFailed",
            "the dependencies could not be installed: ERROR\nERROR: no match",
        ),
        (
            {"initContainerStatuses": [PREPARE]},
            "ProvisioningFailed",
            "the source could not be prepared: the checksum is wrong",
        ),
        (
            {"initContainerStatuses": [container("install", ended(137, reason="OOMKilled"))]},
            "OutOfMemory",
            "resources.limits.memory",
        ),
        (
            {"initContainerStatuses": [container("prepare", waiting("ErrImagePull", "no such host"))]},
            "ImageNotPulled",
            "an/image cannot be pulled: no such host",
        ),
        (
            {"containerStatuses": [container("hello", ended(message="Traceback\nNameError: x"))]},
            "HandlerFailed",
            "NameError: x\nTraceback",
        ),
        (
            {"containerStatuses": [container("hello", {"running": {}}, ended(message="it crashed"))]},
            "HandlerFailed",
            "it crashed",
        ),
        (
            {"containerStatuses": [container("hello", ended(3))]},
            "HandlerFailed",
            "kubectl logs deployment/hello -c hello",
        ),
        ({"containerStatuses": [container("hello", ended(139))]}, "HandlerFailed", "by signal 11"),
        ({"containerStatuses": [container("hello", ended(137, reason="OOMKilled"))]}, "OutOfMemory", "memory"),
        (
            {"containerStatuses": [container("hello", waiting("CrashLoopBackOff"), ended(0, reason="Completed"))]},
            "NotHealthy",
            "not healthy",
        ),
        (
            {"containerStatuses": [container("hello", waiting("CreateContainerConfigError", 'secret "s" not found'))]},
            "ContainerNotCreated",
            'secret "s" not found',
        ),
        (
            {"conditions": [{"type": "PodScheduled", "reason": "Unschedulable", "message": "0/1 nodes"}]},
            "Unschedulable",
            "0/1 nodes",
        ),
        ({"reason": "Evicted", "message": "low on memory"}, "Evicted", "low on memory"),
    ],
)
def test_what_keeps_a_pod_from_serving(told: JSON, reason: str, words: str) -> None:
    verdict = ready_of(starting(), pod(**told))
    assert (verdict.status, verdict.reason) == ("False", reason)
    assert words in verdict.message


def test_the_message_says_that_the_version_before_goes_on() -> None:
    verdict = ready_of(rolling(), pod(initContainerStatuses=[INSTALL]))
    assert verdict.message.splitlines()[0].endswith("(the version before goes on serving)")


def test_a_failed_step_is_a_condition_of_its_own() -> None:
    verdicts = {
        v.type: v for v in status.deployed(FUNCTION, starting(), SERVICE, [pod(initContainerStatuses=[PREPARE])])
    }
    assert verdicts[Condition.PROVISIONED].status == "False"
    provisioned = pod(
        conditions=[{"type": "Initialized", "status": "True"}], containerStatuses=[container("hello", ended())]
    )
    verdicts = {v.type: v for v in status.deployed(FUNCTION, starting(), SERVICE, [provisioned])}
    assert verdicts[Condition.PROVISIONED].status == "True"


def test_pods_of_the_version_before_are_not_looked_at() -> None:
    old = pod(template="old", containerStatuses=[container("hello", ended())])
    assert ready_of(rolling(), old).reason == "RollingOut"


def test_pods_that_are_being_deleted_are_not_looked_at() -> None:
    going = pod(containerStatuses=[container("hello", ended())])
    going["metadata"]["deletionTimestamp"] = "2024-05-01T11:00:00Z"
    assert ready_of(starting(), going).reason == "Deploying"


@pytest.mark.parametrize(
    ("message", "reason"),
    [('pods "x" is forbidden: exceeded quota: q', "QuotaExceeded"), ("violates PodSecurity", "PodNotCreated")],
)
def test_pods_that_cannot_be_created(message: str, reason: str) -> None:
    found = deployment(conditions=[{"type": "ReplicaFailure", "status": "True", "message": message}])
    verdict = ready_of(found)
    assert verdict.reason == reason and message in verdict.message


def test_a_rollout_that_takes_too_long() -> None:
    late = {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded", "message": "has timed out"}
    assert ready_of(deployment(conditions=[late])).reason == "ProgressDeadlineExceeded"


def test_a_pod_that_waits_is_asked_for_and_what_events_say_is_told() -> None:
    waits = pod(containerStatuses=[container("hello", waiting("ContainerCreating"))])
    assert status.waiting_pod(starting(), [waits]) == waits
    runs = pod(initContainerStatuses=[container("prepare", {"running": {}})])
    assert status.waiting_pod(starting(), [runs]) is None
    verdict = ready_of(starting(), waits, hindrance='secret "s" not found')
    assert verdict.reason == "ContainerNotCreated" and 'secret "s" not found' in verdict.message


def test_after_a_restart_of_the_rollout_the_newest_replica_set_counts() -> None:
    old = pod("a", containerStatuses=[container("hello", ended())])
    new = pod("b", created="2024-05-01T11:30:00Z")
    new["metadata"]["labels"]["pod-template-hash"] = "restarted"
    assert status.current_pods(starting(), [old, new]) == [new]


# ---- the whole of it


def obj(status_: JSON | None = None) -> JSON:
    return {"metadata": {"generation": 2}, "status": status_ or {}}


def test_the_status_is_about_a_generation_and_keeps_times_of_what_did_not_change() -> None:
    verdicts = [Verdict(Condition.READY, "True", "Ready", "m"), Verdict(Condition.ACCEPTED, "True", "Accepted", "")]
    first = status.make_status(obj(), verdicts, {"status": {"replicas": 2, "readyReplicas": 1}}, "python3.11", NOW)
    assert (first["observedGeneration"], first["replicas"], first["readyReplicas"]) == (2, 2, 1)
    assert first["runtime"] == "python3.11"
    later = datetime(2024, 5, 2, tzinfo=UTC)
    again = status.make_status(obj(first), verdicts, {"status": {"replicas": 2, "readyReplicas": 1}}, None, later)
    assert again == first


def test_a_refused_spec_says_what_goes_on() -> None:
    serving = {"status": {"availableReplicas": 1}}
    ready, accepted = status.refused(Condition.ACCEPTED, "InvalidHandler", "no dot", serving)
    assert ready.message == accepted.message == "no dot (the version before goes on serving)"
    ready, accepted, deployed = status.refused(Condition.DEPLOYED, "NameConflict", "taken", None)
    assert (ready.status, accepted.status, deployed.status) == ("False", "True", "False")
    assert ready.message == "taken"


def change(reason: str, state: str, message: str = "m") -> JSON:
    return {"conditions": [{"type": "Ready", "status": state, "reason": reason, "message": message}]}


def test_what_is_news() -> None:
    failed, ready = change("HandlerFailed", "False"), change("Ready", "True")
    assert status.news(obj(), failed) == [("Warning", "HandlerFailed", "m")]
    assert status.news(obj(failed), failed) == []
    assert status.news(obj(failed), change("HandlerFailed", "False", "other")) == [
        ("Warning", "HandlerFailed", "other")
    ]
    assert status.news(obj(failed), ready) == [("Normal", "Ready", "m")]
    assert status.news(obj(ready), change("Ready", "True", "other")) == []
    assert status.news(obj(), change("Deploying", "Unknown")) == []
