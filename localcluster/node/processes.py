"""Programs in sessions of their own: start, find again after a restart of the node, learn of the end, kill the rest.

They are children of the node only until it is restarted. Therefore the end is learnt from a pidfd, which works for any
process, and a program is known again by its pid and start time.
"""

from __future__ import annotations

import array
import asyncio
import contextlib
import fcntl
import os
import signal
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import IO

MARK = "LOCALCLUSTER_CONTAINER_ID"
"""The environment variable that every process of a container has inherited."""
UNKNOWN_EXIT_CODE = 137
"""What a kubelet reports for a container that ended unseen."""

_PIDFD_GET_INFO = 0xC040FF0B  # _IOWR(0xFF, 11, 64 bytes), Linux 6.13; exit codes since 6.15
_PIDFD_INFO_EXIT = 1 << 3


class Process:
    """A program that leads its own session and process group."""

    def __init__(self, pid: int, child: subprocess.Popen[bytes] | None = None) -> None:
        self.pid = pid
        self._child = child
        self._pidfd = os.pidfd_open(pid)
        self.started_ticks = start_ticks(pid)
        self.exit_code: int | None = None
        self._ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().add_reader(self._pidfd, self._end)

    @classmethod
    def start(
        cls,
        arguments: Sequence[str],
        env: Mapping[str, str],
        folder: Path,
        *,
        stdin: IO[bytes] | int,
        stdout: int,
        stderr: int,
    ) -> Process:
        """Raises `OSError` (`FileNotFoundError`, `PermissionError`) if the program cannot be started."""
        child = subprocess.Popen(
            arguments,
            executable=find_program(arguments[0], env, folder),
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            cwd=folder,
            env=env,
            start_new_session=True,
        )
        return cls(child.pid, child)

    @classmethod
    def adopt(cls, pid: int, started_ticks: int) -> Process | None:
        """The program that was started before the node was restarted, if it still runs."""
        try:
            process = cls(pid)
        except (OSError, ValueError):
            return None
        if process.started_ticks == started_ticks:
            return process
        process.close()
        return None

    async def wait(self) -> int:
        """The exit code; 128 + the signal's number where a signal ended it.

        The pid stays taken until `release`, so that signals to the group reach nobody else until then.
        """
        return await asyncio.shield(self._ended)

    def release(self) -> None:
        """Let the ended program's pid go."""
        if self._child is not None:
            self._child.wait()
            self._child = None

    def signal(self, number: signal.Signals) -> None:
        """To all processes of the group; that there are none any more is no error."""
        if self.exit_code is not None and self._child is None:
            # The pid may be another's by now; what is left of the group the sweeper finds by its mark.
            return
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)

    def group_is_empty(self) -> bool:
        """Whether no process but the leader, which may have ended, is in the group."""
        for pid in all_pids():
            try:
                if pid != self.pid and os.getpgid(pid) == self.pid:
                    return False
            except ProcessLookupError:
                continue
        return True

    def close(self) -> None:
        if self._pidfd >= 0:
            asyncio.get_running_loop().remove_reader(self._pidfd)
            os.close(self._pidfd)
            self._pidfd = -1

    def _end(self) -> None:
        if self._child is not None:
            ended = os.waitid(os.P_PIDFD, self._pidfd, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            if ended is None:
                return
            self.exit_code = ended.si_status + (0 if ended.si_code == os.CLD_EXITED else 128)
        else:
            self.exit_code = _exit_code_of_stranger(self.pid, self._pidfd)
        self.close()
        if not self._ended.done():
            self._ended.set_result(self.exit_code)


def find_program(name: str, env: Mapping[str, str], folder: Path) -> str:
    """The file that runs for a name, looked for in the PATH that the program itself gets."""
    if "/" in name:
        return str(folder / name)
    for entry in env.get("PATH", os.defpath).split(":"):
        candidate = Path(entry or ".") / name
        if candidate.is_file() and os.access(candidate, os.X_OK):
            return str(candidate)
    raise FileNotFoundError(2, f'exec: "{name}": executable file not found in $PATH', name)


def start_ticks(pid: int) -> int:
    """When a process started, in clock ticks since boot (proc(5)). Raises `OSError`, `ValueError`."""
    return int(Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[19])


def _wait_status(status: int) -> int:
    if os.WIFSIGNALED(status):
        return 128 + os.WTERMSIG(status)
    return os.WEXITSTATUS(status)


def _exit_code_of_stranger(pid: int, pidfd: int) -> int:
    """The exit code of a process that is not our child, where the kernel tells."""
    info = array.array("Q", [_PIDFD_INFO_EXIT, 0, 0, 0, 0, 0, 0, 0])
    with contextlib.suppress(OSError):
        fcntl.ioctl(pidfd, _PIDFD_GET_INFO, info)
        if info[0] & _PIDFD_INFO_EXIT:
            return _wait_status(int.from_bytes(info.tobytes()[60:64], "little"))
    with contextlib.suppress(OSError, ValueError, IndexError):
        # Ended but not yet waited for by its new parent.
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
        if fields[0] == b"Z":
            return _wait_status(int(fields[49]))
    return UNKNOWN_EXIT_CODE


def all_pids() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]  # noqa: PTH208


def marked(pid: int, variable: str = MARK) -> str:
    """The value of a variable in the environment that a process started with; empty if it is none of ours."""
    prefix = variable.encode() + b"="
    try:
        environ = Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return ""
    for entry in environ.split(b"\0"):
        if entry.startswith(prefix):
            return entry.removeprefix(prefix).decode(errors="replace")
    return ""


class Sweeper:
    """Kills what a container leaves behind: processes that left its group. One look at /proc serves many containers."""

    def __init__(self, delay_seconds: float = 0.05) -> None:
        self._delay_seconds = delay_seconds
        self._wanted: set[str] = set()
        self._task: asyncio.Task[None] | None = None

    async def sweep(self, container_id: str) -> None:
        """Returns when the processes of this container were killed."""
        self._wanted.add(container_id)
        if self._task is None:
            self._task = asyncio.ensure_future(self._run())
        await asyncio.shield(self._task)

    async def _run(self) -> None:
        await asyncio.sleep(self._delay_seconds)
        wanted, self._wanted, self._task = self._wanted, set(), None
        kill_marked(wanted)


def kill_marked(container_ids: Iterable[str]) -> None:
    wanted = set(container_ids)
    for pid in all_pids():
        if marked(pid) in wanted and pid != os.getpid():
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
