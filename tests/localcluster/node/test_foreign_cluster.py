"""What a node does and leaves alone in a cluster that is not a local one, although its server is on this machine."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from localcluster.cluster_version import ClusterVersion
from localcluster.node.node import Options, check_addresses
from localcluster.node.node_object import NO_LOAD_BALANCER, reported_version
from localcluster.node.settings import Settings
from tests.localcluster.foreign_server import ForeignServer, foreign_server

LOCAL, FOREIGN = ClusterVersion(1, 36, 2, is_local=True), ClusterVersion(1, 31, 4)


@pytest.fixture
async def foreign(tmp_path: Path) -> AsyncIterator[ForeignServer]:
    async with foreign_server(tmp_path) as server:
        yield server


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "give --pod-cidr a range that the cluster routes to this machine"),
        (("--pod-cidr", "10.77.0.0/24"), "give --node-ip an address of this machine"),
        (("--pod-cidr", "10.77.0.0/24", "--node-ip", "192.0.2.1"), "--node-ip 192.0.2.1 is no address of this machine"),
    ],
)
async def test_a_node_with_loopback_addresses_refuses_to_join(foreign, tmp_path, arguments, message) -> None:
    code, errors = await foreign.run("localcluster.node", "--data-dir", str(tmp_path / "node"), *arguments)
    assert code == 1
    assert message in errors
    assert set(foreign.asked) == {"GET /version"}


def test_defaults_by_cluster() -> None:
    def decided(options: Options, cluster: ClusterVersion) -> dict[str, Any]:
        made = options.at(cluster)
        return {"taint": made.taint, "metrics": made.metrics_api, "images": made.host_images, "labels": made.labels}

    plain = Options(Path("k"))
    assert decided(plain, LOCAL) == {"taint": False, "metrics": True, "images": True, "labels": {}}
    foreign = {"taint": True, "metrics": False, "images": False, "labels": {NO_LOAD_BALANCER: ""}}
    assert decided(plain, FOREIGN) == foreign
    chosen = Options(Path("k"), taint=False, metrics_api=True, host_images=True, labels={"a": "b"})
    assert decided(chosen, FOREIGN) == {
        "taint": False, "metrics": True, "images": True, "labels": {NO_LOAD_BALANCER: "", "a": "b"},
    }  # fmt: skip


def test_addresses_that_can_be_used_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("socket.socket.bind", lambda *_: None)
    check_addresses(Settings("n", Path("d"), pod_cidr="10.77.0.0/24", host_ip="10.1.2.3"), "https://example.org")


@pytest.mark.parametrize(
    ("server", "reported"),
    [((1, 31, 4), "v1.31.4"), ((1, 36, 2), "v1.36.2"), ((1, 36, 1), "v1.36.1"), ((1, 37, 0), "v1.36.2")],
)
def test_a_kubelet_is_never_newer_than_its_server(server: tuple[int, int, int], reported: str) -> None:
    assert reported_version(ClusterVersion(*server)) == reported
