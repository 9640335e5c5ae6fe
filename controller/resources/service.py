"""A function's Service, and which port its container listens on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from controller.resources.metadata import make_metadata
from kubeless import labels, naming
from kubeless.api.config import Config
from kubeless.api.errors import InvalidSpec
from kubeless.api.function import Function

JSON = dict[str, Any]

HEADLESS = "None"


def make_service(function: Function, config: Config) -> JSON:
    """`spec.service` with what is missing in it. Raises InvalidSpec."""
    spec = {name: value for name, value in function.service.items() if not _is_unset(value)}
    spec["ports"] = ports(function)
    if spec.get("clusterIP") != HEADLESS:
        spec.setdefault("type", config.service_type)
    selector = spec.get("selector")
    spec["selector"] = {**(selector if isinstance(selector, Mapping) else {}), **labels.of_function(function.name)}
    return {"apiVersion": "v1", "kind": "Service", "metadata": make_metadata(function), "spec": spec}


def ports(function: Function) -> list[JSON]:
    """The Service's ports; the first one is the function's. Raises InvalidSpec."""
    given = function.service.get("ports") or [{"port": naming.PORT, "targetPort": naming.PORT}]
    if not isinstance(given, list) or not all(isinstance(port, Mapping) for port in given):
        raise InvalidSpec("spec.service.ports", "must be a list of ports, such as [{port: 8080, targetPort: 8080}]")
    made = [{name: value for name, value in port.items() if not _is_unset(value)} for port in given]
    made[0].setdefault("name", naming.PORT_NAME)
    for port in made:
        port.setdefault("protocol", "TCP")
    taken = [(port.get("port"), port["protocol"]) for port in made]
    if twice := next(
        (f"{number} ({protocol})" for number, protocol in taken if taken.count((number, protocol)) > 1), ""
    ):
        raise InvalidSpec("spec.service.ports", f"has the port {twice} twice; give each entry a port of its own")
    return made


def container_port(function: Function) -> JSON:
    """Where the container listens: the number, and the name where the Service looks for it by name.

    Raises InvalidSpec.
    """
    first = ports(function)[0]
    target = first.get("targetPort", first.get("port", naming.PORT))
    if isinstance(target, str) and target.isdigit():
        target = int(target)
    if isinstance(target, str):
        return {"containerPort": naming.PORT, "name": target, "protocol": "TCP"}
    return {"containerPort": target, "protocol": "TCP"}


def _is_unset(value: Any) -> bool:
    """Old tools wrote Go's zero values for what is not set; applied, they would fight with the server's defaults."""
    return value is None or value == "" or value == {} or value == [] or (value == 0 and value is not False)
