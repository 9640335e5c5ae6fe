"""Workers and signals: figures that are right over all of them, a clean drain, and a clear end of a failed start."""

import http.client
import os
import random
import re
import signal
import sys
import threading
import time
from functools import partial

import psutil
import pytest
import requests

from .conftest import HOST, InBackground, Serve, ServedFunction, wait_until

SOURCE = """
import os, time
def handler(event, context):
    if event["data"]:
        time.sleep(float(event["data"]))
    return str(os.getpid())
"""


def calls_of(function: ServedFunction, count: int) -> set[str]:
    return {requests.post(function.url, timeout=20).text for _ in range(count)}


def was_replaced(function: ServedFunction, worker: int) -> bool:
    workers = function.workers()
    return worker not in workers and len(workers) == 2


def test_figures_are_those_of_all_workers(serve: Serve) -> None:
    function = serve(SOURCE, FUNC_WORKERS="3")
    wait_until(lambda: len(function.workers()) == 3)
    seen: set[str] = set()
    made = 0
    while len(seen) < 2:
        seen |= calls_of(function, 10)
        made += 10
        assert made < 1000
    assert {function.metric("function_calls_total") for _ in range(10)} == {made}
    assert function.metric("function_duration_seconds_count") == made
    assert function.metric("function_failures_total") == 0
    text = function.get("/metrics").text
    assert re.search(rf'function_duration_seconds_bucket{{le="\+Inf",method="POST"}} {made}.0', text)
    assert "# TYPE function_duration_seconds histogram" in text


def test_counters_begin_at_zero(serve: Serve) -> None:
    text = serve(SOURCE).get("/metrics").text
    for name in ("function_calls_total", "function_failures_total", "function_duration_seconds_count"):
        assert f'{name}{{method="POST"}} 0.0' in text


def test_counters_never_go_backwards_while_workers_are_killed(serve: Serve) -> None:
    function = serve(SOURCE, FUNC_WORKERS="2")
    made = 0
    last = 0.0
    chance = random.Random(7)
    for round_number in range(12):
        lost = 0
        for _ in range(10):
            try:
                requests.post(function.url, timeout=20)
                made += 1
            except requests.ConnectionError:
                lost += 1
        counted = function.metric("function_calls_total")
        assert counted >= last
        assert made <= counted <= made + lost
        made = int(counted)
        last = counted
        workers = function.workers()
        victim = chance.choice(workers)
        os.kill(victim, signal.SIGKILL)
        wait_until(partial(was_replaced, function, victim))
        assert function.metric("function_calls_total") == last, round_number
    folder = next(function.temporary.glob("metrics-*"))
    assert len(list(folder.glob("counter_*.db"))) <= 4  # master, two workers, the archive


def test_a_call_that_dies_with_its_worker_is_counted_and_not_in_progress_for_ever(serve: Serve) -> None:
    function = serve(SOURCE)
    call = InBackground(lambda: requests.post(function.url, data=b"5", timeout=20))
    wait_until(lambda: "function_calls_in_progress 1.0" in function.get("/metrics").text)
    os.kill(function.workers()[0], signal.SIGKILL)
    assert isinstance(call.result(), requests.ConnectionError)
    wait_until(lambda: "function_calls_in_progress 0.0" in function.get("/metrics").text)
    assert function.metric("function_calls_total") == 1
    assert function.metric("function_duration_seconds_count") == 0


def test_metrics_come_in_the_format_that_is_asked_for(serve: Serve) -> None:
    function = serve(SOURCE)
    assert function.get("/metrics").headers["Content-Type"].startswith("text/plain")
    open_metrics = function.get("/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"})
    assert open_metrics.headers["Content-Type"].startswith("application/openmetrics-text")
    assert open_metrics.text.endswith("# EOF\n")


def test_sigterm_finishes_what_is_in_flight_and_serves_on_for_a_moment(serve: Serve) -> None:
    function = serve(SOURCE, FUNC_DRAIN_SECONDS="1")
    kept = http.client.HTTPConnection(HOST, function.port, timeout=10)
    kept.request("GET", "/")
    kept.getresponse().read()
    in_flight = InBackground(lambda: requests.post(function.url, data=b"2", timeout=20))
    wait_until(lambda: "function_calls_in_progress 1.0" in function.get("/metrics").text)
    function.process.send_signal(signal.SIGTERM)
    wait_until(lambda: function.get("/healthz").status_code == 503)
    assert function.get().status_code == 200
    kept.request("GET", "/")
    answer = kept.getresponse()
    assert (answer.status, answer.getheader("Connection")) == (200, "close")
    assert in_flight.result().status_code == 200
    assert function.process.wait(5) == 0
    assert not list(function.temporary.iterdir())


def test_no_call_is_lost_between_sigterm_and_the_end_of_the_drain(serve: Serve) -> None:
    function = serve(SOURCE, FUNC_WORKERS="2", FUNC_DRAIN_SECONDS="1")
    failures: list[Exception] = []
    answered = 0
    until = time.monotonic() + 60

    def load() -> None:
        nonlocal answered
        with requests.Session() as session:
            while time.monotonic() < until:
                try:
                    assert session.get(function.url, timeout=10).status_code == 200
                    answered += 1
                except Exception as error:
                    failures.append(error)

    threads = [threading.Thread(target=load) for _ in range(4)]
    for thread in threads:
        thread.start()
    wait_until(lambda: answered > 50)
    until = time.monotonic() + 0.7  # in that time every endpoint list has forgotten the pod
    function.process.send_signal(signal.SIGTERM)
    for thread in threads:
        thread.join()
    assert failures == []
    assert function.process.wait(10) == 0


def test_a_second_sigterm_cuts_the_drain_short(serve: Serve) -> None:
    function = serve(SOURCE, FUNC_DRAIN_SECONDS="60")
    function.process.send_signal(signal.SIGTERM)
    wait_until(lambda: function.get("/healthz").status_code == 503)
    assert function.terminate() == 0


def test_idle_connections_do_not_hold_up_the_end(serve: Serve) -> None:
    function = serve(SOURCE)
    idle = [http.client.HTTPConnection(HOST, function.port, timeout=10) for _ in range(3)]
    for connection in idle:
        connection.connect()
    start = time.monotonic()
    assert function.terminate() == 0
    assert time.monotonic() - start < 3


def test_idle_connections_hold_no_threads(serve: Serve) -> None:
    function = serve(SOURCE, FUNC_THREADS="2")
    idle = [http.client.HTTPConnection(HOST, function.port, timeout=10) for _ in range(8)]
    for connection in idle:
        connection.connect()
    start = time.monotonic()
    assert function.get().status_code == 200
    assert time.monotonic() - start < 1


def test_probes_and_metrics_are_answered_while_all_threads_are_busy(serve: Serve) -> None:
    function = serve(SOURCE, FUNC_THREADS="2")
    calls = [InBackground(lambda: requests.post(function.url, data=b"2", timeout=20)) for _ in range(6)]
    wait_until(lambda: "function_calls_in_progress 2.0" in function.get("/metrics").text)
    start = time.monotonic()
    assert function.get("/healthz").text == "OK"
    assert time.monotonic() - start < 1
    assert [call.result().status_code for call in calls] == [200] * 6


def test_workers_end_when_their_master_is_gone(serve: Serve) -> None:
    function = serve(SOURCE)
    workers = function.workers()
    os.kill(function.process.pid, signal.SIGKILL)
    function.process.wait(5)
    wait_until(lambda: not any(psutil.pid_exists(pid) and psutil.Process(pid).status() != "zombie" for pid in workers))


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (None, "module 'hello' not found: the source has no hello.py; it has: "),
        ("def other(event, context): pass", "module 'hello' has no function 'handler'; it has: other"),
        ("handler = {}", "hello.handler is a dict, not a function"),
        ("def handler(event): pass", "hello.handler takes (event); a handler takes (event, context)"),
        ("def handler(:\n", "hello.py line 1: SyntaxError: invalid syntax"),
        (
            "import os\nimport no_such_package.sub\ndef handler(e, c): pass",
            "importing 'hello' failed at hello.py line 2: ModuleNotFoundError: No module named 'no_such_package'; "
            "add the package of 'no_such_package' to the function's deps, or its file to the source",
        ),
        ("raise RuntimeError('no\\ndatabase')", "importing 'hello' failed at hello.py line 1: RuntimeError: no"),
        ("import sys; sys.exit(0)", "importing 'hello' failed at hello.py line 1: it called sys.exit(0)"),
        ("x = b'\\x00' + 'é'", "importing 'hello' failed at hello.py line 1: TypeError"),
    ],
)
def test_a_handler_that_cannot_be_used_is_told_in_log_and_status(
    serve: Serve, source: str | None, message: str
) -> None:
    env = {} if source is not None else {"FUNC_SOURCE_DIR": "/proc/self/fdinfo"}
    function = serve(source or "", ready=False, **env)
    assert function.process.wait(10) == 1
    assert function.termination_log.read_text().startswith(message)
    assert "\n" not in function.termination_log.read_text()
    assert function.log.splitlines()[-1].startswith(message)
    assert "runpy" not in function.log and "importlib" not in function.log


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"MOD_NAME": ""}, "MOD_NAME is not set; it is the handler's module"),
        ({"MOD_NAME": "../x"}, "MOD_NAME is '../x'; it must be the name of a file"),
        ({"FUNC_TIMEOUT": "soon"}, "FUNC_TIMEOUT is 'soon'; it must be a number of seconds"),
        ({"FUNC_TIMEOUT": "0"}, "FUNC_TIMEOUT is '0'"),
        ({"FUNC_TIMEOUT": "nan"}, "FUNC_TIMEOUT is 'nan'"),
        ({"FUNC_PORT": "99999"}, "FUNC_PORT is '99999'; it must be a whole number from 1 to 65535"),
        ({"FUNC_MAX_BODY": "much"}, "FUNC_MAX_BODY: 'much' is not a size"),
    ],
)
def test_a_setting_that_cannot_be_used_is_named(serve: Serve, variables: dict[str, str], message: str) -> None:
    function = serve(SOURCE, ready=False, **variables)
    assert function.process.wait(10) == 1
    assert function.termination_log.read_text().startswith(message)


def test_modules_beside_the_handler_and_installed_ones_are_found(serve: Serve) -> None:
    source = """
import hello_lib, sys
from pathlib import Path
assert "test" not in sys.modules
def handler(event, context):
    import json
    return json.__file__ + " " + hello_lib.WHERE
"""
    function = serve(source, ready=False, MOD_NAME="test-it")
    function.stop()
    folder = function.termination_log.parent
    (folder / "test-it.py").write_text(source)
    (folder / "json.py").write_text("raise ImportError('stdlib must not be shadowed for the runtime')")
    packages = folder / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}" / "site-packages"
    packages.mkdir(parents=True)
    (packages / "hello_lib.py").write_text("WHERE = 'site-packages'")
    again = serve(SOURCE, FUNC_SOURCE_DIR=str(folder), MOD_NAME="test-it")
    assert again.get().text.endswith(" site-packages")
