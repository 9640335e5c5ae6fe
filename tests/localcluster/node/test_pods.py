"""The pod loop between a provider and an API server in memory."""

from __future__ import annotations

import asyncio
import contextlib
import copy
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from typing import Any

import pytest

from localcluster.client import WatchEvent
from localcluster.node.pods import PodLoop

JSON = dict[str, Any]


class Api:
    """One pod that is bound to the node.

    Attributes:
        patches: the statuses that the node sent.
        drops: fields of a status that this server does not know.
    """

    def __init__(self) -> None:
        meta = {"name": "p", "namespace": "ns", "uid": "u1", "resourceVersion": "1"}
        self.pod: JSON = {"metadata": meta, "spec": {"containers": []}, "status": {"phase": "Pending"}}
        self.patches: list[JSON] = []
        self.drops: tuple[str, ...] = ()
        self._events: asyncio.Queue[WatchEvent] = asyncio.Queue()

    def write(self, status: JSON) -> JSON:
        conditions = {c["type"]: c for c in self.pod["status"].get("conditions", [])}
        for condition in status.get("conditions", []):
            conditions[condition["type"]] = {**conditions.get(condition["type"], {}), **condition}
        status = {k: v for k, v in status.items() if k not in self.drops}
        self.pod = copy.deepcopy(self.pod)
        self.pod["status"] |= {**status, "conditions": list(conditions.values())}
        self.pod["metadata"]["resourceVersion"] = str(int(self.pod["metadata"]["resourceVersion"]) + 1)
        self._events.put_nowait(WatchEvent("MODIFIED", copy.deepcopy(self.pod)))
        return copy.deepcopy(self.pod)

    def condition(self, kind: str) -> JSON:
        return next((c for c in self.pod["status"].get("conditions", []) if c["type"] == kind), {})

    async def list(self, of: Any, namespace: str | None = None, **_: Any) -> JSON:
        version = self.pod["metadata"]["resourceVersion"]
        return {"metadata": {"resourceVersion": version}, "items": [copy.deepcopy(self.pod)]}

    async def watch(self, of: Any, namespace: str | None = None, **_: Any) -> AsyncGenerator[WatchEvent, None]:
        while True:
            yield await self._events.get()

    async def patch(self, of: Any, name: str, patch: JSON, namespace: str | None = None, **_: Any) -> JSON:
        self.patches.append(patch["status"])
        return self.write(patch["status"])


class Provider:
    """A provider whose one pod is as the test says."""

    def __init__(self) -> None:
        self.known: JSON | None = None
        self.deleted: list[int] = []
        self.notify: Callable[[str], None] = lambda uid: None
        self.status: JSON = {}
        self.become("Running", "True", "2020-01-01T00:00:00Z")

    def become(self, phase: str, ready: str, since: str) -> None:
        condition = {"type": "Ready", "status": ready, "lastTransitionTime": since}
        self.status = {"phase": phase, "conditions": [condition], "new-field": "x", "observedGeneration": 1}
        self.notify("u1")

    def create_pod(self, pod: JSON) -> None:
        self.known = pod

    def update_pod(self, pod: JSON) -> None:
        pass

    def delete_pod(self, uid: str, grace_seconds: int) -> None:
        self.deleted.append(grace_seconds)

    def get_pod(self, uid: str) -> JSON | None:
        return self.known

    def pod_status(self, uid: str) -> JSON | None:
        return self.status if self.known else None

    def get_pods(self) -> list[JSON]:
        return []

    def on_change(self, notify: Callable[[str], None]) -> None:
        self.notify = notify

    def is_stopped(self, uid: str) -> bool:
        return False

    def forget_pod(self, uid: str) -> None:
        self.known = None


@pytest.fixture
async def loop() -> AsyncIterator[tuple[Api, Provider]]:
    api, provider = Api(), Provider()
    running = asyncio.create_task(PodLoop(api, "n", provider).run())  # type: ignore[arg-type]
    await until(lambda: api.pod["status"]["phase"] == "Running")
    yield api, provider
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(3):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


async def quiet() -> None:
    """Long enough for a loop that answers its own writes to show it."""
    await asyncio.sleep(0.1)


async def test_what_the_node_controller_turned_is_turned_back(loop: tuple[Api, Provider]) -> None:
    api, _ = loop
    api.write({"conditions": [{"type": "Ready", "status": "False", "lastTransitionTime": "2020-02-02T00:00:00Z"}]})
    await until(lambda: api.condition("Ready")["status"] == "True")
    assert api.condition("Ready")["lastTransitionTime"] > "2020-02-02", "it has not been ready all the time"
    await quiet()
    assert len(api.patches) == 2


async def test_others_conditions_are_none_of_its_business(loop: tuple[Api, Provider]) -> None:
    api, _ = loop
    api.write({"conditions": [{"type": "example.org/gate", "status": "True"}]})
    await quiet()
    assert len(api.patches) == 1
    assert api.condition("example.org/gate")


async def test_a_status_is_told_once_though_the_server_drops_a_part(loop: tuple[Api, Provider]) -> None:
    api, provider = loop
    api.drops = ("observedGeneration",)
    provider.become("Running", "False", "2020-03-03T00:00:00Z")
    await until(lambda: api.condition("Ready")["status"] == "False")
    assert api.condition("Ready")["lastTransitionTime"] == "2020-03-03T00:00:00Z"
    del api.pod["status"]["observedGeneration"]
    api.write({})
    await quiet()
    sent = len(api.patches)
    provider.notify("u1")
    await quiet()
    assert len(api.patches) == sent


async def test_a_pod_that_others_declared_failed_is_ended_and_stays_failed(loop: tuple[Api, Provider]) -> None:
    api, provider = loop
    api.write({"phase": "Failed", "reason": "Evicted"})
    await until(lambda: provider.deleted != [])
    provider.become("Running", "False", "2020-03-03T00:00:00Z")
    await until(lambda: api.condition("Ready")["status"] == "False")
    assert api.pod["status"]["phase"] == "Failed"
    assert api.pod["status"]["reason"] == "Evicted"
    assert set(provider.deleted) == {30}
