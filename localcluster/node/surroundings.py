"""What a container finds around it: what all containers of a node share, and its pod."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from localcluster.node.images import Catalogue, Image
from localcluster.node.launch import Launch
from localcluster.node.pod_events import Events
from localcluster.node.processes import Sweeper
from localcluster.node.settings import Settings

JSON = dict[str, Any]


@dataclass
class Surroundings:
    """What all containers of a node share."""

    settings: Settings
    catalogue: Catalogue
    events: Events
    sweeper: Sweeper
    session: aiohttp.ClientSession


class PodOfContainer:
    """What a container needs of its pod: an interface, implemented by `RunningPod`."""

    pod: JSON
    address: str
    log_folder: Path
    shared: Surroundings

    def container_folder(self, name: str) -> Path:
        raise NotImplementedError

    async def launch(self, container: JSON, image: Image, container_id: str) -> Launch:
        raise NotImplementedError

    async def objects_changed(self, timeout_seconds: float) -> None:
        raise NotImplementedError

    def changed(self) -> None:
        raise NotImplementedError

    @property
    def grace_seconds(self) -> float:
        raise NotImplementedError
