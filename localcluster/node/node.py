"""Puts the parts of a node together: registration, pod loop, process runner, service proxy, kubelet API."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import ipaddress
import logging
import signal
import socket
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from localcluster.client import ApiStatusError, Client, ClientError
from localcluster.cluster_version import ClusterVersion, wait_for_version
from localcluster.node import certificate
from localcluster.node.environment import service_variables
from localcluster.node.images import Catalogue, Image, read_catalogues
from localcluster.node.kubelet_api import KubeletAPI
from localcluster.node.kubelet_auth import Access
from localcluster.node.metrics_api import MetricsAPI, Registration, Taken
from localcluster.node.node_object import (
    NO_LOAD_BALANCER,
    TAINT,
    Heartbeat,
    machine_resources,
    make_node,
    reported_version,
)
from localcluster.node.pod_events import Events
from localcluster.node.pods import PodLoop
from localcluster.node.process_runner import ProcessRunner
from localcluster.node.settings import Settings
from localcluster.node.summary import Summary
from localcluster.node.usage import Meter
from localcluster.serviceproxy.proxy import ServiceProxy

log = logging.getLogger(__name__)

JSON = dict[str, Any]

STOP_SECONDS = 5.0
"""How long pods have to end when the node is stopped."""
REGISTER_RETRY_SECONDS = 2.0
TAKEN_RETRY_SECONDS = 30.0
"""How often it is looked whether metrics.k8s.io, which somebody else serves, is free."""

T = TypeVar("T")


@dataclass(frozen=True)
class Options:
    """How this node takes part in its cluster. None: as is right for a local cluster, or for another one."""

    kubeconfig: Path
    port: int = 0
    taint: bool | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    service_proxy: bool = True
    metrics_api: bool | None = None
    host_images: bool | None = None
    keep_pods: bool = False

    def at(self, cluster: ClusterVersion) -> Options:
        """With what was left open decided."""
        local = cluster.is_local
        return replace(
            self,
            taint=not local if self.taint is None else self.taint,
            metrics_api=local if self.metrics_api is None else self.metrics_api,
            host_images=local if self.host_images is None else self.host_images,
            labels=self.labels if local else {NO_LOAD_BALANCER: "", **self.labels},
        )


class Stopped(Exception):
    """The node was told to stop before it had begun."""


def check_addresses(settings: Settings, server: str) -> None:
    """Raises ValueError where another cluster than a local one could not use the node's addresses."""
    where = f"{server} is not a local cluster"
    if ipaddress.ip_network(settings.pod_cidr).is_loopback:
        raise ValueError(
            f"{where}, and Kubernetes takes no loopback addresses as endpoints: give --pod-cidr a range that the"
            " cluster routes to this machine (and --add-addresses, unless the machine has its addresses already)"
        )
    if ipaddress.ip_address(settings.host_ip).is_loopback:
        raise ValueError(
            f"{where}: give --node-ip an address of this machine at which its API server reaches the kubelet API"
        )
    with socket.socket(socket.AF_INET6 if ":" in settings.host_ip else socket.AF_INET) as probe:
        try:
            probe.bind((settings.host_ip, 0))
        except OSError as error:
            raise ValueError(f"--node-ip {settings.host_ip} is no address of this machine: {error.strerror}") from error


async def run(settings: Settings, options: Options) -> None:
    """Be a node until SIGTERM or SIGINT. Raises `OSError`, `ValueError`, `InvalidCatalogue` for what cannot be used."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    with _lock(settings.data_dir):
        client = Client.from_kubeconfig(options.kubeconfig, user_agent="kubelet/v1.36.2 (localcluster)")
        images = read_catalogues(settings.images)
        async with client:
            with contextlib.suppress(Stopped):
                await _run(settings, options, client, images, stop)


async def _unless(stop: asyncio.Event, work: Awaitable[T]) -> T:
    """The result of some work. Raises `Stopped` if the node is to stop before it is there."""
    task, ended = asyncio.ensure_future(work), asyncio.ensure_future(stop.wait())
    await asyncio.wait({task, ended}, return_when=asyncio.FIRST_COMPLETED)
    ended.cancel()
    if task.done():
        return task.result()
    task.cancel()
    raise Stopped


@contextlib.contextmanager
def _lock(data_dir: Path) -> Any:
    with open(data_dir / "lock", "a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise RuntimeError(f"another node runs with the data directory {data_dir}") from error
        yield


async def _run(settings: Settings, options: Options, client: Client, images: list[Image], stop: asyncio.Event) -> None:
    # Both take a while at the first start of a cluster.
    begin = asyncio.gather(_cluster(client), certificate.ensure(settings))
    cluster, (certificate_file, key_file, authority_file) = await _unless(stop, begin)
    if not cluster.is_local:
        check_addresses(settings, client.server)
    options = options.at(cluster)
    catalogue = Catalogue(images, host_images=bool(options.host_images))
    resources = machine_resources(settings.data_dir, settings.max_pods)
    node = make_node(settings.node_name, settings.pod_cidr, [TAINT] if options.taint else [], options.labels)
    events = Events(client, settings.node_name)
    proxy = ServiceProxy(client, settings.host_ip, lambda obj, reason, text: events.warning(obj, reason, text))
    runner = ProcessRunner(
        settings,
        client,
        catalogue,
        events,
        services=lambda pod: pod_services(proxy, pod, client.server),
        allocatable=resources,
        left_proxy=proxy.leave,
    )
    meter = Meter(runner)
    summary = Summary(settings.node_name, runner, meter)
    access = Access(client, settings.node_name, trust_masters=cluster.is_local)
    api = KubeletAPI(runner, summary, MetricsAPI(summary, node["metadata"]["labels"]), access)
    registration = Registration(client, settings.node_name)
    try:
        port = await _unless(stop, api.start(settings.host_ip, options.port, str(certificate_file), str(key_file)))
        version = reported_version(cluster)
        heartbeat = Heartbeat(client, node, settings.host_ip, port, resources, version)
        await _unless(stop, heartbeat.register())
    except BaseException:
        await api.stop()
        await runner.close()
        raise
    log.info("node %s: kubelet API on %s:%d", settings.node_name, settings.host_ip, port)
    tasks = [
        asyncio.create_task(work)
        for work in (
            heartbeat.run(),
            events.run(),
            runner.run(),
            meter.run(),
            _follow_services(proxy, options.service_proxy),
            PodLoop(client, settings.node_name, runner).run(),
            *([_keep_metrics_api(registration, settings.host_ip, port, authority_file)] if options.metrics_api else []),
        )
    ]
    ended = asyncio.create_task(stop.wait())
    await asyncio.wait([*tasks, ended], return_when=asyncio.FIRST_COMPLETED)
    failed = next((task.exception() for task in tasks if task.done() and not task.cancelled()), None)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    if options.keep_pods or failed is not None:
        runner.abandon()
    else:
        await runner.stop_all(STOP_SECONDS)
    if failed is None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(registration.unregister(), 2.0)
    await api.stop()
    await runner.close()
    if failed is not None:
        raise failed


async def _follow_services(proxy: ServiceProxy, listen: bool) -> None:
    """Services are followed for the pods' variables even where nothing is proxied."""
    if listen:
        await proxy.run()
    else:
        await proxy.services.run()


async def _cluster(client: Client) -> ClusterVersion:
    try:
        return await wait_for_version(client)
    except ApiStatusError as error:
        raise ValueError(f"{client.server} does not tell its version: {error}") from error


async def _keep_metrics_api(registration: Registration, host_ip: str, port: int, authority_file: Path) -> None:
    warned = False
    while True:
        try:
            await registration.register(host_ip, port, authority_file)
            break
        except ClientError as error:
            log.warning("metrics.k8s.io cannot be registered: %s", error)
            await asyncio.sleep(REGISTER_RETRY_SECONDS)
        except Taken as error:
            log.log(logging.DEBUG if warned else logging.WARNING, "metrics.k8s.io is left to others: %s", error)
            warned = True
            await asyncio.sleep(TAKEN_RETRY_SECONDS)
    await asyncio.Event().wait()


def pod_services(proxy: ServiceProxy, pod: JSON, server: str) -> dict[str, str]:
    """Service variables of a pod. Those of the `kubernetes` Service point at the API server itself, since the port of
    its ClusterIP may need privileges to be served."""
    namespace = pod["metadata"]["namespace"]
    listed = proxy.services.list(namespace) if pod["spec"].get("enableServiceLinks", True) else []
    master = proxy.services.get("default", "kubernetes")
    variables = service_variables([*([master] if master else []), *listed])
    where = urlsplit(server)
    host, port = where.hostname or "", str(where.port or (443 if where.scheme == "https" else 80))
    url = f"tcp://{host}:{port}"
    link = f"KUBERNETES_PORT_{port}_TCP"
    for name in [name for name in variables if name.startswith("KUBERNETES_PORT_") and master is not None]:
        del variables[name]
    return variables | {
        "KUBERNETES_SERVICE_HOST": host,
        "KUBERNETES_SERVICE_PORT": port,
        "KUBERNETES_SERVICE_PORT_HTTPS": port,
        "KUBERNETES_PORT": url,
        link: url,
        f"{link}_PROTO": "tcp",
        f"{link}_PORT": port,
        f"{link}_ADDR": host,
    }
