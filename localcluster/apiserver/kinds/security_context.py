"""Validation of the security contexts of pods and containers, and of their older forms in annotations."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from localcluster.apiserver.errors import FieldError, duplicate, forbidden_field, invalid_value, required, too_long
from localcluster.apiserver.kinds import formats
from localcluster.apiserver.kinds.formats import unsupported
from localcluster.apiserver.kinds.volumes import descending_path

JSON = dict[str, Any]

SECCOMP_POD = "seccomp.security.alpha.kubernetes.io/pod"
SECCOMP_CONTAINER = "container.seccomp.security.alpha.kubernetes.io/"
APPARMOR_CONTAINER = "container.apparmor.security.beta.kubernetes.io/"

_MAX_ID = 2**31 - 1
_PROFILE_TYPES = ("Localhost", "RuntimeDefault", "Unconfined")
_SYSCTL = r"([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?"
_SYSCTL_LENGTH = 253
_MAX_PATH = 4095
# Go's field names of a container's security context, in its order: errors quote the whole.
_FIELDS = (
    ("Capabilities", "capabilities"), ("Privileged", "privileged"), ("SELinuxOptions", "seLinuxOptions"),
    ("WindowsOptions", "windowsOptions"), ("RunAsUser", "runAsUser"), ("RunAsGroup", "runAsGroup"),
    ("RunAsNonRoot", "runAsNonRoot"), ("ReadOnlyRootFilesystem", "readOnlyRootFilesystem"),
    ("AllowPrivilegeEscalation", "allowPrivilegeEscalation"), ("ProcMount", "procMount"),
    ("SeccompProfile", "seccompProfile"), ("AppArmorProfile", "appArmorProfile"),
)  # fmt: skip


def validate_pod_security_context(context: JSON | None, spec: JSON, path: str) -> list[FieldError]:
    """Errors of ``spec.securityContext``; `spec` tells what the pod shares with its host."""
    if context is None:
        return []
    errors = _ids(context, path, "fsGroup", "runAsUser", "runAsGroup")
    for i, group in enumerate(context.get("supplementalGroups") or ()):
        errors += formats.in_range(f"{path}.supplementalGroups[{i}]", group, 0, _MAX_ID)
    if spec.get("shareProcessNamespace") and spec.get("hostPID"):
        detail = "ShareProcessNamespace and HostPID cannot both be enabled"
        errors.append(invalid_value(f"{path}.shareProcessNamespace", True, detail))
    errors += _sysctls(context.get("sysctls") or [], spec, f"{path}.sysctls")
    policy = context.get("fsGroupChangePolicy")
    if policy is not None and policy not in ("Always", "OnRootMismatch"):
        errors.append(unsupported(f"{path}.fsGroupChangePolicy", policy, "Always", "OnRootMismatch"))
    errors += _seccomp(context.get("seccompProfile"), f"{path}.seccompProfile")
    errors += _app_armor(context.get("appArmorProfile"), f"{path}.appArmorProfile")
    policy = context.get("supplementalGroupsPolicy")
    if policy is not None and policy not in ("Merge", "Strict"):
        errors.append(unsupported(f"{path}.supplementalGroupsPolicy", policy, "Merge", "Strict"))
    return errors


def validate_security_context(context: JSON | None, path: str, *, host_users: bool) -> list[FieldError]:
    """Errors of a container's security context."""
    if context is None:
        return []
    errors = _ids(context, path, "runAsUser", "runAsGroup")
    mount = context.get("procMount")
    if mount is not None:
        if mount not in ("Default", "Unmasked"):
            errors.append(unsupported(f"{path}.procMount", mount, "Default", "Unmasked"))
        if host_users and mount == "Unmasked":
            detail = "`hostUsers` must be false to use `Unmasked`"
            errors.append(invalid_value(f"{path}.procMount", mount, detail))
    errors += _seccomp(context.get("seccompProfile"), f"{path}.seccompProfile")
    if context.get("allowPrivilegeEscalation") is False:
        if context.get("privileged"):
            detail = "cannot set `allowPrivilegeEscalation` to false and `privileged` to true"
            errors.append(invalid_value(path, _as_go(context), detail))
        if "CAP_SYS_ADMIN" in ((context.get("capabilities") or {}).get("add") or ()):
            detail = "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN"
            errors.append(invalid_value(path, _as_go(context), detail))
    return errors + _app_armor(context.get("appArmorProfile"), f"{path}.appArmorProfile")


def _as_go(context: JSON) -> JSON:
    def upper(value: Any) -> Any:
        return {k[:1].upper() + k[1:]: upper(v) for k, v in value.items()} if isinstance(value, dict) else value

    shown = {go: upper(context.get(name)) for go, name in _FIELDS}
    if (capabilities := context.get("capabilities")) is not None:
        shown["Capabilities"] = {"Add": capabilities.get("add"), "Drop": capabilities.get("drop")}
    return shown


def _ids(context: JSON, path: str, *names: str) -> list[FieldError]:
    return [
        error
        for name in names
        if context.get(name) is not None
        for error in formats.in_range(f"{path}.{name}", context[name], 0, _MAX_ID)
    ]


def _seccomp(profile: JSON | None, path: str) -> list[FieldError]:
    if profile is None:
        return []
    errors: list[FieldError] = []
    kind, local = profile.get("type", ""), profile.get("localhostProfile")
    if not kind:
        errors.append(required(f"{path}.type", "type is required when seccompProfile is set"))
    elif kind not in _PROFILE_TYPES:
        errors.append(unsupported(f"{path}.type", kind, *_PROFILE_TYPES))
    if kind == "Localhost":
        if local is None:
            errors.append(required(f"{path}.localhostProfile", "must be set when seccomp type is Localhost"))
        else:
            errors += descending_path(local, f"{path}.localhostProfile")
    elif local is not None:
        shown = {"Type": kind, "LocalhostProfile": local}
        detail = "can only be set when seccomp type is Localhost"
        errors.append(invalid_value(f"{path}.localhostProfile", shown, detail))
    return errors


def _app_armor(profile: JSON | None, path: str) -> list[FieldError]:
    if profile is None:
        return []
    kind, local, here = profile.get("type", ""), profile.get("localhostProfile"), f"{path}.localhostProfile"
    if not kind:
        return [required(f"{path}.type", "type is required when appArmorProfile is set")]
    if kind not in _PROFILE_TYPES:
        return [unsupported(f"{path}.type", kind, *_PROFILE_TYPES)]
    if kind != "Localhost":
        detail = "can only be set when AppArmor type is Localhost"
        return [] if local is None else [invalid_value(here, local, detail)]
    if local is None:
        return [required(here, "must be set when AppArmor type is Localhost")]
    errors: list[FieldError] = []
    if local.strip() != local:
        errors.append(invalid_value(here, local, "must not be padded with whitespace"))
    elif not local:
        errors.append(required(here, "must be set when AppArmor type is Localhost"))
    if len(local) > _MAX_PATH:
        errors.append(too_long(here, _MAX_PATH))
    return errors


def _sysctls(sysctls: list[JSON], spec: JSON, path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    seen: set[str] = set()
    for i, sysctl in enumerate(sysctls):
        name, here = sysctl.get("name", ""), f"{path}[{i}].name"
        if not name:
            errors.append(required(here))
        elif len(name) > _SYSCTL_LENGTH or not re.fullmatch(_SYSCTL, name):
            detail = f"must have at most {_SYSCTL_LENGTH} characters and match regex ^{_SYSCTL}$"
            errors.append(invalid_value(here, name, detail))
        elif name in seen:
            errors.append(duplicate(here, name))
        dotted = name.replace("/", ".")
        if spec.get("hostNetwork") and dotted.startswith("net."):
            errors.append(invalid_value(here, name, "may not be specified when 'hostNetwork' is true"))
        elif spec.get("hostIPC") and dotted.startswith(("kernel.shm", "kernel.msg", "kernel.sem", "fs.mqueue.")):
            errors.append(invalid_value(here, name, "may not be specified when 'hostIPC' is true"))
        seen.add(name)
    return errors


# ---- annotations


def validate_profile_annotations(annotations: JSON, container_names: set[str], path: str) -> list[FieldError]:
    """Errors of the seccomp and AppArmor annotations that came before the fields."""
    errors: list[FieldError] = []
    for key, value in annotations.items():
        if key == SECCOMP_POD or key.startswith(SECCOMP_CONTAINER):
            errors += _seccomp_annotation(value, f"{path}.{key}")
    for key, value in annotations.items():
        if not key.startswith(APPARMOR_CONTAINER):
            continue
        container = key.removeprefix(APPARMOR_CONTAINER)
        if container not in container_names:
            errors.append(invalid_value(f"{path}[{key}]", container, "container not found"))
        if value not in ("", "runtime/default", "unconfined") and not value.startswith("localhost/"):
            errors.append(invalid_value(f"{path}[{key}]", value, f'invalid AppArmor profile name: "{value}"'))
    return errors


def _seccomp_annotation(value: str, path: str) -> list[FieldError]:
    if value in ("runtime/default", "docker/default", "unconfined"):
        return []
    if value.startswith("localhost/"):
        return descending_path(value.removeprefix("localhost/"), path)
    return [invalid_value(path, value, "must be a valid seccomp profile")]


def validate_profiles_match(annotations: JSON, owners: Iterator[tuple[str, JSON]], spec_path: str) -> list[FieldError]:
    """Errors where a seccomp annotation says something else than its field.

    `owners` are what has a security context, with its path: the spec itself (at `spec_path`) and the containers.
    """
    errors: list[FieldError] = []
    for path, owner in owners:
        profile = (owner.get("securityContext") or {}).get("seccompProfile")
        key = SECCOMP_POD if path == spec_path else SECCOMP_CONTAINER + owner.get("name", "")
        if profile is None or key not in annotations:
            continue
        here, noted, kind = f"{path}.securityContext.seccompProfile", annotations[key], profile.get("type")
        local = noted.removeprefix("localhost/") if noted.startswith("localhost/") else None
        fits = {
            "Unconfined": noted == "unconfined",
            "RuntimeDefault": noted in ("runtime/default", "docker/default"),
            "Localhost": local is not None,
        }
        if not fits.get(kind, True):
            errors.append(forbidden_field(f"{here}.type", "seccomp type in annotation and field must match"))
        elif kind == "Localhost" and local != profile.get("localhostProfile"):
            detail = "seccomp profile in annotation and field must match"
            errors.append(forbidden_field(f"{here}.localhostProfile", detail))
    return errors
