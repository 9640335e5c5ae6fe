"""Fixtures: the product in a cluster, and users of it.

With KUBELESS_E2E_CLUSTER=existing it is the cluster that KUBECONFIG names, which must have the product installed;
otherwise a local cluster is started as `make run` starts it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.user import User, kubeconfig_for

ROOT = Path(__file__).resolve().parents[2]
EXISTING = os.environ.get("KUBELESS_E2E_CLUSTER") == "existing"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if shutil.which("kubectl") is None:
        for item in items:
            if item.path.is_relative_to(Path(__file__).parent):
                item.add_marker(pytest.mark.skip(reason="needs kubectl: https://kubernetes.io/docs/tasks/tools/"))


@pytest.fixture(scope="session")
def kubeconfig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Of the administrator of a cluster in which the product runs."""
    if EXISTING:
        yield Path(os.environ.get("KUBECONFIG") or "~/.kube/config").expanduser()
        return
    data_dir = tmp_path_factory.mktemp("cluster")
    command = [sys.executable, "-m", "kubeless.cli.local"]
    up = subprocess.run([*command, "up", "--data-dir", str(data_dir)], capture_output=True, text=True, cwd=ROOT)
    try:
        assert up.returncode == 0, f"{up.stdout}{up.stderr}"
        yield data_dir / "kubeconfig"
    finally:
        subprocess.run([*command, "stop", "--purge", "--data-dir", str(data_dir)], check=False, cwd=ROOT)


@pytest.fixture(scope="session")
def make_user(kubeconfig: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], User]]:
    """Makes users, each with a namespace of their own; these go at the end."""
    administrator = User(kubeconfig, "default")
    made: list[str] = []

    def make() -> User:
        namespace = f"e2e-{uuid.uuid4().hex[:8]}"
        administrator.kubectl("create", "namespace", namespace)
        made.append(namespace)
        return User(kubeconfig_for(namespace, kubeconfig, tmp_path_factory.mktemp("user") / "kubeconfig"), namespace)

    yield make
    if made and EXISTING:
        administrator.kubectl("delete", "namespace", *made, "--wait=false")


@pytest.fixture
def user(make_user: Callable[[], User]) -> Iterator[User]:
    """A user whose functions are gone after the test."""
    user = make_user()
    yield user
    user.try_kubectl("delete", "functions", "--all", "--wait=false")
