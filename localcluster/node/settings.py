"""What a node can be told on its command line."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from pathlib import Path


def default_node_ip(pod_cidr: str) -> str:
    """The first address of a loopback range, which is the cluster's own; else 127.0.0.1."""
    network = ipaddress.ip_network(pod_cidr)
    return str(network.network_address + 1) if network.is_loopback else "127.0.0.1"


@dataclass(frozen=True)
class Settings:
    """Settings of one node.

    Attributes:
        data_dir: pods, volumes and logs live under it; it is what a restarted node recovers from.
        pod_cidr: where pod addresses come from.
        host_ip: the node's own address, which the kubelet API listens on and `hostNetwork` pods have.
        images: catalogue files that extend the built-in images.
        backoff_seconds, max_backoff_seconds: first and longest wait before a crashed container or a failed "pull" is
            tried again (a kubelet has 10 and 300).
        host_path_prefixes: `hostPath` volumes are allowed under these folders only.
        add_addresses: give pod addresses to the loopback device with `ip addr`, for ranges outside 127.0.0.0/8.
        max_log_bytes, max_log_files: rotation of container logs (a kubelet's defaults).
    """

    node_name: str
    data_dir: Path
    pod_cidr: str = "127.64.0.0/16"
    host_ip: str = "127.0.0.1"
    images: tuple[Path, ...] = ()
    backoff_seconds: float = 10.0
    max_backoff_seconds: float = 300.0
    host_path_prefixes: tuple[Path, ...] = field(default=())
    add_addresses: bool = False
    max_log_bytes: int = 10 * 2**20
    max_log_files: int = 5
    max_pods: int = 500

    @property
    def pods_dir(self) -> Path:
        return self.data_dir / "pods"

    @property
    def logs_dir(self) -> Path:
        return self.data_dir / "logs"
