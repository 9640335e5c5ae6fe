"""Whether a live object has all that is wanted; the objects are as a real API server answers them."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from kubeless.cluster import is_up_to_date

MANAGER = "kubeless-controller"

WANTED: dict[str, Any] = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "hello", "namespace": "demo", "labels": {"function": "hello"}},
    "spec": {
        "replicas": 1,
        "strategy": {},
        "selector": {"matchLabels": {"function": "hello"}},
        "template": {
            "metadata": {"labels": {"function": "hello"}},
            "spec": {
                "hostNetwork": False,
                "containers": [
                    {
                        "name": "hello",
                        "image": "kubeless-python:3.11",
                        "args": [],
                        "env": [{"name": "A", "value": ""}, {"name": "B", "value": "1000m"}],
                        "ports": [{"containerPort": 8080}],
                        "resources": {"limits": {"cpu": "1000m", "memory": "1024Mi"}},
                    }
                ],
                "volumes": [{"name": "source", "emptyDir": {"sizeLimit": "0.5Gi"}}],
            },
        },
    },
}
OWNED: dict[str, Any] = {
    "f:metadata": {"f:labels": {"f:function": {}}},
    "f:spec": {
        "f:replicas": {},
        "f:selector": {},
        "f:template": {
            "f:metadata": {"f:labels": {"f:function": {}}},
            "f:spec": {
                "f:containers": {
                    'k:{"name":"hello"}': {
                        ".": {},
                        "f:name": {},
                        "f:image": {},
                        "f:env": {
                            'k:{"name":"A"}': {".": {}, "f:name": {}, "f:value": {}},
                            'k:{"name":"B"}': {".": {}, "f:name": {}, "f:value": {}},
                        },
                        "f:ports": {
                            'k:{"containerPort":8080,"protocol":"TCP"}': {".": {}, "f:containerPort": {}},
                        },
                        "f:resources": {"f:limits": {"f:cpu": {}, "f:memory": {}}},
                    }
                },
                "f:volumes": {'k:{"name":"source"}': {".": {}, "f:name": {}, "f:emptyDir": {"f:sizeLimit": {}}}},
            },
        },
    },
}


def live() -> dict[str, Any]:
    """As it comes back: with defaults, without what is empty, quantities in their one form."""
    obj = copy.deepcopy(WANTED)
    obj["metadata"] |= {
        "uid": "u1",
        "resourceVersion": "7",
        "managedFields": [
            {"manager": "kube-controller-manager", "operation": "Update", "subresource": "status", "fieldsV1": {}},
            {"manager": MANAGER, "operation": "Apply", "fieldsV1": copy.deepcopy(OWNED)},
        ],
    }
    obj["spec"]["strategy"] = {"type": "RollingUpdate"}
    pod = obj["spec"]["template"]["spec"]
    del pod["hostNetwork"]
    container = pod["containers"][0]
    del container["args"], container["env"][0]["value"]
    container["ports"][0]["protocol"] = "TCP"
    container["imagePullPolicy"] = "IfNotPresent"
    container["resources"]["limits"] = {"cpu": "1", "memory": "1Gi"}
    pod["volumes"][0]["emptyDir"]["sizeLimit"] = "512Mi"
    obj["status"] = {"replicas": 1}
    return obj


def container(obj: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = obj["spec"]["template"]["spec"]["containers"][0]
    return found


def test_defaults_and_other_spellings_are_no_difference() -> None:
    assert is_up_to_date(live(), WANTED, MANAGER)


def test_what_others_add_is_theirs() -> None:
    obj = live()
    obj["metadata"]["labels"]["added"] = "by somebody"
    obj["spec"]["template"]["spec"]["containers"].append({"name": "sidecar", "image": "mesh"})
    container(obj)["env"].append({"name": "INJECTED", "value": "1"})
    assert is_up_to_date(obj, WANTED, MANAGER)


def test_what_others_own_is_not_ours() -> None:
    assert not is_up_to_date(live(), WANTED, "somebody-else")


@pytest.mark.parametrize(
    "edit",
    [
        lambda obj: container(obj).update(image="other"),
        lambda obj: container(obj)["env"][1].update(value="1"),
        lambda obj: container(obj)["env"].pop(),
        lambda obj: container(obj)["resources"]["limits"].update(cpu="2"),
        lambda obj: obj["metadata"]["labels"].pop("function"),
        lambda obj: obj["spec"].update(replicas=2),
        lambda obj: obj["spec"]["template"]["spec"].pop("volumes"),
        lambda obj: obj["spec"]["template"]["spec"].update(containers=[]),
    ],
)
def test_an_edit_is_seen(edit: Any) -> None:
    obj = live()
    edit(obj)
    assert not is_up_to_date(obj, WANTED, MANAGER)


@pytest.mark.parametrize(
    "change",
    [
        lambda obj: obj["metadata"]["labels"].update(team="a"),
        lambda obj: container(obj)["env"].pop(),
        lambda obj: obj["spec"]["template"]["spec"].pop("volumes"),
        lambda obj: container(obj).pop("resources"),
        lambda obj: obj["spec"].pop("replicas"),
        lambda obj: container(obj)["ports"].append({"containerPort": 9090}),
        lambda obj: container(obj)["ports"][0].update(containerPort=9090),
    ],
)
def test_another_wish_is_seen(change: Any) -> None:
    """Above all what is not wanted any more, which the values alone do not tell."""
    wanted = copy.deepcopy(WANTED)
    change(wanted)
    assert not is_up_to_date(live(), wanted, MANAGER)


def test_a_list_of_values_is_compared_in_order() -> None:
    def obj(*args: str) -> dict[str, Any]:
        fields = [{"manager": MANAGER, "operation": "Apply", "fieldsV1": {"f:args": {}}}]
        return {"metadata": {"managedFields": fields}, "args": list(args)}

    assert is_up_to_date(obj("a", "b"), {"args": ["a", "b"]}, MANAGER)
    assert not is_up_to_date(obj("b", "a"), {"args": ["a", "b"]}, MANAGER)
    assert not is_up_to_date(obj("a", "b", "c"), {"args": ["a", "b"]}, MANAGER)


def test_true_is_not_one() -> None:
    fields = [{"manager": MANAGER, "operation": "Apply", "fieldsV1": {}}]
    assert not is_up_to_date({"metadata": {"managedFields": fields}, "a": 1}, {"a": True}, MANAGER)
