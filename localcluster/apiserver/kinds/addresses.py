"""Addresses that traffic may be sent to: neither unspecified nor loopback nor link-local."""

from __future__ import annotations

import ipaddress

from localcluster.apiserver.errors import FieldError
from localcluster.apiserver.kinds import formats
from localcluster.apiserver.kinds.formats import check


def validate_public(value: str, path: str, allowed: str = "") -> list[FieldError]:
    """Errors of an address of an endpoint or of ``externalIPs``.

    `allowed` is a range that is fine whatever it is: the local cluster's pods have loopback addresses.
    """
    address = formats.parse_ip(value)
    if address is None:
        return check(path, value, [formats.BAD_IP])
    if allowed and address in ipaddress.ip_network(allowed):
        return []
    special = {
        f"may not be unspecified ({value})": address.is_unspecified,
        "may not be in the loopback range (127.0.0.0/8, ::1/128)": address.is_loopback,
        "may not be in the link-local range (169.254.0.0/16, fe80::/10)": address.is_link_local,
        "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)": address
        in ipaddress.ip_network("224.0.0.0/24" if address.version == 4 else "ff02::/16"),
    }
    return check(path, value, [message for message, applies in special.items() if applies])
