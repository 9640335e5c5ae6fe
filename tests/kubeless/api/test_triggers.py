"""Triggers: what is read of them, and label selectors."""

from __future__ import annotations

from typing import Any

import pytest

from kubeless.api import InvalidSpec, cronjobtrigger, httptrigger, kafkatrigger, kinesistrigger, natstrigger
from kubeless.api.reading import Fields
from kubeless.api.selector import parse_selector


def obj(**spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": "t"}, "spec": {name.replace("_", "-"): value for name, value in spec.items()}}


def test_http() -> None:
    found = httptrigger.parse(obj(function_name="hello", host_name="example.com", tls=True))
    assert (found.function_name, found.host_name, found.tls, found.gateway) == ("hello", "example.com", True, "nginx")
    with pytest.raises(InvalidSpec, match="gateway: must be one of nginx, traefik, kong"):
        httptrigger.parse(obj(function_name="hello", gateway="apache"))


def test_cron() -> None:
    found = cronjobtrigger.parse(obj(function_name="hello", schedule="* * * * *", payload={"a": None}))
    assert (found.schedule, found.payload) == ("* * * * *", {"a": None})
    with pytest.raises(InvalidSpec, match="schedule: is missing"):
        cronjobtrigger.parse(obj(function_name="hello"))


@pytest.mark.parametrize("module", [kafkatrigger, natstrigger])
def test_topics(module: Any) -> None:
    found = module.parse(obj(topic="orders", functionSelector={"matchLabels": {"function": "hello"}}))
    assert found.topic == "orders"
    assert found.function_selector.matches({"function": "hello"})
    assert not found.function_selector.matches({"function": "other"})


def test_kinesis() -> None:
    spec = {"function_name": "f", "stream": "s", "aws_region": "r", "shard": "1", "secret": "x"}
    assert kinesistrigger.parse(obj(**spec)).region == "r"
    with pytest.raises(InvalidSpec, match=r"spec\.secret: is missing"):
        kinesistrigger.parse(obj(**{**spec, "secret": ""}))


@pytest.mark.parametrize(
    ("expression", "labels", "matches"),
    [
        ({"operator": "In", "values": ["a", "b"]}, {"k": "a"}, True),
        ({"operator": "In", "values": ["a", "b"]}, {}, False),
        ({"operator": "NotIn", "values": ["a"]}, {"k": "b"}, True),
        ({"operator": "NotIn", "values": ["a"]}, {}, True),
        ({"operator": "NotIn", "values": ["a"]}, {"k": "a"}, False),
        ({"operator": "Exists"}, {"k": ""}, True),
        ({"operator": "Exists"}, {}, False),
        ({"operator": "DoesNotExist"}, {}, True),
        ({"operator": "DoesNotExist"}, {"k": "a"}, False),
    ],
)
def test_expressions(expression: dict[str, Any], labels: dict[str, str], matches: bool) -> None:
    fields = Fields("spec.functionSelector", {"matchExpressions": [{"key": "k", **expression}]})
    assert parse_selector(fields).matches(labels) is matches


def test_an_expression_that_cannot_be_is_refused() -> None:
    for expression in ({"key": "k", "operator": "In"}, {"key": "k", "operator": "Exists", "values": ["a"]}):
        with pytest.raises(InvalidSpec, match=r"matchExpressions\[0\].values"):
            parse_selector(Fields("spec.functionSelector", {"matchExpressions": [expression]}))
