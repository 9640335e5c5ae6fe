"""How fast and how small the local cluster is: `make bench-localcluster`, or `python -m benchmarks.localcluster`.

Starts a cluster of its own in a temporary folder, on loopback, and stops it. What is measured:
start to ready, memory when idle, 1,000 ConfigMaps created while 10 watchers look on, 100 Deployments of one pod each
until all are ready, and the time from deleting their namespace until nothing is left.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import datetime as dt
import json
import platform
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import requests

from tests.localcluster import clusters
from tests.localcluster.clusters import Cluster, eventually

CONFIG_MAPS = 1000
WATCHERS = 10
WRITERS = 4
DEPLOYMENTS = 100
STARTS = 5
IDLE_SECONDS = 10.0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--starts", type=int, default=STARTS, metavar="N", help="how often the start is timed")
    parser.add_argument("--deployments", type=int, default=DEPLOYMENTS, metavar="N")
    options = parser.parse_args()
    rows: list[tuple[str, str]] = []
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        first, again = start_times(Path(folder, "starts"), options.starts)
        rows.append(("start to ready, new data directory", f"{first:.2f} s"))
        rows.append(("start to ready, again (median)", f"{again:.2f} s"))
        with clusters.running(Path(folder, "cluster")) as cluster:
            time.sleep(IDLE_SECONDS)
            memory = memory_by_process(cluster)
            parts = ", ".join(f"{name} {mb:.0f}" for name, mb in memory.items())
            rows.append(("memory when idle (PSS)", f"{sum(memory.values()):.0f} MB ({parts})"))
            rows.append(("CPU when idle", f"{idle_cpu(cluster) * 100:.1f} % of a core"))
            rows += config_maps(cluster)
            rows += deployments(cluster, options.deployments)
            memory = memory_by_process(cluster)
            rows.append(("memory after all that (PSS)", f"{sum(memory.values()):.0f} MB"))
    print_table(rows)
    return 0


def start_times(data_dir: Path, starts: int) -> tuple[float, float]:
    """Seconds from the command to ready: with a new data directory, and the median of later starts."""
    times = []
    for _ in range(starts + 1):
        began = time.monotonic()
        clusters.start(data_dir)
        times.append(time.monotonic() - began)
        clusters.stop(data_dir)
    return times[0], statistics.median(times[1:])


def memory_by_process(cluster: Cluster) -> dict[str, float]:
    """Proportional set size in MB of each process of the cluster."""
    found = {}
    for name, pid in cluster.pids.items():
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
        found[name] = int(next(line for line in rollup.splitlines() if line.startswith("Pss:")).split()[1]) / 1024
    return found


def idle_cpu(cluster: Cluster) -> float:
    def ticks() -> int:
        total = 0
        for pid in cluster.pids.values():
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            total += int(fields[11]) + int(fields[12])
        return total

    began, before = time.monotonic(), ticks()
    time.sleep(IDLE_SECONDS)
    return (ticks() - before) / 100 / (time.monotonic() - began)


def config_maps(cluster: Cluster) -> list[tuple[str, str]]:
    """1,000 creates by a few writers, seen by ten watchers."""
    url = f"{cluster.url}/api/v1/namespaces/bench/configmaps"
    cluster.session().post(f"{cluster.url}/api/v1/namespaces", json={"metadata": {"name": "bench"}}).raise_for_status()
    version = cluster.session().get(url).json()["metadata"]["resourceVersion"]
    counts = [0] * WATCHERS
    lags: list[float] = []
    done = threading.Event()

    def watch(number: int) -> None:
        parameters = {"watch": "1", "resourceVersion": version, "timeoutSeconds": "120"}
        with cluster.session().get(url, params=parameters, stream=True) as response:
            for line in response.iter_lines(chunk_size=65536):
                event = json.loads(line)
                if "sent" not in event["object"].get("data", {}):
                    continue
                counts[number] += 1
                if number == 0:
                    lags.append(time.time() - float(event["object"]["data"]["sent"]))
                if counts[number] == CONFIG_MAPS:
                    if all(c == CONFIG_MAPS for c in counts):
                        done.set()
                    return

    threads = [threading.Thread(target=watch, args=(n,), daemon=True) for n in range(WATCHERS)]
    for thread in threads:
        thread.start()
    time.sleep(1)

    def write(writer: int) -> None:
        session = cluster.session()
        for number in range(writer, CONFIG_MAPS, WRITERS):
            body = {"metadata": {"name": f"c{number}"}, "data": {"sent": str(time.time()), "text": "x" * 200}}
            session.post(url, json=body).raise_for_status()

    began = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(WRITERS) as pool:
        list(pool.map(write, range(WRITERS)))
    written = time.monotonic() - began
    done.wait(60)
    seen = time.monotonic() - began
    p99 = statistics.quantiles(lags, n=100)[98] if len(lags) > 1 else float("nan")
    return [
        (f"{CONFIG_MAPS:,} ConfigMaps created", f"{written:.2f} s ({CONFIG_MAPS / written:.0f}/s)"),
        (
            f"… seen by {WATCHERS} watchers",
            f"{seen:.2f} s ({min(counts)} by each), p99 {p99 * 1000:.0f} ms after the send",
        ),
    ]


def deployments(cluster: Cluster, count: int) -> list[tuple[str, str]]:
    """Deployments of one pod each to all ready, and their namespace deleted."""
    session = cluster.session()
    session.post(f"{cluster.url}/api/v1/namespaces", json={"metadata": {"name": "many"}}).raise_for_status()
    url = f"{cluster.url}/apis/apps/v1/namespaces/many/deployments"
    began = time.monotonic()
    for number in range(count):
        session.post(url, json=deployment(f"d{number}")).raise_for_status()
    created = time.monotonic() - began

    def ready() -> bool:
        return sum(d["status"].get("readyReplicas", 0) for d in session.get(url).json()["items"]) == count

    eventually(ready, 180, f"{count} Deployments ready")
    all_ready = time.monotonic() - began
    began = time.monotonic()
    session.delete(f"{cluster.url}/api/v1/namespaces/many").raise_for_status()
    eventually(lambda: gone(session, f"{cluster.url}/api/v1/namespaces/many"), 180, "the namespace is gone")
    deleted = time.monotonic() - began
    return [
        (f"{count} Deployments of one pod", f"created in {created:.2f} s, all ready after {all_ready:.2f} s"),
        ("… their namespace deleted", f"nothing left after {deleted:.2f} s"),
    ]


def deployment(name: str) -> dict[str, object]:
    labels = {"app": name}
    pod = {
        "terminationGracePeriodSeconds": 1,
        "containers": [{"name": "c", "image": "localcluster/pause"}],
    }
    spec = {
        "replicas": 1,
        "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": pod},
    }
    return {"metadata": {"name": name}, "spec": spec}


def gone(session: requests.Session, url: str) -> bool:
    return session.get(url).status_code == 404


def print_table(rows: list[tuple[str, str]]) -> None:
    print(f"python -m benchmarks.localcluster, {dt.date.today()}, {machine()}\n")
    print("| what | measured |\n| --- | --- |")
    for what, value in rows:
        print(f"| {what} | {value} |")


def machine() -> str:
    """What a reader needs to know of this machine."""
    cores = len(Path("/proc/cpuinfo").read_text().split("processor\t")) - 1
    model = next(
        (ln.split(":")[1].strip() for ln in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in ln), ""
    )
    kernel = subprocess.run(["uname", "-r"], capture_output=True, text=True, check=True).stdout.strip()
    return f"{cores} cores ({model}), Linux {kernel}, Python {platform.python_version()}"


if __name__ == "__main__":
    sys.exit(main())
