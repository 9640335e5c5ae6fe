"""Programs that run inside a container beside its main process: exec, and the commands of probes and hooks."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import pty
import signal
import struct
import subprocess
import termios
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path

from localcluster.node.processes import Process, find_program

READ_BYTES = 32 * 1024
MAX_PROBE_OUTPUT_BYTES = 10 * 1024


async def run_briefly(
    command: Sequence[str], env: Mapping[str, str], folder: Path, timeout_seconds: float
) -> tuple[int | None, str]:
    """Run a command to its end: exit code (None if it took too long and was killed) and the start of its output."""
    if not command:
        return 0, ""
    try:
        process = await asyncio.create_subprocess_exec(
            find_program(command[0], env, folder),
            *command[1:],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env=env,
            start_new_session=True,
        )
    except OSError as error:
        return 127, f"{command[0]}: {error.strerror or error}"
    output = bytearray()

    async def read() -> int:
        assert process.stdout is not None
        while data := await process.stdout.read(READ_BYTES):
            output.extend(data[: MAX_PROBE_OUTPUT_BYTES - len(output)])
        return await process.wait()

    try:
        code: int | None = await asyncio.wait_for(read(), timeout_seconds)
    except TimeoutError:
        code = None
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
    return code if code is None or code >= 0 else 128 - code, bytes(output).decode(errors="replace")


class ExecSession:
    """A running command with its input and output; a `provider.Session`."""

    def __init__(self, command: Sequence[str], env: Mapping[str, str], folder: Path, *, stdin: bool, tty: bool) -> None:
        """Raises `OSError` if the program cannot be started."""
        self._tty = tty
        self._outputs: dict[int, int] = {}
        self._queue: asyncio.Queue[tuple[int, bytes]] = asyncio.Queue()
        self._input = -1
        if tty:
            master, slave = pty.openpty()
            ends, self._outputs, self._input = [slave], {1: master}, master
            arguments = {"stdin": slave, "stdout": slave, "stderr": slave, "preexec_fn": lambda: os.login_tty(slave)}
        else:
            read_in, write_in = os.pipe()
            read_out, write_out = os.pipe()
            read_err, write_err = os.pipe()
            ends, self._outputs, self._input = [read_in, write_out, write_err], {1: read_out, 2: read_err}, write_in
            arguments = {"stdin": read_in, "stdout": write_out, "stderr": write_err, "start_new_session": True}
        try:
            child: subprocess.Popen[bytes] = subprocess.Popen(  # type: ignore[call-overload]
                command, executable=find_program(command[0], env, folder), cwd=folder, env=env, **arguments
            )
        except BaseException:
            self._close_all()
            raise
        finally:
            for fd in ends:
                os.close(fd)
        self._process = Process(child.pid, child)
        self._open = set(self._outputs)
        loop = asyncio.get_running_loop()
        for stream, fd in self._outputs.items():
            os.set_blocking(fd, False)
            loop.add_reader(fd, self._readable, stream, fd)
        if self._input >= 0:
            os.set_blocking(self._input, False)
        if not stdin and not tty:
            self.close_input()

    def _readable(self, stream: int, fd: int) -> None:
        try:
            data = os.read(fd, READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""  # a terminal's last reader reads EIO at the end
        if not data:
            asyncio.get_running_loop().remove_reader(fd)
            self._open.discard(stream)
        elif self._queue.qsize() > 64:
            # The reader is slow; the program waits meanwhile.
            asyncio.get_running_loop().remove_reader(fd)
            asyncio.get_running_loop().call_later(0.02, self._resume, stream, fd)
        self._queue.put_nowait((stream, data))

    def _resume(self, stream: int, fd: int) -> None:
        if stream in self._open and fd in self._outputs.values():
            asyncio.get_running_loop().add_reader(fd, self._readable, stream, fd)

    async def read_output(self) -> AsyncIterator[tuple[int, bytes]]:
        left = len(self._outputs)
        ended = asyncio.ensure_future(self._process.wait())
        try:
            while left:
                get = asyncio.ensure_future(self._queue.get())
                # A background child may keep the output open after the command's end.
                timeout = 0.2 if ended.done() else None
                await asyncio.wait({get, ended} if timeout is None else {get}, timeout=timeout,
                                   return_when=asyncio.FIRST_COMPLETED)  # fmt: skip
                if not get.done():
                    get.cancel()
                    if timeout is not None:
                        return
                    continue
                stream, data = get.result()
                if data:
                    yield stream, data
                else:
                    left -= 1
        finally:
            ended.cancel()

    async def write(self, data: bytes) -> None:
        while data and self._input >= 0:
            try:
                data = data[os.write(self._input, data) :]
            except BlockingIOError:
                await asyncio.sleep(0.005)
            except OSError:
                return

    def close_input(self) -> None:
        if self._input < 0:
            return
        if self._tty:
            with contextlib.suppress(OSError):
                os.write(self._input, b"\x04")
            return
        os.close(self._input)
        self._input = -1

    def resize(self, width: int, height: int) -> None:
        if self._tty and self._input >= 0:
            fcntl.ioctl(self._input, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))

    async def wait(self) -> int:
        code = await self._process.wait()
        self._process.release()
        self._close_all()
        return code

    def kill(self) -> None:
        self._process.signal(signal.SIGHUP if self._tty else signal.SIGKILL)
        self._close_all()

    def _close_all(self) -> None:
        loop = asyncio.get_running_loop()
        for fd in self._outputs.values():
            loop.remove_reader(fd)
        for fd in {*self._outputs.values(), self._input} - {-1}:
            with contextlib.suppress(OSError):
                os.close(fd)
        self._outputs, self._input = {}, -1
