"""Puts the parts of a node together: registration, pod loop, process runner, service proxy, kubelet API."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import ipaddress
import logging
import signal
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from localcluster.client import Client, ClientError
from localcluster.node import certificate, metrics_api
from localcluster.node.environment import service_variables
from localcluster.node.images import Catalogue
from localcluster.node.kubelet_api import KubeletAPI
from localcluster.node.kubelet_auth import Access
from localcluster.node.metrics_api import MetricsAPI
from localcluster.node.node_object import TAINT, Heartbeat, machine_resources, make_node
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


@dataclass(frozen=True)
class Options:
    """How this node takes part in its cluster. `taint` None: unless the cluster's API server is on this machine."""

    kubeconfig: Path
    port: int = 0
    taint: bool | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    service_proxy: bool = True
    metrics_api: bool = True
    keep_pods: bool = False


def is_local(server: str) -> bool:
    """Whether an API server's address is a loopback one."""
    host = urlsplit(server).hostname or ""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


async def run(settings: Settings, options: Options) -> None:
    """Be a node until SIGTERM or SIGINT. Raises `OSError`, `ValueError`, `InvalidCatalogue` for what cannot be used."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    with _lock(settings.data_dir):
        client = Client.from_kubeconfig(options.kubeconfig, user_agent="kubelet/v1.36.2 (localcluster)")
        async with client:
            await _run(settings, options, client, Catalogue.load(settings.images), stop)


@contextlib.contextmanager
def _lock(data_dir: Path) -> Any:
    with open(data_dir / "lock", "a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise RuntimeError(f"another node runs with the data directory {data_dir}") from error
        yield


async def _run(settings: Settings, options: Options, client: Client, catalogue: Catalogue, stop: asyncio.Event) -> None:
    resources = machine_resources(settings.data_dir, settings.max_pods)
    tainted = not is_local(client.server) if options.taint is None else options.taint
    node = make_node(settings.node_name, settings.pod_cidr, [TAINT] if tainted else [], options.labels)
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
    api = KubeletAPI(
        runner, summary, MetricsAPI(summary, node["metadata"]["labels"]), Access(client, settings.node_name)
    )
    certificate_file, key_file, authority_file = await certificate.ensure(settings)
    port = await api.start(settings.host_ip, options.port, str(certificate_file), str(key_file))
    heartbeat = Heartbeat(client, node, settings.host_ip, port, resources)
    await heartbeat.register()
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
            *([_keep_metrics_api(client, settings.host_ip, port, authority_file)] if options.metrics_api else []),
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
    if options.metrics_api and failed is None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(metrics_api.unregister(client), 2.0)
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


async def _keep_metrics_api(client: Client, host_ip: str, port: int, authority_file: Path) -> None:
    while True:
        try:
            await metrics_api.register(client, host_ip, port, authority_file)
            break
        except ClientError as error:
            log.warning("metrics.k8s.io cannot be registered: %s", error)
            await asyncio.sleep(REGISTER_RETRY_SECONDS)
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
