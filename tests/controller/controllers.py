"""Controllers for tests: processes as users start them, on a cluster in which the definitions are installed."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests
from prometheus_client.parser import text_string_to_metric_families

from kubeless.cli import kustomize
from kubeless.cluster.resources import FUNCTIONS, resource_of
from tests.localcluster.clusters import Cluster, eventually, free_port

JSON = dict[str, Any]

ROOT = Path(__file__).resolve().parents[2]
WRITES = ("POST", "PATCH", "PUT", "DELETE")
EXIT_SECONDS = 20.0


def install(cluster: Cluster) -> None:
    """What `manifests/` has, without the controller's Deployment: the tests start controllers themselves."""
    session = cluster.session()
    manifests = kustomize.build(ROOT / "manifests" / "overlays" / "local")
    for obj in manifests:
        if obj["kind"] == "CustomResourceDefinition" or obj["kind"] == "Namespace":
            apply(cluster, obj)
    eventually(lambda: session.get(f"{cluster.url}/apis/{FUNCTIONS.api_version}/{FUNCTIONS.plural}", timeout=10).ok)
    for obj in manifests:
        if obj["kind"] == "ConfigMap":
            apply(cluster, obj)


def apply(cluster: Cluster, obj: JSON) -> JSON:
    """Server-side apply as a user's tool does it."""
    path = _path(obj)
    answer = cluster.session().patch(
        f"{cluster.url}{path}",
        params={"fieldManager": "test", "force": "true"},
        json=obj,
        headers={"Content-Type": "application/apply-patch+yaml"},
        timeout=10,
    )
    assert answer.ok, answer.text
    applied: JSON = answer.json()
    return applied


def _path(obj: JSON) -> str:
    metadata = obj["metadata"]
    paths = {"CustomResourceDefinition": "customresourcedefinitions"}
    if obj["kind"] in paths:
        return f"/apis/{obj['apiVersion']}/{paths[obj['kind']]}/{metadata['name']}"
    return resource_of(obj).path(metadata.get("namespace", ""), metadata["name"])


@dataclass
class Controller:
    """A running controller; its figures come from its own /metrics."""

    process: subprocess.Popen[bytes]
    port: int
    log: Path

    def metrics(self) -> dict[str, float]:
        """Samples by name and labels, such as ``kubeless_controller_api_requests_total{PATCH}``."""
        with requests.Session() as session:
            session.trust_env = False
            text = session.get(f"http://127.0.0.1:{self.port}/metrics", timeout=5).text
        return {
            sample.name + ("{" + ",".join(sample.labels.values()) + "}" if sample.labels else ""): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }

    def requests(self) -> dict[str, int]:
        """Sent to the API server so far, by HTTP method; those of the lease (GET, PUT) are among them."""
        prefix = "kubeless_controller_api_requests_total{"
        return {name[len(prefix) : -1]: int(value) for name, value in self.metrics().items() if name.startswith(prefix)}

    def is_idle(self, functions: int) -> bool:
        """Whether it leads, knows so many Functions, and has reconciled all that it heard of."""
        metrics = self.metrics()
        done = sum(value for name, value in metrics.items() if name.startswith("kubeless_controller_reconciles_total"))
        return (
            metrics["kubeless_controller_leading"] == 1
            and metrics["kubeless_controller_functions"] == functions
            and metrics["kubeless_controller_queued_functions"] == 0
            and done >= functions
        )

    def wait_leading(self, seconds: float = 20) -> None:
        eventually(lambda: self.metrics()["kubeless_controller_leading"] == 1, seconds, "the controller leads")

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(EXIT_SECONDS)

    def stop(self) -> None:
        """As Kubernetes stops it."""
        self.process.terminate()
        code = self.process.wait(EXIT_SECONDS)
        assert code == 0, self.log.read_text()[-3000:]


def start(cluster: Cluster, folder: Path, identity: str = "test") -> Controller:
    port = free_port()
    log = folder / f"controller-{identity}-{port}.log"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("KUBELESS_")}
    command = [sys.executable, "-m", "controller", "--kubeconfig", str(cluster.kubeconfig), "--port", str(port)]
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*command, "--identity", identity], stdout=output, stderr=output, env=environment, cwd=ROOT
        )
    controller = Controller(process, port, log)

    def answers() -> bool:
        assert process.poll() is None, log.read_text()[-3000:]
        return bool(controller.metrics())

    eventually(answers, 20, "the controller answers")
    return controller


@contextlib.contextmanager
def running(cluster: Cluster, folder: Path, identity: str = "test") -> Iterator[Controller]:
    controller = start(cluster, folder, identity)
    try:
        controller.wait_leading()
        yield controller
    finally:
        if controller.process.poll() is None:
            controller.stop()


def wait_quiet(controller: Controller, functions: int, seconds: float = 30) -> None:
    """Until nothing was reconciled for a second."""
    eventually(lambda: controller.is_idle(functions), seconds, "all functions are reconciled")
    last, since = -1.0, time.monotonic()
    end = time.monotonic() + seconds
    while time.monotonic() - since < 1:
        assert time.monotonic() < end, "the controller does not come to rest"
        done = controller.metrics()["kubeless_controller_reconcile_seconds_count"]
        if done != last:
            last, since = done, time.monotonic()
        time.sleep(0.1)
