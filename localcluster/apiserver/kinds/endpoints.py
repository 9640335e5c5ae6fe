"""Endpoints, the predecessor of EndpointSlices."""

from __future__ import annotations

from typing import Any

from localcluster.apiserver.errors import FieldError, required
from localcluster.apiserver.kinds import formats, metadata
from localcluster.apiserver.kinds.addresses import validate_public
from localcluster.apiserver.kinds.base import Context, Kind
from localcluster.apiserver.kinds.containers import PROTOCOLS
from localcluster.apiserver.kinds.formats import check, unsupported
from localcluster.apiserver.kinds.pod_defaults import drop_empty

JSON = dict[str, Any]

_API_SERVER = ("default", "kubernetes")


class Endpoints(Kind):
    create_on_update = True
    deprecation = "v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice"

    def default(self, obj: JSON) -> None:
        drop_empty(obj, ("subsets",))
        for subset in obj.get("subsets") or ():
            drop_empty(subset, ("addresses", "notReadyAddresses", "ports"))
            for port in subset.get("ports") or ():
                drop_empty(port, ("name", "protocol"))
                port.setdefault("protocol", "TCP")

    def validate_create(self, new: JSON, context: Context) -> list[FieldError]:
        # The API server's own address may be any.
        meta = new["metadata"]
        allowed = "0.0.0.0/0" if (meta.get("namespace"), meta["name"]) == _API_SERVER else context.pod_cidr
        errors: list[FieldError] = []
        for i, subset in enumerate(new.get("subsets") or ()):
            errors += _validate_subset(subset, f"subsets[{i}]", allowed)
        return errors

    def validate_update(self, new: JSON, old: JSON, context: Context) -> list[FieldError]:
        return metadata.validate(new, True) + self.validate_create(new, context)


def _validate_subset(subset: JSON, path: str, allowed: str) -> list[FieldError]:
    errors: list[FieldError] = []
    if not subset.get("addresses") and not subset.get("notReadyAddresses"):
        errors.append(required(path, "must specify `addresses` or `notReadyAddresses`"))
    for kind in ("addresses", "notReadyAddresses"):
        for i, address in enumerate(subset.get(kind) or ()):
            errors += _validate_address(address, f"{path}.{kind}[{i}]", allowed)
    ports = subset.get("ports") or []
    for i, port in enumerate(ports):
        errors += _validate_port(port, f"{path}.ports[{i}]", len(ports) > 1)
    return errors


def _validate_address(address: JSON, path: str, allowed: str) -> list[FieldError]:
    errors: list[FieldError] = []
    value = address.get("ip", "")
    special = validate_public(value, f"{path}.ip", allowed)
    if formats.parse_ip(value) is None:
        errors, special = special, check(f"{path}.ip", value, ["must be a valid IP address"])
    if name := address.get("hostname"):
        errors += check(f"{path}.hostname", name, formats.dns1123_label(name))
    if (name := address.get("nodeName")) is not None:
        errors += check(f"{path}.nodeName", name, formats.dns1123_subdomain(name))
    return errors + special


def _validate_port(port: JSON, path: str, needs_name: bool) -> list[FieldError]:
    errors: list[FieldError] = []
    name, number, protocol = port.get("name", ""), port.get("port", 0), port.get("protocol", "")
    if name:
        errors += check(f"{path}.name", name, formats.dns1123_label(name))
    elif needs_name:
        errors.append(required(f"{path}.name"))
    errors += check(f"{path}.port", number, formats.port_number(number))
    if protocol not in PROTOCOLS:
        errors.append(
            unsupported(f"{path}.protocol", protocol, *PROTOCOLS) if protocol else required(f"{path}.protocol")
        )
    if port.get("appProtocol") is not None:
        errors += check(f"{path}.appProtocol", port["appProtocol"], formats.qualified_name(port["appProtocol"]))
    return errors
