"""Events about objects: what `kubectl describe` shows; one that happens again is counted, not repeated."""

from __future__ import annotations

import hashlib
import logging
from datetime import UTC, datetime
from typing import Any, Literal

from kubeless.cluster.client import Cluster
from kubeless.cluster.errors import AlreadyExists, ClusterError
from kubeless.cluster.resources import EVENTS

JSON = dict[str, Any]

MAX_MESSAGE = 1024
"""Characters; the API server refuses more."""

_log = logging.getLogger(__name__)


def make_event(
    about: JSON, kind: Literal["Normal", "Warning"], reason: str, message: str, component: str, now: datetime
) -> JSON:
    """`about` is an object reference. The name is the same for the same words about the same object."""
    if len(message) > MAX_MESSAGE:
        message = message[: MAX_MESSAGE - 1] + "…"
    time = now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    same = hashlib.sha256("\0".join((about.get("uid") or "", kind, reason, message, component)).encode()).hexdigest()
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": f"{about['name'][:200]}.{same[:16]}", "namespace": about.get("namespace") or "default"},
        "involvedObject": about,
        "type": kind,
        "reason": reason,
        "message": message,
        "source": {"component": component},
        "reportingComponent": component,
        "firstTimestamp": time,
        "lastTimestamp": time,
        "count": 1,
    }


async def create_event(
    cluster: Cluster,
    about: JSON,
    kind: Literal["Normal", "Warning"],
    reason: str,
    message: str,
    *,
    component: str,
) -> None:
    """Write an Event. One that cannot be written is logged: nothing waits for Events."""
    event = make_event(about, kind, reason, message, component, datetime.now(UTC))
    name, namespace = event["metadata"]["name"], event["metadata"]["namespace"]
    try:
        try:
            await cluster.create(event)
        except AlreadyExists:
            before = await cluster.get(EVENTS, name, namespace)
            again = {"count": (before.get("count") or 1) + 1, "lastTimestamp": event["lastTimestamp"]}
            await cluster.patch(EVENTS, name, namespace, again)
    except ClusterError as error:
        _log.warning("no Event %s about %s %s/%s: %s", reason, about.get("kind"), namespace, about["name"], error)
