"""The string formats that schemas of custom resources may ask for (k8s.io/kube-openapi `strfmt`).

Formats that are not listed are ignored, as the real server ignores them.
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
import re
from collections.abc import Callable
from datetime import date
from email.utils import parseaddr
from urllib.parse import urlsplit

_UUID = "(?i)^[0-9a-f]{8}-?[0-9a-f]{4}-?%s-?%s-?[0-9a-f]{12}$"
_DATE_TIME = re.compile(
    r"^(\d{4})-(\d\d)-(\d\d)[Tt ]([01]\d|2[0-3]):([0-5]\d):([0-5]\d|60)(\.\d+)?([Zz]|[+-]([01]\d|2[0-3]):[0-5]\d)$"
)
_GO_DURATION = re.compile(r"^[+-]?((\d+(\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h))+$|^[+-]?0$")
_SCALA_DURATION = re.compile(
    r"^\s*\d+\s*(ns|nano|nanos|nanosecond|nanoseconds|us|µs|micro|micros|microsecond|microseconds|ms|milli|millis"
    r"|millisecond|milliseconds|s|sec|secs|second|seconds|m|min|mins|minute|minutes|h|hr|hour|hours|d|day|days|w|week"
    r"|weeks)\s*$"
)
_LABEL = re.compile(r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")


def _matches(pattern: str) -> Callable[[str], bool]:
    expression = re.compile(pattern.removesuffix("$") + r"\Z" if pattern.endswith("$") else pattern)
    return lambda text: expression.match(text) is not None


def _ipv4(text: str) -> bool:
    parts = text.split(".")
    return len(parts) == 4 and all(p.isascii() and p.isdigit() and len(p) <= 3 and int(p) <= 255 for p in parts)


def _ipv6(text: str) -> bool:
    try:
        ipaddress.IPv6Address(text)
    except ValueError:
        return False
    return "%" not in text


def _cidr(text: str) -> bool:
    address, slash, bits = text.partition("/")
    if not slash or not bits.isascii() or not bits.isdigit():
        return False
    return (_ipv4(address) and int(bits) <= 32) or (_ipv6(address) and int(bits) <= 128)


def _uri(text: str) -> bool:
    if not text or any(c.isspace() or ord(c) < 0x20 or c == "\x7f" for c in text):
        return False
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError:
        return False
    return text.startswith("/") or (bool(parts.scheme) and text[len(parts.scheme) : len(parts.scheme) + 1] == ":")


def _email(text: str) -> bool:
    name, address = parseaddr(text)
    local, at, domain = address.rpartition("@")
    if not (at and local and domain) or " " in address:
        return False
    return text.strip() == address or "<" in text or bool(name)


def _hostname(text: str) -> bool:
    labels = text.split(".")
    if len(text) > 255 or any(not 1 <= len(label) <= 63 for label in labels):
        return False
    if any(not re.fullmatch(r"[^\W_]([-\w]*[^\W_])?", label) or "_" in label for label in labels):
        return False
    return len(labels) == 1 or (len(labels[-1]) >= 2 and labels[-1].isalpha())


def _bytes(text: str) -> bool:
    try:
        base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return False
    return bool(text)


def _date(text: str) -> bool:
    try:
        return bool(re.fullmatch(r"\d{4}-\d\d-\d\d", text)) and date.fromisoformat(text) is not None
    except ValueError:
        return False


def is_date_time(text: str) -> bool:
    """RFC 3339."""
    return _DATE_TIME.match(text) is not None and _date(text[:10])


def is_duration(text: str) -> bool:
    """Go's ``1h30m``, or a number with a unit in words."""
    return _GO_DURATION.match(text) is not None or _SCALA_DURATION.match(text.lower()) is not None


def _isbn(text: str) -> str:
    return re.sub(r"[\s-]", "", text)


def _isbn10(text: str) -> bool:
    digits = _isbn(text)
    if not re.fullmatch(r"\d{9}[\dX]", digits):
        return False
    return sum((10 - i) * (10 if d == "X" else int(d)) for i, d in enumerate(digits)) % 11 == 0


def _isbn13(text: str) -> bool:
    digits = _isbn(text)
    return (
        bool(re.fullmatch(r"\d{13}", digits))
        and sum(int(d) * (3 if i % 2 else 1) for i, d in enumerate(digits)) % 10 == 0
    )


def _credit_card(text: str) -> bool:
    digits = re.sub(r"\D", "", text)
    if not 13 <= len(digits) <= 16:
        return False
    doubled = [int(d) * (2 if i % 2 else 1) for i, d in enumerate(reversed(digits))]
    return sum(d - 9 if d > 9 else d for d in doubled) % 10 == 0


def _mac(text: str) -> bool:
    for pattern in (r"[0-9a-f]{2}(:[0-9a-f]{2})+", r"[0-9a-f]{2}(-[0-9a-f]{2})+", r"[0-9a-f]{4}(\.[0-9a-f]{4})+"):
        if re.fullmatch(pattern, text.lower()):
            return len(re.sub(r"[^0-9a-f]", "", text.lower())) in (12, 16, 40)
    return False


def _short_name(text: str) -> bool:
    return len(text) <= 63 and _LABEL.match(text) is not None


def _long_name(text: str) -> bool:
    return len(text) <= 253 and all(_LABEL.match(label) for label in text.split("."))


_HEX4 = "[0-9a-f]{4}"
_CHECKS: dict[str, Callable[[str], bool]] = {
    "bsonobjectid": _matches("^[0-9a-fA-F]{24}$"),
    "uri": _uri,
    "email": _email,
    "hostname": _hostname,
    "ipv4": _ipv4,
    "ipv6": _ipv6,
    "cidr": _cidr,
    "mac": _mac,
    "uuid": _matches(_UUID % (_HEX4, _HEX4)),
    "uuid3": _matches(_UUID % ("3[0-9a-f]{3}", _HEX4)),
    "uuid4": _matches(_UUID % ("4[0-9a-f]{3}", "[89ab][0-9a-f]{3}")),
    "uuid5": _matches(_UUID % ("5[0-9a-f]{3}", "[89ab][0-9a-f]{3}")),
    "isbn": lambda text: _isbn10(text) or _isbn13(text),
    "isbn10": _isbn10,
    "isbn13": _isbn13,
    "creditcard": _credit_card,
    "ssn": _matches(r"^\d{3}[- ]?\d{2}[- ]?\d{4}$"),
    "hexcolor": _matches("^#?([0-9a-fA-F]{3}|[0-9a-fA-F]{6})$"),
    "rgbcolor": _matches(
        r"^rgb\(\s*(0|[1-9]\d?|1\d\d?|2[0-4]\d|25[0-5])\s*,\s*(0|[1-9]\d?|1\d\d?|2[0-4]\d|25[0-5])\s*,"
        r"\s*(0|[1-9]\d?|1\d\d?|2[0-4]\d|25[0-5])\s*\)$"
    ),
    "byte": _bytes,
    "password": lambda text: True,
    "date": _date,
    "duration": is_duration,
    "datetime": is_date_time,
    "k8sshortname": _short_name,
    "k8slongname": _long_name,
}


def normal_name(declared: str) -> str:
    """`date-time` and `datetime` are one format. Empty for a format that is ignored."""
    name = declared.replace("-", "")
    return name if name in _CHECKS else ""


def valid(declared: str, text: str) -> bool:
    """Whether a text has the declared format. True for unknown formats."""
    check = _CHECKS.get(declared.replace("-", ""))
    return check is None or check(text)
