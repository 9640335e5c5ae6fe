"""The boundary between the pod loop and what runs pods: a provider knows nothing of the API server, the loop nothing
of processes.

The shape is virtual-kubelet's `PodLifecycleHandler`: six methods, here by the pod's uid, because a deleted pod and its
successor of the same name may overlap.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

JSON = dict[str, Any]


class PodProvider(Protocol):
    """Runs pods. All methods are called from one event loop and return quickly; work goes on in the background.

    Pods and statuses that are handed over must not be changed by either side.
    """

    def create_pod(self, pod: JSON) -> None:
        """Begin to run a pod, or take up again one that survived a restart of the node. Known pods are left alone."""

    def update_pod(self, pod: JSON) -> None:
        """Take in a changed pod: labels and annotations for downward volumes, activeDeadlineSeconds."""

    def delete_pod(self, uid: str, grace_seconds: int) -> None:
        """Begin to stop a pod; a second call can only shorten the grace. The end shows in `pod_status`."""

    def get_pod(self, uid: str) -> JSON | None:
        """The pod as last handed over; None if it is not known (any more)."""

    def pod_status(self, uid: str) -> JSON | None:
        """The status as a kubelet would report it now; None for an unknown pod."""

    def get_pods(self) -> Sequence[JSON]:
        """Every pod that runs, stops, or is left over from before a restart of the node."""


class PodNotifier(Protocol):
    """What the loop needs besides the six methods."""

    def on_change(self, notify: Callable[[str], None]) -> None:
        """Call `notify` with a pod's uid whenever its status may have changed."""

    def is_stopped(self, uid: str) -> bool:
        """Whether nothing of the pod runs any more, so that its object may go."""

    def forget_pod(self, uid: str) -> None:
        """The pod's object is gone: free its address, volumes and logs."""


@dataclass(frozen=True)
class LogOptions:
    """PodLogOptions (https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/pod-v1/#get-read-log)."""

    follow: bool = False
    previous: bool = False
    timestamps: bool = False
    since: datetime | None = None
    tail_lines: int | None = None
    limit_bytes: int | None = None
    stream: str = "All"


class UnknownContainer(Exception):
    """There is no such pod or container here; the message is for the client."""


class Session(Protocol):
    """A program that runs inside a container beside its main process (exec)."""

    def read_output(self) -> AsyncIterator[tuple[int, bytes]]:
        """Pairs of 1 (stdout) or 2 (stderr) and bytes, until all output was read."""

    async def write(self, data: bytes) -> None: ...

    def close_input(self) -> None: ...

    def resize(self, width: int, height: int) -> None: ...

    async def wait(self) -> int:
        """The exit code."""

    def kill(self) -> None: ...


class Containers(Protocol):
    """What the kubelet API serves from the provider. Unknown pods and containers raise `UnknownContainer`."""

    def find(self, namespace: str, name: str) -> str | None:
        """The uid of a pod by its name."""

    def logs(self, uid: str, container: str, options: LogOptions) -> AsyncIterator[bytes]: ...

    async def exec(self, uid: str, container: str, command: Sequence[str], *, stdin: bool, tty: bool) -> Session:
        """Start a program in a container; `OSError` if it cannot be started."""

    async def attach(self, uid: str, container: str) -> Session: ...

    async def connect(self, uid: str, port: int) -> tuple[Any, Any]:
        """Open a connection to a port of the pod; an asyncio reader and writer."""
