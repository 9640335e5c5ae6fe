"""Validation of the containers of a pod: images, ports, environment, mounts, probes and lifecycle handlers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from localcluster.apiserver.errors import (
    FieldError,
    duplicate,
    field_not_found,
    forbidden_field,
    invalid_value,
    required,
)
from localcluster.apiserver.kinds import formats
from localcluster.apiserver.kinds.formats import check, unsupported
from localcluster.apiserver.kinds.mounts import validate_devices, validate_mounts
from localcluster.apiserver.kinds.probes import validate_lifecycle, validate_probe
from localcluster.apiserver.kinds.resource_rules import validate_resources
from localcluster.apiserver.kinds.security_context import validate_security_context
from localcluster.apiserver.kinds.volumes import ENV_FIELDS, validate_field_ref, validate_resource_field_ref

JSON = dict[str, Any]

PROTOCOLS = ("SCTP", "TCP", "UDP")
_PULL_POLICIES = ("Always", "IfNotPresent", "Never")
_RESTART_POLICIES = ("Always", "Never", "OnFailure")
_ONLY_SIDECARS = "may not be set for init containers without restartPolicy=Always"
_NOT_EPHEMERAL = "cannot be set for an Ephemeral Container"
_PROBES = ("livenessProbe", "readinessProbe", "startupProbe")


@dataclass(frozen=True)
class Surroundings:
    """What the rest of the pod says that its containers depend on.

    Attributes:
        volumes: the pod's valid volumes by name.
        claims: names of its resource claims.
        grace: terminationGracePeriodSeconds.
        host_users: the pod is in the host's user namespace.
    """

    volumes: dict[str, JSON]
    claims: set[str] = field(default_factory=set)
    grace: int | None = None
    restart_policy: str = "Always"
    host_users: bool = True


def validate_containers(containers: list[JSON] | None, path: str, pod: Surroundings) -> list[FieldError]:
    if not containers:
        return [required(path)]
    errors: list[FieldError] = []
    names: set[str] = set()
    for i, container in enumerate(containers):
        here = f"{path}[{i}]"
        errors += _validate_common(container, here, pod)
        name = container.get("name", "")
        if name in names:
            errors.append(duplicate(f"{here}.name", name))
        names.add(name)
        if container.get("lifecycle") is not None:
            errors += validate_lifecycle(container["lifecycle"], f"{here}.lifecycle", pod.grace)
        for kind in _PROBES:
            errors += validate_probe(container.get(kind), f"{here}.{kind}", kind)
        errors += _restart_policy(container, here)
    return errors + _host_port_conflicts(containers, path)


def validate_init_containers(
    containers: list[JSON] | None, main: list[JSON] | None, path: str, pod: Surroundings
) -> list[FieldError]:
    errors: list[FieldError] = []
    names = {c.get("name", "") for c in main or ()}
    for i, container in enumerate(containers or ()):
        here = f"{path}[{i}]"
        errors += _validate_common(container, here, pod)
        errors += _restart_policy(container, here)
        name = container.get("name", "")
        if name in names:
            errors.append(duplicate(f"{here}.name", name))
        elif name:
            names.add(name)
        errors += _host_port_conflicts([container], path)
        if container.get("restartPolicy") == "Always":
            if container.get("lifecycle") is not None:
                errors += validate_lifecycle(container["lifecycle"], f"{here}.lifecycle", pod.grace)
            for kind in _PROBES:
                errors += validate_probe(container.get(kind), f"{here}.{kind}", kind)
        else:
            for kind in ("lifecycle", *_PROBES):
                if container.get(kind) is not None:
                    errors.append(forbidden_field(f"{here}.{kind}", _ONLY_SIDECARS))
    return errors


def validate_ephemeral_containers(spec: JSON, path: str, pod: Surroundings) -> list[FieldError]:
    errors: list[FieldError] = []
    others = {c.get("name", "") for key in ("containers", "initContainers") for c in spec.get(key) or ()}
    names = set(others)
    for i, container in enumerate(spec.get("ephemeralContainers") or ()):
        here, name = f"{path}[{i}]", container.get("name", "")
        errors += _validate_common(container, here, pod)
        errors += image_padding(container, here)
        if name in names:
            errors.append(duplicate(f"{here}.name", name))
        names.add(name)
        target = container.get("targetContainerName", "")
        if target and target not in others:
            errors.append(field_not_found(f"{here}.targetContainerName", target))
        for key in ("ports", "resources", *_PROBES, "lifecycle", "resizePolicy", "restartPolicy"):
            if container.get(key):
                errors.append(forbidden_field(f"{here}.{key}", _NOT_EPHEMERAL))
        for j, mount in enumerate(container.get("volumeMounts") or ()):
            for key in ("subPath", "subPathExpr"):
                if mount.get(key):
                    errors.append(forbidden_field(f"{here}.volumeMounts[{j}].{key}", _NOT_EPHEMERAL))
    return errors


def image_padding(container: JSON, path: str) -> list[FieldError]:
    """Images of pods may not begin or end with space; those of templates may."""
    image = container.get("image", "")
    if image == image.strip():
        return []
    return [invalid_value(f"{path}.image", image, "must not have leading or trailing whitespace")]


def _validate_common(container: JSON, path: str, pod: Surroundings) -> list[FieldError]:
    name = container.get("name", "")
    errors = check(f"{path}.name", name, formats.dns1123_label(name)) if name else [required(f"{path}.name")]
    if not container.get("image"):
        errors.append(required(f"{path}.image"))
    policy = container.get("terminationMessagePolicy", "")
    if policy not in ("File", "FallbackToLogsOnError"):
        errors.append(unsupported(f"{path}.terminationMessagePolicy", policy, "File", "FallbackToLogsOnError"))
    errors += _ports(container.get("ports") or [], f"{path}.ports")
    errors += validate_env(container.get("env") or [], f"{path}.env")
    errors += _env_from(container.get("envFrom") or [], f"{path}.envFrom")
    errors += validate_mounts(container, pod.volumes, f"{path}.volumeMounts")
    errors += validate_devices(container, pod.volumes, f"{path}.volumeDevices")
    policy = container.get("imagePullPolicy", "")
    if policy not in _PULL_POLICIES:
        errors.append(unsupported(f"{path}.imagePullPolicy", policy, *_PULL_POLICIES))
    errors += validate_resources(container.get("resources"), f"{path}.resources", pod.claims)
    errors += _resize_policy(container.get("resizePolicy") or [], f"{path}.resizePolicy", pod.restart_policy)
    context = container.get("securityContext")
    return errors + validate_security_context(context, f"{path}.securityContext", host_users=pod.host_users)


def _restart_policy(container: JSON, path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    policy = container.get("restartPolicy")
    if policy is not None and policy not in _RESTART_POLICIES:
        errors.append(unsupported(f"{path}.restartPolicy", policy, *_RESTART_POLICIES))
    if container.get("restartPolicyRules") and policy is None:
        detail = "must specify restartPolicy when restart rules are used"
        errors.append(required(f"{path}.restartPolicy", detail))
    return errors


def _ports(ports: list[JSON], path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    names: set[str] = set()
    for i, port in enumerate(ports):
        here, name = f"{path}[{i}]", port.get("name", "")
        if name:
            messages = formats.port_name(name)
            errors += check(f"{here}.name", name, messages)
            if not messages and name in names:
                errors.append(duplicate(f"{here}.name", name))
            elif not messages:
                names.add(name)
        number = port.get("containerPort", 0)
        if number:
            errors += check(f"{here}.containerPort", number, formats.port_number(number))
        else:
            errors.append(required(f"{here}.containerPort"))
        if port.get("hostPort"):
            errors += check(f"{here}.hostPort", port["hostPort"], formats.port_number(port["hostPort"]))
        protocol = port.get("protocol", "")
        if not protocol:
            errors.append(required(f"{here}.protocol"))
        elif protocol not in PROTOCOLS:
            errors.append(unsupported(f"{here}.protocol", protocol, *PROTOCOLS))
    return errors


def _host_port_conflicts(containers: list[JSON], path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    taken: set[str] = set()
    for i, container in enumerate(containers):
        for j, port in enumerate(container.get("ports") or ()):
            if port.get("hostPort"):
                used = f"{port.get('protocol', '')}/{port.get('hostIP', '')}/{port['hostPort']}"
                if used in taken:
                    errors.append(duplicate(f"{path}[{i}].ports[{j}].hostPort", used))
                taken.add(used)
    return errors


def _resize_policy(policies: list[JSON], path: str, restart_policy: str) -> list[FieldError]:
    errors: list[FieldError] = []
    seen: set[str] = set()
    for i, policy in enumerate(policies):
        resource, restart = policy.get("resourceName", ""), policy.get("restartPolicy", "")
        if resource in seen:
            errors.append(duplicate(f"{path}[{i}]", resource))
        seen.add(resource)
        for value, allowed in ((resource, ("cpu", "memory")), (restart, ("NotRequired", "RestartContainer"))):
            if not value:
                errors.append(required(path))
            elif value not in allowed:
                errors.append(unsupported(path, value, *allowed))
        if restart_policy == "Never" and restart != "NotRequired":
            detail = "must be 'NotRequired' when `restartPolicy` is 'Never'"
            errors.append(invalid_value(path, restart, detail))
    return errors


# ---- environment


def validate_env(variables: list[JSON], path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    for i, variable in enumerate(variables):
        here, name = f"{path}[{i}]", variable.get("name", "")
        errors += check(f"{here}.name", name, formats.env_var_name(name)) if name else [required(f"{here}.name")]
        if variable.get("valueFrom") is not None:
            errors += _env_source(variable["valueFrom"], variable.get("value", ""), f"{here}.valueFrom")
    return errors


def _env_source(source: JSON, value: str, path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    kinds = ("fieldRef", "resourceFieldRef", "configMapKeyRef", "secretKeyRef", "fileKeyRef")
    given = [kind for kind in kinds if source.get(kind) is not None]
    for kind in given:
        here, ref = f"{path}.{kind}", source[kind]
        if kind == "fieldRef":
            errors += validate_field_ref(ref, here, ENV_FIELDS)
        elif kind == "resourceFieldRef":
            errors += validate_resource_field_ref(ref, here)
        elif kind == "fileKeyRef":
            errors += [required(f"{here}.{name}") for name in ("volumeName", "path", "key") if not ref.get(name)]
        else:
            errors += _key_selector(ref, here)
    if not given:
        listed = "`fieldRef`, `resourceFieldRef`, `configMapKeyRef` or `secretKeyRef`"
        errors.append(invalid_value(path, "", f"must specify one of: {listed}"))
    elif value:
        errors.append(invalid_value(path, "", "may not be specified when `value` is not empty"))
    elif len(given) > 1:
        errors.append(invalid_value(path, "", "may not have more than one field specified at a time"))
    return errors


def _key_selector(ref: JSON, path: str) -> list[FieldError]:
    name, key = ref.get("name", ""), ref.get("key", "")
    errors = check(f"{path}.name", name, formats.dns1123_subdomain(name))
    return errors + (check(f"{path}.key", key, formats.config_map_key(key)) if key else [required(f"{path}.key")])


def _env_from(sources: list[JSON], path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    for i, source in enumerate(sources):
        here, prefix = f"{path}[{i}]", source.get("prefix", "")
        if prefix:
            errors += check(f"{here}.prefix", prefix, formats.env_var_name(prefix))
        given = [kind for kind in ("configMapRef", "secretRef") if source.get(kind) is not None]
        for kind in given:
            name = source[kind].get("name", "")
            where = f"{here}.{kind}.name"
            errors += check(where, name, formats.dns1123_subdomain(name)) if name else [required(where)]
        if not given:
            errors.append(invalid_value(path, "", "must specify one of: `configMapRef` or `secretRef`"))
        elif len(given) > 1:
            errors.append(invalid_value(path, "", "may not have more than one field specified at a time"))
    return errors
