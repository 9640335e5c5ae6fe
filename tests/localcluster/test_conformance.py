"""The recorded answers of a real Kubernetes, where they lie beside the checkout (``../shared/conformance``).

They are no part of the project: without them the tests here are skipped, and say so.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.localcluster import clusters
from tests.localcluster.clusters import has_kubectl

CASES = Path(__file__).resolve().parents[3] / "shared" / "conformance"
HTTP_SHARE = 0.95
KUBECTL_SHARE = 0.90
FILES_AT_A_TIME = 6
"""Of each kind. Cases mostly wait for timers, not for the machine."""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.skipif(
        not (CASES / "run.py").exists(),
        reason=f"NOT RUN: no recorded answers beside the checkout ({Path('..') / CASES.relative_to(CASES.parents[1])})",
    ),
]


def run_all(program: str, folder: Path, scratch: Path, *options: str) -> list[str]:
    """What a program prints for each file of cases, on a control plane of their own."""
    with clusters.running(scratch / "cluster", "--no-node") as control_plane:

        def run(path: Path) -> str:
            alone = scratch / path.stem
            alone.mkdir()
            shutil.copy(path, alone)
            command = [sys.executable, str(CASES / program), "--kubeconfig", str(control_plane.kubeconfig), *options]
            done = subprocess.run([*command, "--cases", str(alone)], capture_output=True, text=True, timeout=800)
            return done.stdout + done.stderr

        with ThreadPoolExecutor(FILES_AT_A_TIME) as pool:
            # Those of rollouts take longest.
            return list(pool.map(run, sorted(folder.glob("*.yaml"), key=lambda path: path.stem != "rollout")))


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Future[list[str]]]]:
    """Both kinds of cases, run at the same time."""
    with ThreadPoolExecutor(2) as pool:
        started = {"HTTP": pool.submit(run_all, "run.py", CASES / "cases", tmp_path_factory.mktemp("http"))}
        if has_kubectl():
            scratch = tmp_path_factory.mktemp("kubectl")
            started["kubectl"] = pool.submit(run_all, "kubectl.py", CASES / "kubectl", scratch, "-j", "2")
        yield started


def judge(what: str, outputs: list[str], share: float) -> None:
    """Print the counts, and fail if too few cases passed."""
    passed = failed = 0
    for output in outputs:
        match = re.search(r"^(\d+) passed, (\d+) failed$", output, re.M)
        assert match, output[-3000:]
        passed, failed = passed + int(match[1]), failed + int(match[2])
    differing = sorted(name for output in outputs for name in re.findall(r"^(?:DIFF|differs) +(\S+)", output, re.M))
    text = f"{what}: {passed} of {passed + failed} as recorded ({passed / (passed + failed):.1%})"
    if differing:
        text += f"; not: {', '.join(differing)}"
    print(text)
    assert passed >= share * (passed + failed), f"{text}\n{''.join(outputs)}"


def test_http(runs: dict[str, Future[list[str]]]) -> None:
    """Requests and answers."""
    judge("HTTP", runs["HTTP"].result(), HTTP_SHARE)


@pytest.mark.skipif(not has_kubectl(), reason="NOT RUN: there is no kubectl on the PATH")
def test_kubectl(runs: dict[str, Future[list[str]]]) -> None:
    """Command lines and what kubectl prints."""
    judge("kubectl", runs["kubectl"].result(), KUBECTL_SHARE)
