"""Which Functions are to be reconciled: each one at most once at a time, failures later and later."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)

FIRST_RETRY_SECONDS = 0.5
LAST_RETRY_SECONDS = 30.0


class WorkQueue(Generic[K]):
    """A key that is added while it is worked on comes again after that; one that waits already is not added twice."""

    def __init__(self) -> None:
        self._waiting: dict[K, None] = {}
        self._worked_on: set[K] = set()
        self._again: set[K] = set()
        self._later: dict[K, asyncio.TimerHandle] = {}
        self._failures: dict[K, int] = {}
        self._some = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()

    def __len__(self) -> int:
        """Keys that wait or are worked on, without those that are for later."""
        return len(self._waiting) + len(self._worked_on)

    def add(self, key: K) -> None:
        if handle := self._later.pop(key, None):
            handle.cancel()
        if key in self._worked_on:
            self._again.add(key)
        else:
            self._waiting[key] = None
            self._some.set()

    def add_later(self, key: K, seconds: float) -> None:
        """Unless it is added before; of two times the sooner one stays."""
        loop = asyncio.get_running_loop()
        known = self._later.get(key)
        if known is not None and known.when() <= loop.time() + seconds:
            return
        if known is not None:
            known.cancel()
        self._later[key] = loop.call_later(seconds, self.add, key)

    def retry(self, key: K) -> float:
        """Add it later, the later the more often in a row this happened. Returns in how many seconds."""
        count = self._failures[key] = self._failures.get(key, 0) + 1
        seconds: float = min(FIRST_RETRY_SECONDS * 2 ** (count - 1), LAST_RETRY_SECONDS) * random.uniform(0.9, 1.1)  # noqa: S311
        self.add_later(key, seconds)
        return seconds

    def forgive(self, key: K) -> None:
        """It succeeded: its next failure is its first."""
        self._failures.pop(key, None)

    async def take(self) -> K:
        """The key that waits longest; `done` must follow."""
        while not self._waiting:
            self._some.clear()
            await self._some.wait()
        key = next(iter(self._waiting))
        del self._waiting[key]
        self._worked_on.add(key)
        self._idle.clear()
        return key

    def done(self, key: K) -> None:
        self._worked_on.discard(key)
        if not self._worked_on:
            self._idle.set()
        if key in self._again:
            self._again.discard(key)
            self.add(key)

    async def idle(self) -> None:
        """Returns when no key is worked on."""
        await self._idle.wait()

    def close(self) -> None:
        """Drop what is for later."""
        for handle in self._later.values():
            handle.cancel()
        self._later.clear()
