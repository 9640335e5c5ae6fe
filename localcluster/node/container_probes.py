"""The probes of one running container: the startup probe alone, then those of readiness and liveness together."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from localcluster.node import probes

JSON = dict[str, Any]


@dataclass(frozen=True)
class Heard:
    """Who is told of results.

    Attributes:
        started: the startup probe succeeded, or there is none.
        ready: the readiness probe says that the container is ready or not.
        unhealthy: told the probe and "startup" or "liveness" when the container is to be restarted.
        failed: told "Startup", "Readiness" or "Liveness" and the message of an attempt.
    """

    started: Callable[[], None]
    ready: Callable[[bool], None]
    unhealthy: Callable[[JSON, str], None]
    failed: Callable[[str, str], None]


class ContainerProbes:
    """Begins and ends the probes of a container's spec."""

    def __init__(self, spec: JSON, target: Callable[[], probes.Target], heard: Heard) -> None:
        self._spec = spec
        self._target = target
        self._heard = heard
        self._tasks: list[asyncio.Task[None]] = []

    def begin(self) -> None:
        """Of a container that has just been started."""
        if probe := self._spec.get("startupProbe"):
            self._watch(probe, "Startup", self._startup_result, early=True)
        else:
            self._heard.started()

    def go_on(self, *, ready: bool) -> None:
        """Of a container that has passed its startup probe."""
        self.stop()
        if probe := self._spec.get("readinessProbe"):
            self._watch(probe, "Readiness", self._heard.ready, early=not ready)
        if probe := self._spec.get("livenessProbe"):
            self._watch(probe, "Liveness", self._liveness_result, early=False)

    def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        self._tasks.clear()

    def _startup_result(self, success: bool) -> None:
        if success:
            self._heard.started()
        else:
            self._heard.unhealthy(self._spec["startupProbe"], "startup")

    def _liveness_result(self, success: bool) -> None:
        if not success:
            self._heard.unhealthy(self._spec["livenessProbe"], "liveness")

    def _watch(self, probe: JSON, kind: str, on_result: Callable[[bool], None], *, early: bool) -> None:
        def failed(message: str) -> None:
            self._heard.failed(kind, message)

        watch = probes.watch(probe, self._target(), early=early, on_result=on_result, on_failure=failed)
        self._tasks.append(asyncio.create_task(watch))
