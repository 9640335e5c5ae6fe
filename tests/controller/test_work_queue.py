"""Each key is worked on once at a time, and comes again when it was added meanwhile."""

from __future__ import annotations

import asyncio

from controller import work_queue
from controller.work_queue import WorkQueue


async def test_a_key_that_waits_is_not_added_twice() -> None:
    queue: WorkQueue[str] = WorkQueue()
    for key in ("a", "b", "a"):
        queue.add(key)
    assert [await queue.take(), await queue.take()] == ["a", "b"]
    assert len(queue) == 2


async def test_a_key_that_changes_while_it_is_worked_on_comes_again_after_that() -> None:
    queue: WorkQueue[str] = WorkQueue()
    queue.add("a")
    await queue.take()
    queue.add("a")
    taken = asyncio.create_task(queue.take())
    await asyncio.sleep(0)
    assert not taken.done()
    queue.done("a")
    assert await taken == "a"
    queue.done("a")
    assert len(queue) == 0


async def test_failures_wait_longer_and_longer_up_to_a_limit() -> None:
    queue: WorkQueue[str] = WorkQueue()
    waits = [queue.retry("a") for _ in range(12)]
    assert waits[0] < 1 < waits[3]
    assert max(waits) <= work_queue.LAST_RETRY_SECONDS * 1.1
    queue.forgive("a")
    assert queue.retry("a") < 1
    queue.close()


async def test_a_change_does_not_wait_for_the_next_try() -> None:
    queue: WorkQueue[str] = WorkQueue()
    queue.add_later("a", 3600)
    queue.add("a")
    async with asyncio.timeout(1):
        assert await queue.take() == "a"
    queue.close()


async def test_the_sooner_of_two_times_counts() -> None:
    queue: WorkQueue[str] = WorkQueue()
    queue.add_later("a", 3600)
    queue.add_later("a", 0.01)
    queue.add_later("a", 3600)
    async with asyncio.timeout(2):
        assert await queue.take() == "a"


async def test_idle_is_when_nothing_is_worked_on() -> None:
    queue: WorkQueue[str] = WorkQueue()
    queue.add("a")
    await queue.take()
    idle = asyncio.create_task(queue.idle())
    await asyncio.sleep(0)
    assert not idle.done()
    queue.done("a")
    async with asyncio.timeout(1):
        await idle
