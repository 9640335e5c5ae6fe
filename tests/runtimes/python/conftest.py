"""A function served by a real runtime: `python -m runtimes.python` on a free loopback port."""

import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import requests

HOST = "127.0.0.1"


def wait_until(what: Callable[[], Any], seconds: float = 10.0) -> Any:
    """What `what` returns, once that is true; AssertionError when it never is."""
    deadline = time.monotonic() + seconds
    while not (value := what()):
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(0.02)
    return value


class ServedFunction:
    """A running runtime, its log, and shorthands for calling it."""

    def __init__(self, folder: Path, source: str, env: dict[str, str]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "hello.py").write_text(source)
        with socket.socket() as probe:
            probe.bind((HOST, 0))
            self.port = probe.getsockname()[1]
        self.url = f"http://{HOST}:{self.port}"
        self.termination_log = folder / "termination"
        self.temporary = folder / "tmp"
        self.temporary.mkdir()
        self._log = folder / "log"
        variables = {
            "MOD_NAME": "hello",
            "FUNC_HANDLER": "handler",
            "FUNC_SOURCE_DIR": str(folder),
            "FUNC_HOST": HOST,
            "FUNC_PORT": str(self.port),
            "FUNC_DRAIN_SECONDS": "0.3",
            "FUNC_RUNTIME": "python3.11",
            "FUNC_MEMORY_LIMIT": "128Mi",
            "TERMINATION_LOG": str(self.termination_log),
            "TMPDIR": str(self.temporary),
        }
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "runtimes.python"],
                env={**os.environ, **variables, **env},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def wait_ready(self) -> None:
        wait_until(lambda: self.process.poll() is not None or self._listens())
        assert self.process.poll() is None, self.log

    def _listens(self) -> bool:
        try:
            return requests.get(f"{self.url}/healthz", timeout=2).status_code == 200
        except requests.ConnectionError:
            return False

    @property
    def log(self) -> str:
        return self._log.read_text(errors="replace")

    def get(self, path: str = "/", **options: Any) -> requests.Response:
        return requests.get(self.url + path, timeout=20, **options)

    def call(self, **data: Any) -> requests.Response:
        """POST `data` as JSON."""
        return requests.post(self.url, json=data, timeout=20)

    def metric(self, name: str, method: str = "POST") -> float:
        text = self.get("/metrics").text
        match = re.search(rf'^{name}{{method="{method}"}} (\S+)$', text, re.MULTILINE)
        return float(match[1]) if match else 0.0

    def workers(self) -> list[int]:
        return [child.pid for child in psutil.Process(self.process.pid).children()]

    def terminate(self) -> int:
        """SIGTERM, and the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(15)

    def stop(self) -> None:
        if self.process.poll() is None:
            children = psutil.Process(self.process.pid).children(recursive=True)
            self.process.kill()
            for child in children:
                child.kill()
        self.process.wait(10)


class InBackground(threading.Thread):
    """Runs `function` in a thread; `result()` waits for what it returned."""

    def __init__(self, function: Callable[[], Any]) -> None:
        super().__init__(daemon=True)
        self._function = function
        self._value: Any = None
        self.start()

    def run(self) -> None:
        try:
            self._value = self._function()
        except Exception as error:
            self._value = error

    def result(self) -> Any:
        self.join(20)
        assert not self.is_alive()
        return self._value


Serve = Callable[..., ServedFunction]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Start a function: `serve(source, FUNC_TIMEOUT="2")`; `ready=False` for one that is not to come up."""
    started: list[ServedFunction] = []

    def start(source: str, ready: bool = True, **env: str) -> ServedFunction:
        function = ServedFunction(tmp_path / f"function{len(started)}", source, env)
        started.append(function)
        if ready:
            function.wait_ready()
        return function

    yield start
    for function in started:
        function.stop()
