"""The Node object and the Lease by which a cluster knows that this node is there."""

from __future__ import annotations

import asyncio
import logging
import os
import platform
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from localcluster.client import Client, ClientError, Forbidden, NotFound, PatchType
from localcluster.cluster_version import ClusterVersion
from localcluster.node.status import now_text
from localcluster.resource_types import LEASES, NODES

log = logging.getLogger(__name__)

JSON = dict[str, Any]

LEASE_NAMESPACE = "kube-node-lease"
LEASE_SECONDS = 40
RENEW_SECONDS = 10.0
STATUS_SECONDS = 300.0
"""How often an unchanged status is told (a kubelet's nodeStatusReportFrequency)."""
KUBELET_VERSION = ClusterVersion(1, 36, 2)
TAINT = {"key": "localcluster/process-node", "value": "", "effect": "NoSchedule"}
NO_LOAD_BALANCER = "node.kubernetes.io/exclude-from-external-load-balancers"
"""The label that keeps a cloud's load balancers from sending traffic to a node, which proxies nothing for them."""
_CONDITIONS = (
    ("MemoryPressure", "False", "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
    ("DiskPressure", "False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
    ("PIDPressure", "False", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
    ("Ready", "True", "KubeletReady", "kubelet is posting ready status"),
)


def machine_resources(data_dir: Path, max_pods: int) -> dict[str, str]:
    """What this machine has, as the node's capacity."""
    memory_kib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 1024
    disk = os.statvfs(data_dir)
    return {
        "cpu": str(os.cpu_count() or 1),
        "memory": f"{memory_kib}Ki",
        "ephemeral-storage": f"{disk.f_blocks * disk.f_frsize // 1024}Ki",
        "pods": str(max_pods),
    }


def make_node(name: str, pod_cidr: str, taints: list[JSON], labels: Mapping[str, str]) -> JSON:
    arch = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    named = {"kubernetes.io/hostname": name, "kubernetes.io/os": "linux", "kubernetes.io/arch": arch}
    spec: JSON = {"podCIDR": pod_cidr, "podCIDRs": [pod_cidr]}
    if taints:
        spec["taints"] = taints
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": {**named, "type": "localcluster", **labels}},
        "spec": spec,
    }


def reported_version(server: ClusterVersion) -> str:
    """A kubelet's version, which must not be newer than the server's (https://kubernetes.io/releases/version-skew-policy/)."""
    ours, theirs = KUBELET_VERSION, server
    older = (theirs.major, theirs.minor, theirs.patch) < (ours.major, ours.minor, ours.patch)
    return str(theirs if older else ours)


def make_status(
    name: str, host_ip: str, port: int, resources: Mapping[str, str], previous: JSON, kubelet_version: str
) -> JSON:
    """The Node's status; transition times are kept from the previous one."""
    now = now_text()
    before = {c["type"]: c for c in previous.get("conditions") or []}

    def since(kind: str, status: str) -> str:
        old = before.get(kind)
        return str(old["lastTransitionTime"]) if old and old.get("status") == status else now

    return {
        "capacity": dict(resources),
        "allocatable": dict(resources),
        "addresses": [{"type": "InternalIP", "address": host_ip}, {"type": "Hostname", "address": name}],
        "daemonEndpoints": {"kubeletEndpoint": {"Port": port}},
        "nodeInfo": {
            "architecture": {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine()),
            "bootID": _read("/proc/sys/kernel/random/boot_id"),
            "containerRuntimeVersion": "process://1.0",
            "kernelVersion": platform.release(),
            "kubeProxyVersion": "",
            "kubeletVersion": kubelet_version,
            "machineID": _read("/etc/machine-id"),
            "operatingSystem": "linux",
            "osImage": _os_image(),
            "systemUUID": _read("/etc/machine-id"),
        },
        "conditions": [
            {
                "type": kind,
                "status": status,
                "lastHeartbeatTime": now,
                "lastTransitionTime": since(kind, status),
                "reason": reason,
                "message": message,
            }
            for kind, status, reason, message in _CONDITIONS
        ],
    }


def _read(path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return ""


def _os_image() -> str:
    try:
        return platform.freedesktop_os_release().get("PRETTY_NAME", "Linux")
    except OSError:
        return "Linux"


class Heartbeat:
    """Registers the Node, then keeps its Lease and its status fresh."""

    def __init__(
        self,
        client: Client,
        node: JSON,
        host_ip: str,
        port: int,
        resources: Mapping[str, str],
        kubelet_version: str = str(KUBELET_VERSION),
    ) -> None:
        self._client = client
        self._node = node
        self._name: str = node["metadata"]["name"]
        self._host_ip = host_ip
        self._port = port
        self._resources = resources
        self._kubelet_version = kubelet_version
        self.uid = ""

    async def register(self) -> JSON:
        """Create the Node or bring its labels and taints up to date, and report Ready. Retries until it is done."""
        delay = 0.05
        while True:
            try:
                return await self._register()
            except ClientError as error:
                log.warning("the node cannot be registered: %s", error)
                await asyncio.sleep(delay)
                delay = min(delay * 2, 5.0)

    async def _register(self) -> JSON:
        try:
            stored = await self._client.get(NODES, self._name)
            labels = self._node["metadata"]["labels"]
            if {**stored["metadata"].get("labels", {}), **labels} != stored["metadata"].get("labels"):
                stored = await self._client.patch(NODES, self._name, {"metadata": {"labels": labels}})
            await self._reconcile_taint(stored)
        except NotFound:
            stored = await self._client.create(NODES, self._node)
        self.uid = stored["metadata"]["uid"]
        await self._renew()
        await self._report(stored.get("status") or {})
        return stored

    async def _reconcile_taint(self, stored: JSON) -> None:
        """The taint of this kind of node as it is wanted now; others' taints stay."""
        have = stored["spec"].get("taints") or []
        wanted = [t for t in self._node["spec"].get("taints") or [] if t["key"] == TAINT["key"]]
        kept = [t for t in have if t.get("key") != TAINT["key"]]
        if len(have) == len(kept) + len(wanted):
            return
        # With the version, so that a taint that somebody sets meanwhile is not lost.
        meta = {"resourceVersion": stored["metadata"]["resourceVersion"]}
        try:
            await self._client.patch(NODES, self._name, {"metadata": meta, "spec": {"taints": [*kept, *wanted]}})
        except Forbidden as error:
            # The NodeRestriction admission plugin lets nodes set their taints only when they are made.
            log.warning("the taint %s stays as it is: %s", TAINT["key"], error)

    async def run(self) -> None:
        """Renew until cancelled; the status follows every five minutes."""
        loop = asyncio.get_running_loop()
        told = loop.time()
        while True:
            await asyncio.sleep(RENEW_SECONDS)
            try:
                await self._renew()
                if loop.time() - told >= STATUS_SECONDS or not await self._is_ready():
                    stored = await self._client.get(NODES, self._name)
                    await self._report(stored.get("status") or {})
                    told = loop.time()
            except NotFound:
                await self.register()
            except ClientError as error:
                log.warning("heartbeat: %s", error)

    async def _is_ready(self) -> bool:
        """Whether the cluster takes the node for ready; after a long silence its controller has said otherwise."""
        stored = await self._client.get(NODES, self._name)
        return any(
            c["type"] == "Ready" and c["status"] == "True" for c in (stored.get("status") or {}).get("conditions") or []
        )

    async def _report(self, previous: JSON) -> None:
        status = make_status(self._name, self._host_ip, self._port, self._resources, previous, self._kubelet_version)
        await self._client.patch(NODES, self._name, {"status": status}, type=PatchType.STRATEGIC, subresource="status")

    async def _renew(self) -> None:
        spec: JSON = {
            "holderIdentity": self._name,
            "leaseDurationSeconds": LEASE_SECONDS,
            "renewTime": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%fZ}",
        }
        try:
            await self._client.patch(LEASES, self._name, {"spec": spec}, LEASE_NAMESPACE)
        except NotFound:
            owner = {"apiVersion": "v1", "kind": "Node", "name": self._name, "uid": self.uid}
            meta = {"name": self._name, "namespace": LEASE_NAMESPACE, "ownerReferences": [owner]}
            lease = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": meta, "spec": spec}
            await self._client.create(LEASES, lease, LEASE_NAMESPACE)
