"""What a container's `record.json` holds: enough for a restarted node to take up the living program again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

JSON = dict[str, Any]


@dataclass
class ContainerRecord:
    """One container at one moment.

    Attributes:
        state, last_state: as in a status, with one key of waiting, running, terminated.
        pid, started_ticks: which process it is; 0 if none runs.
        interrupted: it was stopped with the node, not for good.
        wait_seconds: the back-off after its last crash.
    """

    state: JSON
    last_state: JSON
    restart_count: int
    ready: bool
    started: bool
    container_id: str
    image_id: str
    pid: int
    started_ticks: int
    interrupted: bool
    env: dict[str, str]
    wait_seconds: float

    def to_json(self) -> JSON:
        return {
            "state": self.state,
            "lastState": self.last_state,
            "restartCount": self.restart_count,
            "ready": self.ready,
            "started": self.started,
            "containerID": self.container_id,
            "imageID": self.image_id,
            "pid": self.pid,
            "startedTicks": self.started_ticks,
            "interrupted": self.interrupted,
            "env": self.env,
            "waitSeconds": self.wait_seconds,
        }

    @classmethod
    def from_json(cls, record: JSON) -> ContainerRecord:
        return cls(
            state=record["state"],
            last_state=record["lastState"],
            restart_count=record["restartCount"],
            ready=record["ready"],
            started=record["started"],
            container_id=record["containerID"],
            image_id=record["imageID"],
            pid=record["pid"],
            started_ticks=record["startedTicks"],
            interrupted=record["interrupted"],
            env=record["env"],
            wait_seconds=record["waitSeconds"],
        )
