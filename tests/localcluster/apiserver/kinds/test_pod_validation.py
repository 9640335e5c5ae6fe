"""Errors of pods and templates."""

from typing import Any

import pytest

from localcluster.apiserver.kinds.pods import default_pod_template, template_warnings, validate_pod_template
from tests.localcluster.apiserver.kinds.error_tables import rows
from tests.localcluster.apiserver.kinds.written import Written

POD = Written("", "Pod")
C = "spec.containers[0]"


def pod(container: dict[str, Any] | None = None, **spec: Any) -> dict[str, Any]:
    return {"spec": {"containers": [{"name": "c", "image": "i", **(container or {})}], **spec}}


def errors(container: dict[str, Any] | None = None, **spec: Any) -> list[str]:
    return POD.create_errors(pod(container, **spec))


def test_the_least_that_is_accepted() -> None:
    assert errors() == []


def test_much_that_is_accepted() -> None:
    probe = {"httpGet": {"port": "web"}, "terminationGracePeriodSeconds": 3}
    container = {
        "ports": [{"containerPort": 80, "name": "web"}, {"containerPort": 80, "protocol": "UDP"}],
        "env": [
            {"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['a.example/b']"}}},
            {"name": "B", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}},
        ],
        "envFrom": [{"prefix": "P_", "configMapRef": {"name": "m"}}],
        "livenessProbe": probe,
        "lifecycle": {"preStop": {"sleep": {"seconds": 5}}},
        "resources": {"limits": {"example.com/gpu": "1", "hugepages-2Mi": "4Mi", "memory": "1"}},
        "volumeMounts": [{"name": "v", "mountPath": "/v", "subPath": "a/b"}],
        "securityContext": {"runAsUser": 1000, "capabilities": {"drop": ["ALL"]}},
    }
    affinity = {
        "nodeAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": {
                "nodeSelectorTerms": [{"matchExpressions": [{"key": "a", "operator": "Gt", "values": ["1"]}]}]
            }
        },
        "podAntiAffinity": {
            "preferredDuringSchedulingIgnoredDuringExecution": [
                {"weight": 1, "podAffinityTerm": {"topologyKey": "z", "labelSelector": {}}}
            ]
        },
    }
    found = errors(
        container,
        volumes=[{"name": "v", "projected": {"sources": [{"configMap": {"name": "m"}}]}}],
        initContainers=[
            {"name": "s", "image": "i", "restartPolicy": "Always", "startupProbe": {"exec": {"command": ["a"]}}}
        ],
        affinity=affinity,
        tolerations=[{"operator": "Exists"}, {"key": "a", "value": "b", "effect": "NoExecute", "tolerationSeconds": 3}],
        dnsPolicy="None",
        dnsConfig={"nameservers": ["10.0.0.1"], "searches": ["_a.example", "."]},
    )
    assert found == []


@pytest.mark.parametrize(("container", "expected"), rows("pods", "containers"))
def test_containers(container: dict[str, Any], expected: list[str]) -> None:
    assert set(expected) <= set(errors(container))


def test_privilege_and_no_escalation_contradict_each_other() -> None:
    (error,) = errors({"securityContext": {"allowPrivilegeEscalation": False, "privileged": True}})
    assert error.startswith(
        f'{C}.securityContext: Invalid value: {{"Capabilities":null,"Privileged":true,"SELinuxOptions":'
    )
    assert error.endswith("cannot set `allowPrivilegeEscalation` to false and `privileged` to true")


@pytest.mark.parametrize(("spec", "expected"), rows("pods", "specs"))
def test_specs(spec: dict[str, Any], expected: list[str]) -> None:
    assert set(expected) <= set(errors(**spec))


def test_templates_may_have_padded_images_and_report_their_own_paths() -> None:
    template = {"metadata": {"labels": {"-": ""}}, "spec": {"containers": [{"name": "c", "image": " i "}]}}
    default_pod_template(template)
    (error,) = (str(e) for e in validate_pod_template(template, "spec.template"))
    assert error.startswith('spec.template.labels: Invalid value: "-"')


def test_warnings() -> None:
    container = {
        "ports": [{"containerPort": 80}, {"containerPort": 80, "hostPort": 8}],
        "env": [{"name": "A", "value": "1"}, {"name": "A", "value": "$(A)2"}, {"name": "A", "value": "3"}],
    }
    template = pod(container, nodeSelector={"beta.kubernetes.io/os": "linux"}, terminationGracePeriodSeconds=-1)
    default_pod_template(template)
    path = "spec.template.spec"
    assert template_warnings(template) == [
        f'{path}.nodeSelector[beta.kubernetes.io/os]: deprecated since v1.14; use "kubernetes.io/os" instead',
        f'{path}.containers[0].env[2]: hides previous definition of "A", which may be dropped when using apply',
        f"{path}.containers[0].ports[1]: overlapping port definition with {path}.containers[0].ports[0]",
        f"{path}.terminationGracePeriodSeconds: must be >= 0; negative values are invalid and will be treated as 1",
    ]
