"""A small API server in the test's own process: one resource, lists, watches and writes, and faults on demand."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from aiohttp import web

JSON = dict[str, Any]


class FakeServer:
    """Serves ConfigMaps of all namespaces at a plain HTTP port.

    Attributes:
        requests: method and path of everything asked.
        oldest: watches from before this version are answered with 410.
        lose_answers: so many coming writes are done, but their connections break before the answer.
        busy: so many coming requests are answered with 429 and a Retry-After of one second.
    """

    def __init__(self) -> None:
        self.objects: dict[tuple[str, str], JSON] = {}
        self.history: list[tuple[int, str, JSON]] = []
        self.version = 100
        self.oldest = 0
        self.lose_answers = 0
        self.busy = 0
        self.requests: list[tuple[str, str]] = []
        self.url = ""
        self._changed = asyncio.Event()
        self._watches: set[asyncio.Task[Any]] = set()
        self._runner: web.AppRunner | None = None

    async def start(self, port: int = 0) -> None:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._answer)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", port)
        await site.start()
        self.url = f"http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}"  # type: ignore[union-attr]

    async def stop(self) -> None:
        self.break_watches()
        if self._runner is not None:
            await self._runner.cleanup()

    def break_watches(self) -> None:
        for task in self._watches:
            task.cancel()

    # ---- what is stored

    def put(self, name: str, namespace: str = "ns", **fields: Any) -> JSON:
        old = self.objects.get((namespace, name))
        self.version += 1
        uid = old["metadata"]["uid"] if old else f"uid-{self.version}"
        meta = {"name": name, "namespace": namespace, "uid": uid, "resourceVersion": str(self.version)}
        obj = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, **fields}
        self.objects[namespace, name] = obj
        self._tell("MODIFIED" if old else "ADDED", obj)
        return obj

    def remove(self, name: str, namespace: str = "ns") -> None:
        obj = self.objects.pop((namespace, name))
        self.version += 1
        self._tell("DELETED", {**obj, "metadata": {**obj["metadata"], "resourceVersion": str(self.version)}})

    def _tell(self, event: str, obj: JSON) -> None:
        self.history.append((self.version, event, obj))
        self._changed.set()
        self._changed = asyncio.Event()

    # ---- answers

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        self.requests.append((request.method, request.path_qs))
        if self.busy > 0:
            self.busy -= 1
            return web.Response(status=429, text="too many requests", headers={"Retry-After": "1"})
        if request.method == "GET" and request.query.get("watch"):
            return await self._watch(request)
        if request.method == "GET":
            items = list(self.objects.values())
            page = {"kind": "ConfigMapList", "metadata": {"resourceVersion": str(self.version)}, "items": items}
            return web.json_response(page)
        if request.method == "POST":
            body = await request.json()
            namespace = request.path.split("/")[4]
            if (namespace, body["metadata"]["name"]) in self.objects:
                return status(409, "AlreadyExists", "already there")
            answer = self.put(body["metadata"]["name"], namespace, data=body.get("data", {}))
        elif request.method == "DELETE":
            *_, namespace, _, name = request.path.split("/")
            if (namespace, name) not in self.objects:
                return status(404, "NotFound", "not there")
            self.remove(name, namespace)
            answer = {"kind": "Status", "status": "Success"}
        else:
            return status(
                422, "Invalid", "wrong", causes=[{"reason": "FieldValueInvalid", "message": "m", "field": "f"}]
            )
        if self.lose_answers > 0:
            self.lose_answers -= 1
            assert request.transport is not None
            request.transport.abort()
        return web.json_response(answer)

    async def _watch(self, request: web.Request) -> web.StreamResponse:
        since = int(request.query.get("resourceVersion", "0"))
        response = web.StreamResponse()
        response.content_type = "application/json"
        await response.prepare(request)
        task = asyncio.current_task()
        assert task is not None
        self._watches.add(task)
        try:
            if since < self.oldest:
                gone = {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old"}
                await response.write(line("ERROR", gone))
                return response
            while True:
                changed = self._changed
                for version, event, obj in self.history:
                    if version > since:
                        since = version
                        await response.write(line(event, obj))
                await changed.wait()
        finally:
            self._watches.discard(task)


def line(event: str, obj: JSON) -> bytes:
    return json.dumps({"type": event, "object": obj}).encode() + b"\n"


def status(code: int, reason: str, message: str, **details: Any) -> web.Response:
    body = {"kind": "Status", "code": code, "reason": reason, "message": message, "details": details}
    return web.json_response(body, status=code)
