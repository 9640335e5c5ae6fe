"""How fast and how frugal the controller is: `python -m benchmarks.controller`.

Starts a cluster without a node in a temporary folder, on loopback, and a controller beside it. What is measured: 1,000
Functions with `deployment.spec.replicas: 0` applied at once until the last one is Ready; what the controller sends to
the API server for each; its memory; and the second pass of a controller that was stopped and started again, which must
write nothing.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import datetime as dt
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil

from benchmarks.localcluster import machine
from kubeless.cluster.resources import FUNCTIONS
from tests.controller import controllers
from tests.controller.controllers import WRITES, Controller
from tests.localcluster import clusters
from tests.localcluster.clusters import Cluster, eventually

JSON = dict[str, Any]

FUNCTION_COUNT = 1000
WRITERS = 4
NAMESPACE = "default"
LIMIT_SECONDS = 600.0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--functions", type=int, default=FUNCTION_COUNT, metavar="N")
    options = parser.parse_args()
    count: int = options.functions
    rows: list[tuple[str, str]] = []
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        with clusters.running(folder / "cluster", "--no-node") as cluster:
            controllers.install(cluster)
            with controllers.running(cluster, folder, "first") as controller:
                rows.append(("memory of the controller without functions (PSS)", f"{memory_mb(controller):.0f} MB"))
                rows += first_pass(cluster, controller, count)
            with controllers.running(cluster, folder, "second") as controller:
                second, writes = second_pass(controller, count)
                rows += second
    print(f"python -m benchmarks.controller, {dt.date.today()}, {machine()}\n")
    print("| what | measured |\n| --- | --- |")
    for what, value in rows:
        print(f"| {what} | {value} |")
    return int(writes > 0)


def first_pass(cluster: Cluster, controller: Controller, count: int) -> list[tuple[str, str]]:
    before = controller.requests()
    started = time.perf_counter()
    with concurrent.futures.ThreadPoolExecutor(WRITERS) as pool:
        list(pool.map(lambda numbers: create(cluster, numbers), (range(n, count, WRITERS) for n in range(WRITERS))))
    applied = time.perf_counter() - started
    eventually(lambda: controller.is_idle(count) and ready(cluster) == count, LIMIT_SECONDS, "all functions are ready")
    taken = time.perf_counter() - started
    controllers.wait_quiet(controller, count, LIMIT_SECONDS)
    sent = {method: total - before.get(method, 0) for method, total in controller.requests().items()}
    of_each = ", ".join(f"{method} {total / count:.2f}" for method, total in sent.items())
    reconciles = controller.metrics()["kubeless_controller_reconcile_seconds_count"]
    return [
        (f"{count} Functions created, by {WRITERS} writers", f"{applied:.1f} s"),
        ("until the last one is Ready", f"{taken:.1f} s"),
        ("API requests a Function", f"{sum(sent.values()) / count:.2f} ({of_each})"),
        ("reconciles a Function", f"{reconciles / count:.2f}"),
        ("CPU time of the controller a Function", f"{cpu_seconds(controller) / count * 1000:.1f} ms"),
        ("memory of the controller with them (PSS)", f"{memory_mb(controller):.0f} MB"),
    ]


def second_pass(controller: Controller, count: int) -> tuple[list[tuple[str, str]], int]:
    started = time.perf_counter()
    eventually(lambda: controller.is_idle(count), LIMIT_SECONDS, "all functions are reconciled")
    taken = time.perf_counter() - started
    controllers.wait_quiet(controller, count, LIMIT_SECONDS)
    sent = controller.requests()
    # The lease is renewed by PUT, and by nothing else.
    writes = sum(sent.get(method, 0) for method in WRITES if method != "PUT")
    rows = [
        ("second pass, controller started again", f"{taken:.1f} s"),
        ("writes of the second pass", str(writes)),
        ("reads of the second pass, watches included", str(sent.get("GET", 0))),
        ("memory of the controller after it (PSS)", f"{memory_mb(controller):.0f} MB"),
    ]
    return rows, writes


def create(cluster: Cluster, numbers: range) -> None:
    session = cluster.session()
    url = f"{cluster.url}{FUNCTIONS.path(NAMESPACE)}"
    for number in numbers:
        session.post(url, json=make_function(number), timeout=60).raise_for_status()


def make_function(number: int) -> JSON:
    source = f"def handler(event, context):\n    return 'function {number}'\n"
    return {
        "apiVersion": FUNCTIONS.api_version,
        "kind": FUNCTIONS.kind,
        "metadata": {"name": f"bench-{number}"},
        "spec": {
            "runtime": "python3.11",
            "handler": "bench.handler",
            "function": source,
            "deps": "Markdown==3.7\n",
            "deployment": {"spec": {"replicas": 0}},
        },
    }


def ready(cluster: Cluster) -> int:
    items = cluster.session().get(f"{cluster.url}{FUNCTIONS.path(NAMESPACE)}", timeout=60).json()["items"]
    return sum(
        condition["type"] == "Ready" and condition["status"] == "True"
        for item in items
        for condition in (item.get("status") or {}).get("conditions") or []
    )


def cpu_seconds(controller: Controller) -> float:
    times = psutil.Process(controller.process.pid).cpu_times()
    return times.user + times.system


def memory_mb(controller: Controller) -> float:
    return psutil.Process(controller.process.pid).memory_full_info().pss / 2**20


if __name__ == "__main__":
    sys.exit(main())
