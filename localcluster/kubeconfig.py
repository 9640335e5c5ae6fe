"""How to reach a cluster and as whom: read from a kubeconfig, or from the folder that a pod has of its service account.

Exec plugins and auth providers are not supported.
"""

from __future__ import annotations

import base64
import os
import ssl
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

JSON = dict[str, Any]

SERVICE_ACCOUNT_FOLDER = Path("/var/run/secrets/kubernetes.io/serviceaccount")


@dataclass(frozen=True)
class Access:
    """A server and the credentials for it.

    Attributes:
        certificate_authority: PEM; empty where the system's authorities are trusted.
        token: a bearer token that stays; `token_file` holds one that changes.
    """

    server: str
    tls: ssl.SSLContext | None = None
    certificate_authority: bytes = b""
    token: str = ""
    token_file: Path | None = None


def load(path: Path, context: str = "") -> Access:
    """The current (or named) context of a kubeconfig: CA, client certificate or token, within the file or beside it.

    Raises ValueError if the file names something that it does not have.
    """
    import yaml

    config = yaml.safe_load(path.read_text())
    folder = path.resolve().parent
    chosen = _named(config, "contexts", "context", context or config.get("current-context", ""))
    cluster = _named(config, "clusters", "cluster", chosen["cluster"])
    user = _named(config, "users", "user", chosen["user"]) if chosen.get("user") else {}
    authority = _data(cluster, "certificate-authority", folder)
    tls: ssl.SSLContext | None = None
    if str(cluster["server"]).startswith("https:"):
        tls = ssl.create_default_context(cadata=authority.decode() if authority else None)
        if cluster.get("insecure-skip-tls-verify"):
            tls.check_hostname = False
            tls.verify_mode = ssl.CERT_NONE
        certificate, key = _data(user, "client-certificate", folder), _data(user, "client-key", folder)
        if certificate and key:
            _load_client_certificate(tls, certificate, key)
    return Access(
        server=cluster["server"],
        tls=tls,
        certificate_authority=authority,
        token=user.get("token", ""),
        token_file=folder / user["tokenFile"] if user.get("tokenFile") else None,
    )


def in_cluster(folder: Path = SERVICE_ACCOUNT_FOLDER) -> Access:
    """Of the pod that this process runs in. KeyError if it runs in none."""
    host, port = os.environ["KUBERNETES_SERVICE_HOST"], os.environ["KUBERNETES_SERVICE_PORT"]
    host = f"[{host}]" if ":" in host else host
    return Access(
        server=f"https://{host}:{port}",
        tls=ssl.create_default_context(cafile=str(folder / "ca.crt")),
        certificate_authority=(folder / "ca.crt").read_bytes(),
        token_file=folder / "token",
    )


def _named(config: JSON, plural: str, singular: str, name: str) -> JSON:
    for entry in config.get(plural) or []:
        if entry["name"] == name:
            found: JSON = entry.get(singular) or {}
            return found
    raise ValueError(f"the kubeconfig has no {singular} {name!r}")


def _data(entry: JSON, key: str, folder: Path) -> bytes:
    """`key`-data in base64, or the content of the file that `key` names."""
    if entry.get(f"{key}-data"):
        return base64.b64decode(entry[f"{key}-data"])
    return (folder / entry[key]).read_bytes() if entry.get(key) else b""


def _load_client_certificate(tls: ssl.SSLContext, certificate: bytes, key: bytes) -> None:
    # The ssl module reads client certificates from files only.
    with tempfile.NamedTemporaryFile() as certificate_file, tempfile.NamedTemporaryFile() as key_file:
        certificate_file.write(certificate)
        key_file.write(key)
        certificate_file.flush()
        key_file.flush()
        tls.load_cert_chain(certificate_file.name, key_file.name)
