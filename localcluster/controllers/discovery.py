"""The resources that the API server has, custom and aggregated ones too; for what works on objects of any kind."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from localcluster.client import ApiStatusError, Client
from localcluster.resource_types import ResourceType

JSON = dict[str, Any]

ACCEPT = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json"


@dataclass(frozen=True)
class Discovered:
    """A resource in the preferred version of its group.

    Attributes:
        verbs: what can be done with it.
        subresources: for example ``status`` and ``scale``.
    """

    type: ResourceType
    verbs: frozenset[str]
    subresources: frozenset[str] = frozenset()


@dataclass
class Discovery:
    """What the server has, and the groups whose own server did not say (``group/version``)."""

    resources: list[Discovered] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)

    def by_kind(self, group: str, kind: str) -> Discovered | None:
        return next((d for d in self.resources if d.type.group == group and d.type.kind == kind), None)


async def discover(client: Client) -> Discovery:
    """The preferred version of each resource; raises `ClientError` if the server itself does not answer."""
    found = Discovery()
    for path in ("/api", "/apis"):
        answer = await client.request("GET", path, headers={"Accept": ACCEPT})
        if answer.get("kind") == "APIGroupDiscoveryList":
            for group in answer.get("items") or ():
                _read_group(group, found)
        else:
            await _read_plain(client, path, answer, found)
    return found


def _read_group(group: JSON, found: Discovery) -> None:
    name = group["metadata"].get("name", "")
    seen: set[str] = set()
    for version in group.get("versions") or ():
        if version.get("freshness") == "Stale":
            found.failed.append(f"{name}/{version['version']}")
        for entry in version.get("resources") or ():
            if entry["resource"] in seen:
                continue
            seen.add(entry["resource"])
            kind = entry.get("responseKind") or {}
            of = ResourceType(
                name, version["version"], entry["resource"], kind.get("kind", ""), entry.get("scope") == "Namespaced"
            )
            names = frozenset(sub["subresource"] for sub in entry.get("subresources") or ())
            found.resources.append(Discovered(of, frozenset(entry.get("verbs") or ()), names))


async def _read_plain(client: Client, path: str, answer: JSON, found: Discovery) -> None:
    if path == "/api":
        await _read_version(client, "", "v1", found, set())
        return
    for group in answer.get("groups") or ():
        preferred = group["preferredVersion"]["version"]
        versions = sorted((v["version"] for v in group["versions"]), key=lambda v: v != preferred)
        seen: set[str] = set()
        for version in versions:
            await _read_version(client, group["name"], version, found, seen)


async def _read_version(client: Client, group: str, version: str, found: Discovery, seen: set[str]) -> None:
    path = f"/apis/{group}/{version}" if group else f"/api/{version}"
    try:
        answer = await client.request("GET", path)
    except ApiStatusError:
        found.failed.append(f"{group}/{version}")
        return
    entries = answer.get("resources") or ()
    for entry in entries:
        if "/" in entry["name"] or entry["name"] in seen:
            continue
        seen.add(entry["name"])
        of = ResourceType(group, version, entry["name"], entry["kind"], entry["namespaced"])
        prefix = entry["name"] + "/"
        names = frozenset(e["name"].removeprefix(prefix) for e in entries if e["name"].startswith(prefix))
        found.resources.append(Discovered(of, frozenset(entry.get("verbs") or ()), names))
