"""How to reach a cluster and as whom: read from a kubeconfig, or from the folder that a pod has of its service account.

What a kubeconfig asks for and this module cannot do is refused and never passed over: without an exec plugin the server
would only say Unauthorized, and without `as` a request would have more rights than was meant.
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


_USE_INSTEAD = "use a token, a tokenFile or a client certificate instead"
UNSUPPORTED_OF_USER = {
    "exec": "take the token that the plugin prints (status.token of its output), or a client certificate",
    "auth-provider": _USE_INSTEAD,
    "username": _USE_INSTEAD,
    "password": _USE_INSTEAD,
    "as": "use the credentials of that user",
    "as-uid": "use the credentials of that user",
    "as-groups": "use the credentials of a user in those groups",
    "as-user-extra": "use the credentials of that user",
}
UNSUPPORTED_OF_CLUSTER = {"proxy-url": "use an address of the server that is reached without a proxy"}


@dataclass(frozen=True)
class Access:
    """A server and the credentials for it.

    Attributes:
        certificate_authority: PEM; empty where the system's authorities are trusted.
        token: a bearer token that stays; `token_file` holds one that changes.
        tls_server_name: the name that the server's certificate must have, where it is not the host's.
    """

    server: str
    tls: ssl.SSLContext | None = None
    certificate_authority: bytes = b""
    token: str = ""
    token_file: Path | None = None
    tls_server_name: str = ""


def load(path: Path, context: str = "") -> Access:
    """The current (or named) context of a kubeconfig: CA, client certificate or token, within the file or beside it.

    Raises ValueError if the file names something that it does not have, or asks for what is not supported.
    """
    import yaml

    config = yaml.safe_load(path.read_text())
    folder = path.resolve().parent
    chosen = _named(config, "contexts", "context", context or config.get("current-context", ""))
    cluster = _named(config, "clusters", "cluster", chosen["cluster"])
    user = _named(config, "users", "user", chosen["user"]) if chosen.get("user") else {}
    _check(cluster, UNSUPPORTED_OF_CLUSTER, f"{path}: cluster {chosen['cluster']!r}")
    _check(user, UNSUPPORTED_OF_USER, f"{path}: user {chosen.get('user')!r}")
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
        tls_server_name=cluster.get("tls-server-name", ""),
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


def _check(entry: JSON, unsupported: dict[str, str], where: str) -> None:
    for key, advice in unsupported.items():
        if entry.get(key):
            raise ValueError(f"{where} has {key}, which is not supported: {advice}")


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
