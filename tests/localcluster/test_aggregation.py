"""An aggregated API: a pod serves a group of its own behind APIService and Service, and clients see no difference."""

from __future__ import annotations

import base64
import json
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from localcluster.certs import KeyPair, Pki
from tests.localcluster.clusters import Cluster, eventually, has_kubectl

PROGRAM = Path(__file__).with_name("operators") / "fruits.py"


class Fruits:
    """The group, its pod, Service and APIService in a namespace."""

    def __init__(self, cluster: Cluster, namespace: str, folder: Path) -> None:
        self.cluster, self.namespace = cluster, namespace
        self.group = f"{uuid.uuid4().hex[:8]}.example.com"
        self.session = cluster.session()
        self.core = f"{cluster.url}/api/v1/namespaces/{namespace}"
        self.services = f"{cluster.url}/apis/apiregistration.k8s.io/v1/apiservices"
        self.name = f"v1.{self.group}"
        # An authority of the API's own, as cert-manager or the like would make it.
        self.pki = Pki.open(folder)
        self.certificate = self.pki.serving("fruits", "fruits", [f"fruits.{namespace}.svc"])

    @property
    def url(self) -> str:
        return f"{self.cluster.url}/apis/{self.group}/v1/namespaces/{self.namespace}/fruits"

    def create(self, path: str, body: dict) -> None:
        response = self.session.post(path, json=body, timeout=10)
        assert response.ok, response.text

    def start(self) -> None:
        proxies = f"{self.cluster.url}/api/v1/namespaces/kube-system/configmaps/extension-apiserver-authentication"
        authority = self.session.get(proxies, timeout=5).json()["data"]["requestheader-client-ca-file"]
        files = {**pem(self.certificate), "front-proxy-ca.crt": authority}
        self.create(f"{self.core}/secrets", {"metadata": {"name": "tls"}, "stringData": files})
        container = {
            "name": "fruits",
            "image": "localcluster/python",
            "args": [str(PROGRAM)],
            "env": [{"name": "FRUITS_GROUP", "value": self.group}, {"name": "TLS_FOLDER", "value": "/tls"}],
            "volumeMounts": [{"name": "tls", "mountPath": "/tls"}],
            "readinessProbe": {"tcpSocket": {"port": 8443}, "periodSeconds": 1},
        }
        spec = {
            "terminationGracePeriodSeconds": 1,
            "containers": [container],
            "volumes": [{"name": "tls", "secret": {"secretName": "tls"}}],
        }
        meta = {"name": "fruits", "labels": {"app": "fruits"}}
        self.create(f"{self.core}/pods", {"metadata": meta, "spec": spec})
        ports = [{"port": 443, "targetPort": 8443}]
        service = {"metadata": {"name": "fruits"}, "spec": {"selector": {"app": "fruits"}, "ports": ports}}
        self.create(f"{self.core}/services", service)

    def register(self, **spec: object) -> None:
        spec = {
            "group": self.group,
            "version": "v1",
            "groupPriorityMinimum": 1000,
            "versionPriority": 10,
            "service": {"name": "fruits", "namespace": self.namespace},
            **spec,
        }
        self.create(self.services, {"metadata": {"name": self.name}, "spec": spec})

    def authority(self) -> str:
        return base64.b64encode(self.pki.ca.certificate_pem).decode()

    def available(self) -> tuple[str, str]:
        """Status and reason of the condition."""
        obj = self.session.get(f"{self.services}/{self.name}", timeout=5).json()
        found = [c for c in obj.get("status", {}).get("conditions", ()) if c["type"] == "Available"]
        return (found[0]["status"], found[0]["reason"]) if found else ("", "")

    def becomes(self, status: str, reason: str) -> None:
        eventually(lambda: self.available() == (status, reason), 40, f"{status} {reason}, not {self.available()}")


def pem(pair: KeyPair) -> dict[str, str]:
    return {"tls.crt": pair.certificate_pem.decode(), "tls.key": pair.key_pem.decode()}


@pytest.fixture
def fruits(cluster: Cluster, namespace: str, tmp_path: Path) -> Iterator[Fruits]:
    made = Fruits(cluster, namespace, tmp_path)
    yield made
    made.session.delete(f"{made.services}/{made.name}", timeout=5)


@pytest.mark.filterwarnings("ignore:Unverified HTTPS request")
def test_requests_are_proxied_and_told_who_asks(fruits):
    fruits.start()
    fruits.register(caBundle=fruits.authority())
    fruits.becomes("True", "Passed")
    apple = {"metadata": {"name": "apple"}, "spec": {"colour": "red"}}
    made = fruits.session.post(fruits.url, json=apple, timeout=10)
    assert made.status_code == 201
    assert made.json()["metadata"]["annotations"] == {"created-by": "kubernetes-admin"}
    assert fruits.session.get(f"{fruits.url}/apple", timeout=10).json()["spec"] == {"colour": "red"}
    assert fruits.session.get(f"{fruits.url}/pear", timeout=10).status_code == 404
    groups = fruits.session.get(f"{fruits.cluster.url}/apis", timeout=5).json()["groups"]
    assert fruits.group in [group["name"] for group in groups]

    # Rights are checked before anything is passed on.
    account = f"system:serviceaccount:{fruits.namespace}:default"
    refused = fruits.session.get(fruits.url, headers={"Impersonate-User": account}, timeout=5)
    assert refused.status_code == 403
    assert f'cannot list resource "fruits" in API group "{fruits.group}"' in refused.json()["message"]
    # Nobody gets by with saying who they are.
    direct = fruits.session.get(f"{fruits.core}/pods/fruits", timeout=5).json()["status"]["podIP"]
    answer = requests.get(
        f"https://{direct}:8443/apis/{fruits.group}/v1",
        headers={"X-Remote-User": "kubernetes-admin"},
        verify=False,
        timeout=5,
    )
    assert answer.status_code == 401


@pytest.mark.skipif(not has_kubectl(), reason="NOT TESTED: there is no kubectl on the PATH")
def test_kubectl_finds_it(fruits, tmp_path):
    fruits.start()
    fruits.register(caBundle=fruits.authority())
    fruits.becomes("True", "Passed")
    kubectl = fruits.cluster.kubectl
    in_namespace = f"--namespace={fruits.namespace}"
    text = json.dumps(
        {"apiVersion": f"{fruits.group}/v1", "kind": "Fruit", "metadata": {"name": "fig"}, "spec": {"colour": "violet"}}
    )
    created = kubectl(in_namespace, "create", "--validate=false", "--filename=-", input=text).stdout
    assert created == f"fruit.{fruits.group}/fig created\n"
    assert (
        kubectl(in_namespace, "get", f"fruits.{fruits.group}", "--output=name").stdout == f"fruit.{fruits.group}/fig\n"
    )
    assert "fig" in kubectl(in_namespace, "get", f"fruits.{fruits.group}").stdout
    assert "fruits" in kubectl("api-resources", f"--api-group={fruits.group}", "--output=name").stdout
    assert "True" in kubectl("get", "apiservice", fruits.name).stdout


def test_the_condition_says_what_is_missing(fruits):
    fruits.register(caBundle=fruits.authority())
    fruits.becomes("False", "ServiceNotFound")
    answer = fruits.session.get(fruits.url, timeout=10)
    assert answer.status_code == 503
    assert answer.json()["reason"] == "ServiceUnavailable"
    fruits.start()
    fruits.becomes("True", "Passed")
    fruits.session.delete(f"{fruits.core}/pods/fruits", timeout=5)
    eventually(lambda: fruits.available()[0] == "False", 40)
    assert fruits.available()[1] in ("MissingEndpoints", "FailedDiscoveryCheck")
    # What else there is goes on.
    assert fruits.session.get(f"{fruits.core}/pods", timeout=5).ok


def test_a_certificate_of_another_authority_is_not_taken(fruits, tmp_path_factory):
    fruits.start()
    other = Pki.open(tmp_path_factory.mktemp("other"))
    fruits.register(caBundle=base64.b64encode(other.ca.certificate_pem).decode())
    fruits.becomes("False", "FailedDiscoveryCheck")
    patch = {"spec": {"caBundle": None, "insecureSkipTLSVerify": True}}
    headers = {"Content-Type": "application/merge-patch+json"}
    fruits.session.patch(f"{fruits.services}/{fruits.name}", json=patch, headers=headers, timeout=5).raise_for_status()
    fruits.becomes("True", "Passed")
