"""Label and field selectors: what they match, and how errors read."""

import pytest

from localcluster.apiserver.errors import APIError
from localcluster.apiserver.selectors import (
    exact_field,
    field_selector,
    format_selector,
    label_selector,
    matches_object_selector,
)

OBJECTS = {
    "a": {"app": "x", "tier": "web"},
    "b": {"app": "x"},
    "c": {"app": "y", "tier": "db", "e.example/k": "", "size": "5"},
}


@pytest.mark.parametrize(
    ("selector", "names"),
    [
        ("app=x", "ab"),
        ("app==x", "ab"),
        ("app!=x", "c"),
        ("app in (x,y)", "abc"),
        ("app notin (y)", "ab"),
        ("tier notin (db)", "ab"),
        ("tier", "ac"),
        ("!tier", "b"),
        ("app=x,tier!=web", "b"),
        ("e.example/k=", "c"),
        ("size>4", "c"),
        ("size<5", ""),
        (" app = x , tier ", "a"),
    ],
)
def test_label_selectors(selector, names):
    matches = label_selector(selector)
    assert "".join(n for n, labels in OBJECTS.items() if matches(labels)) == names


def test_the_empty_selector_is_none():
    assert label_selector("") is None
    assert field_selector("", lambda name: None) is None


@pytest.mark.parametrize(
    ("selector", "message"),
    [
        ("app in x", "unable to parse requirement: found 'x' expected: '('"),
        ("a=b=c", "found '=', expected: ',' or 'end of string'"),
        ("app in (x", "unable to parse requirement: found '', expected: ',' or ')'"),
        ("=x", "found '=', expected: !, identifier, or 'end of string'"),
        (",", "found ',', expected: !, identifier, or 'end of string'"),
        ("a,", "found '', expected: identifier after ','"),
        ("!", "unable to parse requirement: found '', expected: identifier"),
    ],
)
def test_bad_label_selectors(selector, message):
    with pytest.raises(APIError) as caught:
        label_selector(selector)
    assert (caught.value.code, caught.value.message) == (400, message)


def test_field_selectors():
    matches = field_selector("metadata.name!=a,status.phase=Running", lambda name: None)
    assert matches({"metadata.name": "b", "status.phase": "Running"})
    assert not matches({"metadata.name": "a", "status.phase": "Running"})
    assert not matches({"metadata.name": "b"})


def test_escaped_values_of_field_selectors():
    matches = field_selector(r"metadata.name=a\,b\=c", lambda name: None)
    assert matches({"metadata.name": "a,b=c"})


def test_unknown_fields_are_refused_in_the_words_given():
    with pytest.raises(APIError, match="not known: x"):
        field_selector("x=y", lambda name: f"not known: {name}")
    with pytest.raises(APIError, match="can't understand 'x'"):
        field_selector("x", lambda name: None)


def test_selector_objects():
    selector = {"matchLabels": {"a": "b"}, "matchExpressions": [{"key": "c", "operator": "NotIn", "values": ["d"]}]}
    assert matches_object_selector(selector, {"a": "b"})
    assert not matches_object_selector(selector, {"a": "b", "c": "d"})
    assert matches_object_selector({}, {"any": "thing"})
    assert not matches_object_selector(None, {})
    assert format_selector(selector) == "a=b,c notin (d)"


@pytest.mark.parametrize(
    ("selector", "name"),
    [
        ("metadata.name=a", "a"),
        ("metadata.name==a", "a"),
        ("metadata.namespace=n,metadata.name=a", "a"),
        ("metadata.name!=a", ""),
        (r"metadata.namespace!=zzz\,metadata.name=a", ""),
        (r"metadata.namespace!=zzz\\,metadata.name=a", "a"),
        ("metadata.name=a,metadata.name=b=c", ""),
        ("", ""),
    ],
)
def test_the_name_that_a_field_selector_requires(selector, name):
    assert exact_field(selector, "metadata.name") == name


@pytest.mark.parametrize(
    ("selector", "message"),
    [
        (r"a=\x", r"invalid field selector: invalid escape sequence: \x"),
        ("a=b\\", "invalid field selector: invalid escape sequence: \\"),
        ("a=b=c", "invalid field selector: unescaped character in value: 61"),
    ],
)
def test_values_of_field_selectors_that_are_not_escaped_are_refused(selector, message):
    with pytest.raises(APIError) as caught:
        field_selector(selector, lambda name: None)
    assert caught.value.message == message
