"""Mount paths of a container that has no file system of its own: they are rewritten to where the volumes really are."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

# A path inside another path, a URL or a word is not a mount path.
_BEFORE = r"(?<![\w./~-])"
_AFTER = r"(?![\w.~-])"


@dataclass(frozen=True)
class Mount:
    """`path` as the container knows it, `source` where it is on this machine."""

    path: str
    source: Path
    read_only: bool = False


class MountPaths:
    """Rewrites mount paths in texts such as arguments and the values of environment variables.

    ``/data`` is found at the start of ``/data/x``, in ``--dir=/data`` and in ``/data:/lib``, not in ``/database`` and
    not in ``http://host/data``.
    """

    def __init__(self, mounts: Iterable[Mount]) -> None:
        self.mounts = sorted(mounts, key=lambda m: len(m.path), reverse=True)
        self._sources = {_plain(m.path): str(m.source) for m in self.mounts}
        names = "|".join(re.escape(path) for path in self._sources)
        self._pattern = re.compile(f"{_BEFORE}(?:{names}){_AFTER}") if names else None

    def rewrite(self, text: str) -> str:
        if self._pattern is None or "/" not in text:
            return text
        return self._pattern.sub(lambda match: self._sources[match.group()], text)

    def as_mapping(self) -> dict[str, str]:
        return dict(sorted(self._sources.items()))


def _plain(path: str) -> str:
    return "/" + path.strip("/")
