"""Deletes finished Jobs ttlSecondsAfterFinished after their end."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from localcluster.client import Conflict, NotFound
from localcluster.controllers.manager import Controller, Manager
from localcluster.controllers.times import now, parse_time
from localcluster.informer import Key, key_of
from localcluster.resource_types import JOBS

JSON = dict[str, Any]


def seconds_left(job: JSON, now: datetime) -> float | None:
    """Until the Job is to be deleted; None if it is not finished or has no TTL."""
    ttl = job["spec"].get("ttlSecondsAfterFinished")
    if ttl is None or job["metadata"].get("deletionTimestamp"):
        return None
    for condition in job.get("status", {}).get("conditions") or ():
        finished = parse_time(condition.get("lastTransitionTime"))
        if condition["type"] in ("Complete", "Failed") and condition["status"] == "True" and finished is not None:
            return float(ttl - (now - finished).total_seconds())
    return None


class TTLAfterFinishedController(Controller):
    name = "ttl-after-finished-controller"
    workers = 2

    def __init__(self, manager: Manager) -> None:
        self.jobs_informer = manager.informer(JOBS)
        super().__init__(manager, [self.jobs_informer])
        self.cancel_with(self.jobs_informer)
        self.jobs_informer.add_handler(self._changed)

    def _changed(self, old: JSON | None, new: JSON | None) -> None:
        if new is not None and seconds_left(new, now()) is not None:
            self.queue.add(key_of(new))

    async def reconcile(self, key: Key) -> None:
        job = self.jobs_informer.get(*key)
        left = seconds_left(job, now()) if job is not None else None
        if job is None or left is None:
            return
        if left > 0:
            self.queue.add_after(key, left)
            return
        try:
            await self.jobs_informer.delete(job, propagation="Foreground", bind_version=True)
        except (NotFound, Conflict):
            # It changed meanwhile, maybe its TTL: the change brings it here again.
            return
