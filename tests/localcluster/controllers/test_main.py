"""Where the controllers run, and where not."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.localcluster.foreign_server import ForeignServer, foreign_server


@pytest.fixture
async def foreign(tmp_path: Path) -> AsyncIterator[ForeignServer]:
    async with foreign_server(tmp_path) as server:
        yield server


async def test_they_refuse_to_run_beside_those_of_another_cluster(foreign: ForeignServer) -> None:
    code, errors = await foreign.run("localcluster.controllers")
    assert code == 1
    assert "is not a local cluster" in errors
    assert "--any-cluster" in errors
    assert "Traceback" not in errors
    assert foreign.asked == ["GET /version"]


async def test_any_cluster_may_be_asked_for(foreign: ForeignServer) -> None:
    await foreign.run("localcluster.controllers", "--any-cluster")
    assert any(asked.endswith("/deployments") for asked in foreign.asked)


async def test_a_kubeconfig_that_cannot_be_used_is_an_error_and_no_traceback(foreign: ForeignServer) -> None:
    text = foreign.kubeconfig.read_text().replace("current-context: c", "current-context: x")
    foreign.kubeconfig.write_text(text)
    code, errors = await foreign.run("localcluster.controllers")
    assert (code, errors) == (1, "error: the kubeconfig has no context 'x'\n")
