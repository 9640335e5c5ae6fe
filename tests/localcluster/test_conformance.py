"""The recorded answers of a real Kubernetes, where they lie beside the checkout (``../shared/conformance``).

They are no part of the project: without them the tests here are skipped, and say so.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.localcluster.clusters import Cluster, has_kubectl

CASES = Path(__file__).resolve().parents[3] / "shared" / "conformance"
HTTP_SHARE = 0.95
KUBECTL_SHARE = 0.90
PROCESSES = 6
"""Cases mostly wait for each other's timers, not for the machine."""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.skipif(
        not (CASES / "run.py").exists(),
        reason=f"NOT RUN: no recorded answers beside the checkout ({Path('..') / CASES.relative_to(CASES.parents[1])})",
    ),
]


def counts(output: str) -> tuple[int, int]:
    """Passed and failed of a run, from its last line."""
    match = re.search(r"^(\d+) passed, (\d+) failed$", output, re.M)
    assert match, output[-3000:]
    return int(match[1]), int(match[2])


def judge(what: str, output: str, share: float, passed: int, failed: int) -> None:
    differing = re.findall(r"^(?:DIFF|differs) +(\S+)", output, re.M)
    text = f"{what}: {passed} of {passed + failed} as recorded ({passed / (passed + failed):.1%})"
    if differing:
        text += "; not: " + ", ".join(sorted(differing))
    print(text)
    assert passed >= share * (passed + failed), f"{text}\n{output}"


def test_http(control_plane: Cluster, tmp_path: Path) -> None:
    """Requests and answers, several files of cases at a time."""
    waiting = sorted((CASES / "cases").glob("*.yaml"), key=lambda path: -path.stat().st_size)
    outputs: list[str] = []
    lock = threading.Lock()

    def work() -> None:
        while True:
            with lock:
                if not waiting:
                    return
                path = waiting.pop(0)
            folder = tmp_path / path.stem
            folder.mkdir()
            shutil.copy(path, folder)
            command = [sys.executable, str(CASES / "run.py"), "--kubeconfig", str(control_plane.kubeconfig)]
            done = subprocess.run([*command, "--cases", str(folder)], capture_output=True, text=True, timeout=600)
            outputs.append(done.stdout + done.stderr)

    threads = [threading.Thread(target=work) for _ in range(PROCESSES)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    passed, failed = (sum(column) for column in zip(*map(counts, outputs), strict=True))
    judge("HTTP", "".join(outputs), HTTP_SHARE, passed, failed)


@pytest.mark.skipif(not has_kubectl(), reason="NOT RUN: there is no kubectl on the PATH")
def test_kubectl(control_plane: Cluster) -> None:
    """Command lines and what kubectl prints."""
    command = [sys.executable, str(CASES / "kubectl.py"), "--kubeconfig", str(control_plane.kubeconfig)]
    done = subprocess.run([*command, "-j", str(PROCESSES)], capture_output=True, text=True, timeout=800)
    output = done.stdout + done.stderr
    judge("kubectl", output, KUBECTL_SHARE, *counts(output))
