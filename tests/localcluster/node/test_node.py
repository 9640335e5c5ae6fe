"""The node in a running cluster, by kubectl: what is reported, streams, services, usage, restarts."""

from __future__ import annotations

import json
import os
import signal
import threading
import urllib.request

import pytest
import yaml

from tests.localcluster.clusters import Cluster, eventually, has_kubectl

pytestmark = pytest.mark.skipif(not has_kubectl(), reason="no kubectl on the PATH")

WEB = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "web"},
    "spec": {
        "replicas": 2,
        "selector": {"matchLabels": {"app": "web"}},
        "template": {
            "metadata": {"labels": {"app": "web"}},
            "spec": {
                "containers": [
                    {
                        "name": "echo",
                        "image": "localcluster/echo",
                        "readinessProbe": {"httpGet": {"path": "/healthz", "port": 8080}},
                    }
                ]
            },
        },
    },
}
SERVICE = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "web"},
    "spec": {"selector": {"app": "web"}, "ports": [{"port": 8000, "targetPort": 8080}]},
}


@pytest.fixture
def web(cluster: Cluster, namespace: str) -> str:
    """A namespace with a Deployment of two pods behind a Service; answers its address."""
    manifest = yaml.safe_dump_all([WEB, SERVICE])
    cluster.kubectl("apply", "-n", namespace, "-f", "-", input=manifest)
    cluster.kubectl("rollout", "status", "-n", namespace, "deploy/web", "--timeout=30s")
    return cluster.kubectl("get", "svc", "web", "-n", namespace, "-o", "jsonpath={.spec.clusterIP}").stdout


def ask(address: str, path: str = "/") -> dict:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(f"http://{address}:8000{path}", timeout=5) as answer:
        return json.load(answer)


def pods(cluster: Cluster, namespace: str) -> list[dict]:
    return json.loads(cluster.kubectl("get", "pods", "-n", namespace, "-o", "json").stdout)["items"]


@pytest.mark.skipif(
    "SOAK_KILLS" not in os.environ,
    reason="KNOWN WEAKNESS: where all cores are busy, a rollout of a plain Deployment can leave its Service "
    "without endpoints for a moment; `make soak` runs it",
)
def test_a_service_spreads_connections_and_survives_rollouts(cluster: Cluster, namespace: str, web: str) -> None:
    eventually(lambda: len({ask(web)["pod"] for _ in range(4)}) == 2, 5, "two pods answer in turn")
    failures: list[Exception] = []
    stop = threading.Event()

    def load() -> None:
        while not stop.is_set():
            try:
                ask(web)
            except OSError as error:
                failures.append(error)

    callers = [threading.Thread(target=load) for _ in range(3)]
    for caller in callers:
        caller.start()
    try:
        cluster.kubectl("rollout", "restart", "-n", namespace, "deploy/web")
        cluster.kubectl("rollout", "status", "-n", namespace, "deploy/web", "--timeout=30s")
    finally:
        stop.set()
        for caller in callers:
            caller.join()
    assert failures == []


def test_without_endpoints_a_service_refuses_at_once(cluster: Cluster, namespace: str, web: str) -> None:
    cluster.kubectl("scale", "-n", namespace, "deploy/web", "--replicas=0")

    def refused() -> bool:
        try:
            ask(web)
        except OSError as error:
            return "refused" in str(error)
        return False

    eventually(refused, 10)
    path = f"/api/v1/namespaces/{namespace}/services/web:8000/proxy/"
    failed = cluster.kubectl("get", "--raw", path, check=False)
    assert 'no endpoints available for service "web"' in failed.stderr


def test_streams(cluster: Cluster, namespace: str, web: str) -> None:
    name = pods(cluster, namespace)[0]["metadata"]["name"]

    def kubectl(*arguments: str, **options: object):
        return cluster.kubectl(arguments[0], "-n", namespace, *arguments[1:], **options)

    assert "listening on" in kubectl("logs", name).stdout
    assert kubectl("logs", name, "--tail=0").stdout == ""
    done = kubectl("exec", name, "--", "sh", "-c", "echo $HOSTNAME; exit 3", check=False)
    assert (done.returncode, done.stdout) == (3, f"{name}\n")
    assert kubectl("exec", "-i", name, "--", "cat", input="in and out").stdout == "in and out"
    for target in (f"pods/{name}:8080", "services/web:8000"):
        answer = json.loads(
            cluster.kubectl("get", "--raw", f"/api/v1/namespaces/{namespace}/{target}/proxy/a?b=c").stdout
        )
        assert answer["path"] == "/a?b=c"


@pytest.mark.skip(reason="NOT SUPPORTED: kubectl port-forward speaks SPDY inside WebSockets (docs/process-node.md)")
def test_port_forward(cluster: Cluster, namespace: str, web: str) -> None:
    raise NotImplementedError


def test_kubectl_is_told_why_ports_are_not_forwarded(cluster: Cluster, namespace: str, web: str) -> None:
    failed = cluster.kubectl("port-forward", "-n", namespace, "deploy/web", ":8080", check=False, timeout=20)
    assert failed.returncode == 1
    assert "only WebSockets are supported, not SPDY" in failed.stderr


def test_usage(cluster: Cluster, namespace: str, web: str) -> None:
    top = eventually(
        lambda: cluster.kubectl("top", "pods", "-n", namespace, "--no-headers", check=False).stdout.splitlines(), 40
    )
    assert {line.split()[0] for line in top} <= {p["metadata"]["name"] for p in pods(cluster, namespace)}
    assert "%" in cluster.kubectl("top", "nodes", "--no-headers").stdout


def test_living_pods_are_taken_up_again_by_the_next_node(cluster: Cluster, namespace: str, web: str) -> None:
    before = {p["metadata"]["name"]: p["status"]["containerStatuses"] for p in pods(cluster, namespace)}
    killed = cluster.kill("node")
    eventually(lambda: cluster.pids["node"] != killed, 10)
    eventually(lambda: ask(web), 15, "the service is served again")
    after = {p["metadata"]["name"]: p["status"]["containerStatuses"] for p in pods(cluster, namespace)}
    assert after == before


def test_what_died_with_the_node_is_started_again(cluster: Cluster, namespace: str) -> None:
    manifest = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "p"},
        "spec": {
            "containers": [{"name": "c", "image": "busybox", "command": ["sh", "-c", "echo $$$$; exec sleep 1000"]}]
        },
    }
    cluster.kubectl("apply", "-n", namespace, "-f", "-", input=yaml.safe_dump(manifest))
    cluster.kubectl("wait", "-n", namespace, "pod/p", "--for=condition=Ready", "--timeout=20s")
    pid = int(cluster.kubectl("logs", "-n", namespace, "p").stdout)
    killed = cluster.kill("node")
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: cluster.pids["node"] != killed, 10)

    def restarted() -> bool:
        status = pods(cluster, namespace)[0]["status"]["containerStatuses"][0]
        return status["restartCount"] == 1 and status["ready"]

    eventually(restarted, 20)
