"""ConfigMaps, the Service and the autoscaler of a Function."""

from __future__ import annotations

from typing import Any

import pytest

from controller.resources.children import make_children
from controller.resources.service import container_port, make_service
from kubeless.api.errors import InvalidSpec
from tests.controller.samples import make_config, make_function

JSON = dict[str, Any]


def test_the_config_map_has_the_contracts_keys() -> None:
    children = make_children(make_function(deps="x"), make_config())
    assert children.config_map["data"] == {
        "handler": "code.run",
        "code.py": "def run(e, c): ...",
        "requirements.txt": "x",
    }


def test_pods_mount_a_config_map_that_is_named_by_its_content() -> None:
    first, same, other = (
        make_children(make_function(timeout=timeout, function=source), make_config())
        for timeout, source in (("1", "a"), ("2", "a"), ("1", "b"))
    )
    assert first.revision is not None and same.revision is not None and other.revision is not None
    assert first.revision["immutable"] is True
    assert first.revision["metadata"]["name"] == same.revision["metadata"]["name"] != other.revision["metadata"]["name"]
    volumes = first.deployment["spec"]["template"]["spec"]["volumes"]
    assert {"name": "kubeless-source", "configMap": {"name": first.revision["metadata"]["name"]}} in volumes


def test_labels_of_the_function_are_its_childrens() -> None:
    children = make_children(make_function({"labels": {"team": "a", "function": "wrong"}}), make_config())
    for child in children.applied:
        assert child["metadata"]["labels"] == {"team": "a", "created-by": "kubeless", "function": "hello"}


def test_a_service_by_default() -> None:
    assert make_service(make_function(), make_config())["spec"] == {
        "type": "ClusterIP",
        "ports": [{"name": "http-function-port", "port": 8080, "targetPort": 8080, "protocol": "TCP"}],
        "selector": {"created-by": "kubeless", "function": "hello"},
    }


def test_the_type_is_the_configurations_unless_the_function_has_one_or_is_headless() -> None:
    config = make_config(service_type="NodePort")
    assert make_service(make_function(), config)["spec"]["type"] == "NodePort"
    assert make_service(make_function(service={"type": "LoadBalancer"}), config)["spec"]["type"] == "LoadBalancer"
    headless = make_service(make_function(service={"clusterIP": "None"}), config)["spec"]
    assert headless["clusterIP"] == "None" and "type" not in headless


def test_zero_values_of_old_tools_are_left_out() -> None:
    spec = {
        "clusterIP": "",
        "sessionAffinity": "",
        "ports": [{"name": "p", "port": 80, "nodePort": 0, "targetPort": 81}],
    }
    made = make_service(make_function(service=spec), make_config())["spec"]
    assert made["ports"] == [{"name": "p", "port": 80, "targetPort": 81, "protocol": "TCP"}]
    assert "clusterIP" not in made and "sessionAffinity" not in made


@pytest.mark.parametrize(
    ("port", "expected"),
    [
        ({"port": 80}, {"containerPort": 80, "protocol": "TCP"}),
        ({"port": 80, "targetPort": 9000}, {"containerPort": 9000, "protocol": "TCP"}),
        ({"port": 80, "targetPort": "9000"}, {"containerPort": 9000, "protocol": "TCP"}),
        ({"port": 80, "targetPort": "http"}, {"containerPort": 8080, "name": "http", "protocol": "TCP"}),
    ],
)
def test_the_container_listens_where_the_service_looks(port: JSON, expected: JSON) -> None:
    function = make_function(service={"ports": [port]})
    assert container_port(function) == expected
    made = make_children(function, make_config()).deployment["spec"]["template"]["spec"]["containers"][0]
    assert {"name": "FUNC_PORT", "value": str(expected["containerPort"])} in made["env"]
    assert made["readinessProbe"]["httpGet"]["port"] == expected["containerPort"]


@pytest.mark.parametrize(
    ("ports", "words"),
    [("8080", "must be a list"), ([8080], "must be a list"), ([{"port": 1}, {"port": 1}], r"the port 1 \(TCP\) twice")],
)
def test_ports_that_cannot_be(ports: Any, words: str) -> None:
    with pytest.raises(InvalidSpec, match=words):
        make_service(make_function(service={"ports": ports}), make_config())


def test_an_autoscaler_scales_the_functions_deployment_whatever_it_says() -> None:
    autoscaler = {
        "apiVersion": "autoscaling/v2beta1",
        "metadata": {"name": "other", "labels": {"a": "b"}},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1beta1", "kind": "Deployment", "name": "other"},
            "maxReplicas": 3,
            "metrics": [{"type": "Resource", "resource": {"name": "cpu", "targetAverageUtilization": 70}}],
        },
    }
    made = make_children(make_function(horizontalPodAutoscaler=autoscaler), make_config()).autoscaler
    assert made is not None
    assert (made["apiVersion"], made["metadata"]["name"]) == ("autoscaling/v2", "hello")
    assert made["spec"]["scaleTargetRef"] == {"apiVersion": "apps/v1", "kind": "Deployment", "name": "hello"}


def test_there_is_none_without_one_or_for_the_empty_one_of_kubeless() -> None:
    assert make_children(make_function(), make_config()).autoscaler is None
    empty = {"metadata": {"creationTimestamp": None}, "spec": {"maxReplicas": 0, "scaleTargetRef": {}}, "status": {}}
    assert make_children(make_function(horizontalPodAutoscaler=empty), make_config()).autoscaler is None
