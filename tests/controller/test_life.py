"""The controller's life: passes that write nothing, the election, and what is so after it was killed."""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest

from kubeless.cluster.resources import CONFIG_MAPS, DEPLOYMENTS, FUNCTIONS, SERVICES
from tests.controller import controllers
from tests.controller.controllers import WRITES
from tests.controller.workspace import SOURCE, Workspace, make_function
from tests.localcluster.clusters import Cluster, eventually

FUNCTIONS_IN_A_PASS = 20
TAKEOVER_SECONDS = 15.0


def count(work: Workspace) -> int:
    return len(work.session.get(f"{work.cluster.url}{FUNCTIONS.path()}", timeout=10).json()["items"])


# ---- passes


def test_a_second_pass_over_unchanged_functions_writes_nothing(work: Workspace, tmp_path: Path) -> None:
    bare = {
        "spec": {"replicas": 0, "template": {"metadata": {"creationTimestamp": None}, "spec": {"containers": [{}]}}}
    }
    specs = [
        {},
        {"deps": "Markdown==3.7\n"},
        {"service": {"clusterIP": "None", "ports": [{"port": 9000, "targetPort": 9000, "nodePort": 0}]}},
        {"service": {"type": "NodePort", "sessionAffinity": "", "ports": [{"port": 80, "targetPort": "http"}]}},
        {"deployment": bare},
        {
            "deployment": {
                "spec": {
                    "replicas": 0,
                    "template": {
                        "spec": {
                            "containers": [
                                {
                                    "name": "",
                                    "resources": {"limits": {"memory": "0.5Gi", "cpu": "1500m"}},
                                    "env": [{"name": "EMPTY", "value": ""}],
                                }
                            ]
                        }
                    },
                }
            }
        },
        {
            "horizontalPodAutoscaler": {
                "spec": {
                    "maxReplicas": 2,
                    "metrics": [{"type": "Resource", "resource": {"name": "memory", "targetAverageValue": "0.5Gi"}}],
                }
            }
        },
        {"runtime": "python3.6"},
        {"runtime": "cobol85"},
        {"timeout": "2.5"},
    ]
    with controllers.running(work.cluster, tmp_path) as controller:
        for number in range(FUNCTIONS_IN_A_PASS):
            work.create(make_function(f"f{number}", **specs[number % len(specs)]))
        controllers.wait_quiet(controller, count(work))
        for number in range(len(specs)):
            eventually(lambda number=number: work.ready(f"f{number}"), 10)
    before = work.versions()
    with controllers.running(work.cluster, tmp_path, "again") as controller:
        controllers.wait_quiet(controller, count(work))
        sent = controller.requests()
    assert {method: sent.get(method, 0) for method in WRITES if method != "PUT"} == {"POST": 0, "PATCH": 0, "DELETE": 0}
    assert work.versions() == before


def test_a_function_costs_few_requests(work: Workspace, tmp_path: Path) -> None:
    with controllers.running(work.cluster, tmp_path) as controller:
        controllers.wait_quiet(controller, count(work))
        before = controller.requests()
        for number in range(FUNCTIONS_IN_A_PASS):
            work.create(make_function(f"f{number}"))
        controllers.wait_quiet(controller, count(work))
        sent = controller.requests()
    # To see that nobody has its names: 3. To write it: 4. To report: 1.
    for method, most in (("GET", 3), ("POST", 1), ("PATCH", 4)):
        assert sent[method] - before.get(method, 0) <= most * FUNCTIONS_IN_A_PASS


# ---- its life


@pytest.mark.timeout(90)
def test_another_replica_takes_over_when_the_first_is_killed(work: Workspace, tmp_path: Path) -> None:
    first = controllers.start(work.cluster, tmp_path, "first")
    first.wait_leading()
    second = controllers.start(work.cluster, tmp_path, "second")
    try:
        time.sleep(1)
        assert second.metrics()["kubeless_controller_leading"] == 0
        first.kill()
        killed = time.monotonic()
        work.create(make_function())
        work.wait_reason("ScaledToZero", seconds=30)
        assert time.monotonic() - killed < TAKEOVER_SECONDS
        assert second.metrics()["kubeless_controller_leading"] == 1
    finally:
        second.stop()


def test_a_replica_that_is_told_to_stop_hands_over_at_once(work: Workspace, tmp_path: Path) -> None:
    first = controllers.start(work.cluster, tmp_path, "first")
    first.wait_leading()
    second = controllers.start(work.cluster, tmp_path, "second")
    try:
        started = time.monotonic()
        first.stop()
        assert time.monotonic() - started < 5
        second.wait_leading(5)
    finally:
        second.stop()


@pytest.mark.timeout(120)
def test_a_controller_that_is_killed_again_and_again_leaves_nothing_half_made(work: Workspace, tmp_path: Path) -> None:
    moments = random.Random(3)
    names = [f"f{number}" for number in range(5)]
    for name in names:
        work.create(make_function(name))
    for round_number in range(6):
        controller = controllers.start(work.cluster, tmp_path)
        source = f"{SOURCE}# {round_number}\n"
        for name in names:
            work.patch(FUNCTIONS, {"spec": {"function": source, "timeout": str(round_number + 1)}}, name)
        time.sleep(moments.uniform(0, 1))
        controller.kill()
    with controllers.running(work.cluster, tmp_path) as controller:
        for name in names:
            work.wait_reason("ScaledToZero", name)
        controllers.wait_quiet(controller, count(work))
        for name in names:
            assert work.get(CONFIG_MAPS, name)["data"]["code.py"] == source
            pod = work.get(DEPLOYMENTS, name)["spec"]["template"]["spec"]
            assert pod["terminationGracePeriodSeconds"] == round_number + 1 + 8
            mounted = pod["volumes"][-1]["configMap"]["name"]
            assert work.get(CONFIG_MAPS, mounted)["data"]["code.py"] == source
            assert work.get(SERVICES, name)
            own = [obj for obj in work.list(CONFIG_MAPS) if obj["metadata"]["name"].startswith(f"{name}-")]
            assert [obj["metadata"]["name"] for obj in own] == [mounted]


def test_a_controller_without_a_configuration_says_so(control_plane: Cluster, work: Workspace, tmp_path: Path) -> None:
    kubeless = Workspace(control_plane, "kubeless")
    saved = kubeless.get(CONFIG_MAPS, "kubeless-config")
    work.create(make_function("old"))
    with controllers.running(control_plane, tmp_path):
        work.wait_reason("ScaledToZero", "old")
    kubeless.delete(CONFIG_MAPS, "kubeless-config")
    try:
        with controllers.running(control_plane, tmp_path):
            work.create(make_function("new"))
            assert "kubeless-config" in work.wait_reason("InvalidConfig", "new")["message"]
            # What was served before is as it was.
            assert work.ready("old")["reason"] == "ScaledToZero"
            kubeless.create({**saved, "metadata": {"name": "kubeless-config"}})
            work.wait_reason("ScaledToZero", "new")
    finally:
        controllers.install(control_plane)
