"""up, down, status: as a user starts, stops and restarts clusters, and what is left behind."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests.exceptions

from tests.localcluster import clusters
from tests.localcluster.clusters import Cluster, eventually, free_port

READY_SECONDS = 10
"""Far more than the two seconds that an idle machine needs: what is tested here is that it ends."""


def localcluster(*arguments: str, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "localcluster", *arguments]
    root = Path(__file__).resolve().parents[2]
    env = {**os.environ, "PYTHONPATH": str(root)}
    return subprocess.run(command, capture_output=True, text=True, timeout=90, cwd=folder, env=env)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def programs_below(folder: Path) -> list[int]:
    """Processes whose command line or environment names the folder: those of a cluster and of its pods."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            text = (path / "cmdline").read_bytes() + (path / "environ").read_bytes()
        except OSError:
            continue
        if str(folder).encode() in text and alive(int(path.name)) and int(path.name) != os.getpid():
            found.append(int(path.name))
    return found


def create_pod(cluster: Cluster, name: str) -> None:
    spec = {"terminationGracePeriodSeconds": 1, "containers": [{"name": "c", "image": "localcluster/pause"}]}
    url = f"{cluster.url}/api/v1/namespaces/default/pods"
    cluster.session().post(url, json={"metadata": {"name": name}, "spec": spec}, timeout=10).raise_for_status()
    eventually(lambda: ready(pod(cluster, name)), 20, "the pod is ready")


def pod(cluster: Cluster, name: str) -> dict[str, Any]:
    return cluster.session().get(f"{cluster.url}/api/v1/namespaces/default/pods/{name}", timeout=10).json()


def ready(obj: dict[str, Any]) -> bool:
    return any(c["type"] == "Ready" and c["status"] == "True" for c in obj["status"].get("conditions", ()))


@pytest.fixture
def data_dir(tmp_path: Path) -> Iterator[Path]:
    """A data directory whose cluster is stopped after the test."""
    yield tmp_path / "data"
    clusters.stop(tmp_path / "data")


def test_up_says_where_it_is_and_status_what_runs(data_dir, tmp_path):
    port = free_port()
    began = time.monotonic()
    up = localcluster("up", "--detach", "--data-dir", str(data_dir), "--port", str(port))
    assert time.monotonic() - began < READY_SECONDS
    assert up.returncode == 0, up.stderr
    assert re.fullmatch(
        rf"ready after \d+\.\d s: https://127\.0\.0\.1:{port}\nexport KUBECONFIG={data_dir}/kubeconfig\n", up.stdout
    )
    status = localcluster("status", "--data-dir", str(data_dir))
    assert status.returncode == 0
    assert f"running: https://127.0.0.1:{port}" in status.stdout
    for name in ("supervisor", "apiserver", "controllers", "node"):
        assert re.search(rf"^  {name} +pid \d+ +\d+ MB$", status.stdout, re.M)
    assert (data_dir / "kubeconfig").stat().st_mode & 0o777 == 0o600

    again = localcluster("up", "--detach", "--data-dir", str(data_dir))
    assert again.returncode == 0
    assert again.stdout.startswith(f"already running with {data_dir}\nrunning: https://127.0.0.1:{port}")
    assert Cluster(data_dir).pids == {name: int(pid) for name, pid in re.findall(r"(\w+) +pid (\d+)", status.stdout)}

    down = localcluster("down", "--data-dir", str(data_dir))
    assert (down.returncode, down.stdout) == (0, "stopped\n")
    assert localcluster("status", "--data-dir", str(data_dir)).returncode == 3
    down = localcluster("down", "--data-dir", str(data_dir))
    assert (down.returncode, down.stdout) == (0, "not running\n")
    assert programs_below(data_dir) == []


def test_objects_are_kept_and_pods_restarted(data_dir):
    cluster = clusters.start(data_dir)
    create_pod(cluster, "one")
    before = pod(cluster, "one")
    url = cluster.url
    clusters.stop(data_dir)
    assert programs_below(data_dir) == []
    cluster = clusters.start(data_dir, "--port", url.rpartition(":")[2])
    assert cluster.url == url
    assert pod(cluster, "one")["metadata"]["uid"] == before["metadata"]["uid"]

    def runs_again() -> bool:
        found = pod(cluster, "one")
        status = found["status"]["containerStatuses"][0]
        return ready(found) and status["containerID"] != before["status"]["containerStatuses"][0]["containerID"]

    eventually(runs_again, 20, "the pod runs again")
    assert pod(cluster, "one")["status"]["containerStatuses"][0]["restartCount"] == 1


def test_the_port_is_kept(data_dir):
    first = clusters.start(data_dir, "--no-node").url
    clusters.stop(data_dir)
    assert localcluster("up", "--detach", "--data-dir", str(data_dir), "--no-node").returncode == 0
    assert Cluster(data_dir).url == first


def test_two_clusters_side_by_side(tmp_path):
    with clusters.running(tmp_path / "one") as one, clusters.running(tmp_path / "two") as two:
        create_pod(one, "same-name")
        create_pod(two, "same-name")
        addresses = {pod(c, "same-name")["status"]["podIP"] for c in (one, two)}
        assert len(addresses) == 2
        with pytest.raises(requests.exceptions.SSLError):
            two.session().get(one.url, verify=str(two.data_dir / "pki" / "ca.crt"), timeout=5)
        clusters.stop(one.data_dir)
        assert ready(pod(two, "same-name"))


def test_a_port_that_is_taken(data_dir):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        up = localcluster("up", "--detach", "--data-dir", str(data_dir), "--port", str(port))
    assert up.returncode == 1
    assert up.stderr == f"error: port {port} of 127.0.0.1 is taken by another program; choose another one with --port\n"
    assert programs_below(data_dir) == []


def test_without_a_node_pods_stay_pending(control_plane):
    status = localcluster("status", "--data-dir", str(control_plane.data_dir)).stdout
    assert "node" not in status
    session = control_plane.session()
    url = f"{control_plane.url}/api/v1/namespaces/default/pods"
    body = {"metadata": {"generateName": "p-"}, "spec": {"containers": [{"name": "c", "image": "pause"}]}}
    name = session.post(url, json=body, timeout=10).json()["metadata"]["name"]

    def unschedulable() -> bool:
        conditions = session.get(f"{url}/{name}", timeout=10).json()["status"].get("conditions", [])
        return any(c.get("reason") == "Unschedulable" for c in conditions)

    eventually(unschedulable, 10)
    assert session.get(f"{control_plane.url}/api/v1/nodes", timeout=10).json()["items"] == []
    session.delete(f"{url}/{name}", timeout=10)


def test_kubeconfig_and_nothing_else_outside_the_data_directory(data_dir, tmp_path):
    home, working, elsewhere = tmp_path / "home", tmp_path / "working", tmp_path / "elsewhere" / "config"
    for folder in (home, working):
        folder.mkdir()
    temporary = set(Path("/tmp").iterdir())
    command = [sys.executable, "-m", "localcluster", "up", "--detach", "--data-dir", str(data_dir)]
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(
        [*command, "--port", str(free_port()), "--kubeconfig", str(elsewhere)],
        env={**os.environ, "HOME": str(home), "PYTHONPATH": str(root), "PYTHONDONTWRITEBYTECODE": "1"},
        cwd=working,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith(f"export KUBECONFIG={elsewhere}\n")
    assert elsewhere.read_text() == (data_dir / "kubeconfig").read_text()
    assert elsewhere.stat().st_mode & 0o777 == 0o600
    create_pod(Cluster(data_dir), "one")
    clusters.stop(data_dir)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["data", "elsewhere", "home", "working"]
    assert [*home.iterdir(), *working.iterdir()] == []
    new = [p for p in set(Path("/tmp").iterdir()) - temporary if "localcluster" in p.name]
    assert new == []


def test_purge(data_dir):
    clusters.start(data_dir, "--no-node")
    assert localcluster("down", "--data-dir", str(data_dir), "--purge").returncode == 0
    assert not data_dir.exists()


def test_a_killed_supervisor_leaves_no_process(data_dir):
    cluster = clusters.start(data_dir)
    create_pod(cluster, "one")
    assert len(programs_below(data_dir)) >= 5
    os.kill(cluster.pids["supervisor"], signal.SIGKILL)
    eventually(lambda: not programs_below(data_dir), 20, f"all processes end: {programs_below(data_dir)}")
    assert localcluster("status", "--data-dir", str(data_dir)).returncode == 3
    cluster = clusters.start(data_dir)
    eventually(lambda: ready(pod(cluster, "one")), 20, "the pod runs again")


def test_in_the_foreground_an_interrupt_ends_it(data_dir):
    command = [sys.executable, "-m", "localcluster", "up", "--data-dir", str(data_dir), "--port", str(free_port())]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("ready after ")
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0
    assert programs_below(data_dir) == []


def test_a_process_that_dies_is_started_again(data_dir):
    cluster = clusters.start(data_dir)
    create_pod(cluster, "one")
    before = pod(cluster, "one")["status"]["containerStatuses"][0]["containerID"]
    for name in ("controllers", "node", "apiserver"):
        pid = cluster.kill(name)
        eventually(lambda: cluster.pids[name] != pid and alive(cluster.pids[name]), 15, f"{name} runs")  # noqa: B023
    eventually(lambda: cluster.session().get(f"{cluster.url}/readyz", timeout=5).ok, 15)
    eventually(lambda: ready(pod(cluster, "one")), 20)
    # A pod is not touched by what happens to those who look after it.
    assert pod(cluster, "one")["status"]["containerStatuses"][0]["containerID"] == before


@pytest.mark.parametrize("arguments", [[], ["up", "--port", "many"], ["sideways"]])
def test_wrong_usage(arguments):
    done = localcluster(*arguments)
    assert done.returncode == 2
    assert "usage: python -m localcluster" in done.stderr


def test_help_has_examples():
    done = localcluster("--help")
    assert done.returncode == 0
    assert "python -m localcluster up --detach" in done.stdout
