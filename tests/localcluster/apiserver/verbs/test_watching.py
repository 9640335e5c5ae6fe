"""Watches over HTTP: what is sent, and that none of them can harm a writer or another watch."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Iterator
from typing import Any

import aiohttp
import pytest

from localcluster.apiserver.server import Server
from localcluster.apiserver.verbs import watching as watching_verb
from tests.localcluster.apiserver.watches import Watching, define, undefine
from tests.localcluster.clusters import Cluster, eventually

CONFIG_MAPS = "/api/v1/namespaces/default/configmaps"
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"


@contextlib.contextmanager
def watching(cluster: Cluster, path: str, **options: Any) -> Iterator[Watching]:
    watch = Watching(cluster, path, **options)
    try:
        yield watch
    finally:
        watch.close()


@pytest.fixture
def config_map(control_plane: Cluster) -> Iterator[Any]:
    """A function that creates a ConfigMap of a name; they are deleted afterwards."""
    session, made = control_plane.session(), []

    def create(name: str, **more: Any) -> None:
        made.append(name)
        body = {"metadata": {"name": name}, **more}
        session.post(control_plane.url + CONFIG_MAPS, json=body, timeout=10).raise_for_status()

    yield create
    for name in made:
        session.delete(f"{control_plane.url}{CONFIG_MAPS}/{name}", timeout=10)


def test_a_number_beyond_a_printer_columns_type_harms_nobody(control_plane: Cluster) -> None:
    columns = [
        {"name": "N", "type": "integer", "jsonPath": ".n"},
        {"name": "M", "type": "number", "jsonPath": ".n"},
        {"name": "S", "type": "string", "jsonPath": ".n"},
    ]
    path = define(control_plane, "printed.example", columns)
    session = control_plane.session()
    with (
        watching(control_plane, path, accept=TABLE) as table,
        watching(control_plane, path) as plain,
    ):
        for name, number in (("huge", "12345678901234567890123"), ("small", "7")):
            text = f'{{"kind":"Thing","apiVersion":"printed.example/v1","metadata":{{"name":"{name}"}},"n":{number}}}'
            headers = {"Content-Type": "application/json"}
            answer = session.post(control_plane.url + path, data=text, headers=headers, timeout=10)
            assert answer.status_code == 201, answer.text
        plain.wait_for("small")
        assert plain.names("ADDED") == ["huge", "small"]
        eventually(lambda: len(table.lines) == 2, 10, "both rows")
    listed = session.get(control_plane.url + path, headers={"Accept": TABLE}, timeout=10)
    cells = {row["cells"][0]: row["cells"][1:] for row in listed.json()["rows"]}
    number = 1.2345678901234568e22
    assert cells == {"huge": [-(2**63), number, "1.2345678901234568e+22"], "small": [7, 7, "7"]}
    undefine(control_plane, "printed.example")


def test_one_clients_wish_for_indentation_does_not_change_the_others_frames(control_plane: Cluster, config_map) -> None:
    with (
        watching(control_plane, CONFIG_MAPS, pretty="true") as pretty,
        watching(control_plane, CONFIG_MAPS) as plain,
    ):
        config_map("pretty")
        plain.wait_for("pretty")
        pretty.wait_for("pretty")
        for line in (*plain.lines, *pretty.lines):
            assert json.loads(line)["type"] in ("ADDED", "MODIFIED")


def test_watches_of_the_same_form_get_the_same_frames(control_plane: Cluster, config_map) -> None:
    metadata_only = "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io"
    with (
        watching(control_plane, CONFIG_MAPS) as first,
        watching(control_plane, CONFIG_MAPS) as second,
        watching(control_plane, CONFIG_MAPS, accept=metadata_only) as short,
        watching(control_plane, CONFIG_MAPS, labelSelector="app=x") as selected,
    ):
        config_map("shared", data={"k": "v"})
        session = control_plane.session()
        url = f"{control_plane.url}{CONFIG_MAPS}/shared"
        merge = {"Content-Type": "application/merge-patch+json"}
        for labels in ({"app": "x"}, {"app": "y"}):
            session.patch(url, json={"metadata": {"labels": labels}}, headers=merge, timeout=10).raise_for_status()
        selected.wait_for("shared", "DELETED")
        for watch in (first, second, short):
            eventually(lambda watch=watch: watch.names("MODIFIED").count("shared") == 2, 10)
        assert [line for line in first.lines if "shared" in line] == [line for line in second.lines if "shared" in line]
        assert {e["object"]["kind"] for e in short.events} == {"PartialObjectMetadata"}
        assert selected.names("ADDED") == ["shared"]


def test_a_watch_ends_with_its_definition(control_plane: Cluster) -> None:
    path = define(control_plane, "gone.example")
    body = {"kind": "Thing", "apiVersion": "gone.example/v1", "metadata": {"name": "last"}}
    control_plane.session().post(control_plane.url + path, json=body, timeout=10).raise_for_status()
    with watching(control_plane, path) as watch:
        watch.wait_for("last")
        undefine(control_plane, "gone.example")
        eventually(lambda: watch.ended, 10, "the watch ends")
        assert watch.names("DELETED") == ["last"]


async def test_a_watch_goes_with_its_client(server: Server, client: aiohttp.ClientSession) -> None:
    watchers = server.store._table("/configmaps").watchers
    before = len(watchers)
    answer = await client.get("/api/v1/configmaps?watch=true")
    assert len(watchers) == before + 1
    answer.close()
    await asyncio.to_thread(eventually, lambda: len(watchers) == before, 5, "the watch is gone")


async def test_a_watch_that_cannot_encode_an_event_says_so_and_ends(
    server: Server, client: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> Any:
        raise ValueError

    answer = await client.get(CONFIG_MAPS, params={"watch": "true"}, headers={"Accept": TABLE})
    monkeypatch.setattr(watching_verb, "table", fail)
    body = {"metadata": {"name": "a"}}
    assert (await client.post(CONFIG_MAPS, json=body)).status == 201
    lines = (await answer.content.read()).splitlines()
    assert [(e["type"], e["object"]["code"]) for e in map(json.loads, lines)] == [("ERROR", 500)]
