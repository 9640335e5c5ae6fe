"""The provider that runs pods as processes of this machine."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import Any

import aiohttp

from localcluster.client import Client
from localcluster.node.addresses import Addresses, NoAddress
from localcluster.node.attach_session import AttachSession
from localcluster.node.container import Container
from localcluster.node.container_log import read_log
from localcluster.node.exec_session import ExecSession
from localcluster.node.images import Catalogue
from localcluster.node.mounts import Mount, MountPaths
from localcluster.node.objects import Key, ObjectsOfPod, PodObjects
from localcluster.node.pod import RunningPod, read_saved
from localcluster.node.pod_events import Events
from localcluster.node.processes import MARK, Sweeper, all_pids, marked
from localcluster.node.provider import LogOptions, UnknownContainer
from localcluster.node.settings import Settings
from localcluster.node.surroundings import Surroundings

log = logging.getLogger(__name__)

JSON = dict[str, Any]

TOKEN_CHECK_SECONDS = 30.0


class ProcessRunner:
    """Implements `PodProvider`, `PodNotifier` and `Containers`.

    Args:
        services: the service variables of a pod.
        left_proxy: waits until the node's service proxy sends nothing new to an address.
    """

    def __init__(
        self,
        settings: Settings,
        client: Client,
        catalogue: Catalogue,
        events: Events,
        *,
        services: Callable[[JSON], Mapping[str, str]],
        allocatable: Mapping[str, str],
        left_proxy: Callable[[str], Awaitable[None]],
    ) -> None:
        self._settings = settings
        self._client = client
        self._services = services
        self._allocatable = allocatable
        self._left_proxy = left_proxy
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, force_close=True), cookie_jar=aiohttp.DummyCookieJar()
        )
        self._shared = Surroundings(settings, catalogue, events, Sweeper(), self._session)
        self._objects = PodObjects(client, self._object_changed)
        self._addresses = Addresses(settings.pod_cidr, add=settings.add_addresses)
        self._pods: dict[str, RunningPod] = {}
        self._left_over: dict[str, tuple[JSON, str]] = {}
        self._notify: Callable[[str], None] = lambda uid: None
        settings.pods_dir.mkdir(parents=True, exist_ok=True)
        settings.data_dir.chmod(0o700)
        self._recover()

    def _recover(self) -> None:
        """What a node process before this one has left: pods whose programs may still run."""
        for folder in self._settings.pods_dir.iterdir():
            if (saved := read_saved(folder)) is not None:
                pod, address = saved
                self._left_over[folder.name] = saved
                if not pod["spec"].get("hostNetwork"):
                    self._addresses.reserve(address)
        self._kill_unrecorded()

    def _kill_unrecorded(self) -> None:
        """A node killed between a start and its record leaves a program that nobody would ever stop."""
        here = str(self._settings.pods_dir) + os.sep
        recorded: set[str] = set()
        for path in self._settings.pods_dir.glob("*/containers/*/record.json"):
            with contextlib.suppress(OSError, ValueError):
                recorded.add(json.loads(path.read_text())["containerID"].removeprefix("process://"))
        for pid in all_pids():
            if marked(pid, "LOCALCLUSTER_POD_DIR").startswith(here) and marked(pid) not in recorded:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGKILL)

    # ---- PodProvider

    def create_pod(self, pod: JSON) -> None:
        uid = pod["metadata"]["uid"]
        if uid in self._pods:
            return
        running = self._take_up(pod)
        if running is not None:
            running.start()

    def _take_up(self, pod: JSON) -> RunningPod | None:
        uid = pod["metadata"]["uid"]
        address = self._left_over[uid][1] if uid in self._left_over else ""
        fresh = not address
        if fresh:
            try:
                address = self._settings.host_ip if pod["spec"].get("hostNetwork") else self._addresses.allocate()
            except NoAddress as error:
                self._shared.events.warning(pod, "FailedCreatePodSandBox", f"Failed to create pod sandbox: {error}")
                asyncio.get_running_loop().call_later(5.0, self._notify, uid)
                return None
        try:
            running = RunningPod(
                pod,
                address,
                self._shared,
                ObjectsOfPod(self._objects, uid),
                services=self._services,
                allocatable=self._allocatable,
                server=self._client.server,
                left_proxy=self._left_proxy,
                changed=self._pod_changed,
            )
        except OSError as error:
            # A full disk, for example: the pod's turn comes again.
            self._shared.events.warning(pod, "FailedCreatePodSandBox", f"Failed to create pod sandbox: {error}")
            if fresh and not pod["spec"].get("hostNetwork"):
                self._addresses.release(address)
            raise
        self._left_over.pop(uid, None)
        self._pods[uid] = running
        return running

    def update_pod(self, pod: JSON) -> None:
        if running := self._pods.get(pod["metadata"]["uid"]):
            running.update(pod)

    def delete_pod(self, uid: str, grace_seconds: int) -> None:
        running = self._pods.get(uid)
        if running is None and uid in self._left_over:
            running = self._take_up(self._left_over[uid][0])
        if running is not None:
            running.terminate(float(grace_seconds))

    def get_pod(self, uid: str) -> JSON | None:
        if running := self._pods.get(uid):
            return running.pod
        return self._left_over[uid][0] if uid in self._left_over else None

    def pod_status(self, uid: str) -> JSON | None:
        running = self._pods.get(uid)
        return running.status() if running else None

    def get_pods(self) -> Sequence[JSON]:
        return [*(running.pod for running in self._pods.values()), *(pod for pod, _ in self._left_over.values())]

    # ---- PodNotifier

    def on_change(self, notify: Callable[[str], None]) -> None:
        self._notify = notify

    def _pod_changed(self, uid: str) -> None:
        self._notify(uid)

    def is_stopped(self, uid: str) -> bool:
        running = self._pods.get(uid)
        return uid not in self._left_over if running is None else running.stopped

    def forget_pod(self, uid: str) -> None:
        running = self._pods.pop(uid, None)
        if running is None:
            return
        running.remove()
        if not running.pod["spec"].get("hostNetwork"):
            self._addresses.release(running.address)
        self._objects.release(uid)

    # ---- life

    async def run(self) -> None:
        """Renew the pods' tokens until cancelled."""
        while True:
            await asyncio.sleep(TOKEN_CHECK_SECONDS)
            for uid, running in list(self._pods.items()):
                if self._objects.renewal_due(uid):
                    running.refresh()

    async def stop_all(self, grace_seconds: float) -> None:
        """Stop all pods because the node stops; their objects are left as they are, so that they run again later."""
        await asyncio.gather(*(pod.interrupt(grace_seconds) for pod in self._pods.values()))

    def abandon(self) -> None:
        for pod in self._pods.values():
            pod.abandon()
        self._pods.clear()

    async def close(self) -> None:
        await self._objects.close()
        await self._session.close()

    def _object_changed(self, key: Key) -> None:
        for uid in list(self._objects.users(key)):
            if running := self._pods.get(uid):
                running.refresh()

    # ---- Containers

    def running_pods(self) -> list[RunningPod]:
        return list(self._pods.values())

    def find(self, namespace: str, name: str) -> str | None:
        for uid, running in reversed(self._pods.items()):
            meta = running.pod["metadata"]
            if meta["namespace"] == namespace and meta["name"] == name:
                return uid
        return None

    def _container(self, uid: str, name: str) -> tuple[RunningPod, Container]:
        running = self._pods.get(uid)
        if running is None:
            raise UnknownContainer(f'pod "{uid}" is not known to this node')
        container = running.container(name)
        if container is None:
            raise UnknownContainer(f"container {name} is not valid for pod {running.pod['metadata']['name']}")
        return running, container

    async def logs(self, uid: str, container: str, options: LogOptions) -> AsyncIterator[bytes]:
        running, found = self._container(uid, container)
        count = found.state.restart_count
        meta = running.pod["metadata"]
        where = f'container "{container}" in pod "{meta["name"]}"'
        if options.previous:
            if not found.log_path(count - 1).exists():
                raise UnknownContainer(f"previous terminated {where} not found")
            async for chunk in read_log(found.log_path(count - 1), options, None):
                yield chunk
            return
        path = found.log_path(count)
        if not path.exists():
            reason = (found.state.state.get("waiting") or {}).get("reason", "")
            message = (found.state.state.get("waiting") or {}).get("message", "")
            why = {"ErrImagePull": "image can't be pulled", "ImagePullBackOff": "trying and failing to pull image"}
            text = f"{where} is waiting to start: {why.get(reason, reason or message)}"
            raise UnknownContainer(text)
        async for chunk in read_log(path, options, found.log):
            yield chunk

    def check_running(self, uid: str, container: str) -> None:
        """Raises `UnknownContainer` if a program cannot be run in the container now, or its output not be read."""
        _, found = self._container(uid, container)
        if found.process is None:
            raise UnknownContainer(f'container not found ("{container}")')

    async def exec(self, uid: str, container: str, command: Sequence[str], *, stdin: bool, tty: bool) -> ExecSession:
        self.check_running(uid, container)
        _, found = self._container(uid, container)
        mounts = json.loads(found.env.get("LOCALCLUSTER_MOUNTS", "{}"))
        paths = MountPaths(Mount(path, source) for path, source in mounts.items())
        env = {**found.env, MARK: found.env[MARK], **({"TERM": "xterm"} if tty else {})}
        return ExecSession([paths.rewrite(word) for word in command], env, found.folder / "root", stdin=stdin, tty=tty)

    async def attach(self, uid: str, container: str) -> AttachSession:
        _, found = self._container(uid, container)
        if found.process is None or found.log is None:
            raise UnknownContainer(f'container not found ("{container}")')
        return AttachSession(found.process, found.log)

    async def connect(self, uid: str, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        running = self._pods.get(uid)
        if running is None:
            raise UnknownContainer(f'pod "{uid}" is not known to this node')
        return await asyncio.open_connection(running.address, port)
