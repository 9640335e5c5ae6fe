"""Installing into a cluster, against a real API: the local cluster's, without a node."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from kubeless.cli import installation, kustomize
from kubeless.cli.installation import Installer, InstallError
from kubeless.cli.local import OVERLAY, ROOT
from kubeless.cluster import Cluster
from kubeless.cluster.resources import CONFIG_MAPS, DEPLOYMENTS, FUNCTIONS
from tests.localcluster import clusters

FUNCTION: dict[str, Any] = {
    "apiVersion": "kubeless.io/v1beta1",
    "kind": "Function",
    "metadata": {"name": "hello"},
    "spec": {"runtime": "python3.11", "handler": "hello.handler", "function": ""},
}


@pytest.fixture(scope="module")
def kubeconfig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with clusters.running(tmp_path_factory.mktemp("control-plane"), "--no-node") as running:
        yield running.kubeconfig


@pytest.fixture
async def cluster(kubeconfig: Path) -> AsyncIterator[Cluster]:
    async with Cluster(kubeconfig=str(kubeconfig)) as cluster:
        yield cluster


async def test_the_second_installation_changes_nothing(cluster: Cluster) -> None:
    objects = kustomize.build(ROOT / OVERLAY)
    await Installer(cluster).install(objects)
    installer = Installer(cluster)
    before = [(await installer.apply(obj))["metadata"]["resourceVersion"] for obj in objects]
    await installer.install(objects)
    assert [(await installer.apply(obj))["metadata"]["resourceVersion"] for obj in objects] == before
    assert "runtime-images" in (await cluster.get(CONFIG_MAPS, "kubeless-config", "kubeless"))["data"]


async def test_definitions_are_served_before_objects_of_them_are_applied(cluster: Cluster) -> None:
    definitions = [obj for obj in kustomize.build(ROOT / OVERLAY) if obj["kind"] == "CustomResourceDefinition"]
    await Installer(cluster).install([FUNCTION, *definitions])
    assert (await cluster.get(FUNCTIONS, "hello", "default"))["spec"]["handler"] == "hello.handler"


async def test_a_kind_that_the_cluster_does_not_have_is_named(cluster: Cluster) -> None:
    with pytest.raises(InstallError, match=r"does not serve Sandwich of food\.example/v1"):
        await Installer(cluster).apply({"apiVersion": "food.example/v1", "kind": "Sandwich", "metadata": {"name": "a"}})


async def test_what_keeps_a_deployment_from_running_is_said(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installation, "DEPLOYED_SECONDS", 2.0)
    labels = {"app": "alone"}
    pod = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "a", "image": "a"}]}}
    spec = {"selector": {"matchLabels": labels}, "template": pod}
    metadata = {"name": "alone", "namespace": "default"}
    await cluster.create({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec})
    seen: list[str] = []
    with pytest.raises(InstallError, match="no nodes available"):
        await installation.wait_deployed(cluster, "default", "alone", seen.append)
    assert "0 of 1 pods of alone are ready" in seen
    await cluster.delete(DEPLOYMENTS, "alone", "default")


async def test_a_function_without_a_controller_is_waited_for_no_longer_than_asked(cluster: Cluster) -> None:
    definitions = [obj for obj in kustomize.build(ROOT / OVERLAY) if obj["kind"] == "CustomResourceDefinition"]
    await Installer(cluster).install([*definitions, FUNCTION])
    with pytest.raises(InstallError, match="does the controller run"):
        await installation.wait_function(cluster, "default", "hello", 0.2, lambda _: None)
