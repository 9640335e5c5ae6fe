"""The step `install`: a function's dependencies, by pip from the configured index, into the volume."""

import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections import deque
from pathlib import Path

from runtimes.provision.archive import replace
from runtimes.provision.errors import ProvisionError

SHOWN_LINES = 12  # of pip's output, in the termination message
SHOWN_LINE_CHARACTERS = 300
SOCKET_SECONDS = 15
RETRIES = 2


def site_packages(volume: Path) -> Path:
    """Where dependencies go: as with Kubeless, below the volume, for this version of Python."""
    return volume / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"


def install_python(requirements: Path, volume: Path, timeout_seconds: float) -> None:
    """Install what the file `requirements` names into the volume; raises ProvisionError with pip's last lines.

    pip takes its index, proxies and certificates from its own environment variables (PIP_INDEX_URL ...) and files.
    What was installed before is replaced when, and only when, all of it succeeded.
    """
    if not _names_anything(requirements):
        print("no dependencies", flush=True)
        return
    target = site_packages(volume)
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".install-", dir=target.parent) as scratch:
        stage = Path(scratch, "site-packages")
        _run_pip(
            ["--target", str(stage), "--requirement", str(requirements.absolute())],
            requirements.parent,
            Path(scratch),
            timeout_seconds,
        )
        stage.mkdir(exist_ok=True)
        replace(stage, target)


def _names_anything(requirements: Path) -> bool:
    try:
        lines = requirements.read_text("utf-8").splitlines()
    except UnicodeDecodeError:
        raise ProvisionError(f"{requirements.name} is not text (UTF-8)") from None
    except FileNotFoundError:
        raise ProvisionError(f"the function has no {requirements.name}") from None
    return any(line.strip() and not line.strip().startswith("#") for line in lines)


def _run_pip(arguments: list[str], folder: Path, scratch: Path, timeout_seconds: float) -> None:
    # Isolated (-I), because PYTHONPATH may name the volume, where a file of the function could take a module's place.
    command = [
        sys.executable,
        "-I",
        "-u",
        "-m",
        "pip",
        "install",
        "--no-input",
        "--no-cache-dir",
        "--disable-pip-version-check",
    ]
    command += ["--progress-bar", "off", "--no-color", "--root-user-action", "ignore"]
    command += ["--timeout", str(SOCKET_SECONDS), "--retries", str(RETRIES), *arguments]
    environment = dict(os.environ)
    if not os.access(environment.get("HOME", "/"), os.W_OK):
        environment["HOME"] = str(scratch)  # builds write there, and in a locked-down container it is read-only
    with subprocess.Popen(
        command,
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    ) as pip:
        expired = threading.Event()

        def end() -> None:
            expired.set()
            os.killpg(pip.pid, signal.SIGKILL)

        timer = threading.Timer(timeout_seconds, end)
        timer.daemon = True
        timer.start()
        try:
            last = _follow(pip)
            status = pip.wait()
        finally:
            timer.cancel()
            if pip.poll() is None:
                os.killpg(pip.pid, signal.SIGKILL)
    if expired.is_set():
        raise ProvisionError(f"installing the dependencies took longer than {timeout_seconds:g} s", "\n".join(last))
    if status:
        raise ProvisionError(f"the dependencies could not be installed: {_reason(last, status)}", "\n".join(last))


def _follow(pip: "subprocess.Popen[str]") -> list[str]:
    """Pass on what pip prints, and return the last lines."""
    last: deque[str] = deque(maxlen=SHOWN_LINES)
    assert pip.stdout is not None
    for line in pip.stdout:
        print(line, end="", flush=True)
        if line.strip():
            last.append(line.rstrip()[:SHOWN_LINE_CHARACTERS])
    return list(last)


def _reason(lines: list[str], status: int) -> str:
    errors = [line.partition("ERROR: ")[2] for line in lines if line.startswith("ERROR: ")]
    return errors[-1] if errors else lines[-1] if lines else f"pip ended with {status}"
