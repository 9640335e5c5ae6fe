"""What the overlays hold, and a cluster with the local one installed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from kubeless.cli import kustomize
from kubeless.cli.installation import Installer
from kubeless.cluster import Cluster
from tests.localcluster import clusters
from tests.localcluster.clusters import Cluster as LocalCluster

MANIFESTS = Path(__file__).resolve().parents[2] / "manifests"

JSON = dict[str, Any]


@pytest.fixture(scope="session")
def manifests() -> list[JSON]:
    return kustomize.build(MANIFESTS / "overlays" / "local")


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory, manifests: list[JSON]) -> Iterator[LocalCluster]:
    async def install(kubeconfig: Path) -> None:
        async with Cluster(kubeconfig=str(kubeconfig)) as cluster:
            await Installer(cluster).install(manifests)

    with clusters.running(tmp_path_factory.mktemp("manifests"), "--no-node") as cluster:
        asyncio.run(install(cluster.kubeconfig))
        yield cluster


@pytest.fixture
async def cluster(installed: LocalCluster) -> AsyncIterator[Cluster]:
    async with Cluster(kubeconfig=str(installed.kubeconfig)) as client:
        yield client
