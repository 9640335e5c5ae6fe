"""A kopf operator runs on the local cluster unchanged: no event missed, no hot loop, no growth of memory."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests.localcluster.clusters import Cluster, eventually

CHANGES = int(os.environ.get("SOAK_CHANGES", "200"))
"""In `make soak` 3,600: an hour of one change a second, compressed."""
WIDGETS = 25
QUIET_SECONDS = 3.0
MEMORY_GROWTH_MB = 25

CRD = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "widgets.example.dev"},
    "spec": {
        "group": "example.dev",
        "scope": "Namespaced",
        "names": {"plural": "widgets", "kind": "Widget"},
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "subresources": {"status": {}},
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "properties": {
                            "spec": {"type": "object", "properties": {"value": {"type": "integer"}}},
                            "status": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
                        },
                    }
                },
            }
        ],
    },
}


@pytest.fixture
def operator_log(control_plane: Cluster, tmp_path: Path) -> Iterator[Path]:
    """The operator, running; what it handled is in the file."""
    session = control_plane.session()
    definitions = f"{control_plane.url}/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    session.post(definitions, json=CRD).raise_for_status()
    log = tmp_path / "handled.jsonl"
    log.touch()
    program = Path(__file__).with_name("operators") / "widgets.py"
    with (tmp_path / "kopf.log").open("w") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "kopf", "run", "--standalone", "--all-namespaces", str(program)],
            env={**os.environ, "KUBECONFIG": str(control_plane.kubeconfig), "WIDGETS_LOG": str(log)},
            stdout=output,
            stderr=output,
        )
    yield log
    process.terminate()
    assert process.wait(20) == 0, (tmp_path / "kopf.log").read_text()[-2000:]
    session.delete(f"{definitions}/widgets.example.dev")


class Widgets:
    """Random changes of a few widgets, and what should be true after them."""

    def __init__(self, cluster: Cluster, namespace: str) -> None:
        self.session = cluster.session()
        self.url = f"{cluster.url}/apis/example.dev/v1/namespaces/{namespace}/widgets"
        self.maps = f"{cluster.url}/api/v1/namespaces/{namespace}/configmaps"
        self.values: dict[str, int] = {}
        self.created: set[str] = set()
        self.deleted: set[str] = set()
        self.gone: set[str] = set()
        self.random = random.Random(5)

    def change(self, number: int) -> None:
        name = f"w{self.random.randrange(WIDGETS)}"
        if name not in self.values:
            body = {"apiVersion": "example.dev/v1", "kind": "Widget", "metadata": {"name": name}}
            response = self.session.post(self.url, json=body | {"spec": {"value": number}})
            if response.status_code == 409:  # the former one is still being deleted
                return
            response.raise_for_status()
            self.created.add(response.json()["metadata"]["uid"])
            self.values[name] = number
        elif self.random.random() < 0.25:
            response = self.session.delete(f"{self.url}/{name}")
            response.raise_for_status()
            marked = response.json()
            self.gone.add(marked.get("details", marked["metadata"])["uid"])
            if marked["metadata"].get("finalizers"):  # else it went before the operator had laid its hand on it
                self.deleted.add(marked["metadata"]["uid"])
            del self.values[name]
        else:
            headers = {"Content-Type": "application/merge-patch+json"}
            self.session.patch(
                f"{self.url}/{name}", json={"spec": {"value": number}}, headers=headers
            ).raise_for_status()
            self.values[name] = number

    def items(self, url: str) -> list[dict]:
        response = self.session.get(url)
        response.raise_for_status()
        return response.json()["items"]

    def settled(self) -> bool:
        """Whether status and child of each widget tell its value, and nothing else is there."""
        found = {w["metadata"]["name"]: w for w in self.items(self.url)}
        if {n: w["spec"]["value"] for n, w in found.items()} != self.values:
            return False
        if any(w.get("status", {}).get("value") != w["spec"]["value"] for w in found.values()):
            return False
        children = {m["metadata"]["name"]: m["data"]["value"] for m in self.items(self.maps) if "value" in m["data"]}
        return children == {n: str(v) for n, v in self.values.items()}


def memory_mb(pid: int) -> float:
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return int(next(line for line in rollup.splitlines() if line.startswith("Pss:")).split()[1]) / 1024


@pytest.mark.timeout(1800)
def test_an_operator_misses_nothing(control_plane: Cluster, operator_log: Path) -> None:
    session = control_plane.session()
    session.post(f"{control_plane.url}/api/v1/namespaces", json={"metadata": {"name": "widgets"}}).raise_for_status()
    widgets = Widgets(control_plane, "widgets")
    widgets.change(0)
    eventually(lambda: operator_log.read_text(), 60, "the operator has started")
    server = control_plane.pids["apiserver"]
    early = 0.0
    for number in range(1, CHANGES + 1):
        widgets.change(number)
        if number == CHANGES // 3:
            early = memory_mb(server)
        if number % 20 == 0:
            time.sleep(0.2)  # kopf joins changes that come faster than it handles them; some are to be handled alone
    eventually(widgets.settled, 120, "status and children follow the widgets")
    growth = memory_mb(server) - early

    handled = [json.loads(line) for line in operator_log.read_text().splitlines()]
    seen = {event: {h["uid"] for h in handled if h["event"] == event} for event in ("create", "update", "delete")}
    assert widgets.deleted
    assert widgets.deleted <= seen["delete"]
    assert widgets.created - widgets.gone <= seen["create"]

    before = (len(handled), versions(session, widgets))
    time.sleep(QUIET_SECONDS)
    after = (len(operator_log.read_text().splitlines()), versions(session, widgets))
    assert after == before, "something goes on writing though nothing changes"
    assert growth < MEMORY_GROWTH_MB
    print(f"{CHANGES} changes, {len(handled)} handled; the API server grew by {growth:.1f} MB in the last two thirds")
    session.delete(f"{control_plane.url}/api/v1/namespaces/widgets")


def versions(session: requests.Session, widgets: Widgets) -> list[str]:
    found = widgets.items(widgets.url) + widgets.items(widgets.maps)
    return sorted(o["metadata"]["resourceVersion"] for o in found)
