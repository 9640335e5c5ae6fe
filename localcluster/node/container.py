"""One container of a pod: start, probe, stop, restart with back-off, and its state all the while.

What is needed to take a living container up again after a restart of the node is in its `record.json`.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import subprocess
import time
import uuid
from collections.abc import Awaitable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from localcluster.client import ClientError
from localcluster.node import container_end as end
from localcluster.node import probes
from localcluster.node.backoff import Backoff, duration
from localcluster.node.container_image import ImageFinder
from localcluster.node.container_log import Collector, LogFile
from localcluster.node.container_probes import ContainerProbes, Heard
from localcluster.node.container_record import ContainerRecord
from localcluster.node.environment import ConfigError
from localcluster.node.exec_session import run_briefly
from localcluster.node.images import Image
from localcluster.node.launch import Launch
from localcluster.node.processes import UNKNOWN_EXIT_CODE, Process
from localcluster.node.record_file import RecordFile
from localcluster.node.status import ContainerState, is_sidecar, now_text, waiting
from localcluster.node.surroundings import PodOfContainer

log = logging.getLogger(__name__)

JSON = dict[str, Any]

CONFIG_RETRY_SECONDS = (0.5, 5.0)
"""First and longest wait before a container that could not be made is tried again; a changed object comes before."""
AFTER_HOOK_SECONDS = 2.0
"""What is left for a program at least when its preStop hook took all the grace, as with a kubelet."""
GROUP_POLL_SECONDS = 0.05


class Container:
    """A container of a pod; `init` says whether it is one of the init containers."""

    def __init__(self, pod: PodOfContainer, spec: JSON, *, init: bool) -> None:
        settings = pod.shared.settings
        self.spec = spec
        self.init = init
        self.state = ContainerState(spec["name"], waiting("PodInitializing" if not init else "ContainerCreating"))
        self.process: Process | None = None
        self.env: dict[str, str] = {}
        self.folder = pod.container_folder(spec["name"])
        self.log: LogFile | None = None
        self.out_of_memory = False
        self.started = asyncio.Event()
        """Set while the container has started, its startup probe included."""
        self._pod = pod
        self._shared = pod.shared
        self._collector: Collector | None = None
        self._reaping: asyncio.Task[None] | None = None
        heard = Heard(self._has_started, self._readiness_result, self._unhealthy, self._probe_failed)
        self._probes = ContainerProbes(spec, self.target, heard)
        self._images = ImageFinder(pod.shared.catalogue, settings, self._event, self._wait_for)
        self._record = RecordFile(self.folder / "record.json", self._as_record)
        self._background: set[asyncio.Task[Any]] = set()
        self._crashes = Backoff(settings.backoff_seconds, settings.max_backoff_seconds)
        self._stop_deadline: float | None = None
        self._stop_changed = asyncio.Event()
        self._stopping: asyncio.Task[None] | None = None
        self._interrupted = False
        self._finished_at = 0.0
        self._recover()

    @property
    def name(self) -> str:
        return str(self.spec["name"])

    @property
    def field_path(self) -> str:
        return f"spec.{'initContainers' if self.init else 'containers'}{{{self.name}}}"

    def log_path(self, restart_count: int | None = None) -> Path:
        count = self.state.restart_count if restart_count is None else restart_count
        return self._pod.log_folder / self.name / f"{count}.log"

    # ---- running

    async def run(self) -> None:
        """Run the container, again and again as the restart policy wants; returns when it is done for good.

        Whatever fails on this side is logged and tried again: only the policy, or a cancellation, ends a container.
        """
        failures = Backoff(*CONFIG_RETRY_SECONDS)
        while True:
            try:
                await self._run()
                return
            except Exception:
                log.exception("container %s of pod %s", self.name, self._pod.pod["metadata"]["uid"])
            failures.retry(time.monotonic())
            await asyncio.sleep(failures.wait_seconds)

    async def _run(self) -> None:
        while True:
            if self.process is None:
                if self.state.terminated is not None:
                    if not self.restarts():
                        return
                    await self._back_off()
                image = await self._images.find(self.spec)
                if not await self._start(image):
                    continue
            if self.process is not None:
                await asyncio.shield(self._reaped(self.process))

    def restarts(self) -> bool:
        """Whether the policy starts a container again that ended like this one."""
        policy = self._pod.pod["spec"].get("restartPolicy", "Always")
        failed = (self.state.terminated or {}).get("exitCode") != 0
        if is_sidecar(self.spec) and self.init:
            return True
        if self.init or policy == "OnFailure":
            return failed and policy != "Never"
        return bool(policy == "Always")

    async def _back_off(self) -> None:
        now = time.monotonic()
        left = 0.0 if self._interrupted else self._crashes.remaining(self._finished_at, now)
        if left > 0:
            meta = self._pod.pod["metadata"]
            where = f"{meta['name']}_{meta['namespace']}({meta['uid']})"
            text = (
                f"back-off {duration(self._crashes.wait_seconds)} restarting failed container={self.name} pod={where}"
            )
            self._wait_for("CrashLoopBackOff", text)
            event = f"Back-off restarting failed container {self.name} in pod {where}"
            self._event("Warning", "BackOff", event)
            await asyncio.sleep(left)
        self._crashes.retry(time.monotonic())

    async def _start(self, image: Image) -> bool:
        """Start the program; False if it could not be (its state then says so)."""
        container_id = uuid.uuid4().hex
        launch = await self._make(image, container_id)
        state = self.state
        if state.container_id:
            state.restart_count += 1
            state.last_state = state.state if state.terminated else state.last_state
        state.container_id = f"process://{container_id}"
        state.image_id = f"process://{image.match}"
        self.out_of_memory = self._interrupted = False
        self._stop_deadline = None
        self.env = launch.env
        self._event("Normal", "Created", "Container created")
        try:
            self.process = self._spawn(launch)
        except OSError as error:
            self._start_failed(launch, error)
            return False
        self._reaped(self.process)
        state.state = {"running": {"startedAt": now_text()}}
        self._record.save()
        self._event("Normal", "Started", "Container started")
        self._pod.changed()
        if hook := (self.spec.get("lifecycle") or {}).get("postStart"):
            self._in_background(self._after_start(hook))
        else:
            self._begin_probes()
        return True

    async def _make(self, image: Image, container_id: str) -> Launch:
        """All that a start needs, log included; tried until it is there."""
        retries = Backoff(*CONFIG_RETRY_SECONDS)
        while True:
            try:
                launch = await self._pod.launch(self.spec, image, container_id)
                self._open_log()
                return launch
            except (ConfigError, ClientError) as error:
                # The server's silence is no fault of the pod: its objects may be there as soon as it answers.
                self._not_made("CreateContainerConfigError", str(error))
            except OSError as error:
                self._not_made("CreateContainerError", str(error))
            retries.retry(time.monotonic())
            await self._pod.objects_changed(retries.wait_seconds)

    def _not_made(self, reason: str, message: str) -> None:
        self._event("Warning", "Failed", f"Error: {message}")
        self._wait_for(reason, message)

    def _open_log(self) -> None:
        settings = self._shared.settings
        count = self.state.restart_count + (1 if self.state.container_id else 0)
        self._forget_logs_before(count - 1)
        self.log = LogFile(self.log_path(count), settings.max_log_bytes, settings.max_log_files)
        self._collector = Collector(self.folder, self.log)
        try:
            self._collector.open(fresh=True)
        except OSError:
            self._collector.close()
            raise

    def _spawn(self, launch: Launch) -> Process:
        assert self._collector is not None
        try:
            out, err = self._collector.child_ends()
        except OSError:
            self._collector.close()
            raise
        try:
            return Process.start(
                launch.arguments, launch.env, launch.folder, stdin=subprocess.DEVNULL, stdout=out, stderr=err
            )
        except OSError:
            self._collector.close()
            raise
        finally:
            for fd in (out, err):
                os.close(fd)

    def _start_failed(self, launch: Launch, error: OSError) -> None:
        text = end.start_message(launch, error)
        self._event("Warning", "Failed", f"Error: {text}")
        self._finished_at = time.monotonic()
        self._set({"terminated": end.start_error(self.state, text)})
        self._record.save()

    async def _after_start(self, hook: JSON) -> None:
        try:
            failure = await probes.run_hook(hook, self.target(), self._pod.grace_seconds or 30)
        except TimeoutError:
            failure = "timed out"
        if not failure:
            self._begin_probes()
        elif self.process is not None:
            self._event("Warning", "FailedPostStartHook", f"PostStartHook failed: {failure}")
            await self.stop(self._pod.grace_seconds, "FailedPostStartHook")

    # ---- the end

    def _reaped(self, process: Process) -> asyncio.Task[None]:
        """The task that waits for the program's end; another one where the first failed."""
        if self._reaping is None or (self._reaping.done() and self.process is process):
            self._reaping = asyncio.create_task(self._reap(process))
        return self._reaping

    async def _reap(self, process: Process) -> None:
        code = await process.wait()
        self._probes.stop()
        if self._stop_deadline is not None:
            # What the main process leaves behind may finish within the grace. No pidfd tells of a whole group.
            pause = GROUP_POLL_SECONDS
            while asyncio.get_running_loop().time() < self._stop_deadline and not process.group_is_empty():
                await asyncio.sleep(pause)
                pause = min(pause * 2, 10 * GROUP_POLL_SECONDS)
        process.signal(signal.SIGKILL)
        await self._shared.sweeper.sweep(self.state.container_id.removeprefix("process://"))
        process.release()
        if self._collector is not None:
            self._collector.close()
        self.process = None
        self._finished_at = time.monotonic()
        self.started.clear()
        self.state.ready = self.state.started = False
        self._set({"terminated": self._terminated(code)})
        self._record.save()

    def _terminated(self, code: int) -> JSON:
        if self._interrupted and code == 0:
            # Stopped with the node: its work is not known to be done.
            code = UNKNOWN_EXIT_CODE
        reason = "OOMKilled" if self.out_of_memory else "Completed" if code == 0 else "Error"
        message = end.termination_message(self.spec, self.folder, code, self.log_path())
        return end.terminated(self.state, code, reason, message)

    async def stop(self, grace_seconds: float, why: str = "") -> None:
        """End the program: preStop hook, SIGTERM to its group, SIGKILL after the grace. Returns when it has ended.

        A call while another one is at work can only shorten the grace.
        """
        if self.process is None:
            return
        deadline = asyncio.get_running_loop().time() + grace_seconds
        if self._stop_deadline is None or deadline < self._stop_deadline:
            self._stop_deadline = deadline
            self._stop_changed.set()
        if self._stopping is None or self._stopping.done():
            self._stopping = asyncio.create_task(self._stop(self.process, why))
        await asyncio.shield(self._stopping)

    async def _stop(self, process: Process, why: str) -> None:
        loop = asyncio.get_running_loop()
        self._event("Normal", "Killing", why or f"Stopping container {self.name}")
        lifecycle = self.spec.get("lifecycle") or {}
        deadline = self._stop_deadline or loop.time()
        if (hook := lifecycle.get("preStop")) and deadline > loop.time():
            try:
                failure = await probes.run_hook(hook, self.target(), deadline - loop.time())
            except TimeoutError:
                failure = "timed out"
            if failure:
                self._event("Warning", "FailedPreStopHook", f"PreStopHook failed: {failure}")
            self._stop_deadline = max(self._stop_deadline or 0.0, loop.time() + AFTER_HOOK_SECONDS)
        process.signal(_stop_signal(lifecycle))
        reaping = self._reaped(process)
        while not reaping.done() and (left := (self._stop_deadline or 0.0) - loop.time()) > 0:
            self._stop_changed.clear()
            changed = asyncio.ensure_future(self._stop_changed.wait())
            await asyncio.wait({reaping, changed}, timeout=left, return_when=asyncio.FIRST_COMPLETED)
            changed.cancel()
        process.signal(signal.SIGKILL)
        await asyncio.shield(reaping)

    async def interrupt(self, grace_seconds: float) -> None:
        """Stop because the node stops: the container is to run again with the next start of the node."""
        self._interrupted = True
        await self.stop(grace_seconds)

    def abandon(self) -> None:
        """Let go of the program without ending it; a later node takes it up again."""
        self._probes.stop()
        self._record.close()
        for task in [*self._background, *([self._reaping] if self._reaping else [])]:
            task.cancel()
        if self.process is not None:
            self.process.close()
            self.process = None
        if self._collector is not None:
            self._collector.abandon()

    # ---- probes

    def target(self) -> probes.Target:
        named = {p["name"]: int(p["containerPort"]) for p in self.spec.get("ports") or [] if p.get("name")}
        return probes.Target(self._shared.session, self._pod.address, named, self._exec)

    async def _exec(self, command: Sequence[str], timeout: float) -> tuple[int | None, str]:
        return await run_briefly(command, self.env, self.folder / "root", timeout)

    def _begin_probes(self) -> None:
        if self.process is not None:
            self._probes.begin()

    def _has_started(self) -> None:
        if self.state.started:
            return
        self.state.started = True
        self.started.set()
        if not self.spec.get("readinessProbe"):
            self.state.ready = True
        self._probes.go_on(ready=self.state.ready)
        self._record.save()
        self._pod.changed()

    def _readiness_result(self, success: bool) -> None:
        if self.state.ready != success and self.process is not None:
            self.state.ready = success
            self._record.save()
            self._pod.changed()

    def _probe_failed(self, kind: str, message: str) -> None:
        self._event("Warning", "Unhealthy", f"{kind} probe failed: {message}")

    def _unhealthy(self, probe: JSON, kind: str) -> None:
        if self.process is None or self._stop_deadline is not None:
            return
        grace = probe.get("terminationGracePeriodSeconds")
        text = f"Container {self.name} failed {kind} probe, will be restarted"
        self._in_background(self.stop(self._pod.grace_seconds if grace is None else float(grace), text))

    # ---- what survives a restart of the node

    def _as_record(self) -> JSON:
        state, process = self.state, self.process
        return ContainerRecord(
            state=state.state,
            last_state=state.last_state,
            restart_count=state.restart_count,
            ready=state.ready,
            started=state.started,
            container_id=state.container_id,
            image_id=state.image_id,
            pid=process.pid if process else 0,
            started_ticks=process.started_ticks if process else 0,
            interrupted=self._interrupted,
            env=self.env,
            wait_seconds=self._crashes.wait_seconds,
        ).to_json()

    def _recover(self) -> None:
        found = self._record.read()
        if found is None:
            return
        record = ContainerRecord.from_json(found)
        settings = self._shared.settings
        state = self.state
        state.state, state.last_state = record.state, record.last_state
        state.restart_count, state.container_id = record.restart_count, record.container_id
        state.image_id = record.image_id
        self.env = record.env
        self._interrupted = record.interrupted
        self._crashes.wait_seconds, self._crashes.updated_at = record.wait_seconds, time.monotonic()
        if state.terminated is not None:
            finished = datetime.fromisoformat(state.terminated["finishedAt"]).timestamp()
            self._finished_at = time.monotonic() - (time.time() - finished)
        if not state.running:
            return
        self.process = Process.adopt(record.pid, record.started_ticks)
        if self.process is None:
            state.state = {"terminated": end.lost(state)}
            self._finished_at = time.monotonic()
            return
        state.ready = record.ready
        try:
            self.log = LogFile(self.log_path(), settings.max_log_bytes, settings.max_log_files)
            self._collector = Collector(self.folder, self.log)
            self._collector.open(fresh=False)
        except OSError as error:
            log.warning("the log of container %s is not continued: %s", self.name, error)
        self._reaped(self.process)
        if record.started:
            self._has_started()
        else:
            self._begin_probes()

    def forget(self) -> None:
        """The pod's folder goes: write nothing there any more."""
        self._record.close()

    def _forget_logs_before(self, restart_count: int) -> None:
        for path in (self._pod.log_folder / self.name).glob("*.log*"):
            number = path.name.partition(".")[0]
            if number.isdigit() and int(number) < restart_count:
                path.unlink(missing_ok=True)

    # ---- telling

    def _set(self, state: JSON) -> None:
        self.state.state = state
        self._pod.changed()

    def _wait_for(self, reason: str, message: str) -> None:
        """Show that the container waits, and how it ended before."""
        if self.state.terminated is not None:
            self.state.last_state = self.state.state
        self._set(waiting(reason, message))

    def _event(self, kind: str, reason: str, message: str) -> None:
        tell = self._shared.events.normal if kind == "Normal" else self._shared.events.warning
        tell(self._pod.pod, reason, message, self.field_path)

    def _in_background(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)


def _stop_signal(lifecycle: JSON) -> signal.Signals:
    name = lifecycle.get("stopSignal") or "SIGTERM"
    return getattr(signal, name, signal.SIGTERM)
