"""Fixtures: a cluster with a node and one without, shared by the tests that leave nothing behind."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest

from tests.localcluster import clusters
from tests.localcluster.clusters import Cluster


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster with its node."""
    with clusters.running(tmp_path_factory.mktemp("cluster")) as running:
        yield running


@pytest.fixture(scope="session")
def control_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster whose pods are run by nobody."""
    with clusters.running(tmp_path_factory.mktemp("control-plane"), "--no-node") as running:
        yield running


@pytest.fixture
def namespace(cluster: Cluster) -> Iterator[str]:
    """A namespace of the test's own in `cluster`."""
    name = f"test-{uuid.uuid4().hex[:8]}"
    session, url = cluster.session(), f"{cluster.url}/api/v1/namespaces"
    session.post(url, json={"metadata": {"name": name}}, timeout=10).raise_for_status()
    # Pods are refused until the namespace has its service account.
    clusters.eventually(lambda: session.get(f"{url}/{name}/serviceaccounts/default", timeout=10).ok, 10)
    yield name
    session.delete(f"{url}/{name}", timeout=10).raise_for_status()
