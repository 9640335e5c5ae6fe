"""The manifests themselves: valid on every Kubernetes that is supported, and in step with the rest of the repo."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Any

import kubernetes_validate
import pytest
import yaml

from kubeless.api import config
from kubeless.api.config import DEFAULT_NAME, DEFAULT_NAMESPACE, PROVISION_IMAGE, Config
from tests.manifests.conftest import MANIFESTS

JSON = dict[str, Any]

FIELDS = {
    "functions": "handler runtime function function-content-type checksum deps timeout deployment service"
    " horizontalPodAutoscaler",
    "httptriggers": "function-name host-name path tls tls-secret gateway basic-auth-secret cors-enable",
    "cronjobtriggers": "schedule function-name payload",
    "kafkatriggers": "functionSelector topic",
    "natstriggers": "functionSelector topic",
    "kinesistriggers": "function-name stream aws-region shard secret endpoint",
}
"""Kubeless' API."""


def of_kind(manifests: list[JSON], kind: str) -> list[JSON]:
    return [obj for obj in manifests if obj["kind"] == kind]


def definitions(manifests: list[JSON]) -> dict[str, JSON]:
    return {obj["spec"]["names"]["plural"]: obj["spec"] for obj in of_kind(manifests, "CustomResourceDefinition")}


@pytest.mark.parametrize("version", ["1.27", "1.31", "1.36"])
def test_every_manifest_is_valid(manifests: list[JSON], version: str) -> None:
    for obj in manifests:
        kubernetes_validate.validate(obj, version, strict=True)


def test_the_definitions_have_kubeless_fields(manifests: list[JSON]) -> None:
    found = definitions(manifests)
    assert set(found) == set(FIELDS)
    for plural, spec in found.items():
        (version,) = spec["versions"]
        schema = version["schema"]["openAPIV3Schema"]["properties"]
        assert set(schema["spec"]["properties"]) == set(FIELDS[plural].split())
        assert (spec["group"], version["name"], spec["scope"]) == ("kubeless.io", "v1beta1", "Namespaced")
        assert version["subresources"] == {"status": {}}
        assert spec["names"]["categories"] == ["kubeless"]


def test_every_field_is_explained(manifests: list[JSON]) -> None:
    for plural, spec in definitions(manifests).items():
        for name, field in spec["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"].items():
            assert field.get("description", "").endswith("."), f"{plural} {name}"


def test_texts_in_rules_are_bounded(manifests: list[JSON]) -> None:
    """The API server estimates what a rule costs by the longest text (https://kubernetes.io/docs/reference/using-api/cel/)."""
    for plural, spec in definitions(manifests).items():
        for name, field in spec["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"].items():
            if field.get("type") == "string" and "x-kubernetes-validations" in field:
                assert field.get("maxLength", 0) > 0, f"{plural} {name}"


def test_rules_use_what_kubernetes_1_27_has(manifests: list[JSON]) -> None:
    def rules(value: Any) -> list[JSON]:
        if isinstance(value, dict):
            own = value.get("x-kubernetes-validations", [])
            return [*own, *(rule for inner in value.values() for rule in rules(inner))]
        return [rule for inner in value for rule in rules(inner)] if isinstance(value, list) else []

    for spec in definitions(manifests).values():
        for rule in rules(spec["versions"][0]["schema"]):
            assert set(rule) <= {"rule", "message", "messageExpression"}


def test_the_configuration_is_read(manifests: list[JSON]) -> None:
    (config_map,) = of_kind(manifests, "ConfigMap")
    assert (config_map["metadata"]["namespace"], config_map["metadata"]["name"]) == (DEFAULT_NAMESPACE, DEFAULT_NAME)
    found = config.parse(config_map)
    assert found.deployment == {}
    assert found.provision_image.endswith(f"/{PROVISION_IMAGE}")
    for runtime in found.runtimes:
        assert runtime.installation is not None
        assert runtime.installation.image.endswith(f"/kubeless-provision:{runtime.version}"), "made for its Python"
        assert runtime.runtime.image.endswith(f"/kubeless-python:{runtime.version}")
    assert found.runtime("python3.7").runtime.name == "python3.11"


def images(manifests: list[JSON]) -> set[str]:
    found: Config = config.parse(of_kind(manifests, "ConfigMap")[0])
    controllers = {
        container["image"]
        for obj in of_kind(manifests, "Deployment")
        for container in obj["spec"]["template"]["spec"]["containers"]
    }
    runtimes = {phase.image for runtime in found.runtimes for phase in (runtime.runtime, runtime.installation) if phase}
    return {*controllers, *runtimes, found.provision_image}


def test_a_local_node_knows_every_image(manifests: list[JSON]) -> None:
    entries = [
        entry for path in MANIFESTS.parent.glob("*/images.yaml") for entry in yaml.safe_load(path.read_text())["images"]
    ]
    for image in images(manifests):
        name = image.rpartition(":")[0]
        assert any(fnmatchcase(name, entry["match"]) for entry in entries), image


def test_every_image_has_a_dockerfile(manifests: list[JSON]) -> None:
    dockerfiles = [path.read_text() for path in MANIFESTS.parent.glob("**/Dockerfile") if ".venv" not in path.parts]
    for image in images(manifests):
        name = image.rpartition("/")[2].partition(":")[0]
        assert any(f"-t {name}:" in text for text in dockerfiles), image


def test_where_the_images_are_is_said_once() -> None:
    """In the default overlay, which the controller's image and the configuration take it from."""
    content = yaml.safe_load((MANIFESTS / "overlays" / "default" / "kustomization.yaml").read_text())
    (generator,) = content["configMapGenerator"]
    assert [literal.partition("=")[0] for literal in generator["literals"]] == ["image-registry"]
    (replacement,) = content["replacements"]
    assert replacement["source"]["fieldPath"] == "data.image-registry"
