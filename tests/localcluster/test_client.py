"""The client: errors, requests and watches."""

from __future__ import annotations

import asyncio
import base64
import ssl
from collections.abc import AsyncIterator

import pytest
import yaml
from aiohttp import web

from localcluster import kubeconfig
from localcluster.certs import Pki
from localcluster.client import AlreadyExists, ApiStatusError, Client, Gone, NotFound, Unreachable, status_error
from localcluster.resource_types import CONFIG_MAPS, DEPLOYMENTS, NODES, ResourceType
from tests.localcluster.fake_server import FakeServer


@pytest.fixture
async def server() -> AsyncIterator[FakeServer]:
    fake = FakeServer()
    await fake.start()
    yield fake
    await fake.stop()


@pytest.fixture
async def client(server: FakeServer) -> AsyncIterator[Client]:
    async with Client(server.url) as made:
        yield made


@pytest.mark.parametrize(
    ("of", "arguments", "path"),
    [
        (CONFIG_MAPS, ("ns", "a"), "/api/v1/namespaces/ns/configmaps/a"),
        (CONFIG_MAPS, (), "/api/v1/configmaps"),
        (DEPLOYMENTS, ("ns", "d", "scale"), "/apis/apps/v1/namespaces/ns/deployments/d/scale"),
        (NODES, ("ignored", "n"), "/api/v1/nodes/n"),
        (ResourceType("x.example", "v2", "things", "Thing"), ("ns",), "/apis/x.example/v2/namespaces/ns/things"),
    ],
)
def test_paths(of, arguments, path):
    assert of.path(*arguments) == path


def test_errors_are_typed():
    body = b'{"kind":"Status","reason":"NotFound","message":"gone","details":{"retryAfterSeconds":3}}'
    error = status_error(404, body)
    assert isinstance(error, NotFound)
    assert (error.message, error.retry_after_seconds) == ("gone", 3)
    assert isinstance(status_error(410, b'{"kind":"Status"}'), Gone)
    assert status_error(404, b"404 page not found\n").message == "404 page not found"
    assert status_error(502, b"\xff").code == 502


async def test_refusals_carry_reason_and_causes(server, client):
    await client.create(CONFIG_MAPS, {"metadata": {"name": "a"}}, "ns")
    with pytest.raises(AlreadyExists):
        await client.create(CONFIG_MAPS, {"metadata": {"name": "a"}}, "ns")
    with pytest.raises(ApiStatusError) as caught:
        await client.patch(CONFIG_MAPS, "a", {}, "ns")
    assert caught.value.has_cause("FieldValueInvalid")
    with pytest.raises(NotFound):
        await client.delete(CONFIG_MAPS, "b", "ns")


async def test_a_lost_answer_is_unreachable(server, client):
    server.lose_answers = 1
    with pytest.raises(Unreachable):
        await client.create(CONFIG_MAPS, {"metadata": {"name": "a"}}, "ns")
    assert ("ns", "a") in server.objects


async def test_a_busy_server_is_left_alone_for_as_long_as_it_asks(server, client):
    server.busy = 1
    began = asyncio.get_running_loop().time()
    await client.create(CONFIG_MAPS, {"metadata": {"name": "a"}}, "ns")
    assert asyncio.get_running_loop().time() - began >= 1
    assert len(server.requests) == 2


async def test_a_busy_server_is_not_waited_for_beyond_the_timeout(server, client):
    server.busy = 1
    with pytest.raises(ApiStatusError) as caught:
        await client.request("GET", "/api/v1/configmaps", timeout_seconds=0.5)
    assert (caught.value.code, caught.value.retry_after_seconds) == (429, 1)
    assert len(server.requests) == 1


async def test_nobody_listening_is_unreachable():
    async with Client("http://127.0.0.1:1") as client:
        with pytest.raises(Unreachable):
            await client.list(CONFIG_MAPS)


async def test_a_watch_gives_long_lines_whole(server, client):
    server.put("a", data={"k": "x" * 300_000})
    async for event in client.watch(CONFIG_MAPS, resource_version="100"):
        assert (event.type, len(event.object["data"]["k"])) == ("ADDED", 300_000)
        break


async def test_a_watch_from_too_long_ago(server, client):
    server.oldest = 50
    with pytest.raises(Gone):
        async for _ in client.watch(CONFIG_MAPS, resource_version="10"):
            pass


def written(path, cluster, user):
    config = {
        "current-context": "here",
        "contexts": [{"name": "here", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": cluster}],
        "users": [{"name": "u", "user": user}],
    }
    path.write_text(yaml.safe_dump(config))
    return path


def test_a_kubeconfig_names_server_and_token(tmp_path):
    (tmp_path / "ca.pem").write_text("CA")
    config = {
        "current-context": "here",
        "contexts": [{"name": "here", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": {"server": "http://127.0.0.1:1", "certificate-authority": "ca.pem"}}],
        "users": [{"name": "u", "user": {"token": "secret"}}],
    }
    path = tmp_path / "config"
    path.write_text(yaml.safe_dump(config))
    access = kubeconfig.load(path)
    assert (access.server, access.token, access.certificate_authority) == ("http://127.0.0.1:1", "secret", b"CA")
    config["clusters"][0]["cluster"] |= {"certificate-authority-data": base64.b64encode(b"DATA").decode()}
    path.write_text(yaml.safe_dump(config))
    assert kubeconfig.load(path).certificate_authority == b"DATA"
    with pytest.raises(ValueError, match="no context 'there'"):
        kubeconfig.load(path, "there")


@pytest.mark.parametrize(
    ("cluster", "user", "message"),
    [
        ({}, {"exec": {"command": "aws"}}, "user 'u' has exec, which is not supported: take the token"),
        ({}, {"auth-provider": {"name": "oidc"}}, "has auth-provider.*: use a token"),
        ({}, {"username": "me", "password": "secret"}, "has username.*: use a token"),
        ({}, {"token": "t", "as": "somebody"}, "has as,"),
        ({"proxy-url": "http://192.0.2.1:3128"}, {}, "cluster 'c' has proxy-url"),
    ],
)
def test_what_a_kubeconfig_asks_in_vain_for_is_refused(tmp_path, cluster, user, message):
    path = written(tmp_path / "config", {"server": "http://127.0.0.1:1", **cluster}, user)
    with pytest.raises(ValueError, match=message):
        kubeconfig.load(path)


async def test_a_servers_certificate_may_have_a_name_of_its_own(tmp_path):
    pki = Pki.open(tmp_path)
    pair = pki.serving("other", "api.internal", ["api.internal"])
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(pair.certificate_file, pair.key_file)

    async def answer(request: web.BaseRequest) -> web.Response:
        return web.json_response({"path": request.path})

    runner = web.ServerRunner(web.Server(answer))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
    cluster = {
        "server": f"https://127.0.0.1:{runner.addresses[0][1]}",
        "certificate-authority": str(pki.ca.certificate_file),
    }
    async with Client.from_kubeconfig(written(tmp_path / "plain", cluster, {})) as client:
        with pytest.raises(Unreachable, match="certificate verify failed"):
            await client.request("GET", "/version")
    named = {**cluster, "tls-server-name": "api.internal"}
    async with Client.from_kubeconfig(written(tmp_path / "named", named, {})) as client:
        assert await client.request("GET", "/version") == {"path": "/version"}
    await runner.cleanup()
