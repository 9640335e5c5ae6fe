"""The values of Kubernetes' own CEL types: quantities, URLs, addresses, versions and named formats.

The library has no types of its own for them, so that they are maps with one key, the type's name; equality of maps is
then their equality, and the checker has seen to it that nothing else is passed. Errors are ValueErrors with the real
functions' texts.
"""

from __future__ import annotations

import ipaddress
import re
from typing import Any
from urllib.parse import quote, urlsplit

from localcluster import quantity
from localcluster.apiserver.crd import formats
from localcluster.apiserver.kinds.formats import (
    dns1035_label,
    dns1123_label,
    dns1123_subdomain,
    label_value,
    qualified_name,
)

Value = dict[str, Any]
Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_NANO = 10**9


# ---- quantities: {"quantity": "<nano-units>"}


def is_quantity(text: str) -> bool:
    try:
        quantity.parse(text)
    except ValueError:
        return False
    return True


def to_quantity(text: str) -> Value:
    return {"quantity": str(quantity.parse(text).nanos)}


def nanos(value: Value) -> int:
    text: str = value["quantity"]
    return int(text)


def quantity_of(amount: int) -> Value:
    return {"quantity": str(amount)}


def whole(value: Value) -> int:
    amount, rest = divmod(nanos(value), _NANO)
    if rest or not -(2**63) <= amount < 2**63:
        raise ValueError("cannot convert value to integer")
    return amount


def is_whole(value: Value) -> bool:
    amount, rest = divmod(nanos(value), _NANO)
    return not rest and -(2**63) <= amount < 2**63


def compared(a: Any, b: Any) -> int:
    """-1, 0 or 1."""
    return int(a > b) - int(a < b)


# ---- URLs: {"url": text}


def url_scheme(value: Value) -> str:
    return urlsplit(value["url"]).scheme


def is_url(text: str) -> bool:
    try:
        to_url(text)
    except ValueError:
        return False
    return True


def to_url(text: str) -> Value:
    """Absolute URLs and absolute paths, as Go's ParseRequestURI."""
    wrong = f"URL parse error during conversion from string: parse {quoted(text)}: "
    if not text:
        raise ValueError(f"{wrong}empty url")
    if any(ord(c) < 0x20 or c == "\x7f" for c in text):
        raise ValueError(f"{wrong}net/url: invalid control character in URL")
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError as error:
        raise ValueError(f"{wrong}{error}") from None
    if not text.startswith("/") and not parts.scheme:
        raise ValueError(f"{wrong}invalid URI for request")
    if " " in parts.netloc:
        raise ValueError(f'{wrong}invalid character " " in host name')
    return {"url": text}


def quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def url_host(value: Value) -> str:
    return urlsplit(value["url"]).netloc.rpartition("@")[2]


def url_hostname(value: Value) -> str:
    host = url_host(value)
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0]


def url_port(value: Value) -> str:
    return url_host(value).rpartition("]")[2].partition(":")[2]


def url_path(value: Value) -> str:
    return quote(urlsplit(value["url"]).path, safe="/%:@!$&'()*+,;=~-._")


def url_query(value: Value) -> dict[str, list[str]]:
    from urllib.parse import parse_qs

    return parse_qs(urlsplit(value["url"]).query, keep_blank_values=True)


# ---- addresses and networks: {"ip": text}, {"cidr": text}


def address(text: str) -> Address:
    if "%" in text:
        raise ValueError(f"IP Address {quoted(text)} with zone value is not allowed")
    try:
        found = ipaddress.ip_address(text)
    except ValueError:
        raise ValueError(f"IP Address {quoted(text)} parse error during conversion from string") from None
    if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped is not None:
        raise ValueError(f"IPv4-mapped IPv6 address {quoted(text)} is not allowed")
    return found


def is_ip(text: str) -> bool:
    try:
        address(text)
    except ValueError:
        return False
    return True


def to_ip(text: str) -> Value:
    return {"ip": str(address(text))}


def ip_of(value: Value) -> Address:
    return ipaddress.ip_address(value["ip"])


def is_global_unicast(found: Address) -> bool:
    excluded = found.is_unspecified or found.is_loopback or found.is_multicast or found.is_link_local
    return not excluded and str(found) != "255.255.255.255"


def split_cidr(text: str) -> tuple[Address, Network]:
    wrong = f"network address parse error during conversion from string: {quoted(text)}"
    host, slash, bits = text.partition("/")
    if not slash or not bits.isascii() or not bits.isdigit() or (len(bits) > 1 and bits[0] == "0"):
        raise ValueError(wrong)
    try:
        found = ipaddress.ip_address(host)
        return found, ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise ValueError(wrong) from None


def is_cidr(text: str) -> bool:
    try:
        split_cidr(text)
    except ValueError:
        return False
    return True


def to_cidr(text: str) -> Value:
    found, network = split_cidr(text)
    return {"cidr": f"{found}/{network.prefixlen}"}


def network_of(value: Value) -> Network:
    return split_cidr(value["cidr"])[1]


def contains_ip(value: Value, inner: Address) -> bool:
    network = network_of(value)
    return inner.version == network.version and inner in network


def contains_cidr(value: Value, text: str) -> bool:
    found, inner = split_cidr(text)
    network = network_of(value)
    return inner.version == network.version and found in network and inner.prefixlen >= network.prefixlen


# ---- semantic versions: {"semver": [major, minor, patch, pre-release]}

_NUMBER = r"(0|[1-9]\d*)"
_SEMVER = re.compile(rf"{_NUMBER}\.{_NUMBER}\.{_NUMBER}(?:-([0-9A-Za-z.-]+))?(?:\+[0-9A-Za-z.-]+)?", re.ASCII)


def to_semver(text: str, normalize: bool = False) -> Value:
    if normalize:
        text = text.removeprefix("v")
        numbers, separator, rest = re.split(r"([-+]|$)", text, maxsplit=1)
        parts = [p.lstrip("0") or "0" for p in numbers.split(".")]
        text = ".".join([*parts, "0", "0"][: max(3, len(parts))]) + separator + rest
    match = _SEMVER.fullmatch(text)
    if match is None:
        raise ValueError(f"Version {quoted(text)} is not a semantic version")
    major, minor, patch, pre = match.groups()
    return {"semver": [int(major), int(minor), int(patch), pre or ""]}


def is_semver(text: str, normalize: bool = False) -> bool:
    try:
        to_semver(text, normalize)
    except ValueError:
        return False
    return True


def semver_key(value: Value) -> tuple[Any, ...]:
    *numbers, pre = value["semver"]
    if not pre:
        return (*numbers, 1, ())
    parts = tuple((0, int(p), "") if p.isdigit() else (1, 0, p) for p in pre.split("."))
    return (*numbers, 0, parts)


# ---- named formats: {"format": name}


def _said(wrong: bool, text: str) -> list[str]:
    return [text] if wrong else []


def _prefix(rule: Any) -> Any:
    return lambda text: rule(text[:-1] + "a" if len(text) > 1 and text.endswith("-") else text)


FORMATS: dict[str, Any] = {
    "dns1123Label": dns1123_label,
    "dns1123Subdomain": dns1123_subdomain,
    "dns1035Label": dns1035_label,
    "qualifiedName": qualified_name,
    "dns1123LabelPrefix": _prefix(dns1123_label),
    "dns1123SubdomainPrefix": _prefix(dns1123_subdomain),
    "dns1035LabelPrefix": _prefix(dns1035_label),
    "labelValue": label_value,
    "uri": lambda text: [] if is_url(text) else ["invalid URI for request"],
    "uuid": lambda text: _said(not formats.valid("uuid", text), "does not match the UUID format"),
    "byte": lambda text: _said(not formats.valid("byte", text), "invalid base64"),
    "date": lambda text: _said(not formats.valid("date", text), "invalid date"),
    "datetime": lambda text: _said(not formats.is_date_time(text), "invalid datetime"),
}


def format_errors(value: Value, text: str) -> list[list[str]]:
    """The messages as a list of one list; no list where the text has the format."""
    found = list(FORMATS[value["format"]](text))
    return [found] if found else []
