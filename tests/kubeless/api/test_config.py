"""kubeless-config: its keys, the catalogue, and which runtime serves a name."""

from __future__ import annotations

import json
from typing import Any

import pytest

from kubeless.api import InvalidSpec, Reason
from kubeless.api.config import Config, location, parse

OLD_CATALOGUE = [
    {
        "ID": "python",
        "compiled": False,
        "depName": "requirements.txt",
        "fileNameSuffix": ".py",
        "livenessProbeInfo": {"exec": {"command": ["curl", "-f", "http://localhost:8080/healthz"]}},
        "versions": [
            {
                "name": "python37",
                "version": "3.7",
                "imagePullSecrets": [{"imageSecret": "pull"}],
                "images": [
                    {
                        "phase": "installation",
                        "image": "python:3.7",
                        "command": "pip install --prefix=$KUBELESS_INSTALL_VOLUME -r $KUBELESS_DEPS_FILE",
                    },
                    {"phase": "runtime", "image": "kubeless/python@sha256:12", "env": {"PYTHONPATH": "/kubeless/lib"}},
                ],
            }
        ],
    }
]


def versions(*numbers: str, language: str = "python") -> dict[str, Any]:
    return {
        "ID": language,
        "depName": "requirements.txt",
        "fileNameSuffix": ".py",
        "versions": [
            {
                "name": number,
                "version": number,
                "images": [{"phase": "runtime", "image": f"kubeless-{language}:{number}"}],
            }
            for number in numbers
        ],
    }


def config(**data: Any) -> Config:
    keys = {
        name.replace("_", "-"): value if isinstance(value, str) else json.dumps(value) for name, value in data.items()
    }
    return parse({"data": keys})


def test_an_empty_configuration_has_defaults() -> None:
    assert parse({}) == Config()


def test_settings() -> None:
    found = config(
        service_type="NodePort",
        ingress_enabled="true",
        functions_namespace="demo",
        provision_image="kubeless-provision:3.12",
        provision_image_secret="pull",
        image_registry="registry.example.com/team/",
    )
    assert (found.service_type, found.ingress_enabled, found.functions_namespace) == ("NodePort", True, "demo")
    assert found.provision_image == "registry.example.com/team/kubeless-provision:3.12"
    assert found.provision_image_secret == "pull"


def test_an_old_catalogue_is_read() -> None:
    runtime = config(runtime_images=OLD_CATALOGUE, image_registry="elsewhere").runtime("python3.7").runtime
    assert (runtime.language, runtime.version, runtime.dependency_file, runtime.suffix) == (
        "python",
        "3.7",
        "requirements.txt",
        ".py",
    )
    assert runtime.installation is not None
    assert runtime.installation.command[:2] == ("sh", "-c")
    assert runtime.installation.image == "elsewhere/python:3.7"
    assert runtime.runtime.image == "kubeless/python@sha256:12", "it says itself where it is"
    assert runtime.runtime.env == {"PYTHONPATH": "/kubeless/lib"}
    assert runtime.image_pull_secrets == ("pull",)
    assert runtime.liveness_probe["exec"]["command"][0] == "curl"


def test_a_catalogue_may_be_json_with_tabs_or_yaml() -> None:
    text = json.dumps([versions("3.11")], indent="\t")
    assert config(runtime_images=text) == config(runtime_images=[versions("3.11")])


@pytest.mark.parametrize(
    ("asked", "served"),
    [("python3.11", "python3.11"), ("python3.6", "python3.11"), ("python3.12", "python3.13"), ("nodejs12", "nodejs20")],
)
def test_an_old_version_is_served_by_the_nearest(asked: str, served: str) -> None:
    found = config(runtime_images=[versions("3.13", "3.11"), versions("22", "20", language="nodejs")]).runtime(asked)
    assert found.runtime.name == served
    if asked == served:
        assert found.notice == ""
    else:
        assert f"runtime: {served}" in found.notice


@pytest.mark.parametrize(
    ("asked", "reason", "words"),
    [
        ("python2.7", Reason.UNSUPPORTED_RUNTIME, "set runtime: python3.13"),
        ("python2", Reason.UNSUPPORTED_RUNTIME, "Python 2"),
        ("nodejs12", Reason.UNSUPPORTED_RUNTIME, "nodejs is not shipped yet"),
        ("java11", Reason.UNSUPPORTED_RUNTIME, "java is not shipped yet"),
        ("python3.99", Reason.UNKNOWN_RUNTIME, "python3.11, python3.13"),
        ("python", Reason.UNKNOWN_RUNTIME, "python3.11, python3.13"),
        ("cobol85", Reason.UNKNOWN_RUNTIME, "python3.11, python3.13"),
        ("3.11", Reason.UNKNOWN_RUNTIME, "python3.11, python3.13"),
    ],
)
def test_what_is_not_served_is_said(asked: str, reason: Reason, words: str) -> None:
    with pytest.raises(InvalidSpec) as refused:
        config(runtime_images=[versions("3.11", "3.13")]).runtime(asked)
    assert (refused.value.field, refused.value.reason) == ("spec.runtime", reason)
    assert words in refused.value.message


def test_a_catalogue_may_serve_python_2() -> None:
    assert config(runtime_images=[versions("2.7")]).runtime("python2.7").notice == ""


def test_the_deployment_is_merged_under_every_function_s() -> None:
    deployment = {"spec": {"template": {"spec": {"containers": [{"resources": {"limits": {"memory": "1Gi"}}}]}}}}
    assert config(deployment=deployment).deployment == deployment


@pytest.mark.parametrize(
    ("data", "field", "words"),
    [
        ({"deployment": "{spec: {replicaz: 1}}"}, "deployment.spec.replicaz", "is not a field of a Deployment"),
        (
            {"deployment": {"spec": {"template": {"spec": {"containers": [{"img": "x"}]}}}}},
            "deployment.spec.template.spec.containers[0].img",
            "is not a field",
        ),
        ({"deployment": '{"spec": {}, "spec": {}}'}, "deployment", 'the key "spec" twice'),
        ({"deployment": "spec: {}\nspec: {}\n"}, "deployment", 'the key "spec" twice'),
        ({"deployment": "a: [\n"}, "deployment", "neither YAML nor JSON at line 2"),
        ({"deployment": "hello"}, "deployment", "must be a Deployment"),
        ({"runtime_images": "{}"}, "runtime-images", "must be a list"),
        ({"runtime_images": [{"versions": []}]}, "runtime-images[0].ID", "is missing"),
        ({"runtime_images": [versions("3.11"), versions("3.11")]}, "runtime-images", "python3.11 twice"),
        ({"runtime_images": [{"ID": "python", "version": []}]}, "runtime-images[0].version", "not a field"),
        (
            {"runtime_images": [{"ID": "python", "versions": [{"version": "3", "images": []}]}]},
            "runtime-images[0].versions[0].images",
            "phase runtime",
        ),
        (
            {"runtime_images": [{"ID": "p", "versions": [{"version": "3", "images": [{"phase": "x"}]}]}]},
            "runtime-images[0].versions[0].images[0].phase",
            "installation, compilation, runtime",
        ),
        ({"service_type": "Cluster"}, "service-type", "ClusterIP"),
        ({"ingress_enabled": "maybe"}, "ingress-enabled", '"true" or "false"'),
    ],
)
def test_a_wrong_configuration_is_said(data: dict[str, Any], field: str, words: str) -> None:
    with pytest.raises(InvalidSpec) as refused:
        config(**data)
    assert refused.value.field == field
    assert words in refused.value.message


def test_a_version_that_yaml_takes_for_a_number() -> None:
    """3.10 without quotes would become 3.1."""
    with pytest.raises(InvalidSpec, match=r'version: must be text in quotes, such as "3\.11"'):
        config(runtime_images="[{ID: python, versions: [{version: 3.10, images: [{phase: runtime, image: x}]}]}]")


def test_where_the_configuration_is() -> None:
    definition = {"metadata": {"annotations": {"kubeless.io/namespace": "a", "kubeless.io/config": "b"}}}
    assert location({}) == ("kubeless", "kubeless-config")
    assert location({}, definition) == ("a", "b")
    assert location({"KUBELESS_NAMESPACE": "c"}, definition) == ("c", "b")
