"""Lists in pages."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from localcluster.apiserver.server import Server

SECRETS = "/api/v1/namespaces/default/secrets"


def token(content: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(content).encode()).rstrip(b"=").decode()


def valid(**fields: Any) -> str:
    return token({"v": "meta.k8s.io/v1", "rv": 5, "start": "default/a\0", **fields})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (valid(rv="abc"), "json: cannot unmarshal string into Go struct field continueToken.rv of type int64"),
        (valid(rv=1.5), "json: cannot unmarshal number 1.5 into Go struct field continueToken.rv of type int64"),
        (valid(rv=True), "json: cannot unmarshal bool into Go struct field continueToken.rv of type int64"),
        (valid(rv=None), "incorrect encoded start resourceVersion (version meta.k8s.io/v1)"),
        (base64.b64encode(b"[" * 3000).decode(), "invalid character '[' looking for beginning of value"),
        (valid(start=1), "json: cannot unmarshal number into Go struct field continueToken.start of type string"),
        (valid(rv=0), "incorrect encoded start resourceVersion (version meta.k8s.io/v1)"),
        (valid(start=""), "encoded start key empty (version meta.k8s.io/v1)"),
        (valid(v="v0"), 'server does not recognize this encoded version "v0"'),
        (token([]), "json: cannot unmarshal array into Go value of type storage.continueToken"),
    ],
)
async def test_tokens_that_nobody_was_given(server: Server, client: Any, text: str, message: str) -> None:
    async with client.get(SECRETS, params={"limit": 1, "continue": text}) as answer:
        body = await answer.json()
    assert (answer.status, body["reason"]) == (400, "BadRequest")
    assert body["message"] == f"invalid continue token: continue key is not valid: {message}"


async def test_a_token_of_the_future(server: Server, client: Any) -> None:
    async with client.get(SECRETS, params={"limit": 1, "continue": valid(rv=10**9)}) as answer:
        body = await answer.json()
    assert (answer.status, body["reason"]) == (504, "Timeout")
    assert body["message"] == f"Timeout: Too large resource version: {10**9}, current: {server.store.version}"


async def test_pages_and_a_token_that_goes_on_with_what_there_is(server: Server, client: Any) -> None:
    for name in ("a", "b", "c"):
        assert (await client.post(SECRETS, json={"metadata": {"name": name}})).status == 201
    async with client.get(SECRETS, params={"limit": 2}) as answer:
        first = await answer.json()
    assert [o["metadata"]["name"] for o in first["items"]] == ["a", "b"]
    await client.delete(f"{SECRETS}/c")
    for text, names in ((first["metadata"]["continue"], ["c"]), (valid(rv=-1, start="default/a\0"), ["b"])):
        async with client.get(SECRETS, params={"limit": 2, "continue": text}) as answer:
            assert [o["metadata"]["name"] for o in (await answer.json())["items"]] == names
