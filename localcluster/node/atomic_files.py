"""Files that change all at once, as kubelets write ConfigMap volumes: `key -> ..data/key`, `..data -> ..generation`."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple


class Content(NamedTuple):
    """A file to be: its bytes and permission bits."""

    data: bytes
    mode: int


def write_atomically(folder: Path, files: Mapping[str, Content]) -> bool:
    """Make `folder` hold exactly these files, by path within it; programs see the old or the new ones, never a mix.

    Answers whether anything changed. Paths must have been checked to stay inside.
    """
    folder.mkdir(parents=True, exist_ok=True)
    current = folder / "..data"
    if current.exists() and _read(current) == dict(files):
        return False
    generation = f"..{datetime.now(UTC):%Y_%m_%d_%H_%M_%S}.{datetime.now(UTC).microsecond:06d}{os.urandom(2).hex()}"
    new = folder / generation
    new.mkdir()
    for path, content in files.items():
        target = new / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content.data)
        target.chmod(content.mode)
    before = current.readlink() if current.is_symlink() else None
    temporary = folder / "..data_tmp"
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(generation)
    temporary.replace(current)
    wanted = {path.partition("/")[0] for path in files}
    for name in wanted:
        link = folder / name
        if not link.is_symlink():
            link.symlink_to(Path("..data") / name)
    for entry in folder.iterdir():
        if entry.is_symlink() and not entry.name.startswith("..") and entry.name not in wanted:
            entry.unlink()
    if before is not None:
        shutil.rmtree(folder / before, ignore_errors=True)
    return True


def _read(folder: Path) -> dict[str, Content]:
    real = folder.resolve()
    return {
        str(path.relative_to(real)): Content(path.read_bytes(), path.stat().st_mode & 0o777)
        for path in real.rglob("*")
        if path.is_file()
    }
