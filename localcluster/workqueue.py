"""The queue that controllers take their work from: each key with one worker at a time, failures again later."""

from __future__ import annotations

import asyncio
from collections.abc import Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)


class WorkQueue(Generic[K]):
    """Keys to work on: each once however often it was added, never two workers on one, failures again later.

    Args:
        base_seconds, max_seconds: the wait after the first failure, which doubles with each up to the maximum.
    """

    def __init__(self, base_seconds: float = 0.005, max_seconds: float = 60.0) -> None:
        self._base_seconds = base_seconds
        self._max_seconds = max_seconds
        self._ready: dict[K, None] = {}
        self._working: set[K] = set()
        self._again: set[K] = set()
        self._timers: dict[K, asyncio.TimerHandle] = {}
        self._failures: dict[K, int] = {}
        self._waiting: list[asyncio.Future[None]] = []

    def add(self, key: K) -> None:
        if key in self._working:
            self._again.add(key)
            return
        self._ready.setdefault(key)
        while self._waiting:
            waiter = self._waiting.pop(0)
            if not waiter.done():
                waiter.set_result(None)
                break

    def add_after(self, key: K, seconds: float) -> None:
        """Add the key in so many seconds; of several such calls the earliest time counts."""
        if seconds <= 0:
            self.add(key)
            return
        loop = asyncio.get_running_loop()
        due = loop.time() + seconds
        timer = self._timers.get(key)
        if timer is not None:
            if timer.when() <= due:
                return
            timer.cancel()
        self._timers[key] = loop.call_at(due, self._due, key)

    def add_rate_limited(self, key: K, max_seconds: float | None = None, *, min_seconds: float = 0.0) -> None:
        """Add the key after a wait that grows with its failures; `forget` it when it has succeeded."""
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        limit = self._max_seconds if max_seconds is None else max_seconds
        self.add_after(key, max(min_seconds, min(self._base_seconds * 2 ** min(failures, 32), limit)))

    def forget(self, key: K) -> None:
        self._failures.pop(key, None)

    def cancel(self, key: K) -> None:
        """What was to come later does not come: the object is gone, and a timer may be days away."""
        self._failures.pop(key, None)
        if (timer := self._timers.pop(key, None)) is not None:
            timer.cancel()

    def failures(self, key: K) -> int:
        return self._failures.get(key, 0)

    async def get(self) -> K:
        while not self._ready:
            waiter = asyncio.get_running_loop().create_future()
            self._waiting.append(waiter)
            try:
                await waiter
            except asyncio.CancelledError:
                # A wake-up that this worker will not use is another's.
                if waiter.done() and not waiter.cancelled():
                    self._wake_another()
                raise
        key = next(iter(self._ready))
        del self._ready[key]
        self._working.add(key)
        if self._ready:
            self._wake_another()
        return key

    def done(self, key: K) -> None:
        self._working.discard(key)
        if key in self._again:
            self._again.discard(key)
            self.add(key)

    def __len__(self) -> int:
        return len(self._ready)

    def _due(self, key: K) -> None:
        self._timers.pop(key, None)
        self.add(key)

    def _wake_another(self) -> None:
        while self._ready and self._waiting:
            waiter = self._waiting.pop(0)
            if not waiter.done():
                waiter.set_result(None)
                return
