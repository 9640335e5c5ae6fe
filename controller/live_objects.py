"""What is in the cluster for functions: a local copy of each resource that follows the API server.

Objects are kept as compressed JSON: a thousand functions have some five thousand of them, of which few are looked at.
"""

from __future__ import annotations

import asyncio
import json
import zlib
from collections.abc import Callable, Iterable
from typing import Any

from kubeless import labels
from kubeless.cluster import Cluster, Resource
from kubeless.cluster.resources import CONFIG_MAPS, DEPLOYMENTS, HORIZONTAL_POD_AUTOSCALERS, PODS, SERVICES

JSON = dict[str, Any]
Key = tuple[str, str]
"""Namespace and name."""

_COMPRESSION = 1


def key_of(obj: JSON) -> Key:
    metadata = obj["metadata"]
    return metadata.get("namespace", ""), metadata["name"]


class LiveObjects:
    """Objects of one resource, by key and by the function that they are labelled for."""

    def __init__(self, trim: Callable[[JSON], JSON] = lambda obj: obj) -> None:
        self._trim = trim
        self._objects: dict[Key, tuple[int, str, bytes]] = {}
        self._by_function: dict[Key, set[Key]] = {}

    def __len__(self) -> int:
        return len(self._objects)

    def all_keys(self) -> Iterable[Key]:
        return tuple(self._objects)

    def get(self, key: Key) -> JSON | None:
        """A copy of one's own."""
        if (found := self._objects.get(key)) is None:
            return None
        obj: JSON = json.loads(zlib.decompress(found[2]))
        return obj

    def of_function(self, function: Key) -> list[JSON]:
        return [obj for key in sorted(self._by_function.get(function, ())) if (obj := self.get(key)) is not None]

    def keys_of_function(self, function: Key) -> list[Key]:
        return sorted(self._by_function.get(function, ()))

    def observe(self, obj: JSON) -> bool:
        """Take in a version; False if it or a newer one is known: a watch comes after the answers to writes."""
        key = key_of(obj)
        known = self._objects.get(key)
        if known is not None and known[0] >= _version(obj) and known[1] == obj["metadata"].get("uid"):
            return False
        packed = zlib.compress(json.dumps(self._trim(obj), separators=(",", ":")).encode(), _COMPRESSION)
        self._objects[key] = (_version(obj), obj["metadata"].get("uid", ""), packed)
        if function := (obj["metadata"].get("labels") or {}).get(labels.FUNCTION):
            self._by_function.setdefault((key[0], function), set()).add(key)
        return True

    def forget(self, obj: JSON) -> None:
        """It was deleted; a newer object of the same name stays."""
        key = key_of(obj)
        known = self._objects.get(key)
        if known is None or known[1] != obj["metadata"].get("uid", ""):
            return
        del self._objects[key]
        if function := (obj["metadata"].get("labels") or {}).get(labels.FUNCTION):
            names = self._by_function.get((key[0], function), set())
            names.discard(key)
            if not names:
                self._by_function.pop((key[0], function), None)


class Children:
    """All that carries the labels of functions' children, and who wants to hear of its changes."""

    def __init__(self, cluster: Cluster, on_change: Callable[[Key], None]) -> None:
        """`on_change` is called with the namespace and name of a function."""
        self._cluster = cluster
        self._on_change = on_change
        self.config_maps = LiveObjects()
        self.services = LiveObjects()
        self.deployments = LiveObjects()
        self.autoscalers = LiveObjects()
        self.pods = LiveObjects(_trimmed_pod)
        self._by_resource = {
            CONFIG_MAPS: self.config_maps,
            SERVICES: self.services,
            DEPLOYMENTS: self.deployments,
            HORIZONTAL_POD_AUTOSCALERS: self.autoscalers,
            PODS: self.pods,
        }

    def of(self, resource: Resource) -> LiveObjects:
        return self._by_resource[resource]

    async def follow(self, started: asyncio.Event) -> None:
        """Runs until it is cancelled; `started` is set when all that there is has been read.

        Raises ApiError if the API server refuses to list one of the resources.
        """
        missing = set(self._by_resource)

        def listed(resource: Resource) -> None:
            missing.discard(resource)
            if not missing:
                started.set()

        async with asyncio.TaskGroup() as group:
            for resource in self._by_resource:
                group.create_task(self._follow(resource, listed), name=f"follow {resource.plural}")

    async def _follow(self, resource: Resource, listed: Callable[[Resource], None]) -> None:
        objects = self._by_resource[resource]
        events = self._cluster.follow(resource, label_selector=labels.CHILDREN, on_listed=lambda: listed(resource))
        async for event in events:
            if event.type == "DELETED":
                objects.forget(event.object)
            elif not objects.observe(event.object):
                continue  # our own write
            function = event.object["metadata"].get("labels", {}).get(labels.FUNCTION)
            if function:
                self._on_change((event.object["metadata"].get("namespace", ""), function))


def _trimmed_pod(pod: JSON) -> JSON:
    """What tells how a pod is."""
    metadata, status = pod["metadata"], pod.get("status") or {}
    kept = ("name", "namespace", "uid", "labels", "annotations", "creationTimestamp", "deletionTimestamp")
    told = ("phase", "reason", "message", "conditions", "initContainerStatuses", "containerStatuses")
    return {
        "metadata": {name: metadata[name] for name in kept if name in metadata},
        "status": {name: status[name] for name in told if name in status},
    }


def _version(obj: JSON) -> int:
    """Opaque by the API's rules until 1.35 (KEP-5504), and a number in every server that there is."""
    version = obj["metadata"].get("resourceVersion") or "0"
    return int(version) if version.isdigit() else 0
