"""The keys and certificates of a cluster: its authorities, server and client certificates, and kubeconfigs.

Everything lies in ``<data directory>/pki`` with mode 0600 and is used again on the next start. Keys are ECDSA P-256,
which are made in under a millisecond. Layout and subjects follow kubeadm
(https://kubernetes.io/docs/setup/best-practices/certificates/).

    pki = Pki.open(data_dir)                     # makes what is missing
    pki.ca.certificate_file, pki.server.certificate_file, pki.server.key_file
    pki.client("admin", "kubernetes-admin", ["system:masters"]) -> KeyPair
    write_kubeconfig(path, server_url, pki.ca, pair)
"""

from __future__ import annotations

import base64
import datetime
import ipaddress
import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_VALID_FOR = datetime.timedelta(days=3650)
_RENEW_BEFORE = datetime.timedelta(days=30)
SERVICE_NAMES = (
    "localhost",
    "kubernetes",
    "kubernetes.default",
    "kubernetes.default.svc",
    "kubernetes.default.svc.cluster.local",
)
"""Names under which clients reach the API server (pods by the Service's names)."""


@dataclass(frozen=True)
class KeyPair:
    """A certificate and its private key as PEM files."""

    certificate_file: Path
    key_file: Path

    @property
    def certificate_pem(self) -> bytes:
        return self.certificate_file.read_bytes()

    @property
    def key_pem(self) -> bytes:
        return self.key_file.read_bytes()

    def certificate(self) -> x509.Certificate:
        return x509.load_pem_x509_certificate(self.certificate_pem)

    def private_key(self) -> ec.EllipticCurvePrivateKey:
        key = serialization.load_pem_private_key(self.key_pem, None)
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise ValueError(f"{self.key_file} holds no elliptic-curve key")
        return key


@dataclass(frozen=True)
class Pki:
    """What a cluster proves identities with.

    Attributes:
        ca: signs server certificates and client certificates of users.
        server: the API server's own certificate.
        front_proxy_ca: signs `front_proxy_client`, with which the API server speaks to aggregated API servers.
        service_account_key_file: signs service account tokens (PEM, ECDSA P-256).
    """

    directory: Path
    ca: KeyPair
    server: KeyPair
    front_proxy_ca: KeyPair
    front_proxy_client: KeyPair
    service_account_key_file: Path

    @classmethod
    def open(cls, data_directory: Path, addresses: Iterable[str] = ()) -> Pki:
        """The cluster's keys, made where they are missing or run out soon.

        Args:
            data_directory: the cluster's own folder; ``pki`` in it is made with mode 0700.
            addresses: further IP addresses or host names of the API server (127.0.0.1, ::1 and the Service's names
                are always there); one that the stored certificate lacks makes a new certificate.
        """
        folder = data_directory / "pki"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        ca = _authority(folder, "ca", "kubernetes")
        front_proxy_ca = _authority(folder, "front-proxy-ca", "front-proxy-ca")
        key_file = folder / "sa.key"
        if not key_file.exists():
            _write(key_file, _pem(ec.generate_private_key(ec.SECP256R1())))
        names = ["127.0.0.1", "::1", *SERVICE_NAMES, *addresses]
        return cls(
            directory=folder,
            ca=ca,
            server=_leaf(folder, ca, "apiserver", "kube-apiserver", (), names),
            front_proxy_ca=front_proxy_ca,
            front_proxy_client=_leaf(folder, front_proxy_ca, "front-proxy-client", "front-proxy-client", (), ()),
            service_account_key_file=key_file,
        )

    def client(self, file_name: str, user: str, groups: Iterable[str] = ()) -> KeyPair:
        """The client certificate of a user (common name) in groups (organizations), kept as ``<file_name>.crt``."""
        return _leaf(self.directory, self.ca, file_name, user, groups, ())

    def serving(self, file_name: str, common_name: str, names: Iterable[str], groups: Iterable[str] = ()) -> KeyPair:
        """A server certificate for host names or IP addresses, for example of a node's kubelet API."""
        return _leaf(self.directory, self.ca, file_name, common_name, groups, names)


def write_kubeconfig(path: Path, server: str, ca: KeyPair, client: KeyPair, name: str = "local") -> None:
    """Write a kubeconfig (mode 0600) with everything inline: cluster, user and context are all called `name`."""
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": {"server": server, "certificate-authority-data": _data(ca)}}],
        "users": [
            {
                "name": name,
                "user": {
                    "client-certificate-data": _data(client),
                    "client-key-data": base64.b64encode(client.key_pem).decode(),
                },
            }
        ],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
        "current-context": name,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    # JSON is YAML too, and needs no YAML library at start.
    _write(path, json.dumps(config, indent=2).encode() + b"\n")


def _data(pair: KeyPair) -> str:
    return base64.b64encode(pair.certificate_pem).decode()


def _authority(folder: Path, file_name: str, common_name: str) -> KeyPair:
    pair = KeyPair(folder / f"{file_name}.crt", folder / f"{file_name}.key")
    if pair.certificate_file.exists() and pair.key_file.exists():
        return pair
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    certificate = (
        _builder(subject, subject, key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(_usage(sign=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    _write(pair.key_file, _pem(key))
    _write(pair.certificate_file, certificate.public_bytes(serialization.Encoding.PEM))
    return pair


def _leaf(
    folder: Path, ca: KeyPair, file_name: str, common_name: str, groups: Iterable[str], names: Iterable[str]
) -> KeyPair:
    """A certificate of `ca`: for a server where it has `names`, and for a client in any case."""
    pair = KeyPair(folder / f"{file_name}.crt", folder / f"{file_name}.key")
    groups, names = list(groups), list(dict.fromkeys(names))
    if pair.certificate_file.exists() and pair.key_file.exists() and _serves(pair, ca, common_name, groups, names):
        return pair
    key = ec.generate_private_key(ec.SECP256R1())
    organizations = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in groups]
    subject = x509.Name([*organizations, x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    issuer = ca.certificate()
    purposes = [ExtendedKeyUsageOID.CLIENT_AUTH, *([ExtendedKeyUsageOID.SERVER_AUTH] if names else [])]
    builder = (
        _builder(subject, issuer.subject, key.public_key())
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(sign=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(ca.private_key().public_key()), critical=False
        )
    )
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName([_general(n) for n in names]), critical=False)
    _write(pair.key_file, _pem(key))
    certificate = builder.sign(ca.private_key(), hashes.SHA256())
    _write(pair.certificate_file, certificate.public_bytes(serialization.Encoding.PEM))
    return pair


def _serves(pair: KeyPair, ca: KeyPair, common_name: str, groups: list[str], names: list[str]) -> bool:
    """Whether a stored certificate is still the one wanted."""
    certificate = pair.certificate()
    if certificate.not_valid_after_utc - datetime.datetime.now(datetime.UTC) < _RENEW_BEFORE:
        return False
    if subject_of(certificate) != (common_name, groups):
        return False
    try:
        certificate.verify_directly_issued_by(ca.certificate())
    except Exception:  # the library raises several types for "not by this authority"
        return False
    if not names:
        return True
    try:
        stored = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return False
    return set(stored) >= {_general(n) for n in names}


def subject_of(certificate: x509.Certificate) -> tuple[str, list[str]]:
    """User name and groups of a client certificate: its common name and its organizations."""
    common = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    groups = certificate.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)
    return (str(common[0].value) if common else "", [str(group.value) for group in groups])


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _builder(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=5))
        .not_valid_after(now + _VALID_FOR)
    )


def _usage(sign: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=not sign,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=sign,
        crl_sign=sign,
        encipher_only=False,
        decipher_only=False,
    )


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _write(path: Path, content: bytes) -> None:
    """Replace a file at once, never readable for others."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    draft.replace(path)
