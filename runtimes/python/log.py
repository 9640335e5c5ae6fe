"""The log: one line a call on stdout, and the traceback of a failed one on stderr."""

import os
import sys
import time
import traceback

MAX_PATH_CHARACTERS = 1024
MAX_ID_CHARACTERS = 128


def call_line(
    method: str, path: str, status: int, duration_seconds: float, event_id: str | None, note: str = ""
) -> str:
    """One call, in one line, whatever bytes the caller put into the path and the id.

    The query is left out: it may hold secrets.
    """
    now = time.time()
    moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now))
    line = f"{moment}.{int(now % 1 * 1000):03}Z {method} {_plain(path, MAX_PATH_CHARACTERS)} {status}"
    line += f" {duration_seconds * 1000:.1f}ms"
    if event_id:
        line += f" event-id={_plain(event_id, MAX_ID_CHARACTERS)}"
    return line + (f" {note}" if note else "") + "\n"


def write(line: str) -> None:
    """To the container's stdout, past `sys.stdout`, which a handler may have redirected."""
    try:
        os.write(1, line.encode())
    except OSError:
        pass  # nobody reads the log any more; the call is still good


def write_traceback(error: BaseException) -> None:
    """The traceback of a handler's exception, without the runtime's own frames above it."""
    step = error.__traceback__
    own = os.path.dirname(__file__) + os.sep  # noqa: PTH120 - compared with code objects' file names
    while step is not None and step.tb_frame.f_code.co_filename.startswith(own):
        step = step.tb_next
    write_error("".join(traceback.format_exception(type(error), error, step)))


def write_error(text: str) -> None:
    """To the container's stderr, after what the handler printed."""
    text = text.rstrip("\n") + "\n"
    sys.stdout.flush()
    try:
        os.write(2, text.encode("utf-8", "replace"))
    except OSError:
        pass


def _plain(text: str, limit: int) -> str:
    short = text if len(text) <= limit else text[:limit] + "..."
    return short.encode("unicode_escape").decode("ascii").replace(" ", "\\x20")
