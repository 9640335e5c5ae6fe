"""Content types in every order of their parts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtimes.provision.content_type import ContentType, parse_content_type
from runtimes.provision.errors import ProvisionError


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ContentType("text", None, False)),
        ("text", ContentType("text", None, False)),
        ("base64", ContentType("base64", None, False)),
        ("url", ContentType("url", None, False)),
        ("base64+zip", ContentType("base64", "zip", False)),
        ("base64+compressedtar", ContentType("base64", "compressedtar", False)),
        ("url+zip+deps", ContentType("url", "zip", True)),
        ("url+deps+compressedtar", ContentType("url", "compressedtar", True)),
    ],
)
def test_known(text: str, expected: ContentType) -> None:
    assert parse_content_type(text) == expected


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("zip", "is unknown; it is one of text, base64 or url"),
        ("base64+rar", "is unknown"),
        ("base64+zip+zip", "is unknown"),
        ("base64+zip+compressedtar", "is unknown"),
        ("Text", "is unknown"),
        ("text+zip", "cannot be text; use base64\\+zip"),
        ("url+deps", "\\+deps is for an archive"),
        ("text+deps", "\\+deps is for an archive"),
    ],
)
def test_unknown(text: str, words: str) -> None:
    with pytest.raises(ProvisionError, match=words):
        parse_content_type(text)


@given(st.text(alphabet="textbas64urlzipdco+ ", max_size=30))
def test_anything_is_parsed_or_refused(text: str) -> None:
    try:
        parsed = parse_content_type(text)
    except ProvisionError:
        return
    assert parsed.origin in ("text", "base64", "url")
    assert not (parsed.origin == "text" and parsed.archive)
    assert parsed.archive or not parsed.deps
