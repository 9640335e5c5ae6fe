"""Aggregated APIs: conditions of APIServices, and requests that other API servers answer."""

import asyncio
import base64
import json
import ssl

import pytest
from aiohttp import web

from localcluster.apiserver.aggregation.remote_discovery import discovered_resources
from localcluster.certs import Pki

ACCEPT = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"


@pytest.fixture
async def extension(server, tmp_path):
    """An API server that believes our front proxy, and tells what it was asked."""
    pki = server.pki
    pair = pki.serving("extension", "extension", ["metrics.n.svc"])
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(pair.certificate_file, pair.key_file)
    tls.load_verify_locations(pki.front_proxy_ca.certificate_file)
    tls.verify_mode = ssl.CERT_REQUIRED

    async def answer(request):
        if request.path == "/apis/metrics.example/v1":
            entry = {"name": "nodes", "singularName": "", "namespaced": False, "kind": "Node", "verbs": ["get"]}
            listed = {"kind": "APIResourceList", "groupVersion": "metrics.example/v1", "resources": [entry]}
            return web.json_response(listed)
        if request.path.endswith("/stream"):
            response = web.StreamResponse()
            await response.prepare(request)
            for _ in range(3):
                await response.write(b"part\n")
                await asyncio.sleep(0)
            return response
        headers = {name: request.headers.getall(name) for name in request.headers}
        told = {"path": request.path_qs, "headers": headers, "body": (await request.read()).decode()}
        return web.json_response(told, status=201 if request.method == "POST" else 200)

    app = web.Application()
    app.router.add_route("*", "/{rest:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
    yield runner.addresses[0][1]
    await runner.cleanup()


def register(server, port):
    store = server.store
    spec = {"ports": [{"name": "https", "port": 443}]}
    store.create("/services", {"metadata": {"name": "metrics", "namespace": "n"}, "spec": spec})
    labels = {"kubernetes.io/service-name": "metrics"}
    store.create(
        "discovery.k8s.io/endpointslices",
        {
            "metadata": {"name": "metrics-1", "namespace": "n", "labels": labels},
            "endpoints": [{"addresses": ["127.0.0.1"], "conditions": {"ready": True}}],
            "ports": [{"name": "https", "port": port}],
        },
    )
    store.create("apiregistration.k8s.io/apiservices", api_service(server))


def api_service(server):
    return {
        "metadata": {"name": "v1.metrics.example"},
        "spec": {
            "group": "metrics.example",
            "version": "v1",
            "service": {"name": "metrics", "namespace": "n", "port": 443},
            "caBundle": base64.b64encode(server.pki.ca.certificate_pem).decode(),
            "groupPriorityMinimum": 100,
            "versionPriority": 100,
        },
    }


async def available(server, wanted):
    """The condition once its status is `wanted`."""
    async with asyncio.timeout(10):
        while True:
            stored = server.store.get("apiregistration.k8s.io/apiservices", "", "v1.metrics.example")
            for condition in stored.get("status", {}).get("conditions", ()):
                if condition["status"] == wanted:
                    return condition
            await asyncio.sleep(0.02)


async def test_what_is_served_here_has_api_services(server):
    found = {o["metadata"]["name"]: o for o in server.store.list("apiregistration.k8s.io/apiservices")}
    apps = found["v1.apps"]
    assert apps["spec"] == {"group": "apps", "version": "v1", "groupPriorityMinimum": 17800, "versionPriority": 15}
    assert apps["metadata"]["labels"] == {"kube-aggregator.kubernetes.io/automanaged": "onstart"}
    assert apps["status"]["conditions"][0]["reason"] == "Local"
    assert "group" not in found["v1."]["spec"]


async def test_requests_reach_the_other_server_as_the_user(server, client, extension):
    register(server, extension)
    assert (await available(server, "True"))["reason"] == "Passed"
    headers = {"Impersonate-User": "jane", "Impersonate-Group": "system:masters", "X-Remote-User": "forged"}
    url = "/apis/metrics.example/v1/nodes?limit=1&labelSelector=a%3Db"
    async with client.post(url, data=b"hello", headers=headers) as answer:
        told = await answer.json()
        assert answer.status == 201
    assert (told["path"], told["body"]) == (url, "hello")
    given = {name.lower(): values for name, values in told["headers"].items()}
    assert given["x-remote-user"] == ["jane"]
    assert given["x-remote-group"] == ["system:masters", "system:authenticated"]
    assert not [name for name in given if name.startswith("impersonate")]


async def test_users_without_rights_do_not_reach_it(server, client, extension):
    register(server, extension)
    await available(server, "True")
    async with client.get("/apis/metrics.example/v1/nodes", headers={"Impersonate-User": "jane"}) as answer:
        assert answer.status == 403


async def test_streams(server, client, extension):
    register(server, extension)
    await available(server, "True")
    async with client.get("/apis/metrics.example/v1/stream") as answer:
        assert await answer.read() == b"part\n" * 3


async def test_it_is_in_discovery(server, client, extension):
    register(server, extension)
    await available(server, "True")
    async with client.get("/apis", headers={"Accept": ACCEPT}) as answer:
        items = {i["metadata"]["name"]: i for i in json.loads(await answer.read())["items"]}
    (version,) = items["metrics.example"]["versions"]
    assert (version["freshness"], version["resources"][0]["resource"]) == ("Current", "nodes")
    async with client.get("/apis/metrics.example") as answer:
        assert (await answer.json())["preferredVersion"]["groupVersion"] == "metrics.example/v1"
    async with client.get("/apis/metrics.example/v1") as answer:
        assert (await answer.json())["resources"][0]["name"] == "nodes"


async def test_reasons_for_not_being_available(server, client, extension):
    store = server.store
    store.create("apiregistration.k8s.io/apiservices", api_service(server))
    condition = await available(server, "False")
    assert (condition["reason"], condition["message"]) == (
        "ServiceNotFound",
        'service/metrics in "n" is not present',
    )
    async with client.get("/apis/metrics.example/v1/nodes") as answer:
        assert answer.status == 503
    store.delete(
        "apiregistration.k8s.io/apiservices",
        store.get("apiregistration.k8s.io/apiservices", "", "v1.metrics.example"),
    )
    register(server, extension)
    assert (await available(server, "True"))["reason"] == "Passed"
    found = store.get("discovery.k8s.io/endpointslices", "n", "metrics-1")
    store.update("discovery.k8s.io/endpointslices", {**found, "endpoints": None}, found)
    condition = await available(server, "False")
    assert condition["message"] == 'endpoints for service/metrics in "n" have no addresses with port name "https"'


async def test_a_certificate_of_somebody_else_is_not_believed(server, extension, tmp_path):
    register(server, extension)
    await available(server, "True")
    stored = server.store.get("apiregistration.k8s.io/apiservices", "", "v1.metrics.example")
    stranger = base64.b64encode(Pki.open(tmp_path / "stranger").ca.certificate_pem).decode()
    changed = {**stored, "metadata": dict(stored["metadata"]), "spec": {**stored["spec"], "caBundle": stranger}}
    server.store.update("apiregistration.k8s.io/apiservices", changed, stored)
    assert (await available(server, "False"))["reason"] == "FailedDiscoveryCheck"


def test_resource_lists():
    entries = [
        {"name": "pods", "singularName": "pod", "namespaced": True, "kind": "P", "verbs": ["get"], "shortNames": ["p"]},
        {"name": "pods/status", "singularName": "", "namespaced": True, "kind": "P", "verbs": ["update"]},
    ]
    found = discovered_resources({"kind": "APIResourceList", "groupVersion": "g/v1", "resources": entries})
    kind = {"group": "g", "version": "v1", "kind": "P"}
    assert found == [
        {
            "resource": "pods", "responseKind": kind, "scope": "Namespaced", "singularResource": "pod",
            "verbs": ["get"], "shortNames": ["p"],
            "subresources": [{"subresource": "status", "responseKind": kind, "verbs": ["update"]}],
        }
    ]  # fmt: skip
    with pytest.raises(ValueError, match="Status"):
        discovered_resources({"kind": "Status"})
