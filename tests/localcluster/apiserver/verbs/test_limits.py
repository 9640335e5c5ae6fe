"""Requests that ask for too much are refused, and the server goes on."""

from __future__ import annotations

import json
from typing import Any

import pytest
import requests

from tests.localcluster.apiserver.watches import define, undefine
from tests.localcluster.clusters import Cluster

CONFIG_MAPS = "/api/v1/namespaces/default/configmaps"
GROUP = "deep.example"


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = {"a": value}
    return value


@pytest.fixture
def things(control_plane: Cluster) -> Any:
    yield control_plane.url + define(control_plane, GROUP)
    undefine(control_plane, GROUP)


def body(name: str, depth: int) -> str:
    kept = {"kind": "Thing", "apiVersion": f"{GROUP}/v1", "metadata": {"name": name}, "spec": nested(depth)}
    return json.dumps(kept)


def send(cluster: Cluster, method: str, url: str, media: str, text: str | bytes, **query: str) -> requests.Response:
    headers = {"Content-Type": media}
    return cluster.session().request(method, url, data=text, headers=headers, params=query, timeout=20)


def test_objects_that_are_nested_deep(control_plane: Cluster, things: str) -> None:
    text = body("deep", 190)
    assert send(control_plane, "POST", things, "application/json", text).status_code == 201
    url = f"{things}/deep"
    for accept in ("application/json", "application/yaml"):
        assert control_plane.session().get(url, headers={"Accept": accept}, timeout=10).status_code == 200
    merged = send(control_plane, "PATCH", url, "application/merge-patch+json", text)
    assert (merged.status_code, merged.json()["spec"]) == (200, nested(190))
    for media in ("application/apply-patch+yaml",):
        applied = send(control_plane, "PATCH", url, media, text, fieldManager="other")
        assert applied.status_code == 200, applied.text[:300]


@pytest.mark.parametrize("depth", [250, 300, 900, 100_000])
def test_objects_that_are_nested_too_deep(control_plane: Cluster, things: str, depth: int) -> None:
    text = body("deeper", 0)[:-2] + '{"a":' * depth + "1" + "}" * depth + "}"
    for media in ("application/json", "application/yaml"):
        answer = send(control_plane, "POST", things, media, text)
        assert (answer.status_code, answer.json()["reason"]) == (400, "BadRequest")
        assert "exceeded max depth" in answer.json()["message"]
    session = control_plane.session()
    session.post(control_plane.url + CONFIG_MAPS, json={"metadata": {"name": "deeper"}}, timeout=10)
    url = f"{control_plane.url}{CONFIG_MAPS}/deeper"
    operations = f'[{{"op":"add","path":"/data","value":{text}}}]'
    for media, patch in (
        ("application/json-patch+json", operations),
        ("application/merge-patch+json", text),
        ("application/strategic-merge-patch+json", text),
        ("application/apply-patch+yaml", text),
    ):
        answer = send(control_plane, "PATCH", url, media, patch, fieldManager="m")
        assert answer.status_code == 400, (media, answer.text[:300])


def test_an_alias_bomb(control_plane: Cluster) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 10)]
    for method, url, media in (
        ("POST", CONFIG_MAPS, "application/yaml"),
        ("PATCH", f"{CONFIG_MAPS}/bomb", "application/apply-patch+yaml"),
    ):
        answer = send(control_plane, method, control_plane.url + url, media, "\n".join(lines), fieldManager="m")
        assert answer.status_code == 400
        assert "document contains excessive aliasing" in answer.json()["message"]


def test_warnings_are_only_so_many(control_plane: Cluster) -> None:
    unknown = {f"unknown{number}\r\n{'x' * 1000}": 1 for number in range(200)}
    text = json.dumps({"metadata": {"name": "warned"}, **unknown})
    answer = send(control_plane, "POST", control_plane.url + CONFIG_MAPS, "application/json", text, dryRun="All")
    assert answer.status_code == 201
    assert len(answer.headers["Warning"]) < 5000
    assert answer.headers["Warning"].startswith('299 - "unknown field \\"unknown0  xxx')
