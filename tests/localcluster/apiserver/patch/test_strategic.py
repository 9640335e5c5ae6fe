"""Strategic merge patches; expectations are those recorded from a real server."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from localcluster.apiserver.errors import APIError
from localcluster.apiserver.patch import strategic
from localcluster.apiserver.schema import builtin

DEPLOYMENT = builtin("apps", "v1", "Deployment")
POD_SPEC: dict[str, Any] = {
    "volumes": [{"name": "v1", "emptyDir": {}}, {"name": "v2", "configMap": {"name": "c"}}],
    "imagePullSecrets": [{"name": "s1"}],
    "tolerations": [{"key": "k1", "operator": "Exists"}],
    "hostAliases": [{"ip": "10.0.0.1", "hostnames": ["h1"]}],
    "containers": [
        {
            "name": "c",
            "image": "i",
            "args": ["x", "y"],
            "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}],
            "ports": [{"containerPort": 80, "name": "http"}, {"containerPort": 81, "name": "more"}],
            "volumeMounts": [{"name": "v1", "mountPath": "/one"}, {"name": "v2", "mountPath": "/two"}],
        },
        {"name": "side", "image": "j"},
    ],
}
DOC: dict[str, Any] = {
    "metadata": {"name": "d", "labels": {"one": "1"}},
    "spec": {
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}},
        "template": {"spec": POD_SPEC},
    },
}


def patched(**pod_spec: Any) -> Any:
    before = copy.deepcopy(DOC)
    result = strategic.apply(DOC, {"spec": {"template": {"spec": pod_spec}}}, DEPLOYMENT)
    assert before == DOC
    return result["spec"]["template"]["spec"]


def names(items: list[Any], key: str = "name") -> list[Any]:
    return [item[key] for item in items]


def test_containers_merge_by_name_and_new_ones_stand_where_the_patch_has_them() -> None:
    containers = patched(containers=[{"name": "c", "image": "new"}, {"name": "third", "image": "k"}])["containers"]
    assert names(containers) == ["c", "third", "side"]
    assert containers[0] == {**POD_SPEC["containers"][0], "image": "new"}


def test_env_ports_and_mounts_have_keys_and_args_do_not() -> None:
    change = {
        "name": "c",
        "args": ["z"],
        "env": [{"name": "B", "value": "3"}, {"name": "C", "value": "4"}],
        "ports": [{"containerPort": 80, "name": "web"}, {"containerPort": 90}],
        "volumeMounts": [{"mountPath": "/two", "name": "v1"}, {"mountPath": "/three", "name": "v2"}],
    }
    container = patched(containers=[change])["containers"][0]
    assert container["args"] == ["z"]
    assert [(e["name"], e["value"]) for e in container["env"]] == [("A", "1"), ("B", "3"), ("C", "4")]
    assert container["ports"] == [
        {"containerPort": 80, "name": "web"},
        {"containerPort": 90},
        {"containerPort": 81, "name": "more"},
    ]
    assert [(m["mountPath"], m["name"]) for m in container["volumeMounts"]] == [
        ("/one", "v1"),
        ("/two", "v1"),
        ("/three", "v2"),
    ]


def test_entries_are_deleted_by_key_and_fields_by_null() -> None:
    gone = [
        {"name": "side", "$patch": "delete"},
        {
            "name": "c",
            "args": None,
            "env": [{"name": "A", "$patch": "delete"}],
            "ports": [{"containerPort": 81, "$patch": "delete"}],
        },
    ]
    spec = patched(containers=gone, tolerations=None)
    assert "tolerations" not in spec
    (container,) = spec["containers"]
    assert "args" not in container
    assert names(container["env"]) == ["B"]
    assert names(container["ports"], "containerPort") == [80]


def test_replace_puts_the_patch_in_place() -> None:
    only = patched(containers=[{"name": "only", "image": "z"}, {"$patch": "replace"}])
    assert only["containers"] == [{"name": "only", "image": "z"}]
    labels = {"metadata": {"labels": {"$patch": "replace", "two": "2"}}}
    assert strategic.apply(DOC, labels, DEPLOYMENT)["metadata"]["labels"] == {"two": "2"}
    gone = {"metadata": {"labels": {"$patch": "delete"}}}
    assert strategic.apply(DOC, gone, DEPLOYMENT)["metadata"]["labels"] == {}


def test_retain_keys_of_unions() -> None:
    strategy = {"spec": {"strategy": {"$retainKeys": ["type"], "type": "Recreate"}}}
    assert strategic.apply(DOC, strategy, DEPLOYMENT)["spec"]["strategy"] == {"type": "Recreate"}
    volume = {"name": "v1", "$retainKeys": ["name", "configMap"], "configMap": {"name": "cm"}}
    assert patched(volumes=[volume])["volumes"][0] == {"name": "v1", "configMap": {"name": "cm"}}


@pytest.mark.parametrize(
    ("order", "change", "expected"),
    [
        (["side", "new", "c"], ["new"], ["side", "new", "c"]),
        (["side", "c"], None, ["side", "c"]),
        (["c"], None, ["c", "side"]),
        (["side"], None, ["c", "side"]),
    ],
)
def test_lists_follow_the_order_that_is_asked_for(order: list[str], change: Any, expected: list[str]) -> None:
    patch: dict[str, Any] = {"$setElementOrder/containers": [{"name": n} for n in order]}
    if change:
        patch["containers"] = [{"name": n} for n in change]
    assert names(patched(**patch)["containers"]) == expected


def test_lists_without_keys_are_replaced_and_those_with_keys_are_not() -> None:
    spec = patched(
        tolerations=[{"key": "k2"}],
        imagePullSecrets=[{"name": "s2"}],
        hostAliases=[{"ip": "10.0.0.2"}, {"ip": "10.0.0.1", "hostnames": ["h3"]}],
        volumes=[{"name": "v3", "emptyDir": {}}],
    )
    assert spec["tolerations"] == [{"key": "k2"}]
    assert names(spec["imagePullSecrets"]) == ["s2", "s1"]
    assert names(spec["hostAliases"], "ip") == ["10.0.0.2", "10.0.0.1"]
    assert names(spec["volumes"]) == ["v3", "v1", "v2"]


def test_lists_of_scalars() -> None:
    schema = builtin("", "v1", "ConfigMap")

    def finalizers(start: list[str], **patch: Any) -> Any:
        return strategic.apply({"metadata": {"finalizers": start}}, {"metadata": patch}, schema)["metadata"].get(
            "finalizers"
        )

    assert finalizers(["a", "b"], finalizers=["c", "a"]) == ["c", "a", "b"]
    assert finalizers(["c", "a", "b"], **{"$deleteFromPrimitiveList/finalizers": ["a"]}) == ["c", "b"]
    assert finalizers(["c", "b"], **{"$setElementOrder/finalizers": ["b", "c"]}) == ["b", "c"]
    assert finalizers(["c", "b"], finalizers=None) is None


def test_what_is_new_is_taken_without_nulls_and_deletions() -> None:
    doc: dict[str, Any] = {"spec": {}}
    patch = {
        "spec": {
            "template": {"spec": {"containers": [{"name": "c", "image": None}, {"name": "d", "$patch": "delete"}]}}
        }
    }
    result = strategic.apply(doc, patch, DEPLOYMENT)
    assert result["spec"]["template"]["spec"]["containers"] == [{"name": "c"}]


@pytest.mark.parametrize(
    ("pod_spec", "message"),
    [
        ({"containers": [{"image": "n"}]}, "map: map[image:n] does not contain declared merge key: name"),
        (
            {"containers": [{"name": "c", "$patch": "dance"}]},
            "unknown patch type: dance in map: map[$patch:dance name:c]",
        ),
        (
            {"$setElementOrder/containers": [{"name": "c"}], "containers": [{"name": "other", "image": "n"}]},
            "The order in patch list:\n[map[image:n name:other]]\n"
            " doesn't match $setElementOrder list:\n[map[name:c]]\n",
        ),
    ],
)
def test_what_cannot_be_merged_is_500(pod_spec: Any, message: str) -> None:
    with pytest.raises(APIError) as caught:
        patched(**pod_spec)
    assert (caught.value.code, caught.value.message) == (500, message)
    assert "reason" not in caught.value.status()


def test_a_map_for_a_list_is_left_to_the_decoder() -> None:
    assert patched(containers={"name": "c"})["containers"] == {"name": "c"}
