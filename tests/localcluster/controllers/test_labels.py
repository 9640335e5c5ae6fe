"""Label selectors."""

from __future__ import annotations

import pytest

from localcluster.controllers import labels

SELECTOR = {
    "matchLabels": {"app": "web"},
    "matchExpressions": [
        {"key": "tier", "operator": "In", "values": ["front", "back"]},
        {"key": "env", "operator": "NotIn", "values": ["test"]},
        {"key": "owner", "operator": "Exists"},
        {"key": "old", "operator": "DoesNotExist"},
    ],
}
GOOD = {"app": "web", "tier": "back", "owner": "jane"}


def test_all_requirements_must_hold():
    assert labels.matches(SELECTOR, GOOD)
    for bad in ({"app": "db"}, {"tier": "side"}, {"env": "test"}, {"old": ""}):
        assert not labels.matches(SELECTOR, GOOD | bad)
    assert not labels.matches(SELECTOR, {"app": "web", "tier": "back"})


def test_an_empty_selector_selects_all_and_none_nothing():
    assert labels.matches({}, {"a": "b"})
    assert not labels.matches(None, {"a": "b"})


def test_text_and_back():
    text = labels.as_text(SELECTOR)
    assert text == "app=web,env notin (test),!old,owner,tier in (back,front)"
    parsed = labels.parse(text)
    assert labels.as_text(parsed) == text
    assert labels.matches(parsed, GOOD)


@pytest.mark.parametrize("text", ["a in b", "=x", "a=b,,c", "(a)"])
def test_what_is_no_selector(text):
    with pytest.raises(ValueError, match="not a label selector"):
        labels.parse(text)


def test_numbers_of_node_labels():
    assert labels.requirement_holds({"key": "n", "operator": "Gt", "values": ["3"]}, {"n": "4"})
    assert not labels.requirement_holds({"key": "n", "operator": "Lt", "values": ["3"]}, {"n": "x"})
