"""Errors as clients read them."""

from __future__ import annotations

from localcluster.apiserver.errors import MAX_QUOTED, invalid, invalid_value, show


def test_values_are_quoted_as_text_or_json() -> None:
    assert show('a"b') == '"a\\"b"'
    assert show({"a": [1, True, None]}) == '{"a":[1,true,null]}'


def test_only_the_beginning_of_a_long_value_is_quoted() -> None:
    for value in ("x" * 3_000_000, {"k": ["x" * 1000] * 3000}):
        message = invalid("", "ConfigMap", "a", [invalid_value("data", value, "is wrong")]).message
        assert MAX_QUOTED < len(message) < MAX_QUOTED + 100
        assert message.endswith(" ...: is wrong") or message.endswith(' ...": is wrong')
