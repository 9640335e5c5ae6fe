"""What the Deployment of a Function is."""

from __future__ import annotations

from typing import Any

import pytest

from controller.resources.children import make_children
from kubeless.api.config import Config
from kubeless.api.errors import InvalidSpec
from kubeless.api.function import Function
from tests.controller.samples import make_config, make_function

JSON = dict[str, Any]


def deployment(function: Function, config: Config | None = None, selector: dict[str, str] | None = None) -> JSON:
    return make_children(function, config or make_config(), selector).deployment


def pod(function: Function, config: Config | None = None) -> JSON:
    found: JSON = deployment(function, config)["spec"]["template"]["spec"]
    return found


def env(container: JSON) -> dict[str, str]:
    return {entry["name"]: entry.get("value", "") for entry in container["env"]}


def in_container(**fields: Any) -> JSON:
    return in_pod(containers=[fields])


def in_pod(**fields: Any) -> JSON:
    return {"spec": {"template": {"spec": fields}}}


def test_a_plain_function() -> None:
    made = deployment(make_function())
    spec = made["spec"]
    assert made["metadata"]["labels"] == {"created-by": "kubeless", "function": "hello"}
    assert made["metadata"]["ownerReferences"][0]["uid"] == "u1"
    assert spec["selector"] == {"matchLabels": {"created-by": "kubeless", "function": "hello"}}
    assert spec["strategy"] == {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}}
    assert "replicas" not in spec
    (container,) = spec["template"]["spec"]["containers"]
    assert (container["name"], container["image"]) == ("hello", "reg/python:3.11")
    assert env(container) == {
        "FUNC_HANDLER": "run",
        "MOD_NAME": "code",
        "FUNC_TIMEOUT": "180",
        "FUNC_RUNTIME": "python3.11",
        "FUNC_MEMORY_LIMIT": "0",
        "FUNC_PORT": "8080",
        "KUBELESS_INSTALL_VOLUME": "/kubeless",
        "TERMINATION_LOG": "/dev/termination-log",
        "PYTHONUNBUFFERED": "1",
    }


def test_its_pod_is_locked_down() -> None:
    """What the Pod Security Standard `restricted` asks for, and no token."""
    made = pod(make_function(deps="x"))
    assert made["automountServiceAccountToken"] is False
    assert made["securityContext"]["runAsNonRoot"] is True
    assert made["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    for container in [*made["initContainers"], *made["containers"]]:
        context = container["securityContext"]
        assert context["allowPrivilegeEscalation"] is False
        assert context["capabilities"] == {"drop": ["ALL"]}
        assert context["readOnlyRootFilesystem"] is True
        assert "/tmp" in [mount["mountPath"] for mount in container["volumeMounts"]]


def test_a_named_service_account_gets_its_token() -> None:
    made = pod(make_function(deployment=in_pod(serviceAccountName="mine")))
    assert "automountServiceAccountToken" not in made


def test_security_can_be_set_otherwise_field_by_field() -> None:
    made = pod(make_function(deployment=in_pod(securityContext={"runAsUser": 7}, containers=[])))
    assert made["securityContext"]["runAsUser"] == 7
    assert made["securityContext"]["runAsNonRoot"] is True


def test_provisioning() -> None:
    made = pod(
        make_function(deps="x==1", checksum="sha256:" + "A" * 64, function="eA==", function_content_type="base64")
    )
    prepare, install = made["initContainers"]
    assert prepare["image"] == install["image"] == "reg/provision:3.11"
    assert prepare["args"] == [
        *("prepare", "--source", "/src/code.py", "--content-type", "base64", "--file-name", "code.py"),
        *("--target", "/kubeless", "--checksum", "sha256:" + "a" * 64),
        *("--deps", "/src/requirements.txt", "--deps-name", "requirements.txt"),
    ]
    assert install["args"] == ["install", "--requirements", "/kubeless/requirements.txt", "--target", "/kubeless"]
    assert env(install)["KUBELESS_DEPS_FILE"] == "/kubeless/requirements.txt"
    assert made["imagePullSecrets"] == [{"name": "pull"}]


def test_nothing_is_installed_without_dependencies_and_with_the_archives_own_it_is() -> None:
    assert [step["name"] for step in pod(make_function())["initContainers"]] == ["prepare"]
    made = pod(make_function(function="eA==", function_content_type="base64+zip+deps", deps="unused"))
    assert [step["name"] for step in made["initContainers"]] == ["prepare", "install"]


def test_a_compiled_language_with_commands_of_its_own() -> None:
    made = pod(make_function(runtime="old1"))
    prepare, compile_ = made["initContainers"]
    assert "/src/code.old" in prepare["args"]
    assert compile_["command"] == ["sh", "-c", "make it"]
    assert made["containers"][0]["command"] == ["sh", "-c", "run it"]


def test_dependencies_that_no_image_installs_are_refused() -> None:
    with pytest.raises(InvalidSpec, match="installation of old1"):
        deployment(make_function(runtime="old1", deps="x"))


def test_the_functions_own_deployment_is_over_the_configurations_and_under_the_contract() -> None:
    config = make_config(
        deployment=in_pod(
            nodeSelector={"disk": "ssd"},
            containers=[
                {"env": [{"name": "A", "value": "c"}, {"name": "B", "value": "c"}], "imagePullPolicy": "Always"}
            ],
        )
    )
    own = {"env": [{"name": "B", "value": "f"}, {"name": "FUNC_TIMEOUT", "value": "never"}]}
    made = pod(make_function(deployment=in_container(name="whatever", **own)), config)
    assert made["nodeSelector"] == {"disk": "ssd"}
    container = made["containers"][0]
    assert (container["name"], container["imagePullPolicy"]) == ("hello", "Always")
    assert (env(container)["A"], env(container)["B"], env(container)["FUNC_TIMEOUT"]) == ("c", "f", "180")


def test_resources_are_those_of_every_step_so_that_quotas_are_met() -> None:
    resources = {"limits": {"memory": "64Mi"}}
    made = pod(make_function(deployment=in_container(resources=resources)))
    assert [container["resources"] for container in [*made["initContainers"], *made["containers"]]] == [resources] * 2
    assert env(made["containers"][0])["FUNC_MEMORY_LIMIT"] == "64Mi"


def test_volumes_sidecars_and_init_containers_are_kept() -> None:
    own = in_pod(
        volumes=[{"name": "s", "secret": {"secretName": "s"}}],
        containers=[{"volumeMounts": [{"name": "s", "mountPath": "/s"}]}, {"name": "side", "image": "i"}],
        initContainers=[{"name": "first", "image": "i"}],
    )
    made = pod(make_function(deployment=own))
    assert [container["name"] for container in made["containers"]] == ["hello", "side"]
    assert [container["name"] for container in made["initContainers"]] == ["first", "prepare"]
    assert made["volumes"][0]["name"] == "s"
    assert {mount["mountPath"] for mount in made["containers"][0]["volumeMounts"]} == {"/s", "/tmp", "/kubeless"}


def test_a_prebuilt_image_is_left_as_it_is() -> None:
    function = make_function(runtime="cobol85", deployment=in_container(image="me/mine:1"))
    children = make_children(function, make_config())
    made = children.deployment["spec"]["template"]["spec"]
    assert children.revision is None
    assert "initContainers" not in made
    assert [volume["name"] for volume in made["volumes"]] == ["kubeless-tmp"]
    assert env(made["containers"][0])["FUNC_HANDLER"] == "run"


def test_replicas_are_the_autoscalers_where_there_is_one() -> None:
    replicas = {"spec": {"replicas": 3}}
    assert deployment(make_function(deployment=replicas))["spec"]["replicas"] == 3
    scaled = make_function(deployment=replicas, horizontalPodAutoscaler={"spec": {"maxReplicas": 5}})
    assert "replicas" not in deployment(scaled)["spec"]


@pytest.mark.parametrize(
    ("timeout", "drain", "seconds"),
    [("180", None, 188), ("0.5", None, 9), ("10", "20", 35), ("10", "broken", 18), ("10", "inf", 18)],
)
def test_grace_for_calls_in_flight(timeout: str, drain: str | None, seconds: int) -> None:
    own = in_container(env=[{"name": "FUNC_DRAIN_SECONDS", "value": drain}]) if drain else {}
    assert pod(make_function(timeout=timeout, deployment=own))["terminationGracePeriodSeconds"] == seconds


def test_a_probe_of_ones_own_takes_the_place_of_the_default_and_figures_only_adjust_it() -> None:
    own = in_container(livenessProbe={"exec": {"command": ["true"]}}, readinessProbe={"periodSeconds": 1})
    container = pod(make_function(deployment=own))["containers"][0]
    assert "httpGet" not in container["livenessProbe"]
    assert container["readinessProbe"]["httpGet"]["path"] == "/healthz"
    assert container["readinessProbe"]["periodSeconds"] == 1


def test_recreate_is_not_mixed_with_the_default_strategy() -> None:
    made = deployment(make_function(deployment={"spec": {"strategy": {"type": "Recreate"}}}))
    assert made["spec"]["strategy"] == {"type": "Recreate"}


def test_the_selector_of_a_deployment_that_is_there_is_kept() -> None:
    selector = {"created-by": "kubeless", "function": "hello", "team": "a"}
    made = deployment(make_function(), selector=selector)
    assert made["spec"]["selector"]["matchLabels"] == selector
    assert made["spec"]["template"]["metadata"]["labels"]["team"] == "a"


def test_only_what_changes_pods_changes_the_template() -> None:
    def template(**spec: Any) -> str:
        annotations = deployment(make_function(**spec))["spec"]["template"]["metadata"]["annotations"]
        found: str = annotations["kubeless.io/template"]
        return found

    assert template() == template(deployment={"spec": {"replicas": 2}})
    assert len({template(), template(function="other"), template(deps="x"), template(timeout="1")}) == 4
