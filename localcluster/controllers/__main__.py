"""`python -m localcluster.controllers --kubeconfig F`: all controllers in one process, until SIGTERM."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import signal
import sys

import uvloop

from localcluster.client import ApiStatusError, Client
from localcluster.cluster_version import wait_for_version
from localcluster.controllers.assembly import assemble
from localcluster.controllers.manager import Manager

EPILOG = """\
They are for a local cluster, which has none of its own. Another cluster has its kube-controller-manager and its
kube-scheduler: a second set beside them would do everything twice and undo what the first does (Jobs with twice their
pods, pods bound to nodes that have no room), because these controllers elect no leader. Only a control plane that runs
without any may be given --any-cluster.

example: python -m localcluster.controllers --kubeconfig .localcluster/run/controllers.kubeconfig
"""


class Refused(Exception):
    """The controllers are not to run here; the message says why."""


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m localcluster.controllers",
        description="Workload controllers and scheduler for a Kubernetes API server.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--kubeconfig", required=True, help="how to reach the API server")
    parser.add_argument("--any-cluster", action="store_true", help="start even if the cluster is not a local one")
    parser.add_argument("--log-level", default="warning", choices=["debug", "info", "warning", "error"])
    options = parser.parse_args(arguments)
    logging.basicConfig(
        level=options.log_level.upper(), stream=sys.stderr, format="%(asctime)s %(levelname).1s %(name)s %(message)s"
    )
    try:
        uvloop.run(_run(options.kubeconfig, options.any_cluster))
    except (Refused, OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


async def _run(kubeconfig: str, any_cluster: bool) -> None:
    async with Client.from_kubeconfig(kubeconfig, user_agent="kube-controller-manager") as client:
        running = asyncio.ensure_future(_control(client, any_cluster))
        loop = asyncio.get_running_loop()
        for stop in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(stop, running.cancel)
        with contextlib.suppress(asyncio.CancelledError):
            await running


async def _control(client: Client, any_cluster: bool) -> None:
    if not any_cluster:
        await _check(client)
    manager = Manager(client)
    assemble(manager)
    await manager.run()


async def _check(client: Client) -> None:
    try:
        version = await wait_for_version(client)
    except ApiStatusError as error:
        raise Refused(f"{client.server} does not tell its version: {error}") from error
    if not version.is_local:
        raise Refused(
            f"{client.server} ({version}) is not a local cluster: it has controllers of its own, with which these would"
            " fight (--any-cluster starts them all the same)"
        )


if __name__ == "__main__":
    sys.exit(main())
