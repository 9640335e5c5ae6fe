"""Pod statuses made from the states of containers."""

from typing import Any

import pytest

from localcluster.node.pods import status_patch
from localcluster.node.status import ContainerState, PodFacts, pod_phase, pod_status, qos_class, waiting

RUNNING = {"running": {"startedAt": "2026-01-01T00:00:00Z"}}


def ended(code: int) -> dict[str, Any]:
    return {"terminated": {"exitCode": code}}


@pytest.mark.parametrize(
    ("policy", "states", "phase"),
    [
        ("Always", [RUNNING, RUNNING], "Running"),
        ("Always", [waiting("ContainerCreating"), RUNNING], "Pending"),
        ("Always", [ended(0), ended(0)], "Running"),
        ("Never", [ended(0), RUNNING], "Running"),
        ("Never", [ended(0), ended(0)], "Succeeded"),
        ("Never", [ended(0), ended(2)], "Failed"),
        ("OnFailure", [ended(0), ended(0)], "Succeeded"),
        ("OnFailure", [ended(0), ended(2)], "Running"),
    ],
)
def test_phases(policy: str, states: list[dict], phase: str) -> None:
    spec = {"restartPolicy": policy}
    assert pod_phase(spec, [], [ContainerState(str(n), s) for n, s in enumerate(states)], True) == phase


def test_a_failed_init_container_fails_a_pod_that_never_restarts() -> None:
    init = [ContainerState("i", ended(1))]
    main = [ContainerState("c", waiting("PodInitializing"))]
    for policy, phase in (("Never", "Failed"), ("Always", "Pending")):
        spec = {"restartPolicy": policy, "initContainers": [{"name": "i"}]}
        assert pod_phase(spec, init, main, False) == phase


def test_conditions_keep_their_transition_times() -> None:
    pod = {"metadata": {"generation": 3}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
    facts = PodFacts("127.9.0.1", "127.0.0.1", "2026-01-01T00:00:00Z", True, True)
    previous = {
        "Ready": {"type": "Ready", "status": "False", "lastTransitionTime": "2020-01-01T00:00:00Z"},
        "Initialized": {"type": "Initialized", "status": "True", "lastTransitionTime": "2020-01-01T00:00:00Z"},
    }
    state = ContainerState("c", RUNNING, ready=True, started=True, container_id="process://1")
    status = pod_status(pod, facts, [], [state], previous)
    conditions = {c["type"]: c for c in status["conditions"]}
    assert [c["type"] for c in status["conditions"]] == [
        "PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled",
    ]  # fmt: skip
    assert {c["status"] for c in conditions.values()} == {"True"}
    assert conditions["Initialized"]["lastTransitionTime"] == "2020-01-01T00:00:00Z"
    assert conditions["Ready"]["lastTransitionTime"] > "2020-01-01T00:00:00Z"
    assert status["phase"] == "Running"
    assert status["observedGeneration"] == 3
    assert status["containerStatuses"][0]["started"] is True


def test_unready_containers_and_gates_are_named() -> None:
    gate = {"conditionType": "example.org/gate"}
    pod = {"metadata": {}, "spec": {"containers": [{"name": "c", "image": "i"}], "readinessGates": [gate]}}
    facts = PodFacts("", "127.0.0.1", "2026-01-01T00:00:00Z", True, True)
    for ready, message in (
        (False, "containers with unready status: [c]"),
        (True, 'corresponding condition of pod readiness gate "example.org/gate" does not exist.'),
    ):
        status = pod_status(pod, facts, [], [ContainerState("c", RUNNING, ready=ready)], {})
        found = next(c for c in status["conditions"] if c["type"] == "Ready")
        assert (found["status"], found["message"]) == ("False", message)


@pytest.mark.parametrize(
    ("resources", "expected"),
    [
        ({}, "BestEffort"),
        ({"requests": {"cpu": "1"}}, "Burstable"),
        ({"limits": {"cpu": "1", "memory": "1Mi"}}, "Guaranteed"),
        ({"limits": {"cpu": "1", "memory": "1Mi"}, "requests": {"cpu": "500m"}}, "Burstable"),
    ],
)
def test_qos(resources: dict, expected: str) -> None:
    assert qos_class({"containers": [{"resources": resources}]}) == expected


def test_a_status_patch_has_only_what_changed() -> None:
    ready = {"type": "Ready", "status": "False", "reason": "ContainersNotReady", "lastTransitionTime": "t"}
    theirs = {"type": "example.org/gate", "status": "True"}
    told = {"phase": "Running", "reason": "x", "conditions": [ready, theirs], "podIP": "1"}
    now = {
        "phase": "Running",
        "podIP": "1",
        "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": "u"}],
    }
    assert status_patch(told, now) == {
        "reason": None,
        "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": "u", "reason": None}],
    }
    assert status_patch(now, now) == {}
