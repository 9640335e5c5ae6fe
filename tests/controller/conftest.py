"""Fixtures: a control plane with the definitions, a controller on it, and namespaces for functions."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest

from tests.controller import controllers
from tests.controller.controllers import Controller
from tests.controller.workspace import Workspace
from tests.localcluster import clusters
from tests.localcluster.clusters import Cluster


@pytest.fixture(scope="module")
def control_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster of this module's own, whose pods are run by nobody."""
    with clusters.running(tmp_path_factory.mktemp("control-plane"), "--no-node") as running:
        controllers.install(running)
        yield running


@pytest.fixture(scope="module")
def controller(control_plane: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Controller]:
    with controllers.running(control_plane, tmp_path_factory.mktemp("controller")) as running:
        yield running


@pytest.fixture
def work(control_plane: Cluster) -> Iterator[Workspace]:
    """A namespace of the test's own; a test that wants a controller asks for `controller` as well."""
    workspace = Workspace(control_plane, f"test-{uuid.uuid4().hex[:8]}")
    workspace.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": workspace.namespace}})
    yield workspace
    workspace.delete_namespace()
