"""The kubelet API over HTTPS: logs, exec, attach, port-forward, usage, and the metrics API for the aggregation layer.

Paths are a kubelet's, so an API server of any Kubernetes can use them.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
from aiohttp import web

from localcluster.client import ClientError
from localcluster.node import remote_command
from localcluster.node.kubelet_auth import Access
from localcluster.node.metrics_api import MetricsAPI
from localcluster.node.process_runner import ProcessRunner
from localcluster.node.provider import LogOptions, UnknownContainer
from localcluster.node.summary import Summary

log = logging.getLogger(__name__)

JSON = dict[str, Any]
Handler = Callable[["KubeletAPI", web.BaseRequest, Mapping[str, str]], Awaitable[web.StreamResponse]]

_POD = r"/(?P<namespace>[^/]+)/(?P<pod>[^/]+)"
_CONTAINER = rf"{_POD}(?:/(?P<uid>[0-9a-f-]{{36}}))?/(?P<container>[^/]+)"


class BadRequest(Exception):
    """The query cannot be understood; the message says why."""


class KubeletAPI:
    """Answers requests to one node."""

    def __init__(self, runner: ProcessRunner, summary: Summary, metrics: MetricsAPI, access: Access) -> None:
        self._runner = runner
        self._summary = summary
        self._metrics = metrics
        self._access = access
        self._site: web.ServerRunner | None = None

    async def start(self, host: str, port: int, certificate: str, key: str) -> int:
        """Listen; answers the port, which is a free one where 0 was asked for. Raises `OSError`."""
        context = await self._access.tls(certificate, key)
        server = web.Server(self.handle, access_log=None, keepalive_timeout=120)
        self._site = web.ServerRunner(server, handle_signals=False, shutdown_timeout=1)
        await self._site.setup()
        await web.TCPSite(self._site, host, port, ssl_context=context).start()
        return int(self._site.addresses[0][1])

    async def stop(self) -> None:
        if self._site is not None:
            await self._site.cleanup()

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        try:
            if request.path in ("/healthz", "/healthz/ping"):
                return web.Response(text="ok")
            caller = await self._access.caller(request)
            if caller is None:
                return web.Response(status=401, text="Unauthorized")
            if not await self._access.allowed(caller, request.method, request.path):
                text = f"Forbidden (user={caller.user}, verb={request.method.lower()}, resource=nodes)"
                return web.Response(status=403, text=text)
            for pattern, handler in _ROUTES:
                if match := pattern.fullmatch(request.path):
                    return await handler(self, request, {k: v for k, v in match.groupdict().items() if v is not None})
            if request.path.startswith("/apis/metrics.k8s.io"):
                return await self._metrics.answer(request)
            return web.Response(status=404, text="404 page not found")
        except UnknownContainer as error:
            return web.Response(status=404 if "not known" in str(error) else 400, text=str(error))
        except BadRequest as error:
            return web.Response(status=400, text=str(error))
        except ClientError as error:
            return web.Response(status=500, text=f"Authorization error: {error}")

    def _uid(self, where: Mapping[str, str]) -> str:
        uid = self._runner.find(where["namespace"], where["pod"])
        if uid is None or where.get("uid", uid) != uid:
            raise UnknownContainer(f'pod "{where["pod"]}" is not known to this node')
        return uid

    # ---- logs

    async def container_logs(self, request: web.BaseRequest, where: Mapping[str, str]) -> web.StreamResponse:
        options = log_options(request.query)
        texts = self._runner.logs(self._uid(where), where["container"], options)
        async with contextlib.aclosing(texts) as stream:  # type: ignore[type-var]
            # An error must be known before the answer begins, but nothing may be written yet when following.
            first = asyncio.ensure_future(anext(aiter(stream), None))
            await asyncio.wait({first}, timeout=0.05)
            if first.done():
                first.result()
            response = web.StreamResponse(headers={"Content-Type": "text/plain; charset=utf-8"})
            await response.prepare(request)
            try:
                text = await first
                while text is not None:
                    await response.write(text)
                    text = await anext(aiter(stream), None)
            except ConnectionError:
                return response
            finally:
                if not first.done():
                    first.cancel()
                    with contextlib.suppress(asyncio.CancelledError):
                        await first
            await response.write_eof()
        return response

    # ---- exec, attach, port-forward

    async def exec(self, request: web.BaseRequest, where: Mapping[str, str]) -> web.StreamResponse:
        uid = self._uid(where)
        self._runner.check_running(uid, where["container"])
        _check_upgrade(request)
        query = request.query
        command = query.getall("command", [])
        if not command:
            raise BadRequest("you must specify at least one command")
        stdin, tty = _flag(query, "input", "stdin"), _flag(query, "tty")
        streams = [
            number
            for number, names in ((1, ("output", "stdout")), (2, ("error", "stderr")))
            if _flag(query, *names) or (tty and number == 1)
        ]
        try:
            session = await self._runner.exec(uid, where["container"], command, stdin=stdin, tty=tty)
        except OSError as error:
            text = f'exec: "{command[0]}": executable file not found in $PATH'
            return await remote_command.refuse(request, text if isinstance(error, FileNotFoundError) else str(error))
        return await remote_command.serve(request, session, stdin=stdin, streams=streams)

    async def attach(self, request: web.BaseRequest, where: Mapping[str, str]) -> web.StreamResponse:
        uid = self._uid(where)
        self._runner.check_running(uid, where["container"])
        _check_upgrade(request)
        session = await self._runner.attach(uid, where["container"])
        return await remote_command.serve(request, session, stdin=False, streams=(1, 2))

    async def port_forward(self, request: web.BaseRequest, where: Mapping[str, str]) -> web.StreamResponse:
        uid = self._uid(where)
        _check_upgrade(request)
        try:
            ports = [int(port) for value in request.query.getall("ports", []) for port in value.split(",")]
        except ValueError as error:
            raise BadRequest(f"invalid port: {error}") from None
        return await remote_command.forward_ports(request, ports, lambda port: self._runner.connect(uid, port))

    # ---- what runs and what it uses

    async def pods(self, request: web.BaseRequest, where: Mapping[str, str]) -> web.StreamResponse:
        items = [{**pod.pod, "status": pod.status()} for pod in self._runner.running_pods()]
        return _json({"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": items})

    async def stats_summary(self, request: web.BaseRequest, where: Mapping[str, str]) -> web.StreamResponse:
        return _json(self._summary.stats_summary())

    async def resource_metrics(self, request: web.BaseRequest, where: Mapping[str, str]) -> web.StreamResponse:
        return web.Response(text=self._summary.resource_metrics())


_ROUTES: list[tuple[re.Pattern[str], Handler]] = [
    (re.compile(pattern), handler)
    for pattern, handler in (
        (rf"/containerLogs{_CONTAINER}", KubeletAPI.container_logs),
        (rf"/exec{_CONTAINER}", KubeletAPI.exec),
        (rf"/attach{_CONTAINER}", KubeletAPI.attach),
        (rf"/portForward{_POD}(?:/(?P<uid>[0-9a-f-]{{36}}))?", KubeletAPI.port_forward),
        (r"/(?:runningpods|pods)/?", KubeletAPI.pods),
        (r"/stats/summary/?", KubeletAPI.stats_summary),
        (r"/metrics/resource/?", KubeletAPI.resource_metrics),
    )
]


def _check_upgrade(request: web.BaseRequest) -> None:
    if not remote_command.is_upgrade(request):
        raise BadRequest("unable to upgrade: only WebSockets are supported, not SPDY")


def _json(body: JSON) -> web.Response:
    return web.Response(body=orjson.dumps(body), content_type="application/json")


def _flag(query: Mapping[str, str], *names: str) -> bool:
    return any(query.get(name, "").lower() in ("1", "true") for name in names)


def log_options(query: Mapping[str, str]) -> LogOptions:
    """PodLogOptions from a query. Raises `BadRequest`."""
    try:
        since: datetime | None = None
        if query.get("sinceSeconds"):
            since = datetime.now(UTC) - timedelta(seconds=int(query["sinceSeconds"]))
        if query.get("sinceTime"):
            since = datetime.fromisoformat(query["sinceTime"])
        return LogOptions(
            follow=_flag(query, "follow"),
            previous=_flag(query, "previous"),
            timestamps=_flag(query, "timestamps"),
            since=since,
            tail_lines=int(query["tailLines"]) if query.get("tailLines") else None,
            limit_bytes=int(query["limitBytes"]) if query.get("limitBytes") else None,
            stream=query.get("stream") or "All",
        )
    except ValueError as error:
        raise BadRequest(str(error)) from None
