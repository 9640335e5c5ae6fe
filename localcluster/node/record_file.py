"""Records of what runs, as JSON files that a restarted node reads: written all at once, and again where that failed."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

log = logging.getLogger(__name__)

JSON = dict[str, Any]

RETRY_SECONDS = (1.0, 30.0)
"""First and longest wait after a write that failed, on a full disk for example."""


class RecordFile:
    """One record. What runs goes on while it cannot be written.

    Args:
        content: what to write, asked for at each attempt.
    """

    def __init__(self, path: Path, content: Callable[[], JSON]) -> None:
        self._path = path
        self._content = content
        self._delay = RETRY_SECONDS[0]
        self._timer: asyncio.TimerHandle | None = None

    def save(self) -> None:
        """Write; on an `OSError` that is logged, and tried again until it is done or `close` is called."""
        self.close()
        try:
            self._write()
        except OSError as error:
            log.warning("%s cannot be written, tried again in %g s: %s", self._path, self._delay, error)
            self._timer = asyncio.get_running_loop().call_later(self._delay, self.save)
            self._delay = min(self._delay * 2, RETRY_SECONDS[1])
        else:
            self._delay = RETRY_SECONDS[0]

    def close(self) -> None:
        """Write no more by itself."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def read(self) -> JSON | None:
        """What was written last; None if there is nothing that can be read."""
        try:
            found: JSON = json.loads(self._path.read_text())
        except (OSError, ValueError):
            return None
        return found

    def _write(self) -> None:
        temporary = self._path.with_suffix(".new")
        temporary.touch(mode=0o600)
        temporary.write_text(json.dumps(self._content()))
        temporary.replace(self._path)
