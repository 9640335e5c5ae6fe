"""What controllers keep of objects that are gone: nothing."""

from __future__ import annotations

from typing import Any

import pytest

from localcluster.client import Client
from localcluster.controllers.assembly import assemble
from localcluster.controllers.manager import Controller, Manager
from localcluster.informer import Informer
from localcluster.resource_types import CRON_JOBS, DEPLOYMENTS, JOBS, PODS, ResourceType

JSON = dict[str, Any]


def some(of: ResourceType) -> JSON:
    meta = {"name": "a", "namespace": "ns", "uid": "u", "resourceVersion": "5", "labels": {}}
    spec = {"containers": [], "schedule": "* * * * *", "selector": {"matchLabels": {"a": "b"}}, "template": {}}
    return {"apiVersion": of.api_version, "kind": of.kind, "metadata": meta, "spec": spec, "status": {}}


@pytest.mark.parametrize(
    ("name", "of"),
    [
        ("Scheduler", PODS),
        ("TaintEvictionController", PODS),
        ("DeploymentController", DEPLOYMENTS),
        ("JobController", JOBS),
        ("TTLAfterFinishedController", JOBS),
        ("CronJobController", CRON_JOBS),
    ],
)
async def test_timers_go_with_their_objects(name: str, of: ResourceType) -> None:
    async with Client("http://127.0.0.1:1") as client:
        manager = Manager(client)
        assemble(manager)
        controller: Controller = next(c for c in manager._controllers if type(c).__name__ == name)
        informer: Informer = manager.informer(of)
        informer._take_in(("ns", "a"), some(of))
        controller.queue.add_after(("ns", "a"), 86400)
        informer._take_out(("ns", "a"), some(of), 6)
        assert not controller.queue._timers
