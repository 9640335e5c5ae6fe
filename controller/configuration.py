"""`kubeless-config` as it is now: followed, and the last good one kept while what is there cannot be used."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from kubeless.api import config
from kubeless.api.config import Config
from kubeless.api.errors import InvalidSpec, Reason
from kubeless.cluster import Cluster
from kubeless.cluster.events import create_event
from kubeless.cluster.resources import CONFIG_MAPS

JSON = dict[str, Any]

COMPONENT = "kubeless-controller"

_log = logging.getLogger(__name__)


class Configuration:
    """The configuration in `namespace`/`name`.

    Attributes:
        problem: "" or why what is there now is not used.
    """

    def __init__(self, cluster: Cluster, namespace: str, name: str, on_change: Callable[[], None]) -> None:
        self._cluster = cluster
        self._namespace = namespace
        self._name = name
        self._on_change = on_change
        self._config: Config | None = None
        self._missing()

    @property
    def current(self) -> Config | None:
        """The last good one; None if there was none since the start."""
        return self._config

    def _missing(self) -> None:
        self.problem = (
            f"the ConfigMap {self._namespace}/{self._name} does not exist; install it with kubectl apply -k manifests"
        )

    async def follow(self, started: asyncio.Event) -> None:
        """Runs until it is cancelled; `started` is set when the configuration has been read, or is absent."""
        events = self._cluster.follow(
            CONFIG_MAPS, self._namespace, field_selector=f"metadata.name={self._name}", on_listed=started.set
        )
        async for event in events:
            if event.type == "DELETED":
                self._missing()
                _log.error("%s; functions stay as they are", self.problem)
            else:
                await self.take(event.object)

    async def take(self, config_map: JSON) -> None:
        """Use this one, or say in the log and by an Event why not."""
        try:
            parsed = config.parse(config_map)
        except InvalidSpec as error:
            self.problem = f"{self._namespace}/{self._name}: {error}"
            _log.error("%s; the configuration before is used", self.problem)
            about = {"apiVersion": "v1", "kind": "ConfigMap", "namespace": self._namespace, "name": self._name}
            about["uid"] = config_map["metadata"].get("uid", "")
            await create_event(self._cluster, about, "Warning", Reason.INVALID_CONFIG, str(error), component=COMPONENT)
            return
        self.problem = ""
        if parsed != self._config:
            _log.info("configuration: %s", ", ".join(runtime.name for runtime in parsed.runtimes) or "no runtimes")
            self._config = parsed
            self._on_change()
