"""Validation of probes and lifecycle handlers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from localcluster.apiserver.errors import FieldError, forbidden_field, invalid_value, required
from localcluster.apiserver.kinds import formats
from localcluster.apiserver.kinds.formats import check, unsupported

JSON = dict[str, Any]

_COUNTS = ("initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold")


def validate_probe(probe: JSON | None, path: str, kind: str) -> list[FieldError]:
    """Errors of a probe; `kind` is its field: ``livenessProbe``, ``readinessProbe`` or ``startupProbe``."""
    if probe is None:
        return []
    errors = _validate_handler(probe, path, ("exec", "httpGet", "tcpSocket", "grpc"), None)
    for name in _COUNTS:
        errors += formats.not_negative(f"{path}.{name}", probe.get(name, 0))
    seconds = probe.get("terminationGracePeriodSeconds")
    if seconds is not None and seconds <= 0:
        errors.append(invalid_value(f"{path}.terminationGracePeriodSeconds", seconds, formats.POSITIVE))
    if kind == "readinessProbe":
        if seconds is not None:
            detail = "must not be set for readinessProbes"
            errors.append(invalid_value(f"{path}.terminationGracePeriodSeconds", seconds, detail))
    elif probe.get("successThreshold", 1) != 1:
        errors.append(invalid_value(f"{path}.successThreshold", probe["successThreshold"], "must be 1"))
    return errors


def validate_lifecycle(lifecycle: JSON, path: str, grace: int | None) -> list[FieldError]:
    """Errors of ``lifecycle``; `grace` is the pod's terminationGracePeriodSeconds."""
    errors: list[FieldError] = []
    for name in ("postStart", "preStop"):
        if lifecycle.get(name) is not None:
            kinds = ("exec", "httpGet", "tcpSocket", "sleep")
            errors += _validate_handler(lifecycle[name], f"{path}.{name}", kinds, grace)
    return errors


def _validate_handler(handler: JSON, path: str, kinds: tuple[str, ...], grace: int | None) -> list[FieldError]:
    errors: list[FieldError] = []
    given = [kind for kind in kinds if handler.get(kind) is not None]
    if not given:
        return [required(path, "must specify a handler type")]
    for kind in given[:1]:
        if kind == "sleep":
            errors += _sleep(handler["sleep"], f"{path}.sleep", grace)
        else:
            errors += _HANDLERS[kind](handler[kind], f"{path}.{kind}")
    return errors + [
        forbidden_field(f"{path}.{kind}", "may not specify more than 1 handler type") for kind in given[1:]
    ]


def _exec(action: JSON, path: str) -> list[FieldError]:
    return [] if action.get("command") else [required(f"{path}.command")]


def _http_get(action: JSON, path: str) -> list[FieldError]:
    errors = [] if action.get("path") else [required(f"{path}.path")]
    errors += port_number_or_name(action.get("port", 0), f"{path}.port")
    if action.get("scheme") not in ("HTTP", "HTTPS"):
        errors.append(unsupported(f"{path}.scheme", action.get("scheme", ""), "HTTP", "HTTPS"))
    for header in action.get("httpHeaders") or ():
        name = header.get("name", "")
        errors += check(f"{path}.httpHeaders", name, formats.http_header_name(name))
    return errors


def _tcp_socket(action: JSON, path: str) -> list[FieldError]:
    return port_number_or_name(action.get("port", 0), f"{path}.port")


def _sleep(action: JSON, path: str, grace: int | None) -> list[FieldError]:
    seconds = action.get("seconds", 0)
    if grace is None or 0 <= seconds <= grace:
        return []
    detail = f"must be non-negative and less than terminationGracePeriodSeconds ({grace})"
    return [invalid_value(path, seconds, detail)]


def port_number_or_name(port: Any, path: str) -> list[FieldError]:
    """Errors of a port that may be given by number or by name."""
    return check(path, port, formats.port_name(port) if isinstance(port, str) else formats.port_number(port))


_HANDLERS: dict[str, Callable[[JSON, str], list[FieldError]]] = {
    "exec": _exec,
    "httpGet": _http_get,
    "tcpSocket": _tcp_socket,
    "grpc": _tcp_socket,
}
