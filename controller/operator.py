"""The operator: Functions watched with kopf, what is made for them followed, and workers that reconcile."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import time
from typing import Any

import kopf
from kubernetes.aio.client import Configuration as Access

from controller import metrics
from controller.configuration import Configuration
from controller.function import Reconciler, without_managed_fields
from controller.live_objects import Children, Key, LiveObjects, key_of
from controller.work_queue import WorkQueue
from kubeless.cluster import Cluster, ClusterError
from kubeless.cluster.access import load_access
from kubeless.cluster.resources import FUNCTIONS

LIST_PAGE = 100
"""Functions read at a time: their sources may be a MiB each."""
WORKERS = 16
"""Reconciles at a time; each waits for the API server most of the time."""
DEFINITION_SECONDS = 2.0
"""How often to look for the Functions' definition where it is not installed yet."""
KOPF_EXIT_SECONDS = 1.0
"""How long kopf may take to end by itself; it waits for every connection that somebody keeps open to /metrics."""
DRAIN_SECONDS = 15.0
"""How long reconciles may take to finish after SIGTERM."""

_log = logging.getLogger(__name__)


class Operator:
    """The controller's work, from the moment that this replica is the one that works."""

    def __init__(self, cluster: Cluster, kubeconfig: str, config_namespace: str, config_name: str) -> None:
        self._cluster = cluster
        self._kubeconfig = kubeconfig
        self._queue: WorkQueue[Key] = WorkQueue()
        self._functions = LiveObjects()
        self._children = Children(cluster, self._child_changed)
        self._configuration = Configuration(cluster, config_namespace, config_name, self._everything_changed)
        self._reconciler = Reconciler(
            cluster, self._functions, self._children, self._configuration, self._queue.add_later
        )
        self._stopping = False
        self.started = asyncio.Event()
        """Set when all that there is has been read, and Functions are reconciled."""
        metrics.QUEUED.set_function(lambda: len(self._queue))
        metrics.FUNCTIONS.set_function(lambda: len(self._functions))

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set or the process gets SIGTERM; what is under way is finished.

        Raises whatever ended it otherwise.
        """
        configured, followed = asyncio.Event(), asyncio.Event()
        followers = [
            asyncio.create_task(self._configuration.follow(configured), name="configuration"),
            asyncio.create_task(self._children.follow(followed), name="children"),
        ]
        workers: list[asyncio.Task[None]] = []
        read = asyncio.create_task(self._read(configured, followed))
        watching: asyncio.Task[None] | None = None
        stopped = asyncio.create_task(_happened(stop))
        try:
            await asyncio.wait([read, stopped, *followers], return_when=asyncio.FIRST_COMPLETED)
            if read.done() and not stopped.done():
                workers += [asyncio.create_task(self._work(), name=f"worker {n}") for n in range(WORKERS)]
                watching = asyncio.create_task(self._watch_functions(stop), name="functions")
                self.started.set()
                await asyncio.wait([watching, stopped, *followers, *workers], return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._stopping = True
            stop.set()
            await self._drain(workers)
            if watching is not None:
                await asyncio.wait([watching], timeout=KOPF_EXIT_SECONDS)
            pending = [task for task in (read, stopped, watching, *followers) if task is not None and not task.done()]
            for task in pending:
                task.cancel()
            await asyncio.gather(*pending, return_exceptions=True)
            self._queue.close()
        ended = (*followers, *workers, read, *([watching] if watching else []))
        for error in (task.exception() for task in ended if task.done() and not task.cancelled()):
            if error is not None:
                raise error

    async def _read(self, *events: asyncio.Event) -> None:
        await self._definition()
        for event in events:
            await event.wait()

    # ---- what there is to do

    def _child_changed(self, function: Key) -> None:
        self._queue.add(function)

    def _everything_changed(self) -> None:
        for key in self._functions.all_keys():
            self._queue.add(key)

    def _function_changed(self, event: Any) -> None:
        obj = dict(event["object"])
        if event["type"] == "DELETED":
            self._functions.forget(obj)
        elif not self._functions.observe(without_managed_fields(obj)):
            return  # our own report, or a list after a watch that ended
        self._queue.add(key_of(obj))

    # ---- doing it

    async def _work(self) -> None:
        while not self._stopping:
            key = await self._queue.take()
            before = time.perf_counter()
            result = "error"
            try:
                if await self._reconciler.reconcile(key):
                    self._queue.forgive(key)
                    result = "done"
                else:
                    self._queue.retry(key)
                    result = "later"
            except ClusterError as error:
                seconds = self._queue.retry(key)
                _log.warning("%s/%s: %s; again in %.1f s", *key, error, seconds)
            except Exception:
                # A fault of ours must not keep other functions from being served.
                self._queue.retry(key)
                _log.exception("%s/%s: the reconcile failed", *key)
            finally:
                self._queue.done(key)
                metrics.RECONCILES.labels(result).inc()
                metrics.RECONCILE_SECONDS.observe(time.perf_counter() - before)

    async def _drain(self, workers: list[asyncio.Task[None]]) -> None:
        """Let the workers finish what they are at; those that wait for work are ended."""
        idle = asyncio.create_task(self._queue.idle())
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(DRAIN_SECONDS):
                await idle
        for task in workers:
            task.cancel()
        await asyncio.gather(*workers, return_exceptions=True)

    # ---- watching Functions

    async def _definition(self) -> None:
        """Returns when the API server serves Functions: the controller may be there before its definitions are."""
        path = f"/apis/{FUNCTIONS.api_version}"
        told = False
        while True:
            with contextlib.suppress(ClusterError):
                served = await self._cluster.request("GET", path)
                if any(resource["name"] == FUNCTIONS.plural for resource in served.get("resources") or []):
                    return
            if not told:
                _log.warning("waiting for the definition of Functions; install it with kubectl apply -k manifests")
                told = True
            await asyncio.sleep(DEFINITION_SECONDS)

    async def _watch_functions(self, stop: asyncio.Event) -> None:
        registry = kopf.OperatorRegistry()
        settings = kopf.OperatorSettings()
        settings.posting.enabled = False
        settings.scanning.disabled = True
        settings.peering.standalone = True
        # The queue of this controller has the order of work; kopf only hands the events over.
        settings.queueing.idle_timeout = 0.1
        settings.watching.chunk_size = LIST_PAGE

        @kopf.on.login(registry=registry)
        async def login(**_: Any) -> kopf.ConnectionInfo:
            return connection_info(await load_access(self._kubeconfig))

        @kopf.on.event(FUNCTIONS.group, FUNCTIONS.version, FUNCTIONS.plural, registry=registry)
        async def function_changed(event: kopf.RawEvent, **_: Any) -> None:
            self._function_changed(event)

        others = asyncio.all_tasks()
        tasks = await kopf.spawn_tasks(registry=registry, settings=settings, clusterwide=True, stop_flag=stop)
        # kopf has taken the signals over; it would stop before what is under way is finished.
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        await kopf.run_tasks(tasks, ignored=others)
        stop.set()


async def _happened(event: asyncio.Event) -> None:
    await event.wait()


def connection_info(access: Access) -> kopf.ConnectionInfo:
    """The same access for kopf's own connections."""
    token = (access.api_key or {}).get("BearerToken", "")
    return kopf.ConnectionInfo(
        server=access.host,
        ca_path=access.ssl_ca_cert,
        insecure=not access.verify_ssl,
        certificate_path=access.cert_file,
        private_key_path=access.key_file,
        token=token.removeprefix("Bearer ").removeprefix("bearer ") or None,
    )
