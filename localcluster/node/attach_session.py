"""Attaching to a container's main process: what it writes from now on. Its input is not connected."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from localcluster.node.container_log import LogFile, read_log
from localcluster.node.processes import Process
from localcluster.node.provider import LogOptions

STREAM_NUMBERS = {"Stdout": 1, "Stderr": 2}


class AttachSession:
    """A `provider.Session` on a program that is not ours to end."""

    def __init__(self, process: Process, log_file: LogFile) -> None:
        self._process = process
        self._log = log_file
        self._queue: asyncio.Queue[tuple[int, bytes]] = asyncio.Queue(64)
        self._tasks = [asyncio.create_task(self._follow(stream)) for stream in STREAM_NUMBERS]

    async def _follow(self, stream: str) -> None:
        options = LogOptions(follow=True, tail_lines=0, stream=stream)
        async with contextlib.aclosing(read_log(self._log.path, options, self._log)) as texts:  # type: ignore[type-var]
            async for text in texts:
                await self._queue.put((STREAM_NUMBERS[stream], text))
        await self._queue.put((STREAM_NUMBERS[stream], b""))

    async def read_output(self) -> AsyncIterator[tuple[int, bytes]]:
        left = len(STREAM_NUMBERS)
        while left:
            stream, data = await self._queue.get()
            if data:
                yield stream, data
            else:
                left -= 1

    async def write(self, data: bytes) -> None:
        """Dropped: a container's input is /dev/null."""

    def close_input(self) -> None: ...

    def resize(self, width: int, height: int) -> None: ...

    async def wait(self) -> int:
        return await self._process.wait()

    def kill(self) -> None:
        for task in self._tasks:
            task.cancel()
