"""The container's termination message: why it ended, for the Function's status.

Kubernetes reads the file when the container has ended and shows it as
`status.containerStatuses[].state.terminated.message` (`terminationMessagePath`, at most 4096 bytes).
"""

import os

DEFAULT_PATH = "/dev/termination-log"
MAX_MESSAGE_BYTES = 4096


def report(message: str) -> None:
    """Leave `message` for whoever reads the container's status; of a long one the end is kept.

    The path comes from TERMINATION_LOG, else it is Kubernetes' default. The kubelet has made that file before the
    container starts, so it is only made here when it was named: outside a container nothing appears in /dev.
    The last line is the summary; lines before it are detail. A file that cannot be written is passed over, because
    the message is in the log as well.
    """
    named = os.environ.get("TERMINATION_LOG")
    flags = os.O_WRONLY | os.O_TRUNC | os.O_CLOEXEC | (os.O_CREAT if named else 0)
    encoded = message.strip().encode("utf-8", "replace")
    tail = encoded[-MAX_MESSAGE_BYTES:].decode("utf-8", "ignore").encode()
    try:
        fd = os.open(named or DEFAULT_PATH, flags, 0o644)
    except OSError:
        return
    try:
        os.write(fd, tail)
    except OSError:
        pass
    finally:
        os.close(fd)
