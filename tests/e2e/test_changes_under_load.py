"""A function that changes while it is called answers every call, each wholly by one version."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable

import pytest
import requests

from tests.e2e.user import JSON, User, make_function, wait_for

CHANGES = 20
CALLERS = 2
PAUSE_SECONDS = 0.01


def version(number: int) -> JSON:
    """It answers with its number from three places: the module, the call, and the pod's environment."""
    source = (
        "import os\n"
        f"AT_IMPORT = {number}\n"
        "def handler(event, context):\n"
        f"    return f\"{{AT_IMPORT}} {number} {{os.environ['VERSION']}}\"\n"
    )
    container = {"name": "changing", "env": [{"name": "VERSION", "value": str(number)}]}
    return make_function("changing", source, deployment={"spec": {"template": {"spec": {"containers": [container]}}}})


class Load:
    """Callers that go on until they are stopped, and what they got."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []
        self.answers: Counter[str] = Counter()
        self.failures: list[str] = []

    def start(self) -> None:
        for get in (self._keep_alive, self._fresh):
            self._threads += [threading.Thread(target=self._run, args=(get,), daemon=True) for _ in range(CALLERS)]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _run(self, make_get: Callable[[], Callable[[str], requests.Response]]) -> None:
        get = make_get()
        while not self._stop.is_set():
            began = time.time()
            try:
                response = get(self._url)
                if response.status_code == 200:
                    self.answers[response.text] += 1
                else:
                    self.failures.append(
                        f"{began:.3f} {make_get.__name__}: {response.status_code} {response.text[:200]}"
                    )
            except requests.RequestException as error:
                self.failures.append(f"{began:.3f} {make_get.__name__}: {error!r}")
            time.sleep(PAUSE_SECONDS)

    def _keep_alive(self) -> Callable[[str], requests.Response]:
        session = requests.Session()
        return lambda url: session.get(url, timeout=30)

    def _fresh(self) -> Callable[[str], requests.Response]:
        return lambda url: requests.get(url, timeout=30, headers={"Connection": "close"})


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_twenty_changes_under_load_lose_no_call(user: User) -> None:
    user.apply(version(0))
    user.wait_ready("changing")
    load = Load(user.url("changing"))
    load.start()
    try:
        for number in range(1, CHANGES + 1):
            user.apply(version(number))
            wanted = f"{number} {number} {number}"
            wait_for(lambda wanted=wanted: load.answers[wanted], 60, f"no answer of version {number}")
    finally:
        load.stop()
    assert load.failures == []
    assert set(load.answers) == {f"{n} {n} {n}" for n in range(CHANGES + 1)}
