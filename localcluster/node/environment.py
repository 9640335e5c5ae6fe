"""The environment of a container: variables from the spec, from other objects, and of the services around it.

Pure functions: the objects that are referred to come in as values.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from localcluster.node.resources import resource_value

JSON = dict[str, Any]

_REFERENCE = re.compile(r"\$\$|\$\(([^)]*)\)")
_SUBSCRIPT = re.compile(r"(metadata\.(?:labels|annotations))\['(.+)'\]")


class ConfigError(Exception):
    """The container cannot be configured; the message is a kubelet's and goes into the container's status."""


def expand(text: str, values: Mapping[str, str]) -> str:
    """`$(NAME)` by its value; unknown names stay, `$$` is a `$` that is not looked at."""

    def one(match: re.Match[str]) -> str:
        if match.group() == "$$":
            return "$"
        return values.get(match.group(1), match.group())

    return _REFERENCE.sub(one, text)


def field_value(pod: JSON, path: str, *, pod_ip: str, host_ip: str) -> str:
    """What a `fieldRef` names (https://kubernetes.io/docs/concepts/workloads/pods/downward-api/)."""
    meta, spec = pod["metadata"], pod["spec"]
    if match := _SUBSCRIPT.fullmatch(path):
        return str((meta.get(match.group(1).partition(".")[2]) or {}).get(match.group(2), ""))
    simple: dict[str, str] = {
        "metadata.name": meta["name"],
        "metadata.namespace": meta.get("namespace", ""),
        "metadata.uid": meta.get("uid", ""),
        "spec.nodeName": spec.get("nodeName", ""),
        "spec.serviceAccountName": spec.get("serviceAccountName", ""),
        "status.hostIP": host_ip,
        "status.hostIPs": host_ip,
        "status.podIP": pod_ip,
        "status.podIPs": pod_ip,
    }
    if path in simple:
        return simple[path]
    if path in ("metadata.labels", "metadata.annotations"):
        values = meta.get(path.partition(".")[2]) or {}
        return "\n".join(f"{name}={_quoted(value)}" for name, value in sorted(values.items()))
    raise ConfigError(f"unsupported fieldPath: {path}")


def _quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\t")
    return f'"{escaped}"'


def service_variables(services: Iterable[JSON]) -> dict[str, str]:
    """The variables of services with a ClusterIP, Docker's link variables among them
    (https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables)."""
    env: dict[str, str] = {}
    for service in services:
        spec = service["spec"]
        ip, ports = spec.get("clusterIP"), spec.get("ports") or []
        if not ip or ip == "None" or not ports:
            continue
        prefix = service["metadata"]["name"].upper().replace("-", "_")
        env[f"{prefix}_SERVICE_HOST"] = ip
        env[f"{prefix}_SERVICE_PORT"] = str(ports[0]["port"])
        for number, port in enumerate(ports):
            protocol = port.get("protocol", "TCP")
            url = f"{protocol.lower()}://{ip}:{port['port']}"
            if port.get("name"):
                env[f"{prefix}_SERVICE_PORT_{port['name'].upper().replace('-', '_')}"] = str(port["port"])
            if number == 0:
                env[f"{prefix}_PORT"] = url
            link = f"{prefix}_PORT_{port['port']}_{protocol}"
            env |= {link: url, f"{link}_PROTO": protocol.lower(), f"{link}_PORT": str(port["port"]), f"{link}_ADDR": ip}
    return env


class References:
    """The ConfigMaps and Secrets that a pod's containers take variables from, read beforehand."""

    def __init__(self, namespace: str, config_maps: Mapping[str, JSON | None], secrets: Mapping[str, JSON | None]):
        self._namespace = namespace
        self._config_maps = config_maps
        self._secrets = secrets

    def config_map(self, name: str, optional: bool) -> dict[str, str] | None:
        """Its text entries; None if it is missing and may be. Raises `ConfigError`."""
        found = self._config_maps.get(name)
        if found is None:
            if optional:
                return None
            raise ConfigError(f'configmap "{name}" not found')
        return found.get("data") or {}

    def secret(self, name: str, optional: bool) -> dict[str, str] | None:
        found = self._secrets.get(name)
        if found is None:
            if optional:
                return None
            raise ConfigError(f'secret "{name}" not found')
        data = found.get("data") or {}
        return {key: base64.b64decode(value or "").decode(errors="replace") for key, value in data.items()}

    def key(self, source: JSON, *, secret: bool) -> str | None:
        """The value of a configMapKeyRef or secretKeyRef; None if it is missing and may be."""
        name, key, optional = source.get("name", ""), source["key"], bool(source.get("optional"))
        values = (self.secret if secret else self.config_map)(name, optional)
        if values is not None and key in values:
            return values[key]
        if optional:
            return None
        raise ConfigError(f"couldn't find key {key} in {'Secret' if secret else 'ConfigMap'} {self._namespace}/{name}")


def named_references(container: JSON) -> tuple[set[str], set[str]]:
    """Names of the ConfigMaps and of the Secrets that a container's variables come from."""
    config_maps: set[str] = set()
    secrets: set[str] = set()
    for source in container.get("envFrom") or []:
        if ref := source.get("configMapRef"):
            config_maps.add(ref.get("name", ""))
        if ref := source.get("secretRef"):
            secrets.add(ref.get("name", ""))
    for variable in container.get("env") or []:
        source = variable.get("valueFrom") or {}
        if ref := source.get("configMapKeyRef"):
            config_maps.add(ref.get("name", ""))
        if ref := source.get("secretKeyRef"):
            secrets.add(ref.get("name", ""))
    return config_maps, secrets


def container_variables(
    container: JSON,
    pod: JSON,
    references: References,
    services: Mapping[str, str],
    *,
    pod_ip: str,
    host_ip: str,
    allocatable: Mapping[str, str],
) -> dict[str, str]:
    """The variables of a container: those of services, `envFrom`, then `env`, each able to refer to earlier ones.

    Raises `ConfigError` for what is missing, worded as a kubelet's.
    """
    env: dict[str, str] = dict(services)
    for source in container.get("envFrom") or []:
        ref, read = _env_from(source, references)
        for key, value in (read(ref.get("name", ""), bool(ref.get("optional"))) or {}).items():
            env[source.get("prefix", "") + key] = value
    for variable in container.get("env") or []:
        name, source = variable["name"], variable.get("valueFrom")
        if not source:
            env[name] = expand(variable.get("value", ""), env)
        elif ref := source.get("fieldRef"):
            env[name] = field_value(pod, ref["fieldPath"], pod_ip=pod_ip, host_ip=host_ip)
        elif ref := source.get("resourceFieldRef"):
            env[name] = resource_value(ref, pod, container, allocatable)
        elif ref := source.get("configMapKeyRef"):
            if (found := references.key(ref, secret=False)) is not None:
                env[name] = found
        elif (ref := source.get("secretKeyRef")) and (found := references.key(ref, secret=True)) is not None:
            env[name] = found
    return env


def _env_from(source: JSON, references: References) -> tuple[JSON, Callable[[str, bool], dict[str, str] | None]]:
    if ref := source.get("configMapRef"):
        return ref, references.config_map
    return source.get("secretRef") or {"optional": True}, references.secret
