"""Watches for tests: read in a thread of their own, so that a test can wait for what they bring."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import ssl
import threading
from typing import Any
from urllib.parse import urlencode, urlsplit

from tests.localcluster.clusters import Cluster, eventually


class Watching:
    """An open watch and what it has brought so far.

    Attributes:
        lines: as they were sent.
        ended: whether the server has ended the stream.
    """

    def __init__(self, cluster: Cluster, path: str, accept: str = "application/json", **query: str) -> None:
        self.lines: list[str] = []
        self.ended = False
        pki = cluster.data_dir / "pki"
        tls = ssl.create_default_context(cafile=str(pki / "ca.crt"))
        tls.load_cert_chain(pki / "admin.crt", pki / "admin.key")
        where = urlsplit(cluster.url)
        self._connection = http.client.HTTPSConnection(where.hostname or "", where.port, timeout=60, context=tls)
        query = {"watch": "true", "timeoutSeconds": "60", **query}
        self._connection.request("GET", f"{path}?{urlencode(query)}", headers={"Accept": accept})
        self._socket = self._connection.sock
        self._response = self._connection.getresponse()
        assert self._response.status == 200, self._response.read()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        try:
            while line := self._response.readline():
                self.lines.append(line.decode())
            self.ended = True
        except (OSError, http.client.HTTPException, ValueError):
            return

    @property
    def events(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.lines]

    def names(self, kind: str) -> list[str]:
        """Of the objects that events of a type were about."""
        return [e["object"]["metadata"]["name"] for e in self.events if e["type"] == kind]

    def wait_for(self, name: str, kind: str = "ADDED") -> None:
        eventually(lambda: name in self.names(kind), 10, f"{kind} {name}")

    def close(self) -> None:
        # The thread that reads would keep close() waiting.
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join(10)
        self._connection.close()


def define(cluster: Cluster, group: str, columns: list[dict[str, Any]] | None = None) -> str:
    """A namespaced definition of Things without rules; the answer is the path of those in `default`."""
    session = cluster.session()
    definitions = f"{cluster.url}/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    version = {
        "name": "v1",
        "served": True,
        "storage": True,
        "additionalPrinterColumns": columns or [],
        "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}},
    }
    spec = {
        "group": group,
        "scope": "Namespaced",
        "names": {"plural": "things", "kind": "Thing"},
        "versions": [version],
    }
    body = {"metadata": {"name": f"things.{group}"}, "spec": spec}
    session.post(definitions, json=body, timeout=10).raise_for_status()
    path = f"/apis/{group}/v1/namespaces/default/things"
    eventually(lambda: session.get(cluster.url + path, timeout=10).ok, 10, "the definition is served")
    return path


def undefine(cluster: Cluster, group: str) -> None:
    definitions = f"{cluster.url}/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    cluster.session().delete(f"{definitions}/things.{group}", timeout=10).raise_for_status()
