"""How a container becomes a program: its arguments, environment, working directory and mount paths. Mostly pure."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from localcluster.node.environment import expand
from localcluster.node.images import Image, command_line
from localcluster.node.mounts import Mount, MountPaths
from localcluster.node.processes import MARK

JSON = dict[str, Any]

TOKEN_PATH = "/var/run/secrets/kubernetes.io/serviceaccount"
HOST_VARIABLES = ("LANG", "LC_ALL", "TZ", "SSL_CERT_FILE", "SSL_CERT_DIR", "LD_LIBRARY_PATH")
"""What a program needs of this machine's environment besides PATH."""


@dataclass(frozen=True)
class Launch:
    """A program to start."""

    arguments: list[str]
    env: dict[str, str]
    folder: Path


@dataclass(frozen=True)
class Place:
    """Where a container's program runs.

    Attributes:
        pod_folder: the pod's home; HOME and TMPDIR are in it.
        folder: the container's own: its root, which is the default working directory, and its termination log.
    """

    pod_name: str
    pod_ip: str
    pod_folder: Path
    folder: Path

    @property
    def root(self) -> Path:
        return self.folder / "root"

    @property
    def termination_log(self) -> Path:
        return self.folder / "termination-log"


def search_path() -> str:
    """This interpreter's folder before the machine's PATH, so that `python` is one that has the node's packages."""
    return f"{Path(sys.executable).parent}:{os.environ.get('PATH', os.defpath)}"


def make_launch(
    container: JSON, image: Image, place: Place, variables: Mapping[str, str], mounts: list[Mount], container_id: str
) -> Launch:
    """What to start; folders and the kubeconfig are made by `make_folders`.

    `variables` are those of the spec and of services. Mount paths are rewritten in them and in the spec's command and
    arguments; what comes from the image names paths of this machine already.
    """
    paths = MountPaths(
        [
            *mounts,
            Mount(container.get("terminationMessagePath") or "/dev/termination-log", place.termination_log),
        ]
    )
    image = image.at(place.pod_ip)
    env = {name: os.environ[name] for name in HOST_VARIABLES if name in os.environ}
    env |= {
        "PATH": search_path(),
        "HOME": str(place.pod_folder / "home"),
        "TMPDIR": next((str(m.source) for m in mounts if m.path.rstrip("/") == "/tmp"), str(place.pod_folder / "tmp")),  # noqa: S108
        "HOSTNAME": place.pod_name,
        "HOST": place.pod_ip,
    }
    env |= image.env
    env |= {name: paths.rewrite(value) for name, value in variables.items()}
    if any(m.path.rstrip("/") == TOKEN_PATH for m in mounts):
        env.setdefault("KUBECONFIG", str(place.folder / "kubeconfig"))
    env |= {
        MARK: container_id,
        "LOCALCLUSTER_POD_IP": place.pod_ip,
        "LOCALCLUSTER_POD_DIR": str(place.pod_folder),
        "LOCALCLUSTER_MOUNTS": json.dumps(paths.as_mapping()),
        "LOCALCLUSTER_TERMINATION_LOG": str(place.termination_log),
    }
    command = [paths.rewrite(expand(word, variables)) for word in container.get("command") or []]
    args = [paths.rewrite(expand(word, variables)) for word in container.get("args") or []]
    arguments = command_line(image, command, args)
    return Launch(arguments, env, working_folder(container, image, place, paths))


def working_folder(container: JSON, image: Image, place: Place, paths: MountPaths) -> Path:
    """A mounted or an image's folder as it is, anything else below the container's own root."""
    wanted = container.get("workingDir") or ""
    if not wanted:
        return Path(image.workdir) if image.workdir else place.root
    real = paths.rewrite(wanted)
    return Path(real) if real != wanted or wanted == image.workdir else place.root / wanted.lstrip("/")


def make_folders(launch: Launch, place: Place, mounts: list[Mount], server: str, namespace: str) -> None:
    """The folders that a launch counts on, links to the mounts below the root, and the pod's kubeconfig."""
    for folder in (place.root, place.pod_folder / "home", place.pod_folder / "tmp"):
        folder.mkdir(parents=True, exist_ok=True)
    if launch.folder.is_relative_to(place.root):
        launch.folder.mkdir(parents=True, exist_ok=True)
    place.termination_log.write_bytes(b"")
    for mount in sorted(mounts, key=lambda m: len(m.path)):
        link = place.root / mount.path.strip("/")
        # A mount inside another one is reached through that one only if the volume has such a folder.
        if any(parent.is_symlink() for parent in link.parents if parent != place.root):
            continue
        link.parent.mkdir(parents=True, exist_ok=True)
        if link.is_symlink():
            link.unlink()
        if not link.exists():
            link.symlink_to(mount.source)
    token = next((m.source for m in mounts if m.path.rstrip("/") == TOKEN_PATH), None)
    if token is not None:
        config = json.dumps(kubeconfig(server, token, namespace), indent=1)
        (place.folder / "kubeconfig").write_text(config + "\n")


def kubeconfig(server: str, token_folder: Path, namespace: str) -> JSON:
    """A kubeconfig with the rights of the pod's service account; JSON is YAML."""
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {"name": "cluster", "cluster": {"server": server, "certificate-authority": str(token_folder / "ca.crt")}}
        ],
        "users": [{"name": "pod", "user": {"tokenFile": str(token_folder / "token")}}],
        "contexts": [{"name": "pod", "context": {"cluster": "cluster", "user": "pod", "namespace": namespace}}],
        "current-context": "pod",
    }
