"""kill -9 at random moments: what was acknowledged is there, versions never go back, pods converge."""

from __future__ import annotations

import json
import os
import random
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests.localcluster import clusters
from tests.localcluster.clusters import Cluster, eventually

KILLS = int(os.environ.get("SOAK_KILLS", "8"))
"""In `make soak` 50; the short form proves the mechanism."""


@pytest.fixture
def own_cluster(tmp_path: Path) -> Iterator[Cluster]:
    with clusters.running(tmp_path / "cluster") as cluster:
        yield cluster


class Writer(threading.Thread):
    """Creates, updates and deletes ConfigMaps, and remembers what was acknowledged.

    Attributes:
        known: the acknowledged value by name, None once a delete was acknowledged.
        unsure: names whose last request got no answer: either outcome is right.
    """

    def __init__(self, cluster: Cluster, seed: int) -> None:
        super().__init__(daemon=True)
        self.cluster, self.random = cluster, random.Random(seed)
        self.prefix = f"w{seed}-"
        self.known: dict[str, str | None] = {}
        self.unsure: dict[str, str | None] = {}
        self.acknowledged = 0
        self.stop = threading.Event()
        self.failures: list[str] = []

    def run(self) -> None:
        session = self.cluster.session()
        url = f"{self.cluster.url}/api/v1/namespaces/default/configmaps"
        number = 0
        while not self.stop.is_set():
            number += 1
            living = [n for n, value in self.known.items() if value is not None and n not in self.unsure]
            action = self.random.choice(("create", "update", "update", "delete")) if living else "create"
            name = f"{self.prefix}{number}" if action == "create" else self.random.choice(living)
            value = None if action == "delete" else str(number)
            try:
                if action == "create":
                    response = session.post(url, json={"metadata": {"name": name}, "data": {"v": value}}, timeout=10)
                elif action == "update":
                    response = session.put(
                        f"{url}/{name}", json={"metadata": {"name": name}, "data": {"v": value}}, timeout=10
                    )
                else:
                    response = session.delete(f"{url}/{name}", timeout=10)
            except requests.RequestException:
                self.unsure[name] = value
                session = self.cluster.session()
                continue
            if response.ok:
                self.known[name] = value
                self.acknowledged += 1
            else:
                self.failures.append(f"{action} {name}: {response.status_code} {response.text[:200]}")


class Watcher(threading.Thread):
    """Watches ConfigMaps over every restart, listing again only when it is told to (410)."""

    def __init__(self, cluster: Cluster) -> None:
        super().__init__(daemon=True)
        self.cluster = cluster
        self.stop = threading.Event()
        self.backwards: list[tuple[int, int]] = []
        self.state: dict[str, str] = {}
        self.version = 0

    def run(self) -> None:
        session = self.cluster.session()
        url = f"{self.cluster.url}/api/v1/namespaces/default/configmaps"
        listed = False
        while not self.stop.is_set():
            try:
                if not listed:
                    document = session.get(url, timeout=10).json()
                    self._note(int(document["metadata"]["resourceVersion"]))
                    self.state = {o["metadata"]["name"]: o.get("data", {}).get("v", "") for o in document["items"]}
                    listed = True
                parameters = {"watch": "1", "resourceVersion": str(self.version), "timeoutSeconds": "5"}
                with session.get(url, params=parameters, stream=True, timeout=10) as response:
                    for line in response.iter_lines(chunk_size=1):
                        event = json.loads(line)
                        if event["type"] == "ERROR":
                            listed = False
                            break
                        self._apply(event)
            except (requests.RequestException, ValueError, KeyError):
                time.sleep(0.02)

    def _apply(self, event: dict) -> None:
        meta = event["object"]["metadata"]
        self._note(int(meta["resourceVersion"]))
        if event["type"] == "DELETED":
            self.state.pop(meta["name"], None)
        else:
            self.state[meta["name"]] = event["object"].get("data", {}).get("v", "")

    def _note(self, version: int) -> None:
        if version < self.version:
            self.backwards.append((self.version, version))
        self.version = max(self.version, version)


@pytest.mark.timeout(600)
def test_acknowledged_writes_survive_kills_of_the_api_server(own_cluster):
    """Two writers and a watcher go on while the API server is killed at random moments."""
    chance = random.Random(7)
    writers = [Writer(own_cluster, seed) for seed in (1, 2)]
    watcher = Watcher(own_cluster)
    for thread in (*writers, watcher):
        thread.start()
    for _ in range(KILLS):
        before = sum(w.acknowledged for w in writers)
        eventually(lambda: sum(w.acknowledged for w in writers) > before + 5, 30, "the server answers again")  # noqa: B023
        time.sleep(chance.random() * 0.3)
        own_cluster.kill("apiserver")
    before = sum(w.acknowledged for w in writers)
    eventually(lambda: sum(w.acknowledged for w in writers) > before + 5, 30, "the server answers again")
    for writer in writers:
        writer.stop.set()
        writer.join(15)
    session = own_cluster.session()
    items = session.get(f"{own_cluster.url}/api/v1/namespaces/default/configmaps").json()["items"]
    found = {o["metadata"]["name"]: o.get("data", {}).get("v") for o in items}
    for writer in writers:
        assert not writer.failures
        for name, value in writer.known.items():
            if name in writer.unsure:
                assert found.get(name) in (value, writer.unsure[name])
            else:
                assert found.get(name) == value
    expected = {n: v for n, v in found.items() if n.startswith("w")}
    eventually(
        lambda: {n: v for n, v in watcher.state.items() if n.startswith("w")} == expected, 20, "the watcher has it all"
    )
    watcher.stop.set()
    assert not watcher.backwards
    print(f"{KILLS} kills, {sum(w.acknowledged for w in writers)} acknowledged writes, none lost")


@pytest.mark.timeout(600)
def test_pods_converge_whatever_is_killed(own_cluster):
    """A Deployment is scaled while API server, controllers and node are killed; in the end it is as wanted."""
    labels = {"app": "web"}
    pod = {"terminationGracePeriodSeconds": 1, "containers": [{"name": "c", "image": "localcluster/pause"}]}
    spec = {
        "replicas": 2,
        "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": pod},
    }
    url = f"{own_cluster.url}/apis/apps/v1/namespaces/default/deployments"
    session = own_cluster.session()
    session.post(url, json={"metadata": {"name": "web"}, "spec": spec}).raise_for_status()
    chance = random.Random(11)

    def scale(replicas: int) -> bool:
        return session.patch(
            f"{url}/web",
            json={"spec": {"replicas": replicas}},
            headers={"Content-Type": "application/merge-patch+json"},
            timeout=10,
        ).ok

    wanted = 2
    for number in range(max(3, KILLS // 2)):
        wanted = 1 + number % 4
        eventually(lambda: scale(wanted), 30, "scaled")  # noqa: B023
        time.sleep(chance.random() * 0.5)
        own_cluster.kill(chance.choice(("apiserver", "controllers", "node")))

    def converged() -> bool:
        status = session.get(f"{url}/web", timeout=10).json()["status"]
        pods = session.get(f"{own_cluster.url}/api/v1/namespaces/default/pods", timeout=10).json()["items"]
        return status.get("readyReplicas") == status.get("replicas") == wanted == len(pods)

    eventually(converged, 60, f"{wanted} pods, all ready")
