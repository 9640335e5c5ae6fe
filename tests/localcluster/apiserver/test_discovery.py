"""Discovery documents."""

import json

import pytest

from localcluster.apiserver.builtin_resources import builtin_resources
from localcluster.apiserver.discovery import AGGREGATED, Discovery, RemoteVersion, wants_aggregated
from localcluster.apiserver.errors import APIError
from localcluster.apiserver.resources import Registry, Resource, Subresource


@pytest.fixture
def registry():
    registry = Registry()
    for resource in builtin_resources():
        registry.add(resource)
    return registry


@pytest.fixture
def discovery(registry):
    return Discovery(registry, "127.0.0.1:6443")


def widgets(group="x.example"):
    parts = {s: Subresource(s, "Widget") for s in ("scale", "status")}
    # Discovery asks no more of a custom resource's definition than that there is one.
    return Resource(group, "v1", "widgets", "Widget", short_names=("wd",), subresources=parts, crd=object())


def read(discovery, path, accept=""):
    return json.loads(discovery.answer(path, accept).body)


def test_core_versions(discovery):
    assert read(discovery, "/api") == {
        "kind": "APIVersions",
        "versions": ["v1"],
        "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": "127.0.0.1:6443"}],
    }


def test_groups_are_ordered_by_priority_and_versions_newest_first(discovery):
    groups = read(discovery, "/apis")["groups"]
    assert [g["name"] for g in groups][:3] == ["apiregistration.k8s.io", "apps", "events.k8s.io"]
    autoscaling = next(g for g in groups if g["name"] == "autoscaling")
    assert [v["version"] for v in autoscaling["versions"]] == ["v2", "v1"]
    assert autoscaling["preferredVersion"] == {"groupVersion": "autoscaling/v2", "version": "v2"}


def test_a_group_is_written_as_the_real_server_writes_it(discovery):
    assert discovery.answer("/apis/apps").body == (
        b'{"kind":"APIGroup","apiVersion":"v1","name":"apps","versions":[{"groupVersion":"apps/v1","version":"v1"}],'
        b'"preferredVersion":{"groupVersion":"apps/v1","version":"v1"}}\n'
    )


def test_resources_with_their_subresources(discovery):
    document = read(discovery, "/apis/batch/v1/")
    assert [r["name"] for r in document["resources"]] == ["cronjobs", "cronjobs/status", "jobs", "jobs/status"]
    assert document["apiVersion"] == "v1"
    core = read(discovery, "/api/v1")
    assert "apiVersion" not in core
    found = {r["name"]: r for r in core["resources"]}
    assert found["pods"]["storageVersionHash"] == "xPOwRZ+Yhw8="
    assert "storageVersionHash" not in found["bindings"]
    assert found["pods/eviction"] == {
        "name": "pods/eviction", "singularName": "", "namespaced": True, "group": "policy", "version": "v1",
        "kind": "Eviction", "verbs": ["create"],
    }  # fmt: skip


@pytest.mark.parametrize("path", ["/apis/nope.example", "/apis/apps/v9", "/api/v2", "/"])
def test_what_is_not_served(discovery, path):
    assert discovery.answer(path) is None


ACCEPT = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"


@pytest.mark.parametrize(
    ("accept", "wanted"),
    [
        (f"{ACCEPT},application/json", True),
        (f"application/json,{ACCEPT}", False),
        (f"{ACCEPT.replace('v=v2', 'v=v2beta1')},{ACCEPT}", True),
        ("application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json", False),
        ("application/vnd.kubernetes.protobuf," + ACCEPT, True),
        ("", False),
    ],
)
def test_choice_of_the_form(accept, wanted):
    assert wants_aggregated(accept) is wanted


def test_aggregated(discovery):
    answer = discovery.answer("/apis", ACCEPT)
    assert answer.content_type == AGGREGATED
    assert answer.headers["Vary"] == "Accept"
    document = json.loads(answer.body)
    apps = next(i for i in document["items"] if i["metadata"]["name"] == "apps")
    deployments = next(r for r in apps["versions"][0]["resources"] if r["resource"] == "deployments")
    assert deployments["responseKind"] == {"group": "", "version": "", "kind": "Deployment"}
    assert [(s["subresource"], s["responseKind"]["group"]) for s in deployments["subresources"]] == [
        ("scale", "autoscaling"),
        ("status", ""),
    ]
    core = read(discovery, "/api", ACCEPT)["items"]
    assert [item["metadata"] for item in core] == [{}]


def test_aggregated_is_not_sent_again(discovery):
    etag = discovery.answer("/apis", ACCEPT).headers["ETag"]
    again = discovery.answer("/apis", ACCEPT, etag)
    assert (again.code, again.body) == (304, b"")


def test_custom_resources_appear_and_go(discovery, registry):
    discovery.answer("/apis", ACCEPT)
    registry.add(widgets())
    items = {i["metadata"]["name"]: i for i in read(discovery, "/apis", ACCEPT)["items"]}
    found = items["x.example"]["versions"][0]["resources"][0]
    assert found["responseKind"] == {"group": "x.example", "version": "v1", "kind": "Widget"}
    assert found["verbs"] == ["delete", "deletecollection", "get", "list", "patch", "create", "update", "watch"]
    assert [s["subresource"] for s in found["subresources"]] == ["status", "scale"]
    registry.remove("x.example", "v1", "widgets")
    assert discovery.answer("/apis/x.example") is None


def test_aggregated_servers(registry):
    remote = (
        RemoteVersion("metrics.example", "v1", 100, 100, [{"resource": "nodes"}]),
        RemoteVersion("metrics.example", "v2", 100, 10),
    )
    discovery = Discovery(registry, "", lambda: remote)
    assert read(discovery, "/apis")["groups"][-1]["preferredVersion"]["version"] == "v1"
    versions = read(discovery, "/apis", ACCEPT)["items"][-1]["versions"]
    assert versions == [
        {"version": "v1", "resources": [{"resource": "nodes"}], "freshness": "Current"},
        {"version": "v2", "resources": [], "freshness": "Stale"},
    ]
    assert discovery.answer("/apis/metrics.example/v1") is None


def test_other_forms(discovery):
    assert b"kind: APIVersions" in discovery.answer("/api", "application/yaml").body
    with pytest.raises(APIError) as caught:
        discovery.answer("/apis/apps", "text/html")
    assert caught.value.code == 406
