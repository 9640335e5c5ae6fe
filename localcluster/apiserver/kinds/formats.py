"""The textual formats of Kubernetes: names, labels, ports, addresses; each rule answers with its messages, worded as
k8s.io/apimachinery `util/validation` words them."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterable
from typing import Any

from localcluster.apiserver.errors import NOT_SUPPORTED, FieldError, invalid_value

Rule = Callable[[str], list[str]]

_LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN = rf"{_LABEL}(\.{_LABEL})*"
_LABEL_1035 = "[a-z]([-a-z0-9]*[a-z0-9])?"
_QUALIFIED = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
_LABEL_VALUE = f"({_QUALIFIED})?"
_CONFIG_KEY = "[-._a-zA-Z0-9]+"
_HEADER = "[-A-Za-z0-9]+"
_C_IDENTIFIER = "[A-Za-z_][A-Za-z0-9_]*"
_PERCENT = "[0-9]+%"

_LABEL_RE = re.compile(_LABEL)
_SUBDOMAIN_RE = re.compile(_SUBDOMAIN)
_LABEL_1035_RE = re.compile(_LABEL_1035)
_QUALIFIED_RE = re.compile(_QUALIFIED)
_LABEL_VALUE_RE = re.compile(_LABEL_VALUE)
_CONFIG_KEY_RE = re.compile(_CONFIG_KEY)
_HEADER_RE = re.compile(_HEADER)

NOT_EMPTY = "must be non-empty"
NOT_NEGATIVE = "must be greater than or equal to 0"
POSITIVE = "must be greater than 0"
PORT_RANGE = "must be between 1 and 65535, inclusive"
IMMUTABLE = "field is immutable"
BAD_IP = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"
BAD_CIDR = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"


def _matching(message: str, pattern: str, *examples: str) -> str:
    shown = " or ".join(f"'{example}', " for example in examples)
    return f"{message} (e.g. {shown}regex used for validation is '{pattern}')"


_BAD_LABEL = _matching(
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end "
    "with an alphanumeric character", _LABEL, "my-name", "123-abc",
)  # fmt: skip
_BAD_SUBDOMAIN = _matching(
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start "
    "and end with an alphanumeric character", _SUBDOMAIN, "example.com",
)  # fmt: skip
_BAD_LABEL_1035 = _matching(
    "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, "
    "and end with an alphanumeric character", _LABEL_1035, "my-name", "abc-123",
)  # fmt: skip
_BAD_QUALIFIED_TEXT = (
    "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character"
)
_BAD_QUALIFIED = _matching(_BAD_QUALIFIED_TEXT, _QUALIFIED, "MyName", "my.name", "123-abc")
_BAD_LABEL_VALUE = _matching(
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and "
    "end with an alphanumeric character", _LABEL_VALUE, "MyValue", "my_value", "12345",
)  # fmt: skip


def too_many_bytes(limit: int) -> str:
    return f"must be no more than {limit} bytes"


def dns1123_label(value: str) -> list[str]:
    """Names of namespaces, containers, services …: at most 63 lower case letters, digits and hyphens."""
    errors = [too_many_bytes(63)] if len(value.encode()) > 63 else []
    if not _LABEL_RE.fullmatch(value):
        errors.append("must not contain dots" if _SUBDOMAIN_RE.fullmatch(value) else _BAD_LABEL)
    return errors


def dns1123_subdomain(value: str) -> list[str]:
    """Names of most objects: at most 253 bytes."""
    errors = [too_many_bytes(253)] if len(value.encode()) > 253 else []
    if not _SUBDOMAIN_RE.fullmatch(value):
        errors.append(_BAD_SUBDOMAIN)
    return errors


def dns1035_label(value: str) -> list[str]:
    errors = [too_many_bytes(63)] if len(value.encode()) > 63 else []
    if not _LABEL_1035_RE.fullmatch(value):
        errors.append(_BAD_LABEL_1035)
    return errors


def wildcard_dns1123_subdomain(value: str) -> list[str]:
    """``*.example.com``."""
    pattern = rf"\*\.{_SUBDOMAIN}"
    errors = [too_many_bytes(253)] if len(value.encode()) > 253 else []
    if not re.fullmatch(pattern, value):
        message = (
            "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must consist "
            "of lower case alphanumeric characters, '-' or '.' and end with an alphanumeric character"
        )
        errors.append(_matching(message, pattern, "*.example.com"))
    return errors


def path_segment(value: str) -> list[str]:
    """Names that only have to fit into a URL (roles, role bindings)."""
    if value in (".", ".."):
        return [f"may not be '{value}'"]
    return [f"may not contain '{char}'" for char in "/%" if char in value]


def qualified_name(value: str) -> list[str]:
    """Keys of labels, annotations and finalizers: ``name`` or ``example.com/name``."""
    parts = value.split("/")
    errors: list[str] = []
    if len(parts) == 2:
        prefix, name = parts
        prefix_errors = dns1123_subdomain(prefix) if prefix else [NOT_EMPTY]
        errors += [f"prefix part {message}" for message in prefix_errors]
    elif len(parts) == 1:
        name = value
    else:
        explained = f"a valid label key {_BAD_QUALIFIED}"
        return [f"{explained} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"]
    if not name:
        errors.append(f"name part {NOT_EMPTY}")
    elif len(name.encode()) > 63:
        errors.append(f"name part {too_many_bytes(63)}")
    if not _QUALIFIED_RE.fullmatch(name):
        errors.append(f"name part {_BAD_QUALIFIED}")
    return errors


def label_value(value: str) -> list[str]:
    errors = [too_many_bytes(63)] if len(value.encode()) > 63 else []
    if not _LABEL_VALUE_RE.fullmatch(value):
        errors.append(_BAD_LABEL_VALUE)
    return errors


def domain_prefixed_path(value: str) -> list[str]:
    """``example.com/path``, as conditions of pods and managed-by fields have it."""
    if not value:
        return [NOT_EMPTY]
    host, slash, path = value.partition("/")
    if not slash or not host or not path:
        return [f'must be a domain-prefixed path (such as "acme.io/foo"){""}']
    if messages := dns1123_subdomain(host):
        return messages
    if not re.fullmatch(r"[A-Za-z0-9/\-._~%!$&'()*+,;=:]+", path):
        return [_matching("Invalid path", r"[A-Za-z0-9/\-._~%!$&'()*+,;=:]+", "acme.io/foo")]
    return []


def config_map_key(value: str) -> list[str]:
    """Keys of ConfigMaps and Secrets, which become file names."""
    errors = [too_many_bytes(253)] if len(value.encode()) > 253 else []
    if not _CONFIG_KEY_RE.fullmatch(value):
        message = "a valid config key must consist of alphanumeric characters, '-', '_' or '.'"
        errors.append(_matching(message, _CONFIG_KEY, "key.name", "KEY_NAME", "key-name"))
    if value in (".", ".."):
        errors.append(f"must not be '{value}'")
    elif value.startswith(".."):
        errors.append("must not start with '..'")
    return errors


def env_var_name(value: str) -> list[str]:
    if value and all(" " <= char <= "~" and char != "=" for char in value):
        return []
    return ["a valid environment variable name must consist only of printable ASCII characters other than '='"]


def c_identifier(value: str) -> list[str]:
    if re.fullmatch(_C_IDENTIFIER, value):
        return []
    message = (
        "a valid C identifier must start with alphabetic character or '_', followed by a string of alphanumeric "
        "characters or '_'"
    )
    return [_matching(message, _C_IDENTIFIER, "my_name", "MY_NAME", "MyName")]


def http_header_name(value: str) -> list[str]:
    if _HEADER_RE.fullmatch(value):
        return []
    return [_matching("a valid HTTP header must consist of alphanumeric characters or '-'", _HEADER, "X-Header-Name")]


def percent(value: str) -> list[str]:
    if re.fullmatch(_PERCENT, value):
        return []
    message = "a valid percent string must be a numeric string followed by an ending '%'"
    return [_matching(message, _PERCENT, "1%", "93%")]


def port_name(value: str) -> list[str]:
    """IANA service names, which container ports and target ports are called by."""
    errors = ["must be no more than 15 characters"] if len(value) > 15 else []
    if not re.fullmatch(r"[-a-z0-9]+", value):
        errors.append("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)")
    if not re.search(r"[a-z]", value):
        errors.append("must contain at least one letter (a-z)")
    if "--" in value:
        errors.append("must not contain consecutive hyphens")
    if value.startswith("-") or value.endswith("-"):
        errors.append("must not begin or end with a hyphen")
    return errors


def port_number(value: int) -> list[str]:
    return [] if 1 <= value <= 65535 else [PORT_RANGE]


def ip(value: str) -> list[str]:
    return [] if parse_ip(value) is not None else [BAD_IP]


def parse_ip(value: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """The address, or None. Leading zeros in IPv4 and IPv6 zones are refused."""
    try:
        address = ipaddress.ip_address(value)
    except ValueError:
        return None
    return None if isinstance(address, ipaddress.IPv6Address) and address.scope_id else address


def cidr(value: str) -> list[str]:
    try:
        ipaddress.ip_network(value, strict=False)
    except ValueError:
        return [BAD_CIDR]
    return [] if re.fullmatch(r".+/\d{1,3}", value) else [BAD_CIDR]


# ---- from messages to field errors


def check(path: str, value: Any, messages: Iterable[str]) -> list[FieldError]:
    """A field error "Invalid value" for each message."""
    return [invalid_value(path, value, message) for message in messages]


def unsupported(path: str, value: Any, *allowed: str) -> FieldError:
    """Unsupported value, with the allowed ones in the given order (some of the real lists are not sorted)."""
    return FieldError(NOT_SUPPORTED, path, value, "supported values: " + ", ".join(f'"{a}"' for a in allowed))


def not_negative(path: str, value: int | None) -> list[FieldError]:
    return [invalid_value(path, value, NOT_NEGATIVE)] if value is not None and value < 0 else []


def positive(path: str, value: int) -> list[FieldError]:
    return [] if value > 0 else [invalid_value(path, value, POSITIVE)]


def in_range(path: str, value: int, low: int, high: int) -> list[FieldError]:
    return [] if low <= value <= high else [invalid_value(path, value, f"must be between {low} and {high}, inclusive")]
