"""An API server of its own for the kind Fruit, as an aggregated API has one: discovery, list, get, create.

FRUITS_GROUP is its group; TLS_FOLDER holds tls.crt, tls.key, and front-proxy-ca.crt, whose clients alone are believed
who they ask for.
"""

from __future__ import annotations

import json
import os
import ssl
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

GROUP = os.environ["FRUITS_GROUP"]
ROOT = f"/apis/{GROUP}/v1"
FRUITS: dict[str, dict[str, dict]] = {}


def fruit(namespace: str, name: str, colour: str, by: str) -> dict:
    meta = {"name": name, "namespace": namespace, "annotations": {"created-by": by}}
    return {"apiVersion": f"{GROUP}/v1", "kind": "Fruit", "metadata": meta, "spec": {"colour": colour}}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        path, _, _ = self.path.partition("?")
        if path == ROOT:
            verbs = ["create", "get", "list"]
            resource = {"name": "fruits", "singularName": "fruit", "namespaced": True, "kind": "Fruit", "verbs": verbs}
            self.answer(200, {"kind": "APIResourceList", "groupVersion": f"{GROUP}/v1", "resources": [resource]})
            return
        parts = path.removeprefix(ROOT).strip("/").split("/")
        if path.startswith(ROOT) and parts[:1] == ["namespaces"] and parts[2:3] == ["fruits"]:
            known = FRUITS.get(parts[1], {})
            if len(parts) == 3:
                items = list(known.values())
                self.answer(200, {"apiVersion": f"{GROUP}/v1", "kind": "FruitList", "metadata": {}, "items": items})
                return
            if parts[3] in known:
                self.answer(200, known[parts[3]])
                return
        self.answer(404, status(404, "NotFound", f"{path} not found"))

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        namespace = self.path.removeprefix(ROOT).split("/")[2]
        user = self.headers["X-Remote-User"]
        made = fruit(namespace, body["metadata"]["name"], body["spec"]["colour"], user)
        FRUITS.setdefault(namespace, {})[made["metadata"]["name"]] = made
        self.answer(201, made)

    def answer(self, code: int, body: dict) -> None:
        if self.path.startswith("/apis") and not self.connection.getpeercert():  # type: ignore[attr-defined]
            code, body = 401, status(401, "Unauthorized", "not by the front proxy")
        text = json.dumps(body).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, format: str, *arguments: object) -> None:
        print(self.command, self.path, self.headers["X-Remote-User"], self.headers["X-Remote-Group"], flush=True)


def status(code: int, reason: str, message: str) -> dict:
    return {
        "kind": "Status", "apiVersion": "v1", "status": "Failure", "message": message, "reason": reason, "code": code,
    }  # fmt: skip


def main() -> None:
    folder = os.environ["TLS_FOLDER"]
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(f"{folder}/tls.crt", f"{folder}/tls.key")
    context.load_verify_locations(f"{folder}/front-proxy-ca.crt")
    context.verify_mode = ssl.CERT_OPTIONAL
    server = ThreadingHTTPServer((os.environ["LOCALCLUSTER_POD_IP"], 8443), Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
