"""Validation of what a container mounts: volumes at paths, and block devices."""

from __future__ import annotations

from typing import Any

from localcluster.apiserver.errors import FieldError, field_not_found, forbidden_field, invalid_value, required
from localcluster.apiserver.kinds.formats import unsupported
from localcluster.apiserver.kinds.volumes import descending_path

JSON = dict[str, Any]

_PROPAGATION = ("Bidirectional", "HostToContainer", "None")
_UNIQUE = "must be unique"


def validate_mounts(container: JSON, volumes: dict[str, JSON], path: str) -> list[FieldError]:
    """Errors of ``volumeMounts``; `volumes` are the pod's by name."""
    errors: list[FieldError] = []
    devices = {d.get("name", ""): d.get("devicePath", "") for d in container.get("volumeDevices") or ()}
    taken: set[str] = set()
    for i, mount in enumerate(container.get("volumeMounts") or ()):
        here, name, target = f"{path}[{i}]", mount.get("name", ""), mount.get("mountPath", "")
        if not name:
            errors.append(required(f"{here}.name"))
        if name not in volumes:
            errors.append(field_not_found(f"{here}.name", name))
        if not target:
            errors.append(required(f"{here}.mountPath"))
        if target in taken:
            errors.append(invalid_value(f"{here}.mountPath", target, _UNIQUE))
        taken.add(target)
        if name in devices:
            errors.append(invalid_value(f"{here}.name", name, "must not already exist in volumeDevices"))
        if target in devices.values():
            detail = "must not already exist as a path in volumeDevices"
            errors.append(invalid_value(f"{here}.mountPath", target, detail))
        errors += _sub_paths(mount, path, here)
        errors += _propagation(mount, container, path)
    return errors


def _sub_paths(mount: JSON, path: str, here: str) -> list[FieldError]:
    # The real server leaves the mount's index out of some of these paths.
    errors: list[FieldError] = []
    if mount.get("subPath"):
        errors += descending_path(mount["subPath"], f"{path}.subPath")
    if expression := mount.get("subPathExpr"):
        if mount.get("subPath"):
            detail = "subPathExpr and subPath are mutually exclusive"
            errors.append(invalid_value(f"{here}.subPathExpr", expression, detail))
        errors += descending_path(expression, f"{path}.subPathExpr")
    return errors


def _propagation(mount: JSON, container: JSON, path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    mode = mount.get("mountPropagation")
    if mode is not None:
        if mode not in _PROPAGATION:
            errors.append(unsupported(f"{path}.mountPropagation", mode, *_PROPAGATION))
        if mode == "Bidirectional" and not (container.get("securityContext") or {}).get("privileged"):
            detail = "Bidirectional mount propagation is available only to privileged containers"
            errors.append(forbidden_field(f"{path}.mountPropagation", detail))
    recursive, here = mount.get("recursiveReadOnly"), f"{path}.recursiveReadOnly"
    if recursive in ("Enabled", "IfPossible"):
        if not mount.get("readOnly"):
            errors.append(forbidden_field(here, "may only be specified when readOnly is true"))
        if mode not in (None, "None"):
            detail = "may only be specified when mountPropagation is None or not specified"
            errors.append(forbidden_field(here, detail))
    elif recursive not in (None, "Disabled"):
        errors.append(unsupported(here, recursive, "Disabled", "Enabled", "IfPossible"))
    return errors


def validate_devices(container: JSON, volumes: dict[str, JSON], path: str) -> list[FieldError]:
    """Errors of ``volumeDevices``."""
    errors: list[FieldError] = []
    mounts = {m.get("name", ""): m.get("mountPath", "") for m in container.get("volumeMounts") or ()}
    names: set[str] = set()
    paths: set[str] = set()
    for i, device in enumerate(container.get("volumeDevices") or ()):
        here, name, target = f"{path}[{i}]", device.get("name", ""), device.get("devicePath", "")
        if not name:
            errors.append(required(f"{here}.name"))
        if name in names:
            errors.append(invalid_value(f"{here}.name", name, _UNIQUE))
        volume = volumes.get(name)
        if volume is None:
            errors.append(field_not_found(f"{here}.name", name))
        elif volume.get("persistentVolumeClaim") is None and volume.get("ephemeral") is None:
            detail = "can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode"
            errors.append(invalid_value(f"{here}.name", name, detail))
        if not target:
            errors.append(required(f"{here}.devicePath"))
        if target in paths:
            errors.append(invalid_value(f"{here}.devicePath", target, _UNIQUE))
        if ".." in target.split("/"):
            errors.append(invalid_value(f"{here}.devicePath", target, "can not contain backsteps ('..')"))
        else:
            paths.add(target)
        if name in mounts:
            errors.append(invalid_value(f"{here}.name", name, "must not already exist in volumeMounts"))
        if target in mounts.values():
            detail = "must not already exist as a path in volumeMounts"
            errors.append(invalid_value(f"{here}.devicePath", target, detail))
        if name:
            names.add(name)
    return errors
