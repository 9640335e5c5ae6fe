"""The catalogue of images: the one place that says how an image name starts as a process of this machine.

A catalogue file is YAML, `images:` with entries of `match` (a shell pattern for the name without registry default, tag
and digest, or for the whole name), `command` (the image's entry point), `args`, `env` and `workdir`. `{python}` stands
for this interpreter, `{folder}` for the catalogue file's folder, and `{pod_ip}` for the pod's address.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

_PYTHON = sys.executable
_DEFAULT_REGISTRIES = ("docker.io/library/", "docker.io/", "registry.k8s.io/")


class UnknownImage(Exception):
    """No catalogue entry matches; the message says what is known."""


class InvalidCatalogue(Exception):
    """A catalogue file cannot be used; the message says where and why."""


@dataclass(frozen=True)
class Image:
    """How an image starts. `command` is its entry point, `args` what a container's `args` replace."""

    match: str
    command: tuple[str, ...] = ()
    args: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    workdir: str = ""

    def at(self, pod_ip: str) -> Image:
        """With the pod's address in place of `{pod_ip}`."""
        command, args = (tuple(w.replace("{pod_ip}", pod_ip) for w in words) for words in (self.command, self.args))
        env = {name: value.replace("{pod_ip}", pod_ip) for name, value in self.env.items()}
        return Image(self.match, command, args, env, self.workdir)


OWN_IMAGES = (
    Image("localcluster/pause", ("sleep",), ("infinity",)),
    Image("localcluster/echo", (_PYTHON, "-m", "localcluster.node.echo")),
    Image("localcluster/python", (_PYTHON,)),
)
HOST_IMAGES = (
    Image("pause", ("sleep",), ("infinity",)),
    Image("python", (), (_PYTHON,)),
    *(Image(name, (), ("sh",)) for name in ("alpine", "bash", "busybox", "debian", "ubuntu")),
)
"""Names of well-known images, which run what this machine has instead."""


def short_name(image: str) -> str:
    """`docker.io/library/busybox:1.36@sha256:…` as `busybox`: without default registry, tag and digest."""
    name = image.partition("@")[0]
    head, slash, last = name.rpartition("/")
    name = head + slash + last.partition(":")[0]
    for registry in _DEFAULT_REGISTRIES:
        if name.startswith(registry):
            return name.removeprefix(registry)
    return name


class Catalogue:
    """Images by pattern; earlier entries win, those from files come before the built-in ones.

    Args:
        host_images: whether well-known names (`HOST_IMAGES`) run programs of this machine.
    """

    def __init__(self, images: Iterable[Image] = (), *, host_images: bool = True) -> None:
        self._images = (*images, *OWN_IMAGES, *(HOST_IMAGES if host_images else ()))
        self._advice = "" if host_images else ", --host-images well-known names that run programs of this machine"

    def find(self, image: str) -> Image:
        """Raises `UnknownImage`."""
        short = short_name(image)
        for entry in self._images:
            if fnmatchcase(short, entry.match) or fnmatchcase(image, entry.match):
                return entry
        known = ", ".join(dict.fromkeys(entry.match for entry in self._images))
        raise UnknownImage(
            f'image "{image}" is not known to this node, which runs images as processes; it knows {known}'
            f" (--images FILE adds more{self._advice})"
        )


def read_catalogues(files: Iterable[Path]) -> list[Image]:
    """Raises `InvalidCatalogue`."""
    return [image for path in files for image in read_catalogue(path)]


def read_catalogue(path: Path) -> list[Image]:
    import yaml

    try:
        content = yaml.safe_load(path.read_text())
    except (OSError, yaml.YAMLError) as error:
        raise InvalidCatalogue(f"{path}: {error}") from error
    entries = content.get("images") if isinstance(content, dict) else None
    if not isinstance(entries, list):
        raise InvalidCatalogue(f"{path}: expected a mapping with a list 'images'")
    return [_image(entry, f"{path}: images[{number}]", path.resolve().parent) for number, entry in enumerate(entries)]


def _image(entry: Any, where: str, folder: Path) -> Image:
    if not isinstance(entry, dict) or not isinstance(entry.get("match"), str):
        raise InvalidCatalogue(f"{where}: expected a mapping with 'match'")
    if unknown := sorted(set(entry) - {"match", "command", "args", "env", "workdir"}):
        raise InvalidCatalogue(f"{where}: unknown {', '.join(unknown)}")

    def filled(value: Any) -> str:
        return str(value).replace("{python}", _PYTHON).replace("{folder}", str(folder))

    for key, kind in (("command", list), ("args", list), ("env", dict)):
        if not isinstance(entry.get(key, kind()), kind):
            raise InvalidCatalogue(f"{where}: {key} must be a {'list' if kind is list else 'mapping'}")
    return Image(
        entry["match"],
        tuple(filled(word) for word in entry.get("command", ())),
        tuple(filled(word) for word in entry.get("args", ())),
        {str(name): filled(value) for name, value in entry.get("env", {}).items()},
        filled(entry.get("workdir", "")),
    )


def command_line(image: Image, command: Sequence[str], args: Sequence[str]) -> list[str]:
    """What runs, given a container's `command` and `args`: a command drops the image's args too, as in Kubernetes
    (https://kubernetes.io/docs/tasks/inject-data-application/define-command-argument-container/)."""
    if command:
        return [*command, *args]
    return [*image.command, *(args or image.args)]
