"""`python -m localcluster.apiserver`: the API server as a process of its own; started by the supervisor."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import signal
import socket
import sys
from pathlib import Path

import uvloop

from localcluster.apiserver.server import Server, Settings
from localcluster.certs import Pki, write_kubeconfig

MAX_COMMON_NAME = 64
"""Of a certificate's subject (RFC 5280, ub-common-name)."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m localcluster.apiserver", description=__doc__)
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--address", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=6443)
    parser.add_argument("--pod-cidr", default=Settings.pod_cidr)
    parser.add_argument("--service-cidr", default=Settings.service_cidr)
    options = parser.parse_args()
    # Keys, kubeconfigs and Secrets are for their owner alone.
    os.umask(0o077)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    settings = Settings(options.data_dir, options.address, options.port, options.pod_cidr, options.service_cidr)
    return uvloop.run(_run(settings))


async def _run(settings: Settings) -> int:
    import ipaddress

    first = str(ipaddress.ip_network(settings.service_cidr)[1])
    server = Server(settings, Pki.open(settings.data_dir, [settings.address, first]))
    _write_kubeconfigs(settings, server.pki)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    try:
        await server.start()
    except OSError as error:
        print(f"cannot listen on {settings.address}:{settings.port}: {error.strerror or error}", file=sys.stderr)
        return 1
    await stop.wait()
    await server.stop()
    return 0


def _write_kubeconfigs(settings: Settings, pki: Pki) -> None:
    """The administrator's and those of the other processes; the node's comes last: the supervisor waits for it."""
    url, data_dir = f"https://{settings.address}:{settings.port}", settings.data_dir
    admin = pki.client("admin", "kubernetes-admin", ["system:masters"])
    write_kubeconfig(data_dir / "kubeconfig", url, pki.ca, admin)
    (data_dir / "run").mkdir(exist_ok=True)
    controllers = pki.client("controllers", "system:kube-controller-manager")
    write_kubeconfig(data_dir / "run" / "controllers.kubeconfig", url, pki.ca, controllers)
    node = pki.client("node", f"system:node:{socket.gethostname()}"[:MAX_COMMON_NAME], ["system:nodes"])
    write_kubeconfig(data_dir / "run" / "node.kubeconfig", url, pki.ca, node)


if __name__ == "__main__":
    sys.exit(main())
