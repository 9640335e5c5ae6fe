"""STATUS, READY and RESTARTS of pods."""

from datetime import UTC, datetime
from typing import Any

import pytest

from localcluster.apiserver.tables.pods import pod_row, pod_row_conditions

NOW = datetime(2026, 1, 1, 0, 10, tzinfo=UTC)


def pod(status: dict[str, Any], **spec: Any) -> dict[str, Any]:
    containers = [{"name": name, "image": "i"} for name in ("c", "d")]
    meta = {"name": "p", "creationTimestamp": "2026-01-01T00:00:00Z"}
    return {"metadata": meta, "spec": {"containers": containers, **spec}, "status": status}


def state(restarts: int = 0, ready: bool = False, **kind: Any) -> dict[str, Any]:
    return {"name": "c", "ready": ready, "restartCount": restarts, "state": kind}


INIT = {"initContainers": [{"name": "one"}, {"name": "two"}]}


@pytest.mark.parametrize(
    ("status", "spec", "cells"),
    [
        ({"phase": "Pending"}, {}, ["0/2", "Pending", "0"]),
        ({"phase": "Failed", "reason": "Evicted"}, {}, ["0/2", "Evicted", "0"]),
        (
            {"phase": "Running", "containerStatuses": [state(2, True, running={}), state(1, running={})]},
            {},
            ["1/2", "Running", "3"],
        ),
        (
            {"phase": "Running", "containerStatuses": [state(waiting={"reason": "CrashLoopBackOff"})]},
            {},
            ["0/2", "CrashLoopBackOff", "0"],
        ),
        (
            {
                "phase": "Failed",
                "containerStatuses": [
                    state(terminated={"exitCode": 0, "reason": "Completed"}),
                    state(terminated={"exitCode": 3}),
                ],
            },
            {},
            ["0/2", "ExitCode:3", "0"],
        ),
        (
            {"phase": "Failed", "containerStatuses": [state(terminated={"exitCode": 137, "signal": 9})]},
            {},
            ["0/2", "Signal:9", "0"],
        ),
        (
            {
                "phase": "Running",
                "conditions": [{"type": "Ready", "status": "False"}],
                "containerStatuses": [
                    state(terminated={"exitCode": 0, "reason": "Completed"}),
                    state(ready=True, running={}),
                ],
            },
            {},
            ["1/2", "NotReady", "0"],
        ),
        (
            {
                "phase": "Pending",
                "initContainerStatuses": [state(terminated={"exitCode": 0}), state(running={})],
            },
            INIT,
            ["0/2", "Init:1/2", "0"],
        ),
        (
            {"phase": "Pending", "initContainerStatuses": [state(4, waiting={"reason": "CrashLoopBackOff"})]},
            INIT,
            ["0/2", "Init:CrashLoopBackOff", "4"],
        ),
        (
            {"phase": "Pending", "initContainerStatuses": [state(terminated={"exitCode": 2})]},
            INIT,
            ["0/2", "Init:ExitCode:2", "0"],
        ),
        (
            {"phase": "Pending", "conditions": [{"type": "PodScheduled", "reason": "SchedulingGated"}]},
            {},
            ["0/2", "SchedulingGated", "0"],
        ),
    ],
)
def test_status_and_restarts(status: dict[str, Any], spec: dict[str, Any], cells: list[str]) -> None:
    assert pod_row(pod(status, **spec), NOW)[1:4] == cells


def test_the_last_restart_is_told() -> None:
    status = state(2, True, running={}) | {"lastState": {"terminated": {"finishedAt": "2026-01-01T00:05:00Z"}}}
    assert pod_row(pod({"phase": "Running", "containerStatuses": [status]}), NOW)[3] == "2 (5m ago)"


def test_sidecars_count_as_containers() -> None:
    sidecar = {"name": "c", "restartPolicy": "Always"}
    status = {"phase": "Running", "initContainerStatuses": [state(1, True, running={}) | {"started": True}]}
    assert pod_row(pod(status, initContainers=[sidecar]), NOW)[1:4] == ["1/3", "Running", "1"]


def test_a_deleted_pod_is_terminating_unless_it_has_ended() -> None:
    running, ended = pod({"phase": "Running"}), pod({"phase": "Succeeded"})
    for each in (running, ended):
        each["metadata"]["deletionTimestamp"] = "2026-01-01T00:09:00Z"
    assert pod_row(running, NOW)[2] == "Terminating"
    assert pod_row(ended, NOW)[2] == "Succeeded"


def test_wide_cells() -> None:
    status = {
        "phase": "Running",
        "podIPs": [{"ip": "10.0.0.1"}],
        "conditions": [{"type": "g/a", "status": "True"}],
    }
    gates = [{"conditionType": "g/a"}, {"conditionType": "g/b"}]
    found = pod_row(pod(status, nodeName="n", readinessGates=gates), NOW)
    assert found[4:] == ["10m", "10.0.0.1", "n", "<none>", "1/2"]


def test_rows_of_ended_pods_say_so() -> None:
    assert pod_row_conditions(pod({"phase": "Running"})) == []
    assert pod_row_conditions(pod({"phase": "Failed"}))[0]["message"] == "The pod failed."
