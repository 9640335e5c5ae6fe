"""The Node object: how a node that comes again brings it up to date."""

from __future__ import annotations

import pytest

from localcluster.client import Forbidden
from localcluster.node.node_object import TAINT, Heartbeat, make_node
from tests.localcluster.node.memory_api import MemoryApi

THEIRS = {"key": "example.org/dedicated", "value": "x", "effect": "NoSchedule"}


async def registered(api: MemoryApi, *, tainted: bool, version: str = "v1.36.2") -> dict:
    node = make_node("n", "10.0.0.0/24", [TAINT] if tainted else [], {})
    await Heartbeat(api, node, "10.0.0.1", 1, {"cpu": "1"}, version).register()  # type: ignore[arg-type]
    return api.objects["nodes", "", "n"]


@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize("now", [True, False])
async def test_the_taint_is_as_it_is_wanted_now(before: bool, now: bool) -> None:
    api = MemoryApi()
    stored = await registered(api, tainted=before)
    api.put("nodes", {**stored, "spec": {**stored["spec"], "taints": [*stored["spec"].get("taints", []), THEIRS]}})
    stored = await registered(api, tainted=now)
    assert [t for t in stored["spec"]["taints"] if t != THEIRS] == ([TAINT] if now else [])
    assert THEIRS in stored["spec"]["taints"]


async def test_a_server_that_forbids_nodes_to_taint_themselves_is_obeyed() -> None:
    api = MemoryApi()
    await registered(api, tainted=False)
    api.refuse["nodes"] = Forbidden(403, "Forbidden", "is not allowed to modify taints")
    stored = await registered(api, tainted=True)
    assert not stored["spec"].get("taints")
    assert stored["status"]["conditions"][-1]["status"] == "True"


async def test_the_version_that_is_reported() -> None:
    stored = await registered(MemoryApi(), tainted=False, version="v1.31.4")
    assert stored["status"]["nodeInfo"]["kubeletVersion"] == "v1.31.4"
