"""The image of a container, as a kubelet tells of pulling it: found at once, or looked for with growing waits."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

from localcluster.node.backoff import Backoff
from localcluster.node.images import Catalogue, Image, UnknownImage
from localcluster.node.settings import Settings

JSON = dict[str, Any]

ERR_IMAGE_PULL_SECONDS = 2.0
"""How long ErrImagePull shows before it becomes ImagePullBackOff."""


class ImageFinder:
    """Finds the image of one container.

    Args:
        event: told Normal or Warning, a reason and a message.
        wait_for: told the reason and message that the container shows while it waits.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        settings: Settings,
        event: Callable[[str, str, str], None],
        wait_for: Callable[[str, str], None],
    ) -> None:
        self._catalogue = catalogue
        self._settings = settings
        self._event = event
        self._wait_for = wait_for

    async def find(self, container: JSON) -> Image:
        """Returns when the image is known, however long that takes."""
        name = container.get("image", "")
        pulls = Backoff(self._settings.backoff_seconds, self._settings.max_backoff_seconds)
        while True:
            try:
                image = self._catalogue.find(name)
            except UnknownImage as error:
                if container.get("imagePullPolicy", "IfNotPresent") == "Never":
                    await self._missing(name)
                else:
                    await self._pull_failed(name, str(error), pulls)
            else:
                text = f'Container image "{name}" already present on machine and can be accessed by the pod'
                self._event("Normal", "Pulled", text)
                return image

    async def _missing(self, name: str) -> None:
        text = f'Container image "{name}" is not present with pull policy of Never'
        self._event("Warning", "ErrImageNeverPull", text)
        self._event("Warning", "Failed", "Error: ErrImageNeverPull")
        self._wait_for("ErrImageNeverPull", text)
        await asyncio.sleep(self._settings.max_backoff_seconds)

    async def _pull_failed(self, name: str, why: str, pulls: Backoff) -> None:
        self._event("Normal", "Pulling", f'Pulling image "{name}"')
        self._event("Warning", "Failed", f'Failed to pull image "{name}": {why}')
        self._event("Warning", "Failed", "Error: ErrImagePull")
        self._wait_for("ErrImagePull", why)
        pulls.retry(time.monotonic())
        shown = min(ERR_IMAGE_PULL_SECONDS, pulls.wait_seconds / 2)
        await asyncio.sleep(shown)
        self._event("Normal", "BackOff", f'Back-off pulling image "{name}"')
        self._event("Warning", "Failed", "Error: ImagePullBackOff")
        self._wait_for("ImagePullBackOff", f'Back-off pulling image "{name}": ErrImagePull: {why}')
        await asyncio.sleep(pulls.wait_seconds - shown)
