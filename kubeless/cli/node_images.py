"""How the product's images start on a local node: the files beside the Dockerfiles, put together for one checkout."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

JSON = dict[str, Any]

FILE_NAME = "images.yaml"
PROVISION = "*kubeless-provision"

PIP_SETTINGS = (
    "index-url",
    "extra-index-url",
    "no-index",
    "find-links",
    "cert",
    "client-cert",
    "proxy",
    "trusted-host",
    "timeout",
    "default-timeout",
    "retries",
)
"""Those that say where packages come from; others (`target`, `require-virtualenv`) are for other installations."""
_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY")


def combined(root: Path, provision_env: Mapping[str, str]) -> str:
    """A catalogue file with the images of every part; pods that install dependencies get `provision_env`."""
    images = []
    # Not of hidden folders: the cluster's own data is in one.
    for path in sorted(root.glob(f"[!.]*/{FILE_NAME}")):
        for entry in yaml.safe_load(path.read_text())["images"]:
            image = _in_folder(entry, path.parent)
            if image["match"] == PROVISION:
                image["env"] = {**provision_env, **image.get("env", {})}
            images.append(image)
    return yaml.safe_dump({"images": images}, sort_keys=False)


def _in_folder(value: Any, folder: Path) -> Any:
    if isinstance(value, dict):
        return {key: _in_folder(inner, folder) for key, inner in value.items()}
    if isinstance(value, list):
        return [_in_folder(inner, folder) for inner in value]
    return value.replace("{folder}", str(folder)) if isinstance(value, str) else value


def package_index() -> dict[str, str]:
    """This user's settings of pip and proxies as variables: a pod has another home, where pip would not find them."""
    listed = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=False
    ).stdout
    proxies = {name: os.environ[name] for upper in _PROXIES for name in (upper, upper.lower()) if name in os.environ}
    return proxies | pip_variables(listed.splitlines())


def pip_variables(listed: Iterable[str]) -> dict[str, str]:
    """What `pip config list` prints (``global.index-url='…'``) as variables; later sections of pip's order win."""
    found: dict[tuple[int, str], str] = {}
    for line in listed:
        key, _, value = line.partition("=")
        section, _, name = key.rpartition(".")
        if name in PIP_SETTINGS and section in _SECTIONS:
            # In a file several values stand on lines of their own, in a variable with blanks between them.
            found[_SECTIONS.index(section), name] = " ".join(str(ast.literal_eval(value)).split())
    return {f"PIP_{name.upper().replace('-', '_')}": value for (_, name), value in sorted(found.items())}


_SECTIONS = ("global", "install", ":env:")
