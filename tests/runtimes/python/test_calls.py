"""Calls without HTTP: threads are used again, interrupted ones never, and stuck ones are reported."""

import asyncio
import contextvars
import ctypes
import random
import threading
import time
from functools import partial

import pytest

from runtimes.python.calls import Calls, TimedOut

from .conftest import wait_until


def call_threads() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name == "call"}


def test_one_thread_serves_call_after_call() -> None:
    calls = Calls(5)
    seen = set()
    for _ in range(20):
        call = calls.start()
        seen.add(call.run(threading.get_ident))
        call.close()
    assert len(seen) == 1
    assert threading.get_ident() not in seen


def test_parts_of_a_call_share_thread_and_context() -> None:
    variable = contextvars.ContextVar("variable", default="unset")
    variable.set("outer")
    call = Calls(5).start()
    first = call.run(lambda: (threading.get_ident(), variable.get(), variable.set("inner"))[:2])
    second = call.run(lambda: (threading.get_ident(), variable.get()))
    assert (first[1], second[1], variable.get()) == ("outer", "inner", "outer")
    assert first[0] == second[0]


@pytest.mark.parametrize("error", [ValueError("x"), SystemExit(3), KeyboardInterrupt(), StopIteration(1)])
def test_what_a_function_raises_is_raised(error: BaseException) -> None:
    def function() -> None:
        raise error

    async def coroutine() -> None:
        raise error

    calls = Calls(5)
    for _ in range(2):
        call = calls.start()
        with pytest.raises(type(error)):
            call.run(function)
        if not isinstance(error, StopIteration):
            with pytest.raises(type(error)):
                call.wait(coroutine())
        call.close()


def test_a_stuck_call_is_reported_and_another_is_not() -> None:
    calls = Calls(0.1)
    reports: list[str] = []
    calls.on_stuck = reports.append

    def spin() -> None:
        while True:
            pass

    for function in (spin, lambda: asyncio.run(asyncio.sleep(60))):
        call = calls.start()
        with pytest.raises(TimedOut):
            call.run(function)
        call.close()
    with pytest.raises(TimedOut):
        calls.start().wait(asyncio.sleep(60))
    time.sleep(1.2)
    assert len(reports) <= 1  # a selector that waits in C may be one
    reports.clear()
    with pytest.raises(TimedOut):
        calls.start().run(lambda: ctypes.CDLL(None).sleep(3))
    wait_until(lambda: reports, 3)
    assert "0.1 s" in reports[0]


def test_calls_that_end_just_at_their_limit_harm_no_later_call() -> None:
    calls = Calls(0.01)
    chance = random.Random(3)
    outcomes = {"done": 0, "late": 0}
    before = call_threads()
    for _ in range(150):
        call = calls.start()
        seconds = 0.01 + chance.uniform(-0.002, 0.002)
        try:
            assert call.run(partial(time.sleep, seconds)) is None
            outcomes["done"] += 1
        except TimedOut:
            outcomes["late"] += 1
        call.close()
    assert outcomes["late"] > 10
    calls.timeout_seconds = 5
    for _ in range(50):
        call = calls.start()
        assert call.run(lambda: sum(range(100))) == 4950
        call.close()
    wait_until(lambda: len(call_threads() - before) == len(calls._idle))
