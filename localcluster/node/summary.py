"""What the node tells of its usage: the kubelet's Summary API, Prometheus' resource metrics, and metrics.k8s.io."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import psutil

if TYPE_CHECKING:
    from localcluster.node.container import Container
    from localcluster.node.pod import RunningPod
    from localcluster.node.process_runner import ProcessRunner
    from localcluster.node.usage import Meter, Usage

JSON = dict[str, Any]


def _stamp(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%SZ}"


def _stats(usage: Usage) -> JSON:
    when = _stamp(usage.time)
    return {
        "cpu": {
            "time": when,
            "usageNanoCores": int(usage.cores * 1e9),
            "usageCoreNanoSeconds": int(usage.cpu_seconds * 1e9),
        },
        "memory": {
            "time": when,
            "usageBytes": usage.memory_bytes,
            "workingSetBytes": usage.memory_bytes,
            "rssBytes": usage.memory_bytes,
        },
    }


class Summary:
    """Views of one node's measurements."""

    def __init__(self, node_name: str, runner: ProcessRunner, meter: Meter) -> None:
        self._node_name = node_name
        self._runner = runner
        self._meter = meter
        self._node_cpu: tuple[float, float] | None = None

    def _measured(self) -> Iterator[tuple[RunningPod, list[tuple[Container, Usage]]]]:
        self._meter.refresh()
        for pod in self._runner.running_pods():
            found = [(c, usage) for c in pod.containers if (usage := self._meter.usage(c)) is not None]
            if found:
                yield pod, found

    def node_usage(self) -> tuple[float, int]:
        """Cores in use since the last call (or the boot), and memory in use, of the whole machine."""
        times = psutil.cpu_times()
        busy = sum(times[:3]) + times.irq + times.softirq
        now = datetime.now(UTC).timestamp()
        before, self._node_cpu = self._node_cpu or (0.0, psutil.boot_time()), (busy, now)
        memory = psutil.virtual_memory()
        return max(0.0, busy - before[0]) / max(now - before[1], 1e-3), memory.total - memory.available

    def stats_summary(self) -> JSON:
        """GET /stats/summary (k8s.io/kubelet `stats/v1alpha1`)."""
        cores, memory = self.node_usage()
        now = _stamp(datetime.now(UTC).timestamp())
        pods = []
        for pod, containers in self._measured():
            meta = pod.pod["metadata"]
            total_cores = sum(u.cores for _, u in containers)
            entries = [
                {"name": c.name, "startTime": (c.state.state.get("running") or {}).get("startedAt"), **_stats(u)}
                for c, u in containers
            ]
            pods.append(
                {
                    "podRef": {"name": meta["name"], "namespace": meta["namespace"], "uid": meta["uid"]},
                    "startTime": pod.status()["startTime"],
                    "containers": entries,
                    "cpu": {
                        "time": entries[0]["cpu"]["time"],
                        "usageNanoCores": int(total_cores * 1e9),
                        "usageCoreNanoSeconds": int(sum(u.cpu_seconds for _, u in containers) * 1e9),
                    },
                    "memory": {
                        "time": entries[0]["memory"]["time"],
                        "usageBytes": sum(u.memory_bytes for _, u in containers),
                        "workingSetBytes": sum(u.memory_bytes for _, u in containers),
                    },
                }
            )
        node = {
            "nodeName": self._node_name,
            "startTime": _stamp(psutil.boot_time()),
            "cpu": {"time": now, "usageNanoCores": int(cores * 1e9)},
            "memory": {"time": now, "usageBytes": memory, "workingSetBytes": memory},
        }
        return {"node": node, "pods": pods}

    def resource_metrics(self) -> str:
        """GET /metrics/resource, which a metrics-server reads."""
        _, memory = self.node_usage()
        times = psutil.cpu_times()
        busy = sum(times[:3]) + times.irq + times.softirq
        cpu_lines = ["# TYPE container_cpu_usage_seconds_total counter"]
        memory_lines = ["# TYPE container_memory_working_set_bytes gauge"]
        start_lines = ["# TYPE container_start_time_seconds gauge"]
        for pod, containers in self._measured():
            meta = pod.pod["metadata"]
            for container, usage in containers:
                labels = f'{{container="{container.name}",namespace="{meta["namespace"]}",pod="{meta["name"]}"}}'
                at = int(usage.time * 1000)
                cpu_lines.append(f"container_cpu_usage_seconds_total{labels} {usage.cpu_seconds:.6f} {at}")
                memory_lines.append(f"container_memory_working_set_bytes{labels} {usage.memory_bytes} {at}")
                started = datetime.fromisoformat(container.state.state["running"]["startedAt"]).timestamp()
                start_lines.append(f"container_start_time_seconds{labels} {started}")
        node_lines = [
            "# TYPE node_cpu_usage_seconds_total counter",
            f"node_cpu_usage_seconds_total {busy:.6f}",
            "# TYPE node_memory_working_set_bytes gauge",
            f"node_memory_working_set_bytes {memory}",
        ]
        return "\n".join([*cpu_lines, *memory_lines, *start_lines, *node_lines, ""])

    # ---- metrics.k8s.io/v1beta1

    def node_metrics(self, labels: dict[str, str]) -> JSON:
        cores, memory = self.node_usage()
        return {
            "kind": "NodeMetrics",
            "apiVersion": "metrics.k8s.io/v1beta1",
            "metadata": {"name": self._node_name, "creationTimestamp": _now(), "labels": labels},
            "timestamp": _now(),
            "window": "10s",
            "usage": {"cpu": f"{int(cores * 1e9)}n", "memory": f"{memory // 1024}Ki"},
        }

    def pod_metrics(self, namespace: str = "") -> list[JSON]:
        """PodMetrics of the pods here; a pod shows when it was measured twice, since before that it has no CPU rate."""
        found = []
        for pod, containers in self._measured():
            meta = pod.pod["metadata"]
            if (namespace and meta["namespace"] != namespace) or any(not u.window_seconds for _, u in containers):
                continue
            found.append(
                {
                    "kind": "PodMetrics",
                    "apiVersion": "metrics.k8s.io/v1beta1",
                    "metadata": {
                        "name": meta["name"],
                        "namespace": meta["namespace"],
                        "creationTimestamp": _now(),
                        **({"labels": meta["labels"]} if meta.get("labels") else {}),
                    },
                    "timestamp": _stamp(containers[0][1].time),
                    "window": f"{max(u.window_seconds for _, u in containers):.3f}s",
                    "containers": [
                        {
                            "name": c.name,
                            "usage": {"cpu": f"{int(u.cores * 1e9)}n", "memory": f"{u.memory_bytes // 1024}Ki"},
                        }
                        for c, u in containers
                    ],
                }
            )
        return sorted(found, key=lambda m: (m["metadata"]["namespace"], m["metadata"]["name"]))


def _now() -> str:
    return _stamp(datetime.now(UTC).timestamp())
