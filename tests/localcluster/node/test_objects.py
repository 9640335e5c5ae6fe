"""What pods read of ConfigMaps and Secrets is never older than what the watch has told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from localcluster.node.objects import Key, PodObjects
from localcluster.resource_types import CONFIG_MAPS
from tests.localcluster.node.fake_api import FakeClient

JSON = dict[str, Any]
KEY = ("configmaps", "ns", "cm")


class SlowClient(FakeClient):
    """Answers a GET with what was there when it came, after `meanwhile` has happened."""

    def __init__(self) -> None:
        super().__init__()
        self.meanwhile: Callable[[], None] | None = None
        self.reads = 0

    async def get(self, of: Any, name: str, namespace: str | None = None, **_: Any) -> JSON:
        self.reads += 1
        answer = await super().get(of, name, namespace)
        happens, self.meanwhile = self.meanwhile, None
        if happens is not None:
            happens()
            await asyncio.sleep(0.02)
        return answer


class Objects:
    def __init__(self) -> None:
        self.client = SlowClient()
        self.changed: list[Key] = []
        self.objects = PodObjects(self.client, self.changed.append)  # type: ignore[arg-type]

    async def read(self, uid: str = "u1") -> str | None:
        found = await self.objects.read(CONFIG_MAPS, "ns", "cm", uid)
        return None if found is None else found["data"]["k"]

    def put(self, value: str) -> None:
        self.client.put("configmaps", "cm", data={"k": value})

    async def watching(self) -> None:
        async with asyncio.timeout(3):
            while not self.client._watches:  # noqa: ASYNC110
                await asyncio.sleep(0.005)


@pytest.fixture
async def objects() -> AsyncIterator[Objects]:
    made = Objects()
    yield made
    await made.objects.close()


async def test_a_change_while_it_is_read_is_not_missed(objects: Objects) -> None:
    objects.put("old")
    assert await objects.read() == "old"
    await objects.watching()
    objects.client.meanwhile = lambda: objects.put("new")
    assert await objects.read("u2") == "new"
    assert await objects.read("u1") == "new"
    assert objects.client.reads == 3


async def test_the_other_pods_hear_of_what_one_pod_finds_first(objects: Objects) -> None:
    objects.put("old")
    assert await objects.read("u1") == "old"
    await objects.watching()
    objects.client._watches.clear()
    objects.put("new")
    assert await objects.read("u2") == "new"
    assert objects.changed == [KEY]


async def test_single_objects_are_watched_as_long_as_a_pod_uses_them(objects: Objects) -> None:
    await objects.read("u1")
    await objects.watching()
    assert [selected for _, selected, _ in objects.client._watches] == ["metadata.name=cm"]
    objects.put("made")
    async with asyncio.timeout(3):
        while not objects.changed:  # noqa: ASYNC110
            await asyncio.sleep(0.005)
    objects.objects.release("u1")
    await asyncio.sleep(0)
    assert not objects.objects._watches
    objects.put("later")
    await asyncio.sleep(0.02)
    assert objects.changed == [KEY]
