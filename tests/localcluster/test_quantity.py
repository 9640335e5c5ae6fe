"""Quantities: canonical text, rounding, arithmetic."""

import pytest

from localcluster.quantity import MALFORMED, canonical, parse


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("0.1", "100m"),
        (0.1, "100m"),
        (2, "2"),
        (1.0, "1"),
        ("1024Mi", "1Gi"),
        ("1.5Gi", "1536Mi"),
        ("1000000", "1M"),
        ("1e3", "1e3"),
        ("0.5Mi", "512Ki"),
        ("0", "0"),
        ("-0.5", "-500m"),
        ("0.1n", "1n"),
        ("1.500", "1.500"),
        ("1025Ki", "1025Ki"),
        ("1.1Ki", "1126400m"),
        ("10000M", "10G"),
    ],
)
def test_canonical_text(written: str | float, shown: str) -> None:
    assert canonical(written) == shown


@pytest.mark.parametrize("written", ["", "abc", "1x", "1 Gi"])
def test_malformed(written: str) -> None:
    with pytest.raises(ValueError, match="must match the regular expression") as caught:
        parse(written)
    assert str(caught.value) == MALFORMED


def test_bad_suffix() -> None:
    with pytest.raises(ValueError, match="unable to parse quantity's suffix"):
        parse("1Mi1")


def test_rounding_goes_up() -> None:
    assert str(parse("0.0001").rounded_up(-3)) == "1m"
    assert str(parse("-0.0001").rounded_up(-3)) == "-1m"
    assert parse("1500m").value == 2
    assert parse("0.0015").milli_value == 2


def test_arithmetic_keeps_the_notation() -> None:
    assert str(parse("600Mi") + parse("424Mi")) == "1Gi"
    assert str(parse("0") + parse("512Mi")) == "512Mi"
    assert str(parse("1") - parse("250m")) == "750m"
    assert parse("1Gi") > parse("1G")
    assert parse("1000m") == parse("1")
