"""How a container's end shows in its status: the `terminated` state of a program that ended, or never began."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

from localcluster.node.container_log import last_words
from localcluster.node.launch import Launch
from localcluster.node.processes import UNKNOWN_EXIT_CODE
from localcluster.node.status import ContainerState, now_text

JSON = dict[str, Any]

MAX_TERMINATION_MESSAGE_BYTES = 4096
START_ERROR_CODE = 128


def terminated(state: ContainerState, code: int, reason: str, message: str) -> JSON:
    """Of a program that ran until now."""
    ended: JSON = {
        "exitCode": code,
        "reason": reason,
        "startedAt": (state.state.get("running") or {}).get("startedAt"),
        "finishedAt": now_text(),
        "containerID": state.container_id,
    }
    return ended | {"message": message} if message else ended


def lost(state: ContainerState) -> JSON:
    """Of a program that ended while no node ran."""
    text = "The container could not be located when the node was restarted"
    return terminated(state, UNKNOWN_EXIT_CODE, "ContainerStatusUnknown", text)


def start_error(state: ContainerState, message: str) -> JSON:
    return {
        "exitCode": START_ERROR_CODE,
        "reason": "StartError",
        "message": message,
        "startedAt": "1970-01-01T00:00:00Z",
        "finishedAt": now_text(),
        "containerID": state.container_id,
    }


def start_message(launch: Launch, error: OSError) -> str:
    """Why a program could not be started, worded as container runtimes do."""
    program = launch.arguments[0]
    if isinstance(error, FileNotFoundError) and error.filename in (program, str(launch.folder / program)):
        why = "no such file or directory" if "/" in program else "executable file not found in $PATH"
    else:
        why = (error.strerror or str(error)).lower()
    return f'failed to start container process: exec: "{program}": {why}'


def termination_message(spec: JSON, folder: Path, code: int, log_path: Path) -> str:
    """What the program left to say; by terminationMessagePolicy the end of its log where that is nothing."""
    message = ""
    with contextlib.suppress(OSError):
        content = (folder / "termination-log").read_bytes()[-MAX_TERMINATION_MESSAGE_BYTES:]
        message = content.decode(errors="replace")
    if not message and code and spec.get("terminationMessagePolicy") == "FallbackToLogsOnError":
        message = last_words(log_path)
    return message
