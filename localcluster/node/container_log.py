"""Logs of containers in CRI format (`time stream F|P text`), written from FIFOs, rotated, and read back.

A program writes into FIFOs that it has open for reading as well: neither a killed node nor a slow one ends it, and it
waits only when the FIFO is full (64 KiB) while no node runs. Format: Kubernetes' CRI logging design
(`kubernetes/design-proposals-archive`, kubelet-cri-logging).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import time
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path

from localcluster.node.provider import LogOptions

log = logging.getLogger(__name__)

MAX_LINE_BYTES = 16 * 1024
READ_BYTES = 64 * 1024
STREAMS = ("stdout", "stderr")


def timestamp(nanoseconds: int) -> str:
    """RFC 3339 in UTC with nanoseconds."""
    seconds, fraction = divmod(nanoseconds, 10**9)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{fraction:09d}Z"


def cri_lines(text: bytes, stream: str, when: bytes) -> bytes:
    """Complete lines as log entries; long ones in parts, as container runtimes split them."""
    full, part = b"%s %s F " % (when, stream.encode()), b"%s %s P " % (when, stream.encode())
    entries: list[bytes] = []
    for line in text.split(b"\n"):
        while len(line) > MAX_LINE_BYTES:
            entries += (part, line[:MAX_LINE_BYTES], b"\n")
            line = line[MAX_LINE_BYTES:]
        entries += (full, line, b"\n")
    return b"".join(entries)


class LogFile:
    """One instance of a container's log: `path` and, after rotation, older files beside it."""

    def __init__(self, path: Path, max_bytes: int, max_files: int) -> None:
        self.path = path
        self.closed = False
        self._max_bytes = max_bytes
        self._max_files = max_files
        self._waiting: set[asyncio.Future[None]] = set()
        path.parent.mkdir(parents=True, exist_ok=True)
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o640)
        self._size = os.fstat(self._fd).st_size

    def write(self, stream: str, text: bytes, *, partial: bool = False) -> None:
        when = timestamp(time.time_ns()).encode()
        entry = b"%s %s P %s\n" % (when, stream.encode(), text) if partial else cri_lines(text, stream, when)
        try:
            os.write(self._fd, entry)
        except OSError as error:
            log.error("%s: %s", self.path, error)
        self._size += len(entry)
        if self._size > self._max_bytes:
            self._rotate()
        self._wake()

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            os.close(self._fd)
            self._wake()

    async def changed(self) -> None:
        """Until there is more to read or no more to come."""
        waiter = asyncio.get_running_loop().create_future()
        self._waiting.add(waiter)
        try:
            await waiter
        finally:
            self._waiting.discard(waiter)

    def _wake(self) -> None:
        for waiter in self._waiting:
            if not waiter.done():
                waiter.set_result(None)

    def _rotate(self) -> None:
        self._size = 0
        try:
            self.path.rename(f"{self.path}.{datetime.now(UTC):%Y%m%d-%H%M%S.%f}")
            fd = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o640)
            old = rotated(self.path)
            for path in old[: max(0, len(old) - self._max_files + 1)]:
                path.unlink(missing_ok=True)
        except OSError as error:
            log.error("%s cannot be rotated: %s", self.path, error)
            return
        os.close(self._fd)
        self._fd = fd


def rotated(path: Path) -> list[Path]:
    """Older files of a log, the oldest first."""
    return sorted(path.parent.glob(path.name + ".*"))


class Collector:
    """Reads what one program writes and puts it into its log, line by line."""

    def __init__(self, folder: Path, log_file: LogFile) -> None:
        self._folder = folder
        self._log = log_file
        self._fds: dict[str, int] = {}
        self._rest: dict[str, bytes] = {}

    @staticmethod
    def fifo(folder: Path, stream: str) -> Path:
        return folder / f"{stream}.fifo"

    def open(self, *, fresh: bool) -> None:
        """Listen to the FIFOs; `fresh` makes new ones first."""
        loop = asyncio.get_running_loop()
        for stream in STREAMS:
            path = self.fifo(self._folder, stream)
            if fresh:
                path.unlink(missing_ok=True)
                os.mkfifo(path, 0o600)
            fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            self._fds[stream] = fd
            self._rest[stream] = b""
            loop.add_reader(fd, self._read, stream, fd)

    def child_ends(self) -> tuple[int, int]:
        """Descriptors for the program's stdout and stderr; the caller closes them after the start."""
        out, err = (os.open(self.fifo(self._folder, stream), os.O_RDWR | os.O_CLOEXEC) for stream in STREAMS)
        return out, err

    def _read(self, stream: str, fd: int) -> bool:
        try:
            data = os.read(fd, READ_BYTES)
        except BlockingIOError:
            return False
        except OSError as error:
            log.error("%s: %s", self.fifo(self._folder, stream), error)
            data = b""
        if not data:
            asyncio.get_running_loop().remove_reader(fd)
            return False
        whole, newline, rest = (self._rest[stream] + data).rpartition(b"\n")
        if newline:
            self._log.write(stream, whole)
        while len(rest) > MAX_LINE_BYTES:
            self._log.write(stream, rest[:MAX_LINE_BYTES], partial=True)
            rest = rest[MAX_LINE_BYTES:]
        self._rest[stream] = rest
        return True

    def close(self) -> None:
        """Take what the program has left in the FIFOs, then end the log."""
        for stream, fd in self._fds.items():
            while self._read(stream, fd):
                pass
            if self._rest[stream]:
                self._log.write(stream, self._rest[stream], partial=True)
            asyncio.get_running_loop().remove_reader(fd)
            os.close(fd)
            self.fifo(self._folder, stream).unlink(missing_ok=True)
        self._fds.clear()
        self._log.close()

    def abandon(self) -> None:
        """Stop to listen but leave the FIFOs, for a program that goes on without the node."""
        for fd in self._fds.values():
            asyncio.get_running_loop().remove_reader(fd)
            os.close(fd)
        self._fds.clear()


# ---- reading


def _tail_start(path: Path, lines: int) -> tuple[int, int]:
    """Where the last `lines` lines of a file start, and how many of them it has."""
    size = path.stat().st_size
    if lines <= 0:
        return size, 0
    found, position = 0, size
    with open(path, "rb") as file:
        while position > 0:
            start = max(0, position - READ_BYTES)
            file.seek(start)
            block = file.read(position - start)
            if position == size:
                block = block.removesuffix(b"\n")
            while (index := block.rfind(b"\n")) >= 0:
                found += 1
                if found == lines:
                    return start + index + 1, lines
                block = block[:index]
            position = start
    return 0, found + (size > 0)


def _starts(path: Path, tail_lines: int | None) -> list[tuple[Path, int]]:
    """The files to read, the oldest first, and where to begin in each."""
    files = [*rotated(path), *([path] if path.exists() else [])]
    if tail_lines is None:
        return [(file, 0) for file in files]
    starts: list[tuple[Path, int]] = []
    for file in reversed(files):
        offset, found = _tail_start(file, tail_lines)
        starts.insert(0, (file, offset))
        tail_lines -= found
        if tail_lines <= 0:
            break
    return starts


def render(line: bytes, options: LogOptions) -> bytes:
    """One log entry (with its newline) as a client sees it; empty if it was not asked for."""
    try:
        when, stream, tag, text = line.split(b" ", 3)
    except ValueError:
        return b""
    if options.stream not in ("", "All") and options.stream.lower() != stream.decode():
        return b""
    if options.since is not None and datetime.fromisoformat(when[:26].decode() + "+00:00") < options.since:
        return b""
    if tag == b"P":
        text = text.removesuffix(b"\n")
    return when + b" " + text if options.timestamps else text


def _chunks(path: Path, offset: int, options: LogOptions) -> Iterator[tuple[bytes, int]]:
    """Rendered text in pieces, with the offset after each."""
    with open(path, "rb") as file:
        file.seek(offset)
        while lines := file.readlines(READ_BYTES):
            if not lines[-1].endswith(b"\n"):
                lines.pop()
            offset += sum(map(len, lines))
            yield b"".join(render(line, options) for line in lines), offset
            file.seek(offset)
            if not lines:
                return


async def read_log(path: Path, options: LogOptions, writer: LogFile | None) -> AsyncIterator[bytes]:
    """The text of a log; with `follow` and a writer also what comes, until the writer closes."""
    left = options.limit_bytes
    starts = _starts(path, options.tail_lines)
    offset = next((start for file, start in starts if file == path), 0)
    inode = path.stat().st_ino if path.exists() else 0
    following = options.follow and writer is not None
    while True:
        for file, start in starts:
            for text, end in _chunks(file, start, options):
                if file == path:
                    offset = end
                if left is not None:
                    text = text[:left]
                    left -= len(text)
                if text:
                    yield text
                if left == 0:
                    return
                await asyncio.sleep(0)
        if not following or writer is None:
            return
        following = not writer.closed
        if following and path.stat().st_ino == inode and path.stat().st_size <= offset:
            await writer.changed()
        with contextlib.suppress(FileNotFoundError):
            if path.stat().st_ino == inode:
                starts = [(path, offset)]
            else:
                # Rotated: the rest of the file that was read so far, then the new one.
                starts = [(file, offset) for file in rotated(path) if file.stat().st_ino == inode] + [(path, 0)]
                inode, offset = path.stat().st_ino, 0


def last_words(path: Path, max_bytes: int = 2048, max_lines: int = 80) -> str:
    """The end of a log, as `FallbackToLogsOnError` quotes it."""
    if not path.exists():
        return ""
    start, _ = _tail_start(path, max_lines)
    text = b"".join(chunk for chunk, _ in _chunks(path, start, LogOptions()))
    return text[-max_bytes:].decode(errors="replace")
