"""OpenAPI documents."""

import gzip
import json
import re
from types import SimpleNamespace

import pytest

from localcluster.apiserver.builtin_resources import builtin_resources
from localcluster.apiserver.discovery import RemoteVersion
from localcluster.apiserver.openapi import protobuf_form
from localcluster.apiserver.openapi.documents import OpenAPI
from localcluster.apiserver.resources import Registry, Resource, Subresource

META = "io.k8s.apimachinery.pkg.apis.meta.v1."


def widgets(**properties):
    raw = {"type": "object", "description": "A widget.", "properties": properties}
    parts = {"status": Subresource("status", "Widget")}
    # A document needs no more of a definition than its schema.
    return Resource("x.example", "v1", "widgets", "Widget", subresources=parts, crd=SimpleNamespace(raw=raw))


@pytest.fixture
def registry():
    registry = Registry()
    for resource in builtin_resources():
        registry.add(resource)
    return registry


@pytest.fixture
def openapi(registry):
    return OpenAPI(registry)


def read(openapi, path):
    return json.loads(openapi.answer(path).body)


@pytest.fixture(scope="module")
def apps():
    registry = Registry()
    for resource in builtin_resources():
        registry.add(resource)
    return read(OpenAPI(registry), "/openapi/v3/apis/apps/v1")


@pytest.fixture
def schemas(apps):
    return apps["components"]["schemas"]


def test_types_are_single_and_of_scalars_restored(schemas):
    spec = schemas["io.k8s.api.apps.v1.DeploymentSpec"]
    assert spec["type"] == "object"
    assert spec["properties"]["replicas"]["type"] == "integer"
    assert spec["required"] == ["selector", "template"]
    either = schemas["io.k8s.apimachinery.pkg.util.intstr.IntOrString"]
    assert (either["format"], either["oneOf"]) == ("int-or-string", [{"type": "integer"}, {"type": "string"}])
    assert "enum" not in schemas["io.k8s.api.apps.v1.Deployment"]["properties"]["kind"]


def test_references_are_wrapped_where_something_stands_beside_them(schemas):
    metadata = schemas["io.k8s.api.apps.v1.Deployment"]["properties"]["metadata"]
    assert metadata["allOf"] == [{"$ref": f"#/components/schemas/{META}ObjectMeta"}]
    assert metadata["default"] == {}
    owners = schemas[f"{META}ObjectMeta"]["properties"]["ownerReferences"]
    assert owners["items"] == {"$ref": f"#/components/schemas/{META}OwnerReference"}


def test_merge_keys(schemas):
    containers = schemas["io.k8s.api.core.v1.PodSpec"]["properties"]["containers"]
    assert containers["x-kubernetes-patch-merge-key"] == "name"
    assert containers["x-kubernetes-list-map-keys"] == ["name"]


def test_values_of_enumerations(schemas):
    kind = schemas["io.k8s.api.apps.v1.DeploymentStrategy"]["properties"]["type"]
    assert kind["enum"] == ["Recreate", "RollingUpdate"]
    assert '\n\nPossible enum values:\n - `"Recreate"` Kill all' in kind["description"]


def test_no_reference_leads_nowhere(apps):
    text = json.dumps(apps)
    assert set(re.findall(r'#/components/schemas/([^"]+)', text)) <= set(apps["components"]["schemas"])
    assert "$defs" not in text


def test_paths(apps):
    path = apps["paths"]["/apis/apps/v1/namespaces/{namespace}/deployments/{name}"]
    assert set(path) == {"delete", "get", "parameters", "patch", "put"}
    patch = path["patch"]
    assert patch["x-kubernetes-group-version-kind"] == {"group": "apps", "kind": "Deployment", "version": "v1"}
    assert {"dryRun", "fieldValidation"} <= {p["name"] for p in patch["parameters"]}
    scale = apps["paths"]["/apis/apps/v1/namespaces/{namespace}/deployments/{name}/scale"]
    assert scale["get"]["x-kubernetes-group-version-kind"]["group"] == "autoscaling"
    listed = apps["paths"]["/apis/apps/v1/deployments"]["get"]
    assert (listed["x-kubernetes-action"], listed["operationId"]) == ("list", "listAppsV1DeploymentForAllNamespaces")


def test_index_names_every_version_once_and_leads_to_it(openapi):
    index = read(openapi, "/openapi/v3")
    assert list(index) == ["paths"]
    url = index["paths"]["apis/batch/v1"]["serverRelativeURL"]
    path, _, query_hash = url.partition("?hash=")
    answer = openapi.answer(path, query_hash)
    assert answer.code == 200
    assert answer.headers["Cache-Control"] == "public, immutable"
    moved = openapi.answer(path, "old")
    assert (moved.code, moved.headers["Location"]) == (301, url)
    assert openapi.answer(path, if_none_match=answer.headers["ETag"]).code == 304


def test_compression(openapi):
    answer = openapi.answer("/openapi/v3/apis/batch/v1", accept_encoding="gzip, deflate")
    assert answer.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(answer.body) == openapi.answer("/openapi/v3/apis/batch/v1").body


def test_forms_that_are_not_spoken(openapi):
    protobuf = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf"
    assert openapi.answer("/openapi/v3", accept=protobuf).code == 406
    assert openapi.answer("/openapi/v2", accept="text/html").code == 406
    assert openapi.answer("/openapi/v3", accept=f"{protobuf}, application/json").code == 200


def test_version_2_in_protobuf(openapi):
    answer = openapi.answer("/openapi/v2", accept="application/com.github.proto-openapi.spec.v2@v1.0+protobuf")
    assert (answer.code, answer.content_type) == (200, protobuf_form.MEDIA)
    assert answer.body == protobuf_form.encode(read(openapi, "/openapi/v2"))
    assert answer.headers["ETag"] != openapi.answer("/openapi/v2").headers["ETag"]
    assert all(key.startswith("api") for key in read(openapi, "/openapi/v3")["paths"])


@pytest.mark.parametrize("path", ["/openapi/v3/apis/nope.example/v1", "/openapi/v4", "/openapi/v3/v2"])
def test_what_is_not_there(openapi, path):
    assert openapi.answer(path) is None


def test_custom_resources(openapi, registry):
    port = {"x-kubernetes-int-or-string": True}
    registry.add(widgets(spec={"type": "object", "properties": {"port": port}}))
    document = read(openapi, "/openapi/v3/apis/x.example/v1")
    widget = document["components"]["schemas"]["example.x.v1.Widget"]
    assert list(widget["properties"]) == ["apiVersion", "kind", "metadata", "spec"]
    either = [{"type": "integer"}, {"type": "string"}]
    assert widget["properties"]["spec"]["properties"]["port"] == {**port, "anyOf": either}
    assert widget["x-kubernetes-group-version-kind"] == [{"group": "x.example", "kind": "Widget", "version": "v1"}]
    root = "/apis/x.example/v1"
    assert list(document["paths"]) == [
        f"{root}/namespaces/{{namespace}}/widgets",
        f"{root}/namespaces/{{namespace}}/widgets/{{name}}",
        f"{root}/namespaces/{{namespace}}/widgets/{{name}}/status",
        f"{root}/widgets",
    ]
    assert "strategic" not in json.dumps(document["paths"])


def test_a_changed_definition_has_another_hash_and_others_keep_theirs(openapi, registry):
    registry.add(widgets())
    before = read(openapi, "/openapi/v3")["paths"]
    registry.add(widgets(spec={"type": "object"}))
    after = read(openapi, "/openapi/v3")["paths"]
    assert [key for key in before if before[key] != after[key]] == ["apis/x.example/v1"]
    registry.remove("x.example", "v1", "widgets")
    assert openapi.answer("/openapi/v3/apis/x.example/v1") is None


def test_version_2(openapi, registry):
    registry.add(widgets(size={"type": "integer", "nullable": True}, any={"anyOf": [{}], "type": "string"}))
    document = read(openapi, "/openapi/v2")
    assert document["swagger"] == "2.0"
    definitions = document["definitions"]
    assert definitions["io.k8s.api.core.v1.Container"]["properties"]["ports"]["x-kubernetes-patch-merge-key"]
    quantity = definitions["io.k8s.apimachinery.pkg.api.resource.Quantity"]
    assert quantity["type"] == "string"
    path = document["paths"]["/api/v1/namespaces/{namespace}/configmaps"]
    assert set(path) == {"delete", "get", "parameters", "post"}
    assert path["post"]["parameters"][0]["in"] == "body"
    widget = definitions["example.x.v1.Widget"]["properties"]
    assert widget["size"] == {}
    assert widget["any"] == {"type": "string"}


def test_aggregated_servers_are_in_the_index_only(registry):
    openapi = OpenAPI(registry, lambda: (RemoteVersion("metrics.example", "v1", 100, 100),))
    index = read(openapi, "/openapi/v3")["paths"]
    assert index["apis/metrics.example/v1"] == {"serverRelativeURL": "/openapi/v3/apis/metrics.example/v1"}
    assert openapi.answer("/openapi/v3/apis/metrics.example/v1") is None
