"""The controller in a cluster: its replicas, what it repairs while functions serve, what it says of pods that wait."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from tests.e2e.user import User, make_function, wait_for

GOOD = "def handler(event, context):\n    return 'good'\n"
CONTROLLER = ("deployment", "kubeless-controller", "-n", "kubeless")
TAKEOVER_SECONDS = 15.0


@pytest.fixture
def two_replicas(user: User) -> Iterator[None]:
    before = user.get(*CONTROLLER)["spec"]["replicas"]
    user.kubectl("scale", *CONTROLLER, "--replicas=2")
    user.kubectl("rollout", "status", *CONTROLLER, "--timeout=60s")
    yield
    user.kubectl("scale", *CONTROLLER, f"--replicas={before}")
    user.kubectl("rollout", "status", *CONTROLLER, "--timeout=60s")


def holder(user: User) -> str:
    name: str = user.get("lease", "kubeless-controller", "-n", "kubeless")["spec"]["holderIdentity"]
    return name


@pytest.mark.usefixtures("two_replicas")
def test_another_replica_takes_over(user: User) -> None:
    first = holder(user)
    user.kubectl("delete", "pod", first, "-n", "kubeless", "--grace-period=0", "--force", "--wait=false")
    killed = time.monotonic()
    user.apply(make_function("after", GOOD))
    wait_for(lambda: holder(user) not in ("", first), TAKEOVER_SECONDS, "nobody took over")
    wait_for(lambda: user.condition("after"), TAKEOVER_SECONDS, "the new function is not reconciled")
    assert time.monotonic() - killed < TAKEOVER_SECONDS
    user.wait_ready("after")


def test_a_function_runs_where_only_locked_down_pods_are_admitted(user: User) -> None:
    user.kubectl("label", "namespace", user.namespace, "pod-security.kubernetes.io/enforce=restricted")
    user.apply(make_function("locked", GOOD))
    user.wait_ready("locked")
    assert user.call("locked").text == "good"


def test_what_somebody_edits_or_deletes_is_repaired(user: User) -> None:
    user.apply(make_function("mended", GOOD))
    user.wait_ready("mended")
    user.kubectl("set", "env", "deployment/mended", "FUNC_HANDLER=nothing")
    wait_for(
        lambda: (
            {"name": "FUNC_HANDLER", "value": "handler"}
            in user.get("deployment", "mended")["spec"]["template"]["spec"]["containers"][0]["env"]
        ),
        30,
        "the Deployment is not repaired",
    )
    user.kubectl("delete", "service,configmap,deployment", "mended")
    wait_for(
        lambda: user.try_kubectl("get", "service/mended", "configmap/mended", "deployment/mended").returncode == 0,
        30,
        "what was deleted is not there again",
    )
    user.wait_ready("mended")
    assert user.call("mended").text == "good"


def test_kubectl_scale_is_left_alone(user: User) -> None:
    user.apply(make_function("scaled", GOOD))
    user.wait_ready("scaled")
    user.kubectl("scale", "deployment/scaled", "--replicas=3")
    wait_for(lambda: user.get("function", "scaled")["status"]["readyReplicas"] == 3, 60, "there are no 3 replicas")
    user.kubectl("annotate", "function/scaled", "a=b")
    user.kubectl("rollout", "status", "deployment/scaled", "--timeout=60s")
    assert user.get("deployment", "scaled")["spec"]["replicas"] == 3


def test_a_pod_that_waits_for_a_secret_says_so(user: User) -> None:
    pod = {
        "containers": [{"volumeMounts": [{"name": "s", "mountPath": "/s"}]}],
        "volumes": [{"name": "s", "secret": {"secretName": "not-there"}}],
    }
    user.apply(make_function("waiting", GOOD, deployment={"spec": {"template": {"spec": pod}}}))
    assert "not-there" in user.wait_not_ready("waiting", "ContainerNotCreated")
    user.kubectl("create", "secret", "generic", "not-there", "--from-literal=a=b")
    user.wait_ready("waiting", seconds=180)
