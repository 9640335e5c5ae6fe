"""What the server fills in of pods and templates."""

from typing import Any

import pytest

from localcluster.apiserver.kinds.pod_defaults import default_pod, default_pod_template, image_tag, qos_class


def pod(container: dict[str, Any] | None = None, **spec: Any) -> dict[str, Any]:
    obj = {"metadata": {}, "spec": {"containers": [{"name": "c", "image": "i", **(container or {})}], **spec}}
    default_pod(obj)
    return obj["spec"]


@pytest.mark.parametrize(
    ("image", "tag"),
    [
        ("i", "latest"),
        ("i:1", "1"),
        ("host:5000/a/b", "latest"),
        ("host:5000/a/b:v1", "v1"),
        ("i@sha256:" + "a" * 64, ""),
        ("i:1@sha256:" + "a" * 64, "1"),
        ("", None),
        (" i", None),
        ("Upper", None),
    ],
)
def test_tags(image: str, tag: str | None) -> None:
    assert image_tag(image) == tag


def test_templates_get_less_than_pods() -> None:
    template = {"spec": {"containers": [{"name": "c", "image": "i:1", "resources": {"limits": {"cpu": "1"}}}]}}
    default_pod_template(template)
    assert template["metadata"] == {}
    assert "enableServiceLinks" not in template["spec"]
    assert template["spec"]["containers"][0]["resources"] == {"limits": {"cpu": "1"}}
    assert pod({"resources": {"limits": {"cpu": "1"}}})["containers"][0]["resources"]["requests"] == {"cpu": "1"}


def test_host_network_shows_host_ports() -> None:
    (port,) = pod({"ports": [{"containerPort": 80}]}, hostNetwork=True)["containers"][0]["ports"]
    assert port == {"containerPort": 80, "hostPort": 80, "protocol": "TCP"}


def test_empty_fields_are_left_out() -> None:
    spec = pod({"command": [], "tty": False, "workingDir": ""}, hostPID=False, nodeSelector={})
    assert not spec.keys() & {"hostPID", "nodeSelector"}
    assert not spec["containers"][0].keys() & {"command", "tty", "workingDir"}


def test_the_old_name_of_the_account_follows_the_new_one() -> None:
    assert pod(serviceAccount="a")["serviceAccountName"] == "a"
    assert pod(serviceAccountName="b", serviceAccount="a")["serviceAccount"] == "b"


def test_a_volume_of_nothing_is_an_empty_folder() -> None:
    assert pod(volumes=[{"name": "v"}])["volumes"] == [{"name": "v", "emptyDir": {}}]


def test_amounts_are_rounded_up() -> None:
    assert pod({"resources": {"requests": {"cpu": "100u"}}})["containers"][0]["resources"]["requests"] == {"cpu": "1m"}


def test_pod_level_requests_follow_containers_then_limits() -> None:
    spec = pod({"resources": {"requests": {"cpu": "1"}}}, resources={"limits": {"cpu": "2", "memory": "1Gi"}})
    assert spec["resources"]["requests"] == {"cpu": "1", "memory": "1Gi"}


@pytest.mark.parametrize(
    ("resources", "quality"),
    [
        ({}, "BestEffort"),
        ({"requests": {"cpu": "1"}}, "Burstable"),
        ({"requests": {"example.com/gpu": "1"}}, "BestEffort"),
        ({"limits": {"cpu": "1", "memory": "1"}, "requests": {"cpu": "1000m", "memory": "1"}}, "Guaranteed"),
        ({"limits": {"cpu": "1", "memory": "1"}, "requests": {"cpu": "500m", "memory": "1"}}, "Burstable"),
    ],
)
def test_quality_of_service(resources: dict[str, Any], quality: str) -> None:
    assert qos_class({"containers": [{"resources": resources}]}) == quality
