"""Runs the processes of a cluster: starts them in order, restarts the one that dies, ends them together.

Only the standard library's light parts are imported here: this process lives as long as the cluster.
"""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

DEFAULT_PORT = 6443
STOP_SECONDS = 15.0
"""How long the processes have to end after SIGTERM before they are killed."""
RESTART_BASE_SECONDS = 0.2
RESTART_MAX_SECONDS = 10.0
STEADY_SECONDS = 0.5
"""A process that lived longer than this was well: its next restart is not delayed by former failures."""
POLL_SECONDS = 0.02
WATCH_SECONDS = 0.1
"""How often it looks whether a process has died."""
PRIVATE_UMASK = 0o077
"""Of files for their owner alone."""
_PR_SET_PDEATHSIG = 1


class StartError(Exception):
    """The cluster cannot be started; the message says why and what to do."""


@dataclass(frozen=True)
class Layout:
    """Where a cluster keeps what: all below its data directory."""

    data_dir: Path

    @property
    def kubeconfig(self) -> Path:
        return self.data_dir / "kubeconfig"

    @property
    def run(self) -> Path:
        return self.data_dir / "run"

    @property
    def settings(self) -> Path:
        return self.data_dir / "settings.json"

    @property
    def state(self) -> Path:
        """The processes of a running cluster: pids by name."""
        return self.run / "processes.json"

    def component_kubeconfig(self, name: str) -> Path:
        return self.run / f"{name}.kubeconfig"

    def log(self, name: str) -> Path:
        return self.data_dir / "log" / f"{name}.log"


@dataclass(frozen=True)
class Settings:
    """What a cluster keeps from start to start. `network` is the second number of its addresses 127.N.0.0/16."""

    port: int
    network: int

    @property
    def pod_cidr(self) -> str:
        return f"127.{self.network}.0.0/17"

    def service_cidr(self, with_node: bool) -> str:
        """Loopback where a node of this machine serves the ClusterIPs, else the range that is usual elsewhere."""
        return f"127.{self.network}.128.0/17" if with_node else "10.96.0.0/16"

    @property
    def server(self) -> str:
        return f"https://127.0.0.1:{self.port}"


def lock(layout: Layout) -> IO[str] | None:
    """Take the data directory for this process; None if another has it."""
    layout.run.mkdir(parents=True, exist_ok=True)
    file = open(layout.run / "lock", "a")  # noqa: SIM115 - the lock lasts as long as the file is open
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        return None
    return file


def choose_settings(layout: Layout, port: int | None) -> tuple[Settings, socket.socket]:
    """The cluster's port and network, kept from before where that is possible; the socket holds the network.

    Raises StartError if the port that was asked for is taken.
    """
    kept: Settings | None = None
    if layout.settings.exists():
        kept = Settings(**json.loads(layout.settings.read_text()))
    if port is not None and not _is_free(port):
        raise StartError(f"port {port} of 127.0.0.1 is taken by another program; choose another one with --port")
    candidates = [port] if port is not None else [*([kept.port] if kept else []), DEFAULT_PORT]
    wanted = next((number for number in candidates if _is_free(number)), 0) or _free_port()
    start = kept.network if kept else 64 + sum(str(layout.data_dir).encode()) % 150
    for step in range(180):
        network = 64 + (start - 64 + step) % 180
        claim = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            # An abstract name: it writes no file and is free again when this process ends, however it ends.
            claim.bind(f"\0localcluster-127.{network}")
        except OSError:
            claim.close()
            continue
        settings = Settings(wanted, network)
        if settings != kept:
            layout.settings.write_text(json.dumps(asdict(settings)) + "\n")
        return settings, claim
    raise StartError("all 180 loopback networks are taken by other clusters")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Supervisor:
    """The processes of one cluster.

    Args:
        node: whether it has a node.
        node_arguments: further arguments of the node.
        node_umask: of the files that pods make.
    """

    def __init__(
        self,
        layout: Layout,
        settings: Settings,
        node: bool = True,
        node_arguments: tuple[str, ...] = (),
        node_umask: int = 0o022,
    ) -> None:
        self.layout = layout
        self.settings = settings
        self.with_node = node
        self.node_arguments = node_arguments
        self.node_umask = node_umask
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._failures: dict[str, int] = {}
        self._restart_at: dict[str, float] = {}
        self._started_at: dict[str, float] = {}
        self._stop = False

    @property
    def names(self) -> list[str]:
        return ["apiserver", "controllers", *(["node"] if self.with_node else [])]

    def _command(self, name: str) -> list[str]:
        layout, settings = self.layout, self.settings
        base = [sys.executable, "-m", f"localcluster.{name}"]
        if name == "apiserver":
            return [
                *base, "--data-dir", str(layout.data_dir), "--port", str(settings.port),
                "--pod-cidr", settings.pod_cidr, "--service-cidr", settings.service_cidr(self.with_node),
            ]  # fmt: skip
        base += ["--kubeconfig", str(layout.component_kubeconfig(name))]
        if name == "node":
            base += ["--data-dir", str(layout.data_dir / "node"), "--pod-cidr", settings.pod_cidr]
            base += [*self.node_arguments]
        return base

    def start(self) -> None:
        """Start all processes; returns at once when they are started, not when they are ready."""
        for name in ("controllers", "node"):
            self.layout.component_kubeconfig(name).unlink(missing_ok=True)
        self._spawn("apiserver")
        # The API server makes the keys and the kubeconfigs of the others before anything else.
        while not self.layout.component_kubeconfig("node").exists():
            if self._processes["apiserver"].poll() is not None:
                raise StartError(f"the API server ended: {self._last_words('apiserver')}")
            time.sleep(POLL_SECONDS)
        for name in self.names[1:]:
            self._spawn(name)

    def _spawn(self, name: str) -> None:
        path = self.layout.log(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab") as log:
            self._processes[name] = subprocess.Popen(
                self._command(name),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=_end_with_parent,
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
                umask=self.node_umask if name == "node" else PRIVATE_UMASK,
            )
        self._started_at[name] = time.monotonic()
        pids = {"supervisor": os.getpid()} | {n: p.pid for n, p in self._processes.items()}
        temporary = self.layout.state.with_suffix(".new")
        temporary.write_text(json.dumps(pids) + "\n")
        temporary.replace(self.layout.state)

    def _last_words(self, name: str) -> str:
        lines = self.layout.log(name).read_text(errors="replace").strip().splitlines()
        return lines[-1] if lines else "without a word"

    def stop_on_signals(self) -> None:
        """From now on SIGTERM and SIGINT make `run` end."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: setattr(self, "_stop", True))

    def run(self) -> None:
        """Keep the processes running until a signal, then end them."""
        try:
            while not self._stop:
                self._restart_dead()
                time.sleep(WATCH_SECONDS)
        finally:
            self.stop()

    def _restart_dead(self) -> None:
        now = time.monotonic()
        for name, process in self._processes.items():
            if process.poll() is None:
                continue
            if name not in self._restart_at:
                if now - self._started_at[name] > STEADY_SECONDS:
                    self._failures[name] = 0
                failures = self._failures[name] = self._failures.get(name, 0) + 1
                pause = min(RESTART_BASE_SECONDS * 2 ** (failures - 1), RESTART_MAX_SECONDS)
                self._restart_at[name] = now + pause
                print(f"{name} ended with {process.returncode}; starting it again in {pause:.1f} s", file=sys.stderr)
            elif now >= self._restart_at[name]:
                del self._restart_at[name]
                self._spawn(name)
                return

    def stop(self) -> None:
        """SIGTERM to the node first, which stops its pods, then to the others."""
        end = time.monotonic() + STOP_SECONDS
        for group in (["node"], ["controllers"], ["apiserver"]):
            living = [self._processes[n] for n in group if n in self._processes]
            for process in living:
                process.terminate()
            for process in living:
                try:
                    process.wait(max(0.1, end - time.monotonic()))
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
        self.layout.state.unlink(missing_ok=True)


def _end_with_parent() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def processes(layout: Layout) -> dict[str, int]:
    """The pids of a running cluster by name; empty if it does not run."""
    held = lock(layout) if layout.run.exists() else None
    if held is not None:
        held.close()
        return {}
    try:
        found: dict[str, int] = json.loads(layout.state.read_text())
    except (OSError, ValueError):
        return {}
    return found
