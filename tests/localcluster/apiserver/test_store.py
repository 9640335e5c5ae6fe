"""The store: versions only rise, history answers or says Expired, and what was committed is there after a kill."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from localcluster.apiserver.store import (
    HISTORY_BYTES,
    HISTORY_EVENTS,
    HISTORY_SECONDS,
    Event,
    Exists,
    Expired,
    Stale,
    Store,
)


def config_map(name: str, namespace: str = "n", **data: str) -> dict:
    return {"metadata": {"name": name, "namespace": namespace}, "data": data}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "state.db")


def test_versions_rise_with_every_write_of_any_resource(store):
    first = store.create("/configmaps", config_map("a"))
    second = store.create("/secrets", config_map("a"))
    third = store.update("/configmaps", config_map("a", k="v"), first)
    last = store.delete("/secrets", second)
    versions = [int(o["metadata"]["resourceVersion"]) for o in (first, second, third, last)]
    assert versions == sorted(set(versions))


def test_create_of_a_taken_name_tells_who_has_it(store):
    first = store.create("/configmaps", config_map("a"))
    with pytest.raises(Exists) as caught:
        store.create("/configmaps", config_map("a"))
    assert caught.value.obj is first


def test_writes_to_an_outdated_object_are_refused(store):
    first = store.create("/configmaps", config_map("a"))
    store.update("/configmaps", config_map("a", k="v"), first)
    with pytest.raises(Stale):
        store.update("/configmaps", config_map("a", k="w"), first)
    with pytest.raises(Stale):
        store.delete("/configmaps", first)
    assert store.get("/configmaps", "n", "a")["data"] == {"k": "v"}


def test_lists_are_in_the_order_of_the_keys_and_by_namespace(store):
    for namespace, name in (("b", "x"), ("a-b", "x"), ("a", "y"), ("a", "x")):
        store.create("/configmaps", config_map(name, namespace))
    keys = [(o["metadata"]["namespace"], o["metadata"]["name"]) for o in store.list("/configmaps")]
    assert keys == [("a-b", "x"), ("a", "x"), ("a", "y"), ("b", "x")]
    assert [o["metadata"]["name"] for o in store.list("/configmaps", "a")] == ["x", "y"]


def test_a_past_state_can_be_listed(store):
    a = store.create("/configmaps", config_map("a", k="1"))
    b = store.create("/configmaps", config_map("b"))
    then = store.version
    store.update("/configmaps", config_map("a", k="2"), a)
    store.delete("/configmaps", b)
    store.create("/configmaps", config_map("c"))
    past = {o["metadata"]["name"]: o["data"] for o in store.list_at("/configmaps", then)}
    assert past == {"a": {"k": "1"}, "b": {}}


def test_subscribers_see_what_a_replay_sees(store):
    seen: list[Event] = []
    start = store.version
    unsubscribe = store.subscribe("/configmaps", seen.append)
    a = store.create("/configmaps", config_map("a"))
    store.create("/secrets", config_map("other"))
    b = store.update("/configmaps", config_map("a", k="v"), a)
    store.delete("/configmaps", b)
    unsubscribe()
    store.create("/configmaps", config_map("late"))
    assert [(e.type, e.version) for e in seen] == [(e.type, e.version) for e in store.since("/configmaps", start)[:-1]]
    assert [e.type for e in seen] == ["ADDED", "MODIFIED", "DELETED"]
    assert seen[-1].obj["data"] == {"k": "v"}


def test_history_is_bounded_and_says_so(store):
    obj = store.create("/configmaps", config_map("a"))
    start = store.version
    for number in range(HISTORY_EVENTS + 10):
        obj = store.update("/configmaps", config_map("a", k=str(number)), obj)
    with pytest.raises(Expired):
        store.since("/configmaps", start)
    with pytest.raises(Expired):
        store.list_at("/configmaps", start)
    assert len(store.since("/configmaps", store.version - 5)) == 5


def test_a_reopened_store_goes_on_where_it_was(tmp_path):
    store = Store(tmp_path / "state.db")
    kept = store.create("/configmaps", config_map("a", k="v"))
    gone = store.create("/configmaps", config_map("b"))
    store.delete("/configmaps", gone)
    version = store.version
    store.close()
    again = Store(tmp_path / "state.db")
    assert again.version == version
    assert again.list("/configmaps") == [kept]
    with pytest.raises(Expired):
        again.since("/configmaps", version - 1)
    assert again.since("/configmaps", version) == []


WRITER = """
import sys
import time
from localcluster.apiserver.store import (
    HISTORY_BYTES,
    HISTORY_EVENTS,
    HISTORY_SECONDS,
    Event,
    Exists,
    Expired,
    Stale,
    Store,
)
store = Store(sys.argv[1])
for number in range(100_000):
    obj = store.create("/configmaps", {"metadata": {"name": f"c{number}", "namespace": "n"}})
    print(number, obj["metadata"]["resourceVersion"], flush=True)
"""


def test_what_was_acknowledged_survives_kill_9(tmp_path):
    path = tmp_path / "state.db"
    process = subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True)
    lines = [process.stdout.readline() for _ in range(300)]
    process.send_signal(signal.SIGKILL)
    lines += process.stdout.readlines()
    process.wait()
    acknowledged = [line.split() for line in lines if line.endswith("\n")]
    store = Store(path)
    for number, version in acknowledged:
        assert store.get("/configmaps", "n", f"c{number}")["metadata"]["resourceVersion"] == version
    assert store.version >= int(acknowledged[-1][1])


def test_a_subscriber_that_fails_harms_neither_the_writer_nor_the_others(store, caplog):
    def fail(event: Event) -> None:
        raise ValueError("of this subscriber")

    seen: list[Event] = []
    store.subscribe("/configmaps", fail)
    store.subscribe("/configmaps", seen.append)
    stored = store.create("/configmaps", config_map("a"))
    assert store.get("/configmaps", "n", "a") is stored
    assert [e.obj for e in seen] == [stored]
    assert "of this subscriber" in caplog.text


def test_history_is_bounded_in_bytes_by_what_is_largest(store):
    small = store.create("/secrets", config_map("a"))
    start = store.version
    obj = store.create("/configmaps", config_map("a"))
    for number in range(40):
        obj = store.update("/configmaps", config_map("a", k=str(number) * (HISTORY_BYTES // 40)), obj)
    with pytest.raises(Expired):
        store.since("/configmaps", start)
    kept = store.since("/configmaps", store.version - 5)
    assert [e.obj["data"]["k"][:2] for e in kept] == ["35", "36", "37", "38", "39"]
    assert kept[-1].old == kept[-2].obj
    store.delete("/secrets", small)
    assert [e.type for e in store.since("/secrets", start)] == ["DELETED"]


def test_old_history_is_forgotten(store, monkeypatch):
    start = store.version
    store.delete("/configmaps", store.create("/configmaps", config_map("a")))
    later = time.monotonic() + HISTORY_SECONDS + 1
    monkeypatch.setattr("time.monotonic", lambda: later)
    store.compact()
    with pytest.raises(Expired):
        store.since("/configmaps", start)
    assert store.since("/configmaps", store.version) == []
