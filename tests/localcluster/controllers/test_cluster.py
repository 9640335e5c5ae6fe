"""The controllers against a real API server: what they make together, and that they are quiet when nothing changes."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from tests.localcluster.clusters import Cluster

JSON = dict[str, Any]


class Api:
    """The API below one namespace, as the administrator."""

    def __init__(self, cluster: Cluster) -> None:
        self.url = cluster.url
        self.session = cluster.session()
        self.namespace = f"controllers-{uuid.uuid4().hex[:8]}"
        self.send("POST", "/api/v1/namespaces", {"metadata": {"name": self.namespace}})
        # Pods are refused without it.
        self.until("the service account", lambda: self.list("v1", "serviceaccounts"))

    def send(self, method: str, path: str, body: JSON | None = None) -> JSON:
        kind = "application/merge-patch+json" if method == "PATCH" else "application/json"
        answer: requests.Response = self.session.request(
            method, self.url + path, json=body, headers={"Content-Type": kind}, timeout=10
        )
        assert answer.ok, answer.text
        return answer.json()

    def path(self, group: str, rest: str) -> str:
        root = "/api/v1" if group == "v1" else f"/apis/{group}"
        return f"{root}/namespaces/{self.namespace}/{rest}"

    def list(self, group: str, plural: str) -> list[JSON]:
        return self.send("GET", self.path(group, plural))["items"]

    def until(self, what: str, condition: Any, seconds: float = 15) -> Any:
        """Ask until the condition gives something true."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if found := condition():
                return found
            time.sleep(0.05)
        raise AssertionError(f"not in {seconds} s: {what}")


@pytest.fixture
def api(control_plane: Cluster) -> Iterator[Api]:
    made = Api(control_plane)
    yield made
    made.send("DELETE", f"/api/v1/namespaces/{made.namespace}")


def deployment(name: str, replicas: int = 1, scheduler: str = "nobody") -> JSON:
    spec = {"schedulerName": scheduler, "containers": [{"name": "c", "image": "i"}]}
    template = {"metadata": {"labels": {"app": name}}, "spec": spec}
    selector = {"matchLabels": {"app": name}}
    return {"metadata": {"name": name}, "spec": {"replicas": replicas, "selector": selector, "template": template}}


def version(api: Api) -> str:
    """Of the whole store."""
    return api.send("GET", "/api/v1/namespaces?limit=1")["metadata"]["resourceVersion"]


def test_nothing_is_written_when_nothing_changes(api):
    for n in range(5):
        api.send("POST", api.path("apps/v1", "deployments"), deployment(f"d{n}", 2))
    api.until("all pods", lambda: len(api.list("v1", "pods")) == 10)

    def settled():
        before = version(api)
        time.sleep(1)
        return version(api) == before

    api.until("quiet", settled)


@pytest.mark.slow
def test_a_killed_api_server_leaves_neither_too_few_nor_too_many_pods(api, control_plane):
    for n in range(12):
        api.send("POST", api.path("apps/v1", "deployments"), deployment(f"d{n}", 3))
        if n in (3, 7):
            control_plane.kill("apiserver")
            api.until("the API server", lambda: _answers(api), 30)
    api.until("all pods", lambda: len(api.list("v1", "pods")) >= 36, 30)
    time.sleep(1)
    found = Counter(pod["metadata"]["labels"]["app"] for pod in api.list("v1", "pods"))
    assert set(found.values()) == {3}


def _answers(api: Api) -> bool:
    try:
        return api.session.get(api.url + "/readyz", timeout=2).ok
    except requests.RequestException:
        return False


def test_a_pod_waits_for_a_node_that_fits(api):
    api.send("POST", api.path("v1", "pods"), {"metadata": {"name": "p"}, "spec": _on_disk("ssd")})

    def scheduled(status: str):
        conditions = api.send("GET", api.path("v1", "pods/p"))["status"].get("conditions") or []
        return next((c for c in conditions if c["type"] == "PodScheduled" and c["status"] == status), None)

    told = api.until("the refusal", lambda: scheduled("False"))
    assert told["reason"] == "Unschedulable"
    name = f"node-{api.namespace}"
    ready = {"conditions": [{"type": "Ready", "status": "True"}], "allocatable": {"cpu": "1", "pods": "5"}}
    node = {"metadata": {"name": name, "labels": {"disk": "ssd", "of": api.namespace}}, "status": ready}
    api.send("POST", "/api/v1/nodes", node)
    try:
        api.until("the binding", lambda: scheduled("True"))
        assert api.send("GET", api.path("v1", "pods/p"))["spec"]["nodeName"] == name
    finally:
        api.send("DELETE", f"/api/v1/nodes/{name}")


def _on_disk(kind: str) -> JSON:
    return {"nodeSelector": {"disk": kind}, "containers": [{"name": "c", "image": "i"}]}


def test_custom_resources_own_objects_too(api):
    group = f"{api.namespace}.example"
    schema = {"openAPIV3Schema": {"type": "object"}}
    names = {"plural": "things", "singular": "thing", "kind": "Thing"}
    versions = [{"name": "v1", "served": True, "storage": True, "schema": schema}]
    definition = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"things.{group}"},
        "spec": {"group": group, "scope": "Namespaced", "names": names, "versions": versions},
    }
    root = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    api.send("POST", root, definition)
    try:
        things = api.path(f"{group}/v1", "things")
        api.until("the resource", lambda: api.session.get(api.url + things, timeout=5).ok)
        body = {"apiVersion": f"{group}/v1", "kind": "Thing", "metadata": {"name": "owner"}}
        owner = api.send("POST", things, body)
        reference = {"apiVersion": f"{group}/v1", "kind": "Thing", "name": "owner", "uid": owner["metadata"]["uid"]}
        owned = {"metadata": {"name": "owned", "ownerReferences": [reference]}}
        api.send("POST", api.path("v1", "configmaps"), owned)
        time.sleep(1)
        api.send("DELETE", f"{things}/owner")
        names_of = lambda: [c["metadata"]["name"] for c in api.list("v1", "configmaps")]  # noqa: E731
        api.until("the owned one to go", lambda: "owned" not in names_of())
    finally:
        api.send("DELETE", f"{root}/things.{group}")


def test_sigterm_ends_the_process_cleanly(control_plane):
    kubeconfig = control_plane.data_dir / "run" / "controllers.kubeconfig"
    process = subprocess.Popen(
        [sys.executable, "-m", "localcluster.controllers", "--kubeconfig", str(kubeconfig)],
        stderr=subprocess.PIPE,
        text=True,
    )
    time.sleep(1.5)
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=10)
    assert (process.returncode, errors) == (0, "")
