"""kubeless-config: what it changes, and what a wrong one does not."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
import yaml

from kubeless.cluster.resources import CONFIG_MAPS, DEPLOYMENTS, FUNCTIONS
from tests.controller import controllers
from tests.controller.controllers import Controller
from tests.controller.workspace import CHILDREN, Workspace, make_function

FUNCTIONS_IN_A_PASS = 20
TAKEOVER_SECONDS = 15.0


def config_map(work: Workspace) -> dict[str, str]:
    url = f"{work.cluster.url}{CONFIG_MAPS.path('kubeless', 'kubeless-config')}"
    data: dict[str, str] = work.session.get(url, timeout=10).json()["data"]
    return data


def set_config(work: Workspace, **data: str) -> None:
    kubeless = Workspace(work.cluster, "kubeless")
    kubeless.patch(
        CONFIG_MAPS, {"data": {key.replace("_", "-"): value for key, value in data.items()}}, "kubeless-config"
    )


@pytest.fixture
def config(work: Workspace) -> Iterator[dict[str, str]]:
    """What is in kubeless-config, which is put back in the end."""
    before = config_map(work)
    yield before
    set_config(work, **before)


def count(work: Workspace) -> int:
    return len(work.session.get(f"{work.cluster.url}{FUNCTIONS.path()}", timeout=10).json()["items"])


def test_a_changed_configuration_changes_the_functions_that_it_is_about(
    work: Workspace, controller: Controller, config: dict[str, str]
) -> None:
    work.create(make_function("plain"))
    image = {"spec": {"replicas": 0, "template": {"spec": {"containers": [{"image": "me/mine:1"}]}}}}
    work.create(make_function("prebuilt", deployment=image))
    work.wait_reason("ScaledToZero", "plain")
    work.wait_reason("ScaledToZero", "prebuilt")
    controllers.wait_quiet(controller, count(work))
    before = work.versions()
    catalogue = yaml.safe_load(config["runtime-images"])
    catalogue[0]["versions"][0]["images"][1]["image"] = "somewhere/kubeless-python:new"
    set_config(work, runtime_images=yaml.safe_dump(catalogue))
    work.wait(
        lambda: (
            work.get(DEPLOYMENTS, "plain")["spec"]["template"]["spec"]["containers"][0]["image"]
            == "somewhere/kubeless-python:new"
        )
    )
    controllers.wait_quiet(controller, count(work))
    after = work.versions()
    changed = {key for key in before if before[key] != after.get(key)}
    assert changed == {("Deployment", "plain")}


def test_the_configurations_deployment_is_under_the_functions_own(
    work: Workspace, controller: Controller, config: dict[str, str]
) -> None:
    deployment = {
        "spec": {
            "template": {
                "spec": {
                    "nodeSelector": {"disk": "ssd"},
                    "containers": [{"env": [{"name": "A", "value": "config"}, {"name": "B", "value": "config"}]}],
                }
            }
        }
    }
    set_config(work, deployment=json.dumps(deployment))
    own = {"containers": [{"env": [{"name": "B", "value": "own"}]}]}
    work.create(make_function(deployment={"spec": {"replicas": 0, "template": {"spec": own}}}))

    def merged() -> bool:
        pod = work.get(DEPLOYMENTS)["spec"]["template"]["spec"]
        env = {entry["name"]: entry.get("value") for entry in pod["containers"][0]["env"]}
        return bool((pod.get("nodeSelector"), env.get("A"), env["B"]) == ({"disk": "ssd"}, "config", "own"))

    work.wait(merged)


def test_a_configuration_that_cannot_be_read_changes_nothing_and_is_told(
    work: Workspace, controller: Controller, config: dict[str, str]
) -> None:
    work.create(make_function())
    work.wait_reason("ScaledToZero")
    controllers.wait_quiet(controller, count(work))
    before = work.versions()
    set_config(work, deployment="spec: {replica: 1}")
    kubeless = f"{work.cluster.url}/api/v1/namespaces/kubeless/events"
    event = work.wait(lambda: work.session.get(kubeless, timeout=10).json()["items"])[0]
    assert event["reason"] == "InvalidConfig" and "spec.replica" in event["message"]
    assert work.versions() == before
    # The configuration before goes on being used.
    work.create(make_function("another"))
    work.wait_reason("ScaledToZero", "another")


def test_functions_of_other_namespaces_are_not_served_where_one_is_set(
    work: Workspace, controller: Controller, config: dict[str, str]
) -> None:
    set_config(work, functions_namespace="elsewhere")
    work.wait(lambda: "elsewhere" in config_map(work)["functions-namespace"])
    work.create(make_function())
    assert "elsewhere" in work.wait_reason("NamespaceNotServed")["message"]
    assert not [obj for of in CHILDREN for obj in work.list(of) if obj["metadata"]["name"] == "hello"]
    set_config(work, functions_namespace=work.namespace)
    work.wait_reason("ScaledToZero")
