"""HTTPTrigger: a host and a path under which a function is reached from outside of the cluster."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kubeless.api.errors import InvalidSpec
from kubeless.api.metadata import Metadata
from kubeless.api.reading import Fields

KIND = "HTTPTrigger"
PLURAL = "httptriggers"
GATEWAYS = ("nginx", "traefik", "kong")


@dataclass(frozen=True)
class HTTPTrigger:
    """Texts are "" where they are not set.

    Attributes:
        tls: ask for a certificate by ACME.
        tls_secret, basic_auth_secret: names of Secrets in the same namespace.
    """

    metadata: Metadata
    function_name: str
    host_name: str
    path: str
    tls: bool
    tls_secret: str
    gateway: str
    basic_auth_secret: str
    cors_enable: bool


def parse(obj: Mapping[str, Any]) -> HTTPTrigger:
    """Raises InvalidSpec."""
    spec = Fields.of("spec", obj.get("spec"))
    gateway = spec.text("gateway", GATEWAYS[0])
    if gateway not in GATEWAYS:
        raise InvalidSpec(spec.at("gateway"), f'must be one of {", ".join(GATEWAYS)}, not "{gateway}"')
    return HTTPTrigger(
        metadata=Metadata.parse(KIND, obj),
        function_name=spec.required("function-name", "function-name: hello"),
        host_name=spec.text("host-name"),
        path=spec.text("path"),
        tls=spec.flag("tls"),
        tls_secret=spec.text("tls-secret"),
        gateway=gateway,
        basic_auth_secret=spec.text("basic-auth-secret"),
        cors_enable=spec.flag("cors-enable"),
    )
