"""The cluster's keys and certificates."""

import json
import ssl
import stat

import pytest

from localcluster.certs import Pki, subject_of, write_kubeconfig


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("cluster")


@pytest.fixture(scope="module")
def pki(folder):
    return Pki.open(folder)


def test_nothing_is_readable_for_others(pki):
    files = list(pki.directory.iterdir())
    assert len(files) == 9
    assert {stat.S_IMODE(f.stat().st_mode) for f in files} == {0o600}


def test_a_restart_uses_the_same_keys(pki, folder):
    before = {f.name: f.read_bytes() for f in pki.directory.iterdir()}
    Pki.open(folder)
    assert {f.name: f.read_bytes() for f in pki.directory.iterdir()} == before


def test_a_further_address_makes_a_new_server_certificate_of_the_same_authority(tmp_path):
    first = Pki.open(tmp_path)
    ca, old = first.ca.certificate_pem, first.server.certificate_pem
    second = Pki.open(tmp_path, ["10.0.0.1"])
    assert second.ca.certificate_pem == ca
    assert second.server.certificate_pem != old


def test_client_certificates_name_user_and_groups(pki):
    pair = pki.client("admin", "kubernetes-admin", ["system:masters", "more"])
    assert subject_of(pair.certificate()) == ("kubernetes-admin", ["system:masters", "more"])
    assert pki.client("admin", "kubernetes-admin", ["system:masters", "more"]).certificate() == pair.certificate()
    other = pki.client("admin", "somebody", [])
    assert subject_of(other.certificate()) == ("somebody", [])


def test_tls_accepts_them_on_both_sides(pki):
    client_pair = pki.client("tls", "somebody")
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(pki.server.certificate_file, pki.server.key_file)
    server.load_verify_locations(pki.ca.certificate_file)
    server.verify_mode = ssl.CERT_OPTIONAL
    client = ssl.create_default_context(cafile=str(pki.ca.certificate_file))
    client.load_cert_chain(client_pair.certificate_file, client_pair.key_file)
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    server_side = server.wrap_bio(to_server, to_client, server_side=True)
    client_side = client.wrap_bio(to_client, to_server, server_hostname="kubernetes.default.svc")
    for _ in range(4):
        for side in (client_side, server_side):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                pass
    assert ("commonName", "somebody") in server_side.getpeercert()["subject"][0]


def test_kubeconfig_holds_everything_inline(pki, tmp_path):
    path = tmp_path / "config"
    write_kubeconfig(path, "https://127.0.0.1:1", pki.ca, pki.client("admin", "a", []))
    config = json.loads(path.read_text())
    assert config["clusters"][0]["cluster"]["server"] == "https://127.0.0.1:1"
    assert set(config["users"][0]["user"]) == {"client-certificate-data", "client-key-data"}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
