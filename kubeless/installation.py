"""Installing manifests: what `kubectl apply --server-side` does with them, for where there is no kubectl."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

from kubeless.cluster import Cluster, ClusterError, Resource, resource_of
from kubeless.cluster.resources import CUSTOM_RESOURCE_DEFINITIONS
from kubeless.conditions import find

JSON = dict[str, Any]

FIELD_MANAGER = "kubeless-install"
ESTABLISHED_SECONDS = 30.0
_FIRST = ("Namespace", "CustomResourceDefinition")


async def install(cluster: Cluster, manifests: Iterable[JSON], *, field_manager: str = FIELD_MANAGER) -> None:
    """Apply all of them: namespaces and definitions first, the rest when the definitions are served.

    Doing it again changes nothing. Raises ClusterError.
    """
    manifests = list(manifests)
    first = [manifest for manifest in manifests if manifest["kind"] in _FIRST]
    for manifest in first:
        await cluster.apply(manifest, field_manager=field_manager)
    for manifest in first:
        if manifest["kind"] == CUSTOM_RESOURCE_DEFINITIONS.kind:
            await _established(cluster, resource_of(manifest), manifest["metadata"]["name"])
    for manifest in manifests:
        if manifest["kind"] not in _FIRST:
            await cluster.apply(manifest, field_manager=field_manager)


async def _established(cluster: Cluster, of: Resource, name: str) -> None:
    try:
        async with asyncio.timeout(ESTABLISHED_SECONDS):
            while True:
                condition = find(await cluster.get(of, name), "Established")
                if condition and condition["status"] == "True":
                    return
                await asyncio.sleep(0.05)
    except TimeoutError:
        raise ClusterError(f"{name} is not served {ESTABLISHED_SECONDS:.0f} s after it was applied") from None
