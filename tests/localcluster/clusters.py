"""Clusters for tests: started as a user starts them, stopped by process id, in folders that go with the test."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests
import yaml


@dataclass
class Cluster:
    """A running local cluster: its folder, and its API as the administrator."""

    data_dir: Path

    @property
    def kubeconfig(self) -> Path:
        return self.data_dir / "kubeconfig"

    @property
    def url(self) -> str:
        return yaml.safe_load(self.kubeconfig.read_text())["clusters"][0]["cluster"]["server"]

    @property
    def pids(self) -> dict[str, int]:
        """The cluster's processes by name."""
        return json.loads((self.data_dir / "run" / "processes.json").read_text())

    def session(self) -> requests.Session:
        """An HTTP session with the administrator's certificate."""
        session = requests.Session()
        session.trust_env = False
        pki = self.data_dir / "pki"
        session.verify = str(pki / "ca.crt")
        session.cert = (str(pki / "admin.crt"), str(pki / "admin.key"))
        return session

    def kubectl(self, *arguments: str, check: bool = True, **options: Any) -> subprocess.CompletedProcess[str]:
        """Run the kubectl on the PATH; with `check`, a failure fails the test with what it printed."""
        done = subprocess.run(
            ["kubectl", *arguments],
            env={**os.environ, "KUBECONFIG": str(self.kubeconfig)},
            capture_output=True,
            text=True,
            timeout=options.pop("timeout", 60),
            **options,
        )
        if check and done.returncode:
            raise AssertionError(f"kubectl {' '.join(arguments)}: exit {done.returncode}\n{done.stdout}{done.stderr}")
        return done

    def kill(self, name: str) -> int:
        """SIGKILL one of the processes; the supervisor starts it again, or is about to."""
        pid = self.pids[name]
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        return pid


def start(data_dir: Path, *arguments: str) -> Cluster:
    """`python -m localcluster up --detach` on a free port."""
    command = [sys.executable, "-m", "localcluster", "up", "--detach", "--data-dir", str(data_dir), *arguments]
    if "--port" not in arguments:
        command += ["--port", str(free_port())]
    done = subprocess.run(command, capture_output=True, text=True, timeout=90)
    if done.returncode:
        logs = "".join(f"\n--- {p.name}\n{p.read_text()[-3000:]}" for p in sorted(data_dir.glob("log/*.log")))
        raise AssertionError(f"{done.stdout}{done.stderr}{logs}")
    return Cluster(data_dir)


def stop(data_dir: Path) -> None:
    command = [sys.executable, "-m", "localcluster", "down", "--data-dir", str(data_dir)]
    subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)


@contextlib.contextmanager
def running(data_dir: Path, *arguments: str) -> Iterator[Cluster]:
    try:
        yield start(data_dir, *arguments)
    finally:
        stop(data_dir)


def free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def eventually(check: Callable[[], Any], seconds: float = 30, what: str = "") -> Any:
    """The first true answer of `check`; its last exception or answer is the failure after so many seconds."""
    end = time.monotonic() + seconds
    while True:
        failure: BaseException | None = None
        answer = None
        try:
            answer = check()
            if answer:
                return answer
        except (AssertionError, LookupError, OSError, requests.RequestException) as error:
            failure = error
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds} s: {what or check} ({failure or answer!r})") from failure
        time.sleep(0.05)


def has_kubectl() -> bool:
    return shutil.which("kubectl") is not None
