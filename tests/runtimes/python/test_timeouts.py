"""Calls over their time: 408 at the limit, the work really stopped, and everybody else served."""

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from .conftest import InBackground, Serve, wait_until

SOURCE = """
import asyncio, ctypes, os, sys, time
from pathlib import Path

def tick(file):
    with open(file, "a") as marks:
        marks.write(".")

def sleep(file):
    time.sleep(60)

def python_loop(file):
    while True:
        tick(file)

def c_call(file):
    ctypes.CDLL(None).sleep(60)

def catches_everything(file):
    while True:
        try:
            while True:
                tick(file)
                time.sleep(0.01)
        except BaseException:
            pass

async def coroutine(file):
    while True:
        tick(file)
        await asyncio.sleep(0.01)

async def blocking_coroutine(file):
    time.sleep(60)

async def stubborn_coroutine(file):
    while True:
        try:
            tick(file)
            await asyncio.sleep(0.01)
        except asyncio.CancelledError:
            pass

def cleans_up(file):
    try:
        while True:
            time.sleep(0.01)
    finally:
        Path(file).write_text("cleaned up")

def endless_stream(file):
    while True:
        tick(file)
        yield "x"
        time.sleep(0.01)

def slow_stream(file):
    time.sleep(60)
    yield "x"

def handler(event, context):
    data = event["data"]
    if isinstance(data, dict):
        if "sleep" in data:
            time.sleep(data["sleep"])
            return f"slept {os.getpid()}"
        return globals()[data["do"]](data.get("file"))
    return str(os.getpid())
"""


@pytest.mark.parametrize(
    ("kind", "replaced"),
    [
        ("sleep", True),
        ("python_loop", False),
        ("c_call", True),
        ("catches_everything", True),
        ("coroutine", False),
        ("blocking_coroutine", True),
        ("stubborn_coroutine", True),
        ("slow_stream", True),
    ],
)
def test_a_call_over_its_time_is_answered_at_the_limit_and_stopped(
    serve: Serve, tmp_path: Path, kind: str, replaced: bool
) -> None:
    function = serve(SOURCE, FUNC_TIMEOUT="1")
    marks = tmp_path / "marks"
    before = function.get().text
    start = time.monotonic()
    response = function.call(do=kind, file=str(marks))
    took = time.monotonic() - start
    assert response.status_code == 408
    assert "within its timeout" in response.json()["error"]
    assert 0.95 < took < 1.4
    assert function.get().status_code == 200
    if replaced:
        wait_until(lambda: not psutil.pid_exists(int(before)), 8)
        assert function.get().text != before
        assert "Replacing worker" in function.log
    else:
        time.sleep(1.3)
        assert function.get().text == before
        assert "Replacing worker" not in function.log
    written = marks.stat().st_size if marks.exists() else 0
    time.sleep(0.2)
    assert (marks.stat().st_size if marks.exists() else 0) == written
    assert function.metric("function_calls_total") == 1
    assert function.metric("function_failures_total") == 1
    assert "function_calls_in_progress 0.0" in function.get("/metrics").text


def test_cleaning_up_is_done_in_a_call_that_is_stopped(serve: Serve, tmp_path: Path) -> None:
    function = serve(SOURCE, FUNC_TIMEOUT="0.5")
    assert function.call(do="cleans_up", file=str(tmp_path / "done")).status_code == 408
    wait_until((tmp_path / "done").exists)


def test_a_stream_ends_at_the_limit_too(serve: Serve, tmp_path: Path) -> None:
    function = serve(SOURCE, FUNC_TIMEOUT="1")
    start = time.monotonic()
    answer = InBackground(lambda: function.call(do="endless_stream", file=str(tmp_path / "marks"))).result()
    assert "Connection broken" in str(answer) or "prematurely" in str(answer)
    assert time.monotonic() - start < 5
    wait_until(lambda: "timed out while streaming" in function.log)


def test_other_calls_of_a_replaced_worker_finish_first(serve: Serve) -> None:
    function = serve(SOURCE, FUNC_TIMEOUT="3")
    before = function.get().text
    stuck = InBackground(lambda: function.call(do="c_call"))
    time.sleep(2.2)
    beside = InBackground(lambda: function.call(sleep=2.6))  # until after the worker has been told to retire
    assert stuck.result().status_code == 408
    wait_until(lambda: "Replacing worker" in function.log)
    assert function.get().text != before
    assert beside.result().text == f"slept {before}"
    wait_until(lambda: not psutil.pid_exists(int(before)), 5)
    assert len(function.workers()) == 1


def test_a_process_that_runs_no_python_any_more_is_ended(serve: Serve) -> None:
    source = SOURCE + "\ndef holds_the_lock(file):\n    ctypes.PyDLL(None).sleep(60)\n"
    function = serve(source, FUNC_TIMEOUT="1")
    answer = InBackground(lambda: function.call(do="holds_the_lock")).result()
    assert isinstance(answer, Exception)
    assert function.get().status_code == 200
    assert "in holds_the_lock" in function.log


@pytest.mark.parametrize("code", [0, 3, 4, 255])
def test_a_handler_that_ends_its_process_ends_no_more_than_that(serve: Serve, code: int) -> None:
    function = serve(
        f"import os\ndef handler(event, context):\n    if event['data']: os._exit({code})\n    return 'ok'"
    )
    assert isinstance(InBackground(lambda: function.call(a=1)).result(), Exception)
    assert function.get().text == "ok"
    assert function.metric("function_calls_total") == 1


def test_eight_calls_of_half_a_second_take_half_a_second(serve: Serve) -> None:
    function = serve(SOURCE)
    start = time.monotonic()
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda number: function.call(sleep=0.5).status_code, range(8)))
    assert answers == [200] * 8
    assert time.monotonic() - start < 0.9
