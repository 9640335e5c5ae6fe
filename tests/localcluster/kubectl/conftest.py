"""kubectl against the cluster with a node."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.localcluster.clusters import Cluster, has_kubectl
from tests.localcluster.kubectl.commands import Kubectl


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if has_kubectl():
        return
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here):
            item.add_marker(pytest.mark.skip(reason="NOT TESTED: there is no kubectl on the PATH"))


@pytest.fixture
def kubectl(cluster: Cluster, namespace: str, tmp_path: Path) -> Kubectl:
    """kubectl in a namespace of the test's own."""
    return Kubectl(cluster, namespace, tmp_path)
