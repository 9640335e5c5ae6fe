"""How metrics.k8s.io is registered, and what of others is left alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from localcluster.node.metrics_api import NODE_LABEL, Registration, Taken
from tests.localcluster.node.memory_api import MemoryApi

NAMES = {
    ("services", "kube-system", "metrics-server"),
    ("endpointslices", "kube-system", "metrics-server"),
    ("apiservices", "", "v1beta1.metrics.k8s.io"),
}


@pytest.fixture
def authority(tmp_path: Path) -> Path:
    (tmp_path / "ca.crt").write_text("CA")
    return tmp_path / "ca.crt"


def registration(api: MemoryApi, node: str = "n") -> Registration:
    return Registration(api, node)  # type: ignore[arg-type]


async def test_it_comes_and_goes_with_the_node(authority: Path) -> None:
    api = MemoryApi()
    first = registration(api)
    await first.register("127.0.0.1", 1, authority)
    assert set(api.objects) == NAMES
    assert all(o["metadata"]["labels"][NODE_LABEL] == "n" for o in api.objects.values())
    # After a crash the next process of this node takes them over.
    second = registration(api)
    await second.register("127.0.0.1", 2, authority)
    assert api.objects["endpointslices", "kube-system", "metrics-server"]["ports"][0]["port"] == 2
    await second.unregister()
    assert api.objects == {}


@pytest.mark.parametrize("taken", sorted(NAMES))
async def test_a_metrics_server_is_left_alone(authority: Path, taken: tuple[str, str, str]) -> None:
    api = MemoryApi()
    plural, namespace, name = taken
    theirs = api.put(plural, {"metadata": {"name": name, "namespace": namespace or None, "labels": {"a": "b"}}})
    mine = registration(api)
    with pytest.raises(Taken, match=name):
        await mine.register("127.0.0.1", 1, authority)
    await mine.unregister()
    assert api.objects == {taken: theirs}


async def test_another_nodes_registration_is_left_alone(authority: Path) -> None:
    api = MemoryApi()
    await registration(api, "other").register("127.0.0.1", 1, authority)
    before = dict(api.objects)
    with pytest.raises(Taken):
        await registration(api).register("127.0.0.1", 2, authority)
    assert api.objects == before


async def test_what_took_its_place_meanwhile_is_not_deleted(authority: Path) -> None:
    api = MemoryApi()
    mine = registration(api)
    await mine.register("127.0.0.1", 1, authority)
    theirs = api.put("services", {"metadata": {"name": "metrics-server", "namespace": "kube-system"}})
    await mine.unregister()
    assert list(api.objects.values()) == [theirs]
