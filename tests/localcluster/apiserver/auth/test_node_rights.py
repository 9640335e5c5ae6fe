"""The node is a node and no administrator: who it is, what it may do, and that this is enough for it."""

from __future__ import annotations

import socket
from typing import Any

import pytest
import requests

from tests.localcluster.clusters import Cluster, eventually


def as_node(cluster: Cluster) -> requests.Session:
    session = cluster.session()
    pki = cluster.data_dir / "pki"
    session.cert = (str(pki / "node.crt"), str(pki / "node.key"))
    return session


def review(session: requests.Session, url: str, kind: str, spec: dict[str, Any]) -> dict[str, Any]:
    group = "authentication.k8s.io" if kind == "selfsubjectreviews" else "authorization.k8s.io"
    answer = session.post(f"{url}/apis/{group}/v1/{kind}", json={"spec": spec}, timeout=10)
    answer.raise_for_status()
    status: dict[str, Any] = answer.json()["status"]
    return status


def test_who_the_node_is(cluster: Cluster) -> None:
    info = review(as_node(cluster), cluster.url, "selfsubjectreviews", {})["userInfo"]
    assert info["username"] == f"system:node:{socket.gethostname()}"[:64]
    assert sorted(info["groups"]) == ["system:authenticated", "system:nodes"]


@pytest.mark.parametrize(
    ("verb", "group", "resource", "namespace", "name", "allowed"),
    [
        ("update", "", "nodes/status", "", "x", True),
        ("create", "", "serviceaccounts/token", "default", "default", True),
        ("create", "apiregistration.k8s.io", "apiservices", "", "", True),
        ("patch", "apiregistration.k8s.io", "apiservices", "", "v1beta1.metrics.k8s.io", True),
        ("patch", "apiregistration.k8s.io", "apiservices", "", "v1.apps", False),
        ("create", "", "services", "kube-system", "", True),
        ("create", "", "services", "default", "", False),
        ("delete", "", "services", "kube-system", "kube-dns", False),
        ("update", "", "secrets", "default", "x", False),
        ("create", "rbac.authorization.k8s.io", "clusterrolebindings", "", "", False),
        ("create", "", "pods/exec", "default", "x", False),
        ("get", "apps", "deployments", "default", "x", False),
        ("*", "*", "*", "", "", False),
    ],
)
def test_what_the_node_may_do(
    cluster: Cluster, verb: str, group: str, resource: str, namespace: str, name: str, allowed: bool
) -> None:
    plural, _, subresource = resource.partition("/")
    attributes = {
        "verb": verb,
        "group": group,
        "resource": plural,
        "subresource": subresource,
        "namespace": namespace,
        "name": name,
    }
    status = review(as_node(cluster), cluster.url, "selfsubjectaccessreviews", {"resourceAttributes": attributes})
    assert status["allowed"] is allowed


def test_the_node_registers_its_metrics(cluster: Cluster) -> None:
    url = f"{cluster.url}/apis/apiregistration.k8s.io/v1/apiservices/v1beta1.metrics.k8s.io"

    def available() -> bool:
        found = cluster.session().get(url, timeout=10).json()
        return any(c["type"] == "Available" and c["status"] == "True" for c in found["status"]["conditions"])

    eventually(available, 15, "metrics.k8s.io is available")
