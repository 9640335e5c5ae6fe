"""The command line of the node: `python -m localcluster.node --kubeconfig F`."""

from __future__ import annotations

import argparse
import asyncio
import logging
import socket
import sys
from pathlib import Path

from localcluster.node.images import InvalidCatalogue

EXAMPLES = """examples:
  python -m localcluster.node --kubeconfig .localcluster/run/node.kubeconfig --node-name second
      another node of a local cluster on this machine
  python -m localcluster.node --kubeconfig ~/.kube/config --pod-cidr 10.77.0.0/24 --node-ip 192.168.1.5 --add-addresses
      join any cluster, with addresses that it routes here (adding them needs CAP_NET_ADMIN); pods that tolerate the
      taint localcluster/process-node run here as processes
"""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m localcluster.node",
        description="A Kubernetes node that runs containers as processes of this machine.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--kubeconfig", type=Path, required=True, metavar="F", help="which cluster to join, and as whom")
    add("--node-name", default=socket.gethostname().lower(), metavar="N", help="default: %(default)s")
    add("--data-dir", type=Path, default=Path(".localcluster-node"), metavar="D", help="default: %(default)s")
    add(
        "--pod-cidr",
        default="127.64.0.0/16",
        metavar="C",
        help="where pod addresses come from; no loopback range unless the cluster is a local one; default: %(default)s",
    )
    add(
        "--node-ip",
        metavar="IP",
        help="of the kubelet API and NodePorts; needed unless the cluster is a local one; default there: the first of"
        " --pod-cidr or 127.0.0.1",
    )
    add("--port", type=int, default=0, metavar="P", help="of the kubelet API; default: a free one")
    add("--add-addresses", action="store_true", help="add pod addresses to the loopback device with `ip addr`")
    add("--images", type=Path, action="append", default=[], metavar="F", help="how further images start (YAML)")
    add("--label", action="append", default=[], metavar="K=V", help="a label of the Node; may be repeated")
    add(
        "--host-images",
        action=argparse.BooleanOptionalAction,
        help="let images like busybox, debian and python run this machine's programs; default: in a local cluster only",
    )
    taint = parser.add_mutually_exclusive_group()
    taint.add_argument("--taint", dest="taint", action="store_true", default=None, help="keep out ordinary pods")
    taint.add_argument(
        "--no-taint", dest="taint", action="store_false", help="default: a taint, unless the cluster is a local one"
    )
    add("--no-service-proxy", action="store_true", help="serve no ClusterIPs and NodePorts")
    add(
        "--metrics-api",
        action=argparse.BooleanOptionalAction,
        help="register metrics.k8s.io, unless somebody else has; default: in a local cluster only",
    )
    add("--keep-pods", action="store_true", help="on SIGTERM leave the pods running for the next start")
    add("--allow-host-path", type=Path, action="append", default=[], metavar="FOLDER", help="may be repeated")
    add("--max-pods", type=int, default=500, metavar="N", help="default: %(default)s")
    add("--back-off", type=float, default=10.0, metavar="S", help="first wait before a restart; default: %(default)s s")
    add("--log-level", default="info", choices=["debug", "info", "warning", "error"], help="default: %(default)s")
    return parser


def main(arguments: list[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    logging.basicConfig(
        level=options.log_level.upper(), stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    from localcluster.node.node import Options, run
    from localcluster.node.settings import Settings, default_node_ip

    settings = Settings(
        node_name=options.node_name,
        data_dir=options.data_dir.resolve(),
        pod_cidr=options.pod_cidr,
        host_ip=options.node_ip or default_node_ip(options.pod_cidr),
        images=tuple(options.images),
        backoff_seconds=options.back_off,
        host_path_prefixes=tuple(options.allow_host_path),
        add_addresses=options.add_addresses,
        max_pods=options.max_pods,
    )
    chosen = Options(
        kubeconfig=options.kubeconfig,
        port=options.port,
        taint=options.taint,
        labels=dict(label.split("=", 1) if "=" in label else (label, "") for label in options.label),
        service_proxy=not options.no_service_proxy,
        metrics_api=options.metrics_api,
        host_images=options.host_images,
        keep_pods=options.keep_pods,
    )
    try:
        import uvloop
    except ImportError:
        runner = asyncio.run
    else:
        runner = uvloop.run
    try:
        runner(run(settings, chosen))
    except (InvalidCatalogue, OSError, ValueError, RuntimeError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
