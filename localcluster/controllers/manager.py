"""What all controllers share: the client, one informer for each resource, the event recorder, and how they are run."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from localcluster.client import Client
from localcluster.controllers.recorder import Recorder
from localcluster.informer import Indexer, Informer, Key, key_of, work
from localcluster.resource_types import ResourceType
from localcluster.workqueue import WorkQueue

JSON = dict[str, Any]
log = logging.getLogger(__name__)


class Manager:
    """Controllers ask it for informers when they are made; `run` then starts everything."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.recorder = Recorder(client)
        self._informers: dict[ResourceType, Informer] = {}
        self._controllers: list[Controller] = []

    def informer(self, of: ResourceType, indexers: dict[str, Indexer] | None = None) -> Informer:
        """The one informer for all namespaces of a resource."""
        informer = self._informers.get(of)
        if informer is None:
            informer = self._informers[of] = Informer(self.client, of)
        for name, indexer in (indexers or {}).items():
            informer.add_index(name, indexer)
        return informer

    def shared(self) -> dict[ResourceType, Informer]:
        return dict(self._informers)

    def add(self, controller: Controller) -> None:
        self._controllers.append(controller)

    async def run(self) -> None:
        """Until cancelled; a task that fails brings all down, because half of the controllers are worse than none."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.recorder.run())
            for informer in self._informers.values():
                tasks.create_task(informer.run())
            for controller in self._controllers:
                for job in controller.jobs():
                    tasks.create_task(job)


class Controller:
    """Keeps objects of one kind as they should be: keys come from informers' handlers, `reconcile` does one.

    Attributes:
        name: the component in events, for example ``deployment-controller``.
        workers: how many keys are worked on at the same time.
    """

    name = ""
    workers = 4

    def __init__(self, manager: Manager, needs: Iterable[Informer] = ()) -> None:
        self.manager = manager
        self.client = manager.client
        self.queue: WorkQueue[Key] = WorkQueue()
        self.needs = list(needs)

    async def reconcile(self, key: Key) -> None:
        raise NotImplementedError

    def jobs(self) -> list[Any]:
        """The coroutines to run."""
        return [self.work_on(self.queue, self.reconcile) for _ in range(self.workers)]

    def cancel_with(self, informer: Informer) -> None:
        """What the queue has for later under the key of one of these objects is dropped when the object is gone."""

        def changed(old: JSON | None, new: JSON | None) -> None:
            if old is not None and new is None:
                self.queue.cancel(key_of(old))

        informer.add_handler(changed)

    def work_on(self, queue: WorkQueue[Any], reconcile: Callable[[Any], Awaitable[None]]) -> Any:
        return work(queue, reconcile, name=self.name, needs=self.needs)

    def normal(self, about: JSON, reason: str, message: str) -> None:
        self.manager.recorder.normal(self.name, about, reason, message)

    def warning(self, about: JSON, reason: str, message: str) -> None:
        self.manager.recorder.warning(self.name, about, reason, message)
