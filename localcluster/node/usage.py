"""CPU and memory of containers over all their processes, measured with psutil, and the memory limits.

Sessions tell which process belongs to which container: a program leads one, its children are in it, and a child that
began a session of its own carries the container's mark in its environment.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import psutil

from localcluster.node.processes import marked
from localcluster.node.resources import memory_limit_bytes

if TYPE_CHECKING:
    from localcluster.node.container import Container
    from localcluster.node.process_runner import ProcessRunner

SAMPLE_SECONDS = 10.0
LIMIT_CHECK_SECONDS = 0.5
FRESH_SECONDS = 1.0
"""A sample that was asked for is reused for so long."""


@dataclass
class Usage:
    """Of one container. `cpu_seconds` only grows; `cores` is the rate between the last two samples."""

    cpu_seconds: float = 0.0
    cores: float = 0.0
    memory_bytes: int = 0
    time: float = 0.0
    window_seconds: float = 0.0
    _ended_seconds: float = 0.0
    _living: dict[int, float] = field(default_factory=dict)

    def add(self, processes: dict[int, float], memory_bytes: int, now: float) -> None:
        """Take in a sample: CPU seconds by pid. What ended processes had used stays counted."""
        for pid, seconds in self._living.items():
            if pid not in processes or processes[pid] < seconds:
                self._ended_seconds += seconds
        self._living = processes
        total = self._ended_seconds + sum(processes.values())
        if self.time:
            self.window_seconds = now - self.time
            self.cores = max(0.0, total - self.cpu_seconds) / max(self.window_seconds, 1e-3)
        self.cpu_seconds, self.memory_bytes, self.time = total, memory_bytes, now


class Meter:
    """Measures all containers of a node, and ends those over their memory limit."""

    def __init__(self, runner: ProcessRunner) -> None:
        self._runner = runner
        self._usage: dict[str, Usage] = {}
        self._sessions: dict[int, str] = {}
        self._members: dict[str, list[psutil.Process]] = {}
        self._sampled_at = 0.0
        self._last_full = 0.0

    async def run(self) -> None:
        """Check limits and sample until cancelled."""
        while True:
            await asyncio.sleep(LIMIT_CHECK_SECONDS)
            if time.monotonic() - self._sampled_at >= SAMPLE_SECONDS:
                self.sample()
            self._enforce()

    def usage(self, container: Container) -> Usage | None:
        """The last measurement; None for a container that was not measured yet or does not run."""
        if container.process is None:
            return None
        return self._usage.get(container.state.container_id)

    def refresh(self) -> None:
        if time.monotonic() - self._sampled_at >= FRESH_SECONDS:
            self.sample()

    def _containers(self) -> Iterable[Container]:
        for pod in self._runner.running_pods():
            for container in pod.containers:
                if container.process is not None:
                    yield container

    def sample(self) -> None:
        """Measure now."""
        self._sampled_at = time.monotonic()
        containers = {c.state.container_id: c for c in self._containers()}
        self._find_members(containers)
        for container_id in [known for known in self._usage if known not in containers]:
            del self._usage[container_id]
        for container_id in containers:
            cpu: dict[int, float] = {}
            for process in self._members.get(container_id, ()):
                try:
                    times = process.cpu_times()
                except psutil.Error:
                    continue
                cpu[process.pid] = times.user + times.system
            memory = memory_bytes(self._members.get(container_id, ()))
            self._usage.setdefault(container_id, Usage()).add(cpu, memory, time.time())

    def _find_members(self, containers: dict[str, Container]) -> None:
        leaders = {c.process.pid: cid for cid, c in containers.items() if c.process is not None}
        known = {p.pid: p for members in self._members.values() for p in members}
        members: dict[str, list[psutil.Process]] = {}
        sessions: dict[int, str] = {}
        for pid in psutil.pids():
            try:
                session = os.getsid(pid)
            except OSError:
                continue
            owner = leaders.get(session) or self._sessions.get(session)
            if owner is None:
                mark = marked(pid)
                owner = f"process://{mark}" if mark else ""
            sessions[session] = owner
            if owner in containers:
                try:
                    process = known.get(pid)
                    if process is None or not process.is_running():
                        process = psutil.Process(pid)
                except psutil.Error:
                    continue
                members.setdefault(owner, []).append(process)
        self._sessions, self._members = sessions, members

    def _enforce(self) -> None:
        limited = [(c, limit) for c in self._containers() if (limit := memory_limit_bytes(c.spec)) is not None]
        for container, limit in limited:
            members = self._members.get(container.state.container_id) or _tree(container)
            if memory_bytes(members) <= limit:
                continue
            # The quick sum counts pages that processes share several times; this one does not.
            if proportional_bytes(members) > limit and container.process is not None:
                container.out_of_memory = True
                container.process.signal(signal.SIGKILL)


def _tree(container: Container) -> list[psutil.Process]:
    """The main process alone, until the next sample finds the others."""
    try:
        return [psutil.Process(container.process.pid)] if container.process is not None else []
    except psutil.Error:
        return []


def memory_bytes(processes: Iterable[psutil.Process]) -> int:
    """Private memory of all processes, and what they may share once: the largest."""
    private, shared = 0, 0
    for process in processes:
        try:
            info = process.memory_info()
        except psutil.Error:
            continue
        private += max(0, info.rss - info.shared)
        shared = max(shared, info.shared)
    return private + shared


def proportional_bytes(processes: Iterable[psutil.Process]) -> int:
    """Memory with each shared page divided among those that share it (PSS)."""
    total = 0
    for process in processes:
        try:
            total += process.memory_footprint().pss if hasattr(process, "memory_footprint") else _pss(process)
        except psutil.Error:
            continue
    return total


def _pss(process: psutil.Process) -> int:
    return int(process.memory_full_info().pss)
