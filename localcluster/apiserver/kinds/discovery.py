"""EndpointSlices: defaults and rules. Of the loopback addresses, those of this cluster's pods are accepted."""

from __future__ import annotations

import ipaddress
from typing import Any

from localcluster.apiserver.errors import TOO_MANY, FieldError, duplicate, invalid_value, required
from localcluster.apiserver.kinds import field_rules as rules
from localcluster.apiserver.kinds import formats
from localcluster.apiserver.kinds.base import JSON, Context, Kind

_MAX_ENDPOINTS = 1000
_MAX_ADDRESSES = 100
_MAX_PORTS = 20000
_MAX_HINTS = 8


def _too_many(path: str, count: int, limit: int) -> FieldError:
    return FieldError(TOO_MANY, path, None, f"{count}: must have at most {limit} items")


class EndpointSlice(Kind):
    counts_generations = True

    def default(self, obj: JSON) -> None:
        # An empty list is stored as none, and shown as null.
        for name in ("endpoints", "ports"):
            obj[name] = obj.get(name) or None
        obj.setdefault("addressType", "")
        for endpoint in obj["endpoints"] or ():
            endpoint.setdefault("conditions", {})
        for port in obj["ports"] or ():
            port.setdefault("name", "")
            port.setdefault("protocol", "TCP")

    def generation_of(self, obj: JSON) -> Any:
        return super().generation_of(obj), obj["metadata"].get("labels") or {}

    def validate_create(self, new: JSON, context: Context) -> list[FieldError]:
        type, types = new["addressType"], ("FQDN", "IPv4", "IPv6")
        found: list[FieldError] = []
        if not type:
            found.append(required("addressType"))
        elif type not in types:
            found.append(formats.unsupported("addressType", type, *types))
        return found + self._validate_endpoints(new, context) + self._validate_ports(new["ports"] or [])

    def validate_update(self, new: JSON, old: JSON, context: Context) -> list[FieldError]:
        found = rules.immutable("addressType", new["addressType"], old["addressType"])
        return self.validate_create(new, context) + found

    def _validate_endpoints(self, obj: JSON, context: Context) -> list[FieldError]:
        endpoints = obj["endpoints"] or []
        if len(endpoints) > _MAX_ENDPOINTS:
            return [_too_many("endpoints", len(endpoints), _MAX_ENDPOINTS)]
        found: list[FieldError] = []
        meta = obj["metadata"]
        # The API server's own slice has the address that it listens on, which may well be 127.0.0.1.
        is_own = (meta.get("namespace"), meta.get("name")) == ("default", "kubernetes")
        for i, endpoint in enumerate(endpoints):
            path = f"endpoints[{i}]"
            addresses = endpoint.get("addresses") or []
            if not addresses:
                found.append(required(f"{path}.addresses", "must contain at least 1 address"))
            elif len(addresses) > _MAX_ADDRESSES:
                found.append(_too_many(f"{path}.addresses", len(addresses), _MAX_ADDRESSES))
            for j, address in enumerate(addresses):
                if not is_own:
                    found += _validate_address(address, obj["addressType"], f"{path}.addresses[{j}]", context)
            if "nodeName" in endpoint:
                name = endpoint["nodeName"]
                found += formats.check(f"{path}.nodeName", name, formats.dns1123_subdomain(name))
            if "hostname" in endpoint:
                name = endpoint["hostname"]
                found += formats.check(f"{path}.hostname", name, formats.dns1123_label(name))
            found += _validate_hints(endpoint.get("hints") or {}, f"{path}.hints")
        return found

    @staticmethod
    def _validate_ports(ports: list[JSON]) -> list[FieldError]:
        if len(ports) > _MAX_PORTS:
            return [_too_many("ports", len(ports), _MAX_PORTS)]
        found: list[FieldError] = []
        names: set[str] = set()
        for i, port in enumerate(ports):
            path, name = f"ports[{i}]", port["name"]
            if name:
                found += formats.check(f"{path}.name", name, formats.dns1123_label(name))
            if name in names:
                found.append(duplicate(f"{path}.name", name))
            names.add(name)
            if port["protocol"] not in ("SCTP", "TCP", "UDP"):
                found.append(formats.unsupported(f"{path}.protocol", port["protocol"], "SCTP", "TCP", "UDP"))
            if "appProtocol" in port:
                found += formats.check(
                    f"{path}.appProtocol", port["appProtocol"], formats.qualified_name(port["appProtocol"])
                )
        return found


def _validate_address(address: str, type: str, path: str, context: Context) -> list[FieldError]:
    if type == "FQDN":
        host = address.removesuffix(".")
        if not host:
            return [required(path)]
        if "." not in host:
            return [invalid_value(path, address, "should be a domain with at least two segments separated by dots")]
        return formats.check(path, address, formats.dns1123_subdomain(host))
    if type not in ("IPv4", "IPv6"):
        return []
    found = formats.parse_ip(address)
    if found is None:
        return [invalid_value(path, address, formats.BAD_IP)]
    problems: list[FieldError] = []
    if f"IPv{found.version}" != type:
        problems.append(invalid_value(path, address, f"must be an {type} address"))
    return problems + [invalid_value(path, address, message) for message in _special(found, context)]


def _special(address: ipaddress.IPv4Address | ipaddress.IPv6Address, context: Context) -> list[str]:
    """Why no endpoint can be at an address."""
    if address.is_unspecified:
        return ["may not be unspecified (0.0.0.0 or ::)"]
    if address.is_loopback:
        # Pods of the local cluster have loopback addresses of their own.
        if address in ipaddress.ip_network(context.pod_cidr):
            return []
        return ["may not be in the loopback range (127.0.0.0/8, ::1/128)"]
    if address.is_link_local:
        return ["may not be in the link-local range (169.254.0.0/16, fe80::/10)"]
    if address in ipaddress.ip_network("224.0.0.0/24" if address.version == 4 else "ff02::/16"):
        return ["may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)"]
    return []


def _validate_hints(hints: JSON, path: str) -> list[FieldError]:
    found: list[FieldError] = []
    for list_name in ("forZones", "forNodes"):
        items = hints.get(list_name) or []
        if len(items) > _MAX_HINTS:
            found.append(_too_many(f"{path}.{list_name}", len(items), _MAX_HINTS))
            continue
        seen: set[str] = set()
        for i, item in enumerate(items):
            name, where = item.get("name", ""), f"{path}.{list_name}[{i}].name"
            if name in seen:
                found.append(duplicate(where, name))
            seen.add(name)
            rule = formats.label_value if list_name == "forZones" else formats.dns1123_subdomain
            found += formats.check(where, name, rule(name))
    return found


KINDS: dict[str, type[Kind]] = {"EndpointSlice": EndpointSlice}
