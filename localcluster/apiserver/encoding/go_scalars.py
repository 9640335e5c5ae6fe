"""Texts that Go's types check while they are decoded: times and base64, with Go's error messages."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

_BASE64 = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")

_SECONDS_LAYOUT = "2006-01-02T15:04:05Z07:00"
_MICRO_LAYOUT = "2006-01-02T15:04:05.000000Z07:00"
_CANONICAL_SECONDS = re.compile(
    r"\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|1\d|2[0-8])T(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\dZ"
).fullmatch
_CANONICAL_MICRO = re.compile(
    r"\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|1\d|2[0-8])T(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d\.\d{6}Z"
).fullmatch
_PARTS = (
    ("2006", r"\d{4}", None),
    ("-", "-", None),
    ("01", r"\d{2}", ("month", 1, 12)),
    ("-", "-", None),
    ("02", r"\d{2}", ("day", 1, 31)),
    ("T", "T", None),
    ("15", r"\d{2}", ("hour", 0, 23)),
    (":", ":", None),
    ("04", r"\d{2}", ("minute", 0, 59)),
    (":", ":", None),
    ("05", r"\d{2}", ("second", 0, 59)),
)


def canonical_time(text: str, micro: bool = False) -> str:
    """An RFC 3339 time in UTC with whole seconds, or with six digits of a fraction (MicroTime).

    Raises:
        ValueError: it is none; worded as Go's time.Parse does.
    """
    if (_CANONICAL_MICRO if micro else _CANONICAL_SECONDS)(text):
        return text
    layout = _MICRO_LAYOUT if micro else _SECONDS_LAYOUT
    fraction, zone = _split(text, layout, micro)
    try:
        moment = datetime.fromisoformat(text[:19])
    except ValueError:
        raise ValueError(f'parsing time "{text}": day out of range') from None
    if zone != "Z":
        shift = timedelta(hours=int(zone[1:3]), minutes=int(zone[4:6]))
        moment += shift if zone[0] == "-" else -shift
    seconds = moment.replace(tzinfo=UTC).strftime("%Y-%m-%dT%H:%M:%S").rjust(19, "0")
    return f"{seconds}{fraction if micro else ''}Z"


def _split(text: str, layout: str, micro: bool) -> tuple[str, str]:
    """The fraction (with its point) and the zone of a text; ValueError if it does not fit the layout."""

    def refuse(position: int, element: str) -> ValueError:
        return ValueError(f'parsing time "{text}" as "{layout}": cannot parse "{text[position:]}" as "{element}"')

    position = 0
    for element, pattern, limits in _PARTS:
        match = re.compile(pattern).match(text, position)
        if match is None:
            raise refuse(position, element)
        if limits is not None and not limits[1] <= int(match[0]) <= limits[2]:
            raise ValueError(f'parsing time "{text}": {limits[0]} out of range')
        position = match.end()
    fraction = ""
    if micro:
        match = re.compile(r"\.\d{6}").match(text, position)
        if match is None:
            raise refuse(position, ".000000")
        fraction, position = match[0], match.end()
    else:
        match = re.compile(r"\.\d+").match(text, position)
        position = match.end() if match else position
    match = re.compile(r"Z|[+-]\d{2}:\d{2}").match(text, position)
    if match is None:
        raise refuse(position, "Z07:00")
    if match.end() != len(text):
        raise ValueError(f'parsing time "{text}": extra text: "{text[match.end() :]}"')
    return fraction, match[0]


def canonical_base64(text: str) -> str:
    """Standard base64 without line breaks. Raises ValueError with the offset of the first illegal byte."""
    plain = text
    if "\n" in text or "\r" in text:
        plain = text.replace("\n", "").replace("\r", "")
    body = plain.rstrip("=")
    padding = len(plain) - len(body)
    if len(plain) % 4 == 0 and padding <= 2 and _BASE64.issuperset(body):
        return plain
    offset = len(text)
    digits = 0
    for position, char in enumerate(text):
        if char in "\r\n":
            continue
        if char in _BASE64:
            digits += 1
            continue
        # Padding is legal in the last two places of a group of four, and nothing may follow it.
        offset = position
        if char == "=" and digits % 4 in (2, 3):
            wanted = 4 - digits % 4
            rest = [(i, c) for i, c in enumerate(text[position:], position) if c not in "\r\n"]
            wrong = next((n for n, (_, c) in enumerate(rest) if n >= wanted or c != "="), None)
            if wrong is None:
                offset = len(text)
            else:
                offset = rest[wrong][0] - (wrong < wanted)
        break
    else:
        offset = len(text) - digits % 4
    raise ValueError(f"illegal base64 data at input byte {offset}")
