"""The controller's process: `python -m controller`."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import signal
import socket
import sys
import uuid

from controller import metrics
from controller.leadership import Leadership
from controller.operator import Operator
from kubeless.api import config
from kubeless.cluster import Cluster, ClusterError

LEASE = "kubeless-controller"

_log = logging.getLogger("controller")


def main() -> None:
    options = _parser().parse_args()
    logging.basicConfig(
        level=options.log_level.upper(),
        format="%(asctime)s %(levelname)-7s %(name)s: %(message)s",
        stream=sys.stderr,
    )
    # kopf tells of every event that it hands over.
    logging.getLogger("kopf").setLevel(logging.WARNING)
    sys.exit(asyncio.run(run(options)))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m controller",
        description="Serve Functions: make what they need in the cluster, and report on them.",
        epilog="example:\n  python -m controller --kubeconfig ~/.kube/config --port 9090",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    namespace, name = config.location()
    parser.add_argument(
        "--kubeconfig", metavar="F", default="", help="default: KUBECONFIG, else the pod's service account"
    )
    parser.add_argument("--namespace", default=namespace, help="of kubeless-config and the lease (%(default)s)")
    parser.add_argument("--config", default=name, help="name of the ConfigMap with the configuration (%(default)s)")
    parser.add_argument(
        "--identity",
        default=os.environ.get("POD_NAME") or f"{socket.gethostname()}-{uuid.uuid4().hex[:8]}",
        help="in the election of the replica that works; default: POD_NAME, else one of its own",
    )
    parser.add_argument(
        "--host",
        default=os.environ.get("POD_IP") or "127.0.0.1",
        help="where /metrics, /healthz and /readyz are served; default: POD_IP, else 127.0.0.1",
    )
    parser.add_argument("--port", type=int, default=8080, help="of /metrics and so on (%(default)s)")
    parser.add_argument("--log-level", default="info", choices=("debug", "info", "warning", "error"))
    return parser


async def run(options: argparse.Namespace) -> int:
    """The exit code: 0 after SIGTERM, 1 where the process cannot go on and is best started anew."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with Cluster(kubeconfig=options.kubeconfig, user_agent="kubeless-controller") as cluster:
        metrics.REGISTRY.register(metrics.Requests(cluster.requests))
        leadership = Leadership(cluster, options.namespace, LEASE, options.identity)
        operator = Operator(cluster, options.kubeconfig, options.namespace, options.config)
        # A replica that waits is ready: it is what it should be.
        server = await metrics.serve(
            options.host,
            options.port,
            is_ready=lambda: not leadership.held or operator.started.is_set(),
            is_healthy=lambda: True,
        )
        metrics.LEADING.set_function(lambda: float(leadership.held))
        try:
            return await _lead(leadership, operator, stop)
        finally:
            await server.cleanup()


async def _lead(leadership: Leadership, operator: Operator, stop: asyncio.Event) -> int:
    stopped = asyncio.create_task(stop.wait())
    acquiring = asyncio.create_task(leadership.acquire())
    await asyncio.wait([stopped, acquiring], return_when=asyncio.FIRST_COMPLETED)
    if not acquiring.done():
        acquiring.cancel()
        return 0
    await acquiring
    holding = asyncio.create_task(leadership.hold())
    holding.add_done_callback(lambda _: stop.set())
    code = 0
    try:
        await operator.run(stop)
        if holding.done():
            _log.error("another replica may work now; this one starts anew")
            code = 1
    except* ClusterError as group:
        for error in group.exceptions:
            _log.error("%s", error)
        code = 1
    finally:
        holding.cancel()
        stopped.cancel()
        await asyncio.gather(holding, stopped, return_exceptions=True)
        await leadership.release()
    _log.info("stopped")
    return code


if __name__ == "__main__":
    main()
