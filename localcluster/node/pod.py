"""One pod that runs here: its address and volumes, its containers in order, its end."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from localcluster.client import ClientError
from localcluster.node import volumes as volume_kinds
from localcluster.node.container import Container
from localcluster.node.environment import References, container_variables, named_references
from localcluster.node.images import Image
from localcluster.node.launch import Launch, Place, make_folders, make_launch
from localcluster.node.objects import ObjectsOfPod
from localcluster.node.record_file import RecordFile
from localcluster.node.status import ContainerState, PodFacts, is_sidecar, now_text, pod_status, waiting
from localcluster.node.surroundings import PodOfContainer, Surroundings
from localcluster.node.volumes import VolumeError, Volumes

log = logging.getLogger(__name__)

JSON = dict[str, Any]

MOUNT_RETRY_SECONDS = (0.5, 10.0)
LIFE_RETRY_SECONDS = (1.0, 30.0)
"""First and longest wait before a pod's life, or its end, goes on after an error on this side."""
SIZE_CHECK_SECONDS = 10.0
DEFAULT_GRACE_SECONDS = 30


class RunningPod(PodOfContainer):
    """A pod from its start to its end; lives in memory and, for the next node process, in its folder.

    Args:
        address: the pod's own, or the node's for `hostNetwork`.
        services: the service variables for a pod, computed when a container starts.
        left_proxy: waits until new connections no longer come to an address.
        changed: told whenever the status may be different.
    """

    def __init__(
        self,
        pod: JSON,
        address: str,
        shared: Surroundings,
        objects: ObjectsOfPod,
        *,
        services: Callable[[JSON], Mapping[str, str]],
        allocatable: Mapping[str, str],
        server: str,
        left_proxy: Callable[[str], Awaitable[None]],
        changed: Callable[[str], None],
    ) -> None:
        meta, settings = pod["metadata"], shared.settings
        self.pod = pod
        self.uid: str = meta["uid"]
        self.address = address
        self.shared = shared
        self.folder: Path = settings.pods_dir / self.uid
        self.log_folder = settings.logs_dir / f"{meta['namespace']}_{meta['name']}_{self.uid}"
        self.stopped = False
        self.stopping = False
        self._objects = objects
        self._services = services
        self._allocatable = allocatable
        self._server = server
        self._left_proxy = left_proxy
        self._changed = changed
        self._waiting_for_objects: set[asyncio.Event] = set()
        self._stale_volumes = False
        self._tell = True
        self._deadline: asyncio.TimerHandle | None = None
        self._conditions: dict[str, JSON] = {
            c["type"]: c for c in (pod.get("status") or {}).get("conditions") or [] if c.get("lastTransitionTime")
        }
        self._facts = PodFacts(
            address, settings.host_ip, (pod.get("status") or {}).get("startTime") or now_text(), False, False
        )
        self._volumes = Volumes(
            self.folder / "volumes",
            objects,
            host_path_prefixes=settings.host_path_prefixes,
            pod_ip=address,
            host_ip=settings.host_ip,
            allocatable=allocatable,
        )
        spec = pod["spec"]
        self.init = [Container(self, c, init=True) for c in spec.get("initContainers") or []]
        self.main = [Container(self, c, init=False) for c in spec["containers"]]
        if not self.init:
            for container in self.main:
                if container.state.state == waiting("PodInitializing"):
                    container.state.state = waiting("ContainerCreating")
        # True from the start for a pod that a node process before this one has brought so far.
        self._facts.initialized = all(
            c.started.is_set() if is_sidecar(c.spec) else (c.state.terminated or {}).get("exitCode") == 0
            for c in self.init
        )
        self._facts.sandbox = any(c.state.container_id for c in self.containers)
        self._living: asyncio.Task[None] | None = None
        self._ending: asyncio.Task[None] | None = None
        self._running: dict[str, asyncio.Task[None]] = {}
        self._refreshing: asyncio.Task[None] | None = None
        self._record = RecordFile(self.folder / "pod.json", lambda: {"pod": self.pod, "address": self.address})

    # ---- what containers ask of their pod

    def container_folder(self, name: str) -> Path:
        folder = self.folder / "containers" / name
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    async def launch(self, container: JSON, image: Image, container_id: str) -> Launch:
        meta = self.pod["metadata"]
        config_maps, secrets = named_references(container)
        references = References(
            meta["namespace"],
            {name: await self._objects.config_map(meta["namespace"], name) for name in config_maps},
            {name: await self._objects.secret(meta["namespace"], name) for name in secrets},
        )
        services = self._services(self.pod)
        variables = container_variables(
            container,
            self.pod,
            references,
            services,
            pod_ip=self.address,
            host_ip=self.shared.settings.host_ip,
            allocatable=self._allocatable,
        )
        folders = [(v["name"], self._volumes.path(v)) for v in self.pod["spec"].get("volumes") or []]
        mounts = volume_kinds.mounts(container, folders, variables)
        place = Place(
            self.pod["spec"].get("hostname") or meta["name"],
            self.address,
            self.folder,
            self.container_folder(container["name"]),
        )
        launch = make_launch(container, image, place, variables, mounts, container_id)
        make_folders(launch, place, mounts, self._server, meta["namespace"])
        return launch

    async def objects_changed(self, timeout_seconds: float) -> None:
        changed = asyncio.Event()
        self._waiting_for_objects.add(changed)
        try:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(changed.wait(), timeout_seconds)
        finally:
            self._waiting_for_objects.discard(changed)

    def changed(self) -> None:
        if self._tell:
            self._changed(self.uid)

    @property
    def grace_seconds(self) -> float:
        value = self.pod["spec"].get("terminationGracePeriodSeconds")
        return float(DEFAULT_GRACE_SECONDS if value is None else value)

    @property
    def containers(self) -> list[Container]:
        return [*self.init, *self.main]

    def container(self, name: str) -> Container | None:
        return next((c for c in self.containers if c.name == name), None)

    # ---- life

    def start(self) -> None:
        self._record.save()
        told = self.pod.get("status") or {}
        if told.get("phase") in ("Succeeded", "Failed"):
            # Finished before the node was restarted: kept for its logs and status.
            self._facts.final_phase = told["phase"]
            self._facts.reason, self._facts.message = told.get("reason", ""), told.get("message", "")
            self.terminate(0.0)
            return
        self._living = asyncio.create_task(self._live())

    def update(self, pod: JSON) -> None:
        """Take in new labels, annotations and a changed deadline; the containers stay as they are."""
        before, self.pod = self.pod, pod
        if before["metadata"].get("labels") != pod["metadata"].get("labels") or before["metadata"].get(
            "annotations"
        ) != pod["metadata"].get("annotations"):
            self._record.save()
            self.refresh()
        if before["spec"].get("activeDeadlineSeconds") != pod["spec"].get("activeDeadlineSeconds"):
            self._set_deadline()
        if before["metadata"].get("generation") != pod["metadata"].get("generation"):
            self.changed()

    def refresh(self) -> None:
        """Objects that the pod uses have changed: bring them into the volumes."""
        self._stale_volumes = True
        for changed in self._waiting_for_objects:
            changed.set()
        if self._facts.sandbox and not self.stopping and (self._refreshing is None or self._refreshing.done()):
            self._refreshing = asyncio.create_task(self._refresh_volumes())

    async def _refresh_volumes(self) -> None:
        """Until the volumes show what the objects hold now; what fails is tried again later and later."""
        delay = MOUNT_RETRY_SECONDS[0]
        while self._stale_volumes:
            self._stale_volumes = False
            try:
                await self._volumes.prepare(self.pod)
            except (VolumeError, ClientError) as error:
                self._stale_volumes = True
                log.info("pod %s: %s", self.uid, error)
                await self.objects_changed(delay)
                delay = min(delay * 2, MOUNT_RETRY_SECONDS[1])

    async def _live(self) -> None:
        await self._keep_trying(self._run_containers)

    async def _keep_trying(self, work: Callable[[], Awaitable[None]]) -> None:
        """Errors on this side are no reason to leave a pod as it is: they are logged, and what failed is done again."""
        delay = LIFE_RETRY_SECONDS[0]
        while True:
            try:
                await work()
                return
            except Exception:
                log.exception("pod %s, again in %g s", self.uid, delay)
            await asyncio.sleep(delay)
            delay = min(delay * 2, LIFE_RETRY_SECONDS[1])

    async def _run_containers(self) -> None:
        self._set_deadline()
        await self._prepare_volumes()
        self._facts.sandbox = True
        for container in self.init:
            if not await self._initialize(container):
                await self._stop_sidecars()
                self._finish()
                return
        self._facts.initialized = True
        for container in self.main:
            if container.state.state == waiting("PodInitializing"):
                container.state.state = waiting("ContainerCreating")
        self.changed()
        main = [self._begin(container) for container in self.main]
        watch = asyncio.create_task(self._watch_sizes())
        try:
            await asyncio.gather(*main)
        finally:
            watch.cancel()
        await self._stop_sidecars()
        self._finish()

    async def _prepare_volumes(self) -> None:
        delay = MOUNT_RETRY_SECONDS[0]
        while True:
            try:
                await self._volumes.prepare(self.pod)
                return
            except VolumeError as error:
                self.shared.events.warning(self.pod, "FailedMount", str(error))
            except ClientError as error:
                log.info("pod %s: %s", self.uid, error)
            self.changed()
            await self.objects_changed(delay)
            delay = min(delay * 2, MOUNT_RETRY_SECONDS[1])

    def _begin(self, container: Container) -> asyncio.Task[None]:
        task = self._running.get(container.name)
        if task is None or task.done():
            task = self._running[container.name] = asyncio.create_task(container.run())
        return task

    async def _initialize(self, container: Container) -> bool:
        """Run an init container to its success; a sidecar until it has started. False if it failed for good."""
        running = self._begin(container)
        if not is_sidecar(container.spec):
            await running
            return (container.state.terminated or {}).get("exitCode") == 0
        await container.started.wait()
        return True

    async def _stop_sidecars(self) -> None:
        for container in reversed(self.init):
            if is_sidecar(container.spec):
                for task in self._running.values():
                    task.cancel()
                await container.stop(self.grace_seconds)

    def _finish(self) -> None:
        """All containers are done by the restart policy."""
        self.stopped = True
        if self._deadline is not None:
            self._deadline.cancel()
        self.changed()

    def _set_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        limit = self.pod["spec"].get("activeDeadlineSeconds")
        if limit is None or self.stopping or self.stopped:
            return
        started = datetime.fromisoformat(self._facts.start_time).timestamp()
        left = max(0.0, started + float(limit) - time.time())
        self._deadline = asyncio.get_running_loop().call_later(left, self._deadline_passed)

    def _deadline_passed(self) -> None:
        text = "Pod was active on the node longer than the specified deadline"
        self.shared.events.normal(self.pod, "DeadlineExceeded", text)
        self.fail("DeadlineExceeded", text, self.grace_seconds)

    async def _watch_sizes(self) -> None:
        """Evict the pod when an emptyDir outgrows its sizeLimit."""
        from localcluster.node.resources import amount

        limits = [
            (v, amount(v["emptyDir"]["sizeLimit"]))
            for v in self.pod["spec"].get("volumes") or []
            if (v.get("emptyDir") or {}).get("sizeLimit")
        ]
        while limits:
            await asyncio.sleep(SIZE_CHECK_SECONDS)
            for volume, limit in limits:
                if limit and volume_kinds.size_bytes(self._volumes.path(volume)) > limit:
                    size = volume["emptyDir"]["sizeLimit"]
                    text = f'Usage of EmptyDir volume "{volume["name"]}" exceeds the limit "{size}". '
                    self.shared.events.warning(self.pod, "Evicted", text)
                    self.fail("Evicted", text, 0.0)
                    return

    def fail(self, reason: str, message: str, grace_seconds: float) -> None:
        """End the pod as Failed, whatever its restart policy."""
        self._facts.final_phase, self._facts.reason, self._facts.message = "Failed", reason, message
        self.terminate(grace_seconds)

    # ---- the end

    def terminate(self, grace_seconds: float) -> None:
        """Begin to stop all containers; a second call can shorten the grace."""
        self.stopping = True
        if self._deadline is not None:
            self._deadline.cancel()
        if self._ending is None:
            self._ending = asyncio.create_task(self._keep_trying(lambda: self._terminate(grace_seconds)))
        else:
            for container in self.containers:
                if container.process is not None:
                    asyncio.ensure_future(container.stop(grace_seconds))  # noqa: RUF006 - `_ending` waits for it

    async def _terminate(self, grace_seconds: float) -> None:
        self._cancel_life()
        began = asyncio.get_running_loop().time()
        if any(c.process is not None for c in self.main):
            await self._left_proxy(self.address)

        def left() -> float:
            return max(0.0, grace_seconds - (asyncio.get_running_loop().time() - began))

        ordinary = [c for c in self.containers if not (c.init and is_sidecar(c.spec))]
        await asyncio.gather(*(container.stop(grace_seconds) for container in ordinary))
        for container in reversed(self.init):
            if is_sidecar(container.spec):
                await container.stop(left())
        for container in self.containers:
            if container.state.state.get("waiting"):
                self._end_waiting(container.state)
        if not self._facts.final_phase:
            succeeded = all((c.state.terminated or {}).get("exitCode") == 0 for c in self.main)
            self._facts.final_phase = "Succeeded" if succeeded else "Failed"
        self.stopped = True
        self.changed()

    def _end_waiting(self, state: ContainerState) -> None:
        """A container that waits to run again shows how it ended before; one that never ran keeps waiting."""
        if state.last_state:
            state.state, state.last_state = state.last_state, {}

    async def interrupt(self, grace_seconds: float) -> None:
        """Stop with the node. Nothing is told, and the next start of the node runs the pod again."""
        self._tell = False
        self._cancel_life()
        await asyncio.gather(*(container.interrupt(grace_seconds) for container in self.containers))

    def abandon(self) -> None:
        """Let the programs run on without this node process."""
        self._tell = False
        self._cancel_life()
        for container in self.containers:
            container.abandon()

    def _cancel_life(self) -> None:
        for task in (*self._running.values(), self._living, self._refreshing):
            if task is not None:
                task.cancel()

    def remove(self) -> None:
        """Delete what the pod leaves on disk."""
        self._record.close()
        for container in self.containers:
            container.forget()
        for folder in (self.folder, self.log_folder):
            volume_kinds.remove(folder)

    # ---- telling

    def status(self) -> JSON:
        status = pod_status(
            self.pod, self._facts, [c.state for c in self.init], [c.state for c in self.main], self._conditions
        )
        self._conditions = {c["type"]: c for c in status["conditions"]}
        return status


def read_saved(folder: Path) -> tuple[JSON, str] | None:
    """A pod and its address as `RunningPod` saved them; None if that was cut off."""
    saved = RecordFile(folder / "pod.json", dict).read()
    return None if saved is None else (saved["pod"], saved["address"])
