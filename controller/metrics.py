"""The controller's own figures for Prometheus, and its health, over HTTP."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from aiohttp import web
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

REGISTRY = CollectorRegistry()
ProcessCollector(registry=REGISTRY)

RECONCILES = Counter(
    "kubeless_controller_reconciles", "Functions reconciled, by how it ended", ["result"], registry=REGISTRY
)
RECONCILE_SECONDS = Histogram(
    "kubeless_controller_reconcile_seconds",
    "Time of one reconcile",
    buckets=(0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
    registry=REGISTRY,
)
QUEUED = Gauge("kubeless_controller_queued_functions", "Functions that wait to be reconciled", registry=REGISTRY)
FUNCTIONS = Gauge("kubeless_controller_functions", "Functions that the controller knows", registry=REGISTRY)
LEADING = Gauge("kubeless_controller_leading", "1 in the replica that works, 0 in those that wait", registry=REGISTRY)


class Requests(Collector):
    """What a cluster client sent to the API server."""

    def __init__(self, requests: Mapping[str, int]) -> None:
        self._requests = requests

    def collect(self) -> Iterable[Metric]:
        family = CounterMetricFamily(
            "kubeless_controller_api_requests", "Requests to the API server, by HTTP method", labels=["method"]
        )
        for method, count in self._requests.items():
            family.add_metric([method], count)
        yield family


async def serve(host: str, port: int, is_ready: Callable[[], bool], is_healthy: Callable[[], bool]) -> web.AppRunner:
    """`/metrics`, `/healthz` and `/readyz`; the caller cleans the runner up. Raises OSError for a port in use."""

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(body=generate_latest(REGISTRY), headers={"Content-Type": CONTENT_TYPE_LATEST})

    def told(check: Callable[[], bool]) -> Callable[[web.Request], web.Response]:
        return lambda _: web.Response(text="ok\n") if check() else web.Response(text="not ok\n", status=503)

    async def healthz(request: web.Request) -> web.Response:
        return told(is_healthy)(request)

    async def readyz(request: web.Request) -> web.Response:
        return told(is_ready)(request)

    app = web.Application()
    app.add_routes([web.get("/metrics", metrics), web.get("/healthz", healthz), web.get("/readyz", readyz)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, host, port).start()
    return runner
