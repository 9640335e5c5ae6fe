"""Sizes: what is read is what was written."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtimes.sizes import format_size, parse_size


@pytest.mark.parametrize(
    ("text", "size_bytes"),
    [("0", 0), ("1048576", 1 << 20), (" 64Mi ", 64 << 20), ("1k", 1000), ("2M", 2_000_000), ("3Gi", 3 << 30)],
)
def test_parse_size(text: str, size_bytes: int) -> None:
    assert parse_size(text) == size_bytes


@given(st.text(max_size=6).filter(lambda text: not text.strip()[:1].isdigit()))
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a size"):
        parse_size(text)


@pytest.mark.parametrize(
    ("size_bytes", "text"),
    [
        (0, "0 bytes"),
        (1023, "1023 bytes"),
        (1024, "1 KiB"),
        (1536, "1.5 KiB"),
        (64 << 20, "64 MiB"),
        (5 << 40, "5120 GiB"),
    ],
)
def test_format_size(size_bytes: int, text: str) -> None:
    assert format_size(size_bytes) == text
