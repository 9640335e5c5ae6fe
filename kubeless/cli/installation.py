"""Puts the product into a cluster, as `kubectl apply --server-side -k` does, and waits until it works."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from kubeless import conditions
from kubeless.cluster import Cluster, ClusterError, NotFound, Resource
from kubeless.cluster.resources import CUSTOM_RESOURCE_DEFINITIONS, DEPLOYMENTS, FUNCTIONS, PODS

JSON = dict[str, Any]
Report = Callable[[str], None]

FIELD_MANAGER = "kubeless-install"
ESTABLISHED_SECONDS = 30.0
DEPLOYED_SECONDS = 120.0
POLL_SECONDS = 0.1


class InstallError(Exception):
    """The product is not, or not wholly, installed; the message says what failed and what to look at."""


class Installer:
    """Applies objects of any kind; what kinds there are it asks the API server."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._kinds: dict[tuple[str, str], Resource] = {}

    async def install(self, objects: Iterable[JSON]) -> None:
        """Definitions first, and the others when these are served. Raises InstallError and ClusterError."""
        objects = list(objects)
        definitions = [obj for obj in objects if obj["kind"] == CUSTOM_RESOURCE_DEFINITIONS.kind]
        for obj in definitions:
            await self.apply(obj)
        for obj in definitions:
            await self._wait_established(obj["metadata"]["name"])
        for obj in objects:
            if obj not in definitions:
                await self.apply(obj)

    async def apply(self, obj: JSON) -> JSON:
        """Server-side apply; the namespace is `default` where the object has none."""
        resource = await self._resource(obj)
        metadata = obj["metadata"]
        return await self._cluster.request(
            "PATCH",
            resource.path(metadata.get("namespace") or "default", metadata["name"]),
            query={"fieldManager": FIELD_MANAGER, "force": "true"},
            body=obj,
            content_type="application/apply-patch+yaml",
        )

    async def _resource(self, obj: JSON) -> Resource:
        version, kind = obj["apiVersion"], obj["kind"]
        if (version, kind) not in self._kinds:
            path = f"/apis/{version}" if "/" in version else f"/api/{version}"
            try:
                served = (await self._cluster.request("GET", path))["resources"]
            except NotFound:
                served = []
            group, _, number = version.rpartition("/")
            for entry in served:
                if "/" not in entry["name"]:
                    found = Resource(group, number, entry["name"], entry["kind"], entry["namespaced"])
                    self._kinds[version, entry["kind"]] = found
        try:
            return self._kinds[version, kind]
        except KeyError:
            raise InstallError(
                f"this cluster does not serve {kind} of {version}; is it Kubernetes 1.27 or newer?"
            ) from None

    async def _wait_established(self, name: str) -> None:
        async def established() -> bool:
            found = conditions.find(await self._cluster.get(CUSTOM_RESOURCE_DEFINITIONS, name), "Established")
            return found is not None and found["status"] == "True"

        if not await wait_until(established, ESTABLISHED_SECONDS):
            raise InstallError(f"the definition {name} is not served after {ESTABLISHED_SECONDS:.0f} s")


async def wait_until(is_so: Callable[[], Awaitable[bool]], seconds: float) -> bool:
    """Whether it came true within `seconds`; errors of the cluster that may go by are waited out until then."""
    end = time.monotonic() + seconds
    while True:
        try:
            if await is_so():
                return True
        except ClusterError:
            if time.monotonic() > end:
                raise
        if time.monotonic() > end:
            return False
        await asyncio.sleep(POLL_SECONDS)


async def wait_deployed(cluster: Cluster, namespace: str, name: str, report: Report) -> None:
    """Until a Deployment runs as its spec says it. Raises InstallError, with what keeps its pods from it."""

    async def deployed() -> bool:
        found = await cluster.get(DEPLOYMENTS, name, namespace)
        status, wanted = found.get("status") or {}, found["spec"].get("replicas", 1)
        report(f"{status.get('availableReplicas') or 0} of {wanted} pods of {name} are ready")
        return bool(
            status.get("observedGeneration", 0) >= found["metadata"]["generation"]
            and status.get("updatedReplicas", 0) == wanted
            and status.get("replicas", 0) == wanted
            and status.get("availableReplicas", 0) == wanted
        )

    if not await wait_until(deployed, DEPLOYED_SECONDS):
        raise InstallError(
            f"Deployment {namespace}/{name} is not ready after {DEPLOYED_SECONDS:.0f} s: "
            + (await _trouble(cluster, namespace, name) or "its pods say nothing")
        )


async def _trouble(cluster: Cluster, namespace: str, name: str) -> str:
    """What the containers of a Deployment's pods wait for or ended with."""
    said = []
    for pod in await cluster.list(PODS, namespace):
        if not pod["metadata"]["name"].startswith(f"{name}-"):
            continue
        for status in (pod.get("status") or {}).get("containerStatuses") or []:
            for state in (*(status.get("state") or {}).values(), *(status.get("lastState") or {}).values()):
                if words := " ".join(str(state[key]).strip() for key in ("reason", "message") if state.get(key)):
                    said.append(f"{pod['metadata']['name']}: {words}")
        said += [
            f"{pod['metadata']['name']}: {entry['message']}"
            for entry in (pod.get("status") or {}).get("conditions") or []
            if entry["status"] == "False" and entry.get("message")
        ]
    return "; ".join(dict.fromkeys(said))


async def wait_function(cluster: Cluster, namespace: str, name: str, seconds: float, report: Report) -> None:
    """Until a Function is Ready in its newest version. Raises InstallError with the message of its status."""
    said = "its status is empty; does the controller run?"

    async def ready() -> bool:
        nonlocal said
        found = await cluster.get(FUNCTIONS, name, namespace)
        condition = conditions.find(found, "Ready")
        if condition is None:
            return False
        said = f"{condition.get('reason', '')}: {condition.get('message', '')}"
        report(f"function {name}: {said}")
        newest = (found.get("status") or {}).get("observedGeneration") == found["metadata"]["generation"]
        return bool(newest and condition["status"] == "True")

    if not await wait_until(ready, seconds):
        raise InstallError(f"function {namespace}/{name} is not ready after {seconds:.0f} s: {said}")
