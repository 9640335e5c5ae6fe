"""`python -m localcluster.controllers --kubeconfig F`: all controllers in one process, until SIGTERM."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import signal
import sys

import uvloop

from localcluster.client import Client
from localcluster.controllers.assembly import assemble
from localcluster.controllers.manager import Manager


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m localcluster.controllers",
        description="Workload controllers and scheduler for a Kubernetes API server.",
        epilog="example: python -m localcluster.controllers --kubeconfig ./controllers.kubeconfig",
    )
    parser.add_argument("--kubeconfig", required=True, help="how to reach the API server")
    parser.add_argument("--log-level", default="warning", choices=["debug", "info", "warning", "error"])
    options = parser.parse_args(arguments)
    logging.basicConfig(
        level=options.log_level.upper(), stream=sys.stderr, format="%(asctime)s %(levelname).1s %(name)s %(message)s"
    )
    uvloop.run(_run(options.kubeconfig))
    return 0


async def _run(kubeconfig: str) -> None:
    async with Client.from_kubeconfig(kubeconfig, user_agent="kube-controller-manager") as client:
        manager = Manager(client)
        assemble(manager)
        running = asyncio.ensure_future(manager.run())
        loop = asyncio.get_running_loop()
        for stop in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(stop, running.cancel)
        with contextlib.suppress(asyncio.CancelledError):
            await running


if __name__ == "__main__":
    sys.exit(main())
