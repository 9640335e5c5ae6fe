"""Who may use the kubelet API."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from localcluster.certs import Pki
from localcluster.node.kubelet_auth import Access, Caller
from tests.localcluster.node.memory_api import MemoryApi

MASTER = Caller("kubernetes-admin", ("system:masters", "system:authenticated"))


def access(api: MemoryApi, *, local: bool) -> Access:
    return Access(api, "n", trust_masters=local)  # type: ignore[arg-type]


def answering(allowed: bool) -> MemoryApi:
    api = MemoryApi()
    api.answers["subjectaccessreviews"] = {"allowed": allowed}
    return api


def publish(api: MemoryApi, clients: Pki) -> None:
    meta = {"name": "extension-apiserver-authentication", "namespace": "kube-system"}
    data = {
        "client-ca-file": clients.ca.certificate_pem.decode(),
        "requestheader-client-ca-file": clients.front_proxy_ca.certificate_pem.decode(),
        "requestheader-allowed-names": '["front-proxy-client"]',
    }
    api.put("configmaps", {"metadata": meta, "data": data})


def trusted(context: ssl.SSLContext) -> set[bytes]:
    return set(context.get_ca_certs(binary_form=True))


def der(pem: bytes) -> bytes:
    return ssl.PEM_cert_to_DER_cert(pem.decode())


async def test_only_the_clusters_client_authorities_vouch_for_clients(tmp_path: Path) -> None:
    serving, clients = Pki.open(tmp_path / "serving"), Pki.open(tmp_path / "clients")
    api = MemoryApi()
    api.certificate_authority = serving.ca.certificate_pem  # type: ignore[attr-defined]
    publish(api, clients)
    pair = serving.serving("kubelet", "n", ["127.0.0.1"])
    context = await access(api, local=False).tls(str(pair.certificate_file), str(pair.key_file))
    assert context.verify_mode == ssl.CERT_OPTIONAL
    assert trusted(context) == {der(clients.ca.certificate_pem), der(clients.front_proxy_ca.certificate_pem)}


async def test_without_a_published_authority_no_certificate_counts(tmp_path: Path) -> None:
    serving = Pki.open(tmp_path)
    api = MemoryApi()
    api.certificate_authority = serving.ca.certificate_pem  # type: ignore[attr-defined]
    pair = serving.serving("kubelet", "n", ["127.0.0.1"])
    context = await access(api, local=False).tls(str(pair.certificate_file), str(pair.key_file))
    assert not trusted(context)
    assert context.verify_mode == ssl.CERT_NONE


@pytest.mark.parametrize("allowed", [True, False])
async def test_on_a_foreign_cluster_everybodys_rights_are_asked_for(allowed: bool) -> None:
    api = answering(allowed)
    assert await access(api, local=False).allowed(MASTER, "POST", "/exec/ns/p/c") is allowed
    assert api.reviews[0]["spec"]["resourceAttributes"] == {
        "verb": "create", "resource": "nodes", "subresource": "proxy", "name": "n",
    }  # fmt: skip


async def test_a_local_clusters_api_server_needs_no_review() -> None:
    api = answering(False)
    assert await access(api, local=True).allowed(MASTER, "GET", "/containerLogs/ns/p/c")
    assert not await access(api, local=True).allowed(Caller("eve"), "GET", "/containerLogs/ns/p/c")
    assert len(api.reviews) == 1
