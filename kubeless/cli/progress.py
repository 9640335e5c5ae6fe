"""What a command that takes a while prints: steps with the time since its start."""

from __future__ import annotations

import shutil
import sys
import time


class Progress:
    """Lines on stdout; on a terminal the line of a step that goes on is replaced by its outcome."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._terminal = sys.stdout.isatty()
        self._open = ""

    @property
    def seconds(self) -> float:
        """Since the command began."""
        return time.monotonic() - self._began

    def doing(self, text: str) -> None:
        """A step that goes on. The same text again prints nothing."""
        if text != self._open:
            line = f"{self.seconds:5.1f} s  … {text}"
            # A line that is wrapped cannot be replaced.
            self._print(
                line[: shutil.get_terminal_size().columns - 1] if self._terminal else line,
                "" if self._terminal else "\n",
            )
            self._open = text

    def done(self, text: str) -> None:
        self._print(f"{self.seconds:5.1f} s  ✓ {text}", "\n")
        self._open = ""

    def end_line(self) -> None:
        """Before anything else is printed."""
        if self._open and self._terminal:
            print(flush=True)
        self._open = ""

    def _print(self, line: str, end: str) -> None:
        start = "\r\033[K" if self._terminal else ""
        print(f"{start}{line}", end=end, flush=True)
