"""Informers follow the server through everything that can happen to it; queues give each key to one worker."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable

import pytest

from localcluster.client import Client, Unreachable
from localcluster.informer import Informer, work
from localcluster.resource_types import CONFIG_MAPS
from localcluster.workqueue import WorkQueue
from tests.localcluster.fake_server import FakeServer


@pytest.fixture
async def server() -> AsyncIterator[FakeServer]:
    fake = FakeServer()
    await fake.start()
    yield fake
    await fake.stop()


class Followed:
    """An informer that runs, and the changes that its handler heard of."""

    def __init__(self, informer: Informer) -> None:
        self.informer = informer
        self.heard: list[tuple[str, str]] = []
        informer.add_handler(self._hear)

    def _hear(self, old, new):
        event = "added" if old is None else "removed" if new is None else "changed"
        self.heard.append((event, (new or old)["metadata"]["name"]))


@pytest.fixture
async def followed(server: FakeServer) -> AsyncIterator[Followed]:
    async with Client(server.url) as client:
        informer = Informer(client, CONFIG_MAPS, indexers={"data": lambda o: o.get("data", {}).values()})
        task = asyncio.create_task(informer.run())
        yield Followed(informer)
        task.cancel()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        # Anything may make it true, so there is no event to wait for.
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


async def test_it_follows(server, followed):
    informer = followed.informer
    server.put("a", data={"k": "x"})
    await informer.synced.wait()
    server.put("b")
    server.put("a", data={"k": "y"})
    server.remove("b")
    await until(lambda: ("removed", "b") in followed.heard)
    assert followed.heard == [("added", "a"), ("added", "b"), ("changed", "a"), ("removed", "b")]
    assert [o["metadata"]["name"] for o in informer.by_index("data", "y")] == ["a"]
    assert not informer.by_index("data", "x")


async def test_a_handler_that_fails_takes_nothing_from_the_others(server, followed, caplog):
    def fails(old, new):
        raise LookupError("a mistake in a handler")

    followed.informer._handlers.insert(0, fails)
    server.put("a")
    await followed.informer.synced.wait()
    server.put("b")
    await until(lambda: ("added", "b") in followed.heard)
    assert followed.heard == [("added", "a"), ("added", "b")]
    assert sum("watch" in path for _, path in server.requests) == 1
    assert "a mistake in a handler" in caplog.text


async def test_it_goes_on_where_it_was_when_a_watch_breaks(server, followed):
    server.put("a")
    await followed.informer.synced.wait()
    server.break_watches()
    server.put("b")
    server.remove("a")
    await until(lambda: ("removed", "a") in followed.heard)
    assert followed.heard == [("added", "a"), ("added", "b"), ("removed", "a")]
    assert sum("watch" not in path for _, path in server.requests) == 1


async def test_it_lists_again_when_its_version_is_too_old(server, followed):
    server.put("a")
    server.put("b")
    await followed.informer.synced.wait()
    server.remove("a")
    await until(lambda: len(followed.informer) == 1)
    server.put("c")
    server.history.clear()
    server.oldest = server.version
    server.break_watches()
    await until(lambda: followed.informer.get("ns", "c") is not None)
    assert followed.informer.get("ns", "a") is None


async def test_what_it_writes_it_knows_at_once(server, followed):
    informer = followed.informer
    await informer.synced.wait()
    made = await informer.create({"metadata": {"name": "a"}}, "ns")
    assert informer.get("ns", "a") == made
    await informer.delete(made)
    assert informer.get("ns", "a") is None
    # The events of both writes come later, and change nothing more.
    server.put("last")
    await until(lambda: informer.get("ns", "last") is not None)
    assert followed.heard == [("added", "a"), ("removed", "a"), ("added", "last")]


async def test_an_old_answer_does_not_undo_what_came_after(server, followed):
    informer = followed.informer
    await informer.synced.wait()
    old = server.put("a", data={"k": "old"})
    server.put("a", data={"k": "new"})
    await until(lambda: bool(informer.by_index("data", "new")))
    informer.observe(old)
    assert informer.get("ns", "a")["data"] == {"k": "new"}
    server.remove("a")
    await until(lambda: informer.get("ns", "a") is None)
    informer.observe(old)
    assert informer.get("ns", "a") is None


async def test_after_a_write_without_an_answer_it_is_complete_only_after_a_list(server, followed):
    informer = followed.informer
    await informer.synced.wait()
    server.lose_answers = 1
    with pytest.raises(Unreachable):
        await informer.create({"metadata": {"name": "a"}}, "ns")
    assert not informer.synced.is_set()
    await asyncio.wait_for(informer.synced.wait(), 5)
    assert informer.get("ns", "a") is not None


async def test_the_server_may_be_away_for_a_while():
    server = FakeServer()
    await server.start()
    port = int(server.url.rpartition(":")[2])
    async with Client(server.url) as client:
        informer = Informer(client, CONFIG_MAPS)
        task = asyncio.create_task(informer.run())
        server.put("a")
        await informer.synced.wait()
        await server.stop()
        await asyncio.sleep(0.2)
        server.put("b")
        await server.start(port)
        await until(lambda: informer.get("ns", "b") is not None)
        task.cancel()
        await server.stop()


# ---- the queue


async def test_a_key_waits_while_it_is_worked_on():
    queue: WorkQueue[str] = WorkQueue()
    queue.add("a")
    queue.add("a")
    assert await queue.get() == "a"
    queue.add("a")
    assert len(queue) == 0
    queue.done("a")
    assert await queue.get() == "a"


async def test_of_several_delays_the_earliest_counts():
    queue: WorkQueue[str] = WorkQueue()
    queue.add_after("a", 30)
    queue.add_after("a", 0.01)
    queue.add_after("a", 30)
    assert await asyncio.wait_for(queue.get(), 1) == "a"


async def test_failures_are_tried_again_later_and_later():
    queue: WorkQueue[str] = WorkQueue(base_seconds=0.001)
    tries: list[float] = []
    done = asyncio.Event()

    async def reconcile(key: str) -> None:
        tries.append(asyncio.get_running_loop().time())
        if len(tries) < 6:
            raise Unreachable("no")
        done.set()

    queue.add("a")
    worker = asyncio.create_task(work(queue, reconcile, name="test"))
    await asyncio.wait_for(done.wait(), 5)
    worker.cancel()
    waits = [b - a for a, b in itertools.pairwise(tries)]
    assert waits[-1] > waits[0] * 3
    await asyncio.sleep(0)
    assert queue.failures("a") == 0


async def test_every_worker_gets_its_share():
    queue: WorkQueue[int] = WorkQueue()
    busy: set[int] = set()
    most = 0

    async def reconcile(key: int) -> None:
        nonlocal most
        busy.add(key)
        most = max(most, len(busy))
        await asyncio.sleep(0.01)
        busy.discard(key)

    workers = [asyncio.create_task(work(queue, reconcile, name="test")) for _ in range(4)]
    await asyncio.sleep(0)
    for key in range(20):
        queue.add(key)
    await until(lambda: not len(queue) and not busy)
    assert most == 4
    for worker in workers:
        worker.cancel()


async def test_what_was_to_come_later_can_be_dropped():
    queue: WorkQueue[str] = WorkQueue()
    queue.add_after("a", 0.02)
    queue.add_rate_limited("b")
    queue.cancel("a")
    queue.cancel("b")
    assert queue.failures("b") == 0
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(queue.get(), 0.1)
