"""Volumes of a pod as folders: what is in them, and where a mount of them leads.

Source of the behaviour: https://kubernetes.io/docs/concepts/storage/volumes/ and `projected-volumes/`.
"""

from __future__ import annotations

import base64
import contextlib
import os
import shutil
import stat
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

from localcluster.node.atomic_files import Content, write_atomically
from localcluster.node.environment import ConfigError, expand, field_value
from localcluster.node.mounts import Mount
from localcluster.node.resources import resource_value

JSON = dict[str, Any]
DEFAULT_MODE = 0o644
TOKEN_MODE = 0o600


class VolumeError(Exception):
    """A volume cannot be made (yet); the message is worded as a kubelet's FailedMount event."""


class Objects(Protocol):
    """Where volumes read from."""

    async def config_map(self, namespace: str, name: str) -> JSON | None: ...

    async def secret(self, namespace: str, name: str) -> JSON | None: ...

    async def token(self, pod: JSON, audience: str, expiration_seconds: int) -> str: ...


class Volumes:
    """The volumes of one pod under `folder`.

    Args:
        host_path_prefixes: folders of this machine that `hostPath` may reach.
    """

    def __init__(
        self,
        folder: Path,
        objects: Objects,
        *,
        host_path_prefixes: Sequence[Path],
        pod_ip: str,
        host_ip: str,
        allocatable: Mapping[str, str],
    ) -> None:
        self._folder = folder
        self._objects = objects
        self._host_path_prefixes = [prefix.resolve() for prefix in host_path_prefixes]
        self._pod_ip = pod_ip
        self._host_ip = host_ip
        self._allocatable = allocatable

    def path(self, volume: JSON) -> Path:
        if source := volume.get("hostPath"):
            return Path(source["path"])
        return self._folder / str(volume["name"])

    async def prepare(self, pod: JSON) -> None:
        """Make the folders and fill them. Called again it brings changed objects in. Raises `VolumeError`."""
        for volume in pod["spec"].get("volumes") or []:
            try:
                await self._prepare(pod, volume)
            except (ConfigError, OSError) as error:
                raise VolumeError(f'MountVolume.SetUp failed for volume "{volume["name"]}" : {error}') from error

    async def _prepare(self, pod: JSON, volume: JSON) -> None:
        path = self.path(volume)
        if "emptyDir" in volume:
            path.mkdir(parents=True, exist_ok=True)
            path.chmod(0o777)
        elif source := volume.get("hostPath"):
            self._prepare_host_path(path, source.get("type", ""))
        elif files := await self._files(pod, volume):
            write_atomically(path, files)
        elif any(kind in volume for kind in ("configMap", "secret", "projected", "downwardAPI")):
            write_atomically(path, {})
        else:
            kind = next((key for key in volume if key != "name"), "none")
            raise ConfigError(f"volumes of type {kind} are not supported by this node")

    def _prepare_host_path(self, path: Path, kind: str) -> None:
        real = path.resolve()
        if not any(real.is_relative_to(prefix) for prefix in self._host_path_prefixes):
            raise ConfigError(f"hostPath {path} is not allowed on this node (--allow-host-path FOLDER allows a folder)")
        if kind == "DirectoryOrCreate":
            path.mkdir(parents=True, exist_ok=True)
        elif kind == "FileOrCreate":
            path.touch()
        elif (kind == "Directory" and not path.is_dir()) or (kind == "File" and not path.is_file()):
            raise ConfigError(f"hostPath type check failed: {path} is not a {kind.lower()}")

    async def _files(self, pod: JSON, volume: JSON) -> dict[str, Content]:
        namespace = pod["metadata"]["namespace"]
        if source := volume.get("configMap"):
            mode = _mode(source, DEFAULT_MODE)
            return await self._config_map(namespace, source, mode, source.get("name", ""))
        if source := volume.get("secret"):
            mode = _mode(source, DEFAULT_MODE)
            return await self._secret(namespace, source, mode, source.get("secretName", ""))
        if source := volume.get("downwardAPI"):
            return self._downward(pod, source, _mode(source, DEFAULT_MODE))
        files: dict[str, Content] = {}
        projected = volume.get("projected") or {}
        mode = _mode(projected, DEFAULT_MODE)
        for source in projected.get("sources") or []:
            if part := source.get("configMap"):
                files |= await self._config_map(namespace, part, mode, part.get("name", ""))
            elif part := source.get("secret"):
                files |= await self._secret(namespace, part, mode, part.get("name", ""))
            elif part := source.get("downwardAPI"):
                files |= self._downward(pod, part, mode)
            elif part := source.get("serviceAccountToken"):
                audience, seconds = part.get("audience", ""), int(part.get("expirationSeconds") or 3600)
                token = await self._objects.token(pod, audience, seconds)
                files[part["path"]] = Content(token.encode(), TOKEN_MODE)
        return files

    async def _config_map(self, namespace: str, source: JSON, mode: int, name: str) -> dict[str, Content]:
        found = await self._objects.config_map(namespace, name)
        if found is None:
            if source.get("optional"):
                return {}
            raise ConfigError(f'configmap "{name}" not found')
        entries = {key: value.encode() for key, value in (found.get("data") or {}).items()}
        entries |= {key: base64.b64decode(value) for key, value in (found.get("binaryData") or {}).items()}
        return project(entries, source, mode, f"configmap references non-existent config key: {{key}} in {name}")

    async def _secret(self, namespace: str, source: JSON, mode: int, name: str) -> dict[str, Content]:
        found = await self._objects.secret(namespace, name)
        if found is None:
            if source.get("optional"):
                return {}
            raise ConfigError(f'secret "{name}" not found')
        entries = {key: base64.b64decode(value or "") for key, value in (found.get("data") or {}).items()}
        return project(entries, source, mode, f"references non-existent secret key: {{key}} in {name}")

    def _downward(self, pod: JSON, source: JSON, mode: int) -> dict[str, Content]:
        files: dict[str, Content] = {}
        for item in source.get("items") or []:
            if ref := item.get("fieldRef"):
                text = field_value(pod, ref["fieldPath"], pod_ip=self._pod_ip, host_ip=self._host_ip)
            else:
                text = resource_value(item["resourceFieldRef"], pod, {}, self._allocatable)
            files[_inside(item["path"])] = Content(text.encode(), int(item.get("mode") or mode))
        return files


def _mode(source: JSON, default: int) -> int:
    value = source.get("defaultMode")
    return default if value is None else int(value)


def project(entries: Mapping[str, bytes], source: JSON, mode: int, missing: str) -> dict[str, Content]:
    """Which entries become which files: all, or those that `items` names. Raises `ConfigError` for a missing key."""
    if not source.get("items"):
        return {key: Content(value, mode) for key, value in entries.items()}
    files: dict[str, Content] = {}
    for item in source["items"]:
        if item["key"] not in entries:
            if source.get("optional"):
                continue
            raise ConfigError(missing.format(key=item["key"]))
        item_mode = item.get("mode")
        files[_inside(item["path"])] = Content(entries[item["key"]], mode if item_mode is None else int(item_mode))
    return files


def _inside(path: str) -> str:
    parts = PurePosixPath(path).parts
    if not parts or path.startswith("/") or ".." in parts:
        raise ConfigError(f"invalid path: {path}")
    return str(PurePosixPath(path))


def mounts(container: JSON, volumes: Iterable[tuple[str, Path]], env: Mapping[str, str]) -> list[Mount]:
    """Where a container's mount paths lead, `subPath` and `subPathExpr` included. Raises `ConfigError`."""
    folders = dict(volumes)
    found: list[Mount] = []
    for mount in container.get("volumeMounts") or []:
        folder = folders[mount["name"]]
        sub_path = mount.get("subPath") or expand(mount.get("subPathExpr", ""), env)
        source = folder / _inside(sub_path) if sub_path else folder
        if sub_path:
            # The volume's own links (..data) stay inside; one that a program made might not.
            try:
                real = source.resolve()
            except RuntimeError as error:
                raise ConfigError(f'failed to prepare subPath for volumeMount "{mount["name"]}": {error}') from error
            if not real.is_relative_to(folder.resolve()):
                raise ConfigError(f'failed to prepare subPath for volumeMount "{mount["name"]}": it leaves the volume')
            if not real.exists():
                real.mkdir(parents=True)
        found.append(Mount(mount["mountPath"], source, bool(mount.get("readOnly"))))
    return found


def size_bytes(folder: Path) -> int:
    """What a folder's files take, links not followed; files that go meanwhile count for nothing."""
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                found = (Path(parent) / name).lstat()
                total += found.st_size if stat.S_ISREG(found.st_mode) else 0
    return total


def remove(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
