"""The cluster client, against a local cluster without a node."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from kubeless.cluster import (
    AlreadyExists,
    Cluster,
    ClusterError,
    Conflict,
    Forbidden,
    Invalid,
    NotFound,
    Unreachable,
    WatchEvent,
    resource_of,
)
from kubeless.cluster.events import create_event, make_event
from kubeless.cluster.resources import CONFIG_MAPS, DEPLOYMENTS, EVENTS, NAMESPACES, SERVICES
from tests.localcluster import clusters

MANAGER = "test"


@pytest.fixture(scope="session")
def kubeconfig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with clusters.running(tmp_path_factory.mktemp("cluster-client"), "--no-node") as cluster:
        yield cluster.kubeconfig


@pytest.fixture
async def cluster(kubeconfig: Path) -> AsyncIterator[Cluster]:
    async with Cluster(kubeconfig=str(kubeconfig)) as client:
        yield client


@pytest.fixture
async def namespace(cluster: Cluster) -> str:
    name = f"test-{uuid.uuid4().hex[:8]}"
    await cluster.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    return name


def config_map(namespace: str, name: str = "a", **data: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": namespace}, "data": data}


def deployment(namespace: str) -> dict[str, Any]:
    labels = {"function": "hello"}
    container = {
        "name": "hello",
        "image": "pause",
        "args": [],
        "env": [{"name": "EMPTY", "value": ""}, {"name": "A", "value": "b"}],
        "ports": [{"containerPort": 8080}],
        "resources": {"limits": {"cpu": "1000m", "memory": "1024Mi"}},
        "volumeMounts": [{"name": "v", "mountPath": "/a"}, {"name": "v", "mountPath": "/b"}],
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    pod = {"containers": [container], "volumes": [{"name": "v", "emptyDir": {}}], "hostNetwork": False}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "hello", "namespace": namespace, "labels": labels, "annotations": {}},
        "spec": {
            "replicas": 0,
            "strategy": {"rollingUpdate": {"maxUnavailable": 0}},
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": pod},
        },
    }


async def test_what_is_applied_is_not_sent_again(cluster: Cluster, namespace: str) -> None:
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "hello", "namespace": namespace},
        "spec": {"ports": [{"name": "http", "port": 8080, "targetPort": 8080}], "selector": {"function": "hello"}},
    }
    autoscaler = {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "hello", "namespace": namespace},
        "spec": {
            "maxReplicas": 3,
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "hello"},
            "metrics": [
                {
                    "type": "Resource",
                    "resource": {"name": "memory", "target": {"type": "AverageValue", "averageValue": "1024Mi"}},
                }
            ],
        },
    }
    for obj in (config_map(namespace, k="v"), deployment(namespace), service, autoscaler):
        of = resource_of(obj)
        live, sent = await cluster.ensure(obj, None, field_manager=MANAGER)
        assert sent
        before = dict(cluster.requests)
        again, sent = await cluster.ensure(
            obj, await cluster.get(of, live["metadata"]["name"], namespace), field_manager=MANAGER
        )
        assert not sent, obj["kind"]
        assert cluster.requests == {**before, "GET": before.get("GET", 0) + 1}
        assert again["metadata"]["resourceVersion"] == live["metadata"]["resourceVersion"]


async def test_what_is_not_wanted_any_more_goes(cluster: Cluster, namespace: str) -> None:
    live, _ = await cluster.ensure(config_map(namespace, a="1", b="2"), None, field_manager=MANAGER)
    live, sent = await cluster.ensure(config_map(namespace, a="1"), live, field_manager=MANAGER)
    assert sent
    assert live["data"] == {"a": "1"}


async def test_an_edit_is_repaired_and_what_others_add_stays(cluster: Cluster, namespace: str) -> None:
    wanted = deployment(namespace)
    await cluster.apply(wanted, field_manager=MANAGER)
    edit = {"metadata": {"labels": {"theirs": "1"}}, "spec": {"replicas": 5}}
    live = await cluster.patch(DEPLOYMENTS, "hello", namespace, edit)
    live, sent = await cluster.ensure(wanted, live, field_manager=MANAGER)
    assert sent
    assert live["spec"]["replicas"] == 0
    assert live["metadata"]["labels"]["theirs"] == "1"


async def test_errors_have_types(cluster: Cluster, namespace: str) -> None:
    with pytest.raises(NotFound, match='configmaps "nope" not found'):
        await cluster.get(CONFIG_MAPS, "nope", namespace)
    assert await cluster.find(CONFIG_MAPS, "nope", namespace) is None
    assert await cluster.delete(CONFIG_MAPS, "nope", namespace) is False
    await cluster.create(config_map(namespace))
    with pytest.raises(AlreadyExists):
        await cluster.create(config_map(namespace))
    with pytest.raises(Conflict):
        await cluster.delete(CONFIG_MAPS, "a", namespace, uid="another")
    with pytest.raises(Invalid, match="Invalid value"):
        await cluster.create(config_map(namespace, name="Not A Name"))
    with pytest.raises(Invalid, match="field not declared in schema"):
        await cluster.apply({**config_map(namespace, name="b"), "dat": {}}, field_manager=MANAGER)


async def test_a_quota_that_is_used_up(cluster: Cluster, namespace: str) -> None:
    quota = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "q", "namespace": namespace},
        "spec": {"hard": {"services": "0"}},
    }
    await cluster.request("POST", f"/api/v1/namespaces/{namespace}/resourcequotas", body=quota)
    spec = {"ports": [{"port": 80}]}
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s", "namespace": namespace}, "spec": spec}

    async def refusal() -> Forbidden:
        while True:
            try:
                await cluster.apply(service, field_manager=MANAGER)
                await cluster.delete(SERVICES, "s", namespace)
            except Forbidden as error:
                return error

    async with asyncio.timeout(10):
        assert (await refusal()).quota_exceeded


async def test_lists_are_read_page_by_page(cluster: Cluster, namespace: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kubeless.cluster.client.PAGE_SIZE", 2)
    for number in range(5):
        await cluster.create(config_map(namespace, name=f"c{number}"))
    found = await cluster.list(CONFIG_MAPS, namespace, field_selector="metadata.name!=c3")
    assert {obj["metadata"]["name"] for obj in found} >= {"c0", "c1", "c2", "c4"}
    assert {(obj["apiVersion"], obj["kind"]) for obj in found} == {("v1", "ConfigMap")}


async def test_following(cluster: Cluster, namespace: str) -> None:
    await cluster.create(config_map(namespace, k="1"))
    seen: asyncio.Queue[WatchEvent] = asyncio.Queue()

    async def follow() -> None:
        async for event in cluster.follow(CONFIG_MAPS, namespace, field_selector="metadata.name=a"):
            seen.put_nowait(event)

    task = asyncio.create_task(follow())
    try:
        async with asyncio.timeout(10):
            assert (await seen.get()).type == "ADDED"
            await cluster.patch(CONFIG_MAPS, "a", namespace, {"data": {"k": "2"}})
            event = await seen.get()
            assert (event.type, event.object["data"]) == ("MODIFIED", {"k": "2"})
            assert await cluster.delete(CONFIG_MAPS, "a", namespace) is True
            assert (await seen.get()).type == "DELETED"
    finally:
        task.cancel()


async def test_following_tells_what_went_while_nobody_watched(
    cluster: Cluster, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The version that the watch goes on from is gone: a new list says what is there now."""
    from kubeless.cluster import Gone

    for name in ("a", "b"):
        await cluster.create(config_map(namespace, name=name))
    breaks = iter([True])

    async def watch(*_: Any, **__: Any) -> AsyncIterator[WatchEvent]:
        if next(breaks, False):
            await cluster.delete(CONFIG_MAPS, "a", namespace)
            await cluster.patch(CONFIG_MAPS, "b", namespace, {"data": {"k": "2"}})
            raise Gone(410, "Expired", "too old resource version")
        await asyncio.Event().wait()
        yield WatchEvent("BOOKMARK", {})

    monkeypatch.setattr(cluster, "watch", watch)
    seen = []
    async with asyncio.timeout(10):
        async for event in cluster.follow(CONFIG_MAPS, namespace):
            if event.object["metadata"]["name"] in ("a", "b"):
                seen.append((event.type, event.object["metadata"]["name"]))
            if len(seen) == 4:
                break
    assert seen == [("ADDED", "a"), ("ADDED", "b"), ("MODIFIED", "b"), ("DELETED", "a")]


async def test_events_are_counted(cluster: Cluster, namespace: str) -> None:
    obj = await cluster.create(config_map(namespace))
    about = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "name": "a",
        "namespace": namespace,
        "uid": obj["metadata"]["uid"],
    }
    for message in ("one", "one", "x" * 5000):
        await create_event(cluster, about, "Warning", "Bad", message, component="test")
    found = await cluster.list(EVENTS, namespace, field_selector="involvedObject.name=a")
    assert sorted((event["count"], len(event["message"])) for event in found) == [(1, 1024), (2, 3)]


async def test_an_event_that_cannot_be_written_is_logged(cluster: Cluster, caplog: pytest.LogCaptureFixture) -> None:
    about = {"kind": "ConfigMap", "name": "a", "namespace": "no-such-namespace"}
    await create_event(cluster, about, "Normal", "Good", "words", component="test")
    assert "no Event Good about ConfigMap no-such-namespace/a" in caplog.text


def test_the_same_event_has_the_same_name() -> None:
    from datetime import UTC, datetime

    about = {"kind": "ConfigMap", "name": "a", "namespace": "b", "uid": "u"}
    early, late = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC)
    one = make_event(about, "Normal", "Good", "words", "test", early)
    assert one["metadata"] == make_event(about, "Normal", "Good", "words", "test", late)["metadata"]
    assert one["metadata"] != make_event(about, "Normal", "Good", "others", "test", early)["metadata"]


async def test_a_token_that_is_renewed_is_read_again(kubeconfig: Path, tmp_path: Path) -> None:
    """A kubeconfig's token file, as pods of a local cluster have it, is read once by the official client."""
    async with Cluster(kubeconfig=str(kubeconfig)) as admin:
        path = "/api/v1/namespaces/default/serviceaccounts/default/token"
        issued = await admin.request(
            "POST", path, body={"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
        )
    content = yaml.safe_load(kubeconfig.read_text())
    token = tmp_path / "token"
    content["users"][0]["user"] = {"tokenFile": str(token)}
    (tmp_path / "kubeconfig").write_text(yaml.safe_dump(content))
    token.write_text("stale")
    async with Cluster(kubeconfig=str(tmp_path / "kubeconfig")) as cluster:
        with pytest.raises(ClusterError):
            await cluster.get(NAMESPACES, "default")
        token.write_text(issued["status"]["token"])
        with pytest.raises(Forbidden):
            await cluster.get(NAMESPACES, "default")


async def test_no_cluster_is_said(tmp_path: Path, kubeconfig: Path) -> None:
    with pytest.raises(ClusterError, match="set KUBECONFIG"):
        await Cluster(kubeconfig=str(tmp_path / "none")).get(NAMESPACES, "default")
    content = yaml.safe_load(kubeconfig.read_text())
    content["clusters"][0]["cluster"]["server"] = f"https://127.0.0.1:{clusters.free_port()}"
    (tmp_path / "kubeconfig").write_text(yaml.safe_dump(content))
    async with Cluster(kubeconfig=str(tmp_path / "kubeconfig")) as cluster:
        with pytest.raises(Unreachable, match="/api/v1/namespaces/default"):
            await cluster.get(NAMESPACES, "default")
