"""Discovery: which groups, versions and resources are served, as single documents and as the aggregated one.

    discovery = Discovery(registry, address, remote)
    answer = discovery.answer("/apis/apps/v1", accept, if_none_match)   # None: 404 page not found

Answers `/api`, `/api/v1`, `/apis`, `/apis/<group>` and `/apis/<group>/<version>` of what is served here. The groups of
aggregated API servers appear in the lists; their own documents come from those servers (`aggregation.py`).
Forms: https://kubernetes.io/docs/concepts/overview/kubernetes-api/#discovery-api
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from localcluster.apiserver.negotiation import negotiate
from localcluster.apiserver.resources import Registry, Resource, Subresource, version_priority

JSON = dict[str, Any]

AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
_CUSTOM_VERBS = ("delete", "deletecollection", "get", "list", "patch", "create", "update", "watch")
"""The order in which the real server names the verbs of custom resources."""

_MAX_ANSWERS = 500
"""Documents kept; Accept headers are the clients' own."""

CUSTOM_GROUP_PRIORITY = 1000
CUSTOM_VERSION_PRIORITY = 100
GROUP_PRIORITIES = {
    "": 18000,
    "apiregistration.k8s.io": 18000,
    "apps": 17800,
    "events.k8s.io": 17750,
    "authentication.k8s.io": 17700,
    "authorization.k8s.io": 17600,
    "autoscaling": 17500,
    "batch": 17400,
    "certificates.k8s.io": 17300,
    "networking.k8s.io": 17200,
    "policy": 17100,
    "rbac.authorization.k8s.io": 17000,
    "storage.k8s.io": 16800,
    "apiextensions.k8s.io": 16700,
    "admissionregistration.k8s.io": 16700,
    "scheduling.k8s.io": 16600,
    "coordination.k8s.io": 16500,
    "node.k8s.io": 16300,
    "discovery.k8s.io": 16200,
}
"""groupPriorityMinimum of the built-in groups (kube-apiserver's registration of its own APIServices)."""


@dataclass(frozen=True)
class RemoteVersion:
    """A group's version that an aggregated API server serves.

    Attributes:
        resources: its resources as in the aggregated document; None while that server cannot be reached.
    """

    group: str
    version: str
    group_priority: int
    version_priority: int
    resources: Sequence[JSON] | None = None


@dataclass(frozen=True)
class Answer:
    """What is to be sent; code 304 has no body."""

    body: bytes
    content_type: str
    headers: dict[str, str] = field(default_factory=dict)
    code: int = 200


@dataclass
class _Group:
    name: str
    priority: int
    versions: dict[str, tuple[Any, ...]]


class Discovery:
    """Makes the documents and keeps them until what is served changes.

    Args:
        address: ``host:port`` of the server, for serverAddressByClientCIDRs.
        remote: what aggregated API servers serve now; a new tuple whenever that has changed.
    """

    def __init__(
        self, registry: Registry, address: str, remote: Callable[[], tuple[RemoteVersion, ...]] = lambda: ()
    ) -> None:
        self._registry = registry
        self._address = address
        self._remote = remote
        self._answers: dict[tuple[str, str], Answer | None] = {}
        self._made_for: tuple[int, tuple[RemoteVersion, ...]] | None = None

    def answer(self, path: str, accept: str = "", if_none_match: str = "") -> Answer | None:
        """The document at a path (with or without a slash at its end); None if there is none.

        Raises:
            APIError: 406 if the Accept header leaves no form.
        """
        path = path.rstrip("/")
        state = (self._registry.generation, self._remote())
        if self._made_for is None or self._made_for[0] != state[0] or self._made_for[1] is not state[1]:
            self._answers.clear()
            self._made_for = state
        key = (path, accept)
        if key not in self._answers:
            if len(self._answers) >= _MAX_ANSWERS:
                self._answers.clear()
            self._answers[key] = self._make(path, accept)
        found = self._answers[key]
        if found and if_none_match and if_none_match == found.headers.get("ETag"):
            return Answer(b"", found.content_type, found.headers, 304)
        return found

    def _make(self, path: str, accept: str) -> Answer | None:
        if path in ("/api", "/apis") and wants_aggregated(accept):
            body = orjson.dumps(self.aggregated(core=path == "/api")) + b"\n"
            etag = f'"{hashlib.sha512(body).hexdigest().upper()}"'
            headers = {"Vary": "Accept", "ETag": etag, "Cache-Control": "public"}
            return Answer(body, AGGREGATED, headers)
        document = self.document(path)
        if document is None:
            return None
        form = negotiate(accept)
        headers = {"Vary": "Accept"} if path in ("/api", "/apis") else {}
        return Answer(form.write(document), form.media, headers)

    # ---- single documents

    def document(self, path: str) -> JSON | None:
        parts = path.strip("/").split("/")
        match parts:
            case ["api"]:
                return self._core_versions()
            case ["apis"]:
                groups = [self._api_group(g) for g in self._groups() if g.name]
                return {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}
            case ["apis", name]:
                found = next((g for g in self._groups() if g.name == name), None)
                return {"kind": "APIGroup", "apiVersion": "v1", **self._api_group(found)} if found and name else None
            case ["api", version]:
                return self._resource_list("", version)
            case ["apis", group, version]:
                return self._resource_list(group, version)
        return None

    def _core_versions(self) -> JSON:
        addresses = [{"clientCIDR": "0.0.0.0/0", "serverAddress": self._address}]
        return {
            "kind": "APIVersions",
            "versions": self._registry.versions(""),
            "serverAddressByClientCIDRs": addresses,
        }

    def _groups(self) -> list[_Group]:
        """All groups in the order of their priority, then of their names."""
        groups: dict[str, _Group] = {}

        def add(group: str, priority: int, version: str, rank: tuple[Any, ...]) -> None:
            found = groups.setdefault(group, _Group(group, priority, {}))
            found.priority = max(found.priority, priority)
            found.versions.setdefault(version, rank)

        for resource in self._registry:
            custom = resource.crd is not None
            priority = CUSTOM_GROUP_PRIORITY if custom else GROUP_PRIORITIES.get(resource.group, 15000)
            rank = CUSTOM_VERSION_PRIORITY if custom else 15
            add(resource.group, priority, resource.version, (rank, *version_priority(resource.version)))
        for remote in self._remote():
            ordering = (remote.version_priority, *version_priority(remote.version))
            add(remote.group, remote.group_priority, remote.version, ordering)
        return sorted(groups.values(), key=lambda g: (-g.priority, g.name))

    @staticmethod
    def _versions(group: _Group) -> list[str]:
        return sorted(group.versions, key=lambda v: group.versions[v], reverse=True)

    def _api_group(self, group: _Group) -> JSON:
        versions = [{"groupVersion": f"{group.name}/{v}", "version": v} for v in self._versions(group)]
        return {"name": group.name, "versions": versions, "preferredVersion": versions[0]}

    def _resource_list(self, group: str, version: str) -> JSON | None:
        found = sorted((r for r in self._registry if (r.group, r.version) == (group, version)), key=lambda r: r.plural)
        if not found:
            return None
        entries = [entry for resource in found for entry in _entries(resource)]
        # The core group's list is older than the field apiVersion in it.
        head = {"kind": "APIResourceList", **({"apiVersion": "v1"} if group else {})}
        return {**head, "groupVersion": f"{group}/{version}" if group else version, "resources": entries}

    # ---- the aggregated document

    def aggregated(self, core: bool) -> JSON:
        """APIGroupDiscoveryList of the core group or of all others."""
        remote = {(r.group, r.version): r for r in self._remote()}
        by_version: dict[tuple[str, str], list[Resource]] = {}
        for resource in sorted(self._registry, key=lambda r: r.plural):
            by_version.setdefault((resource.group, resource.version), []).append(resource)
        items = []
        for group in self._groups():
            if core != (group.name == ""):
                continue
            versions = []
            for version in self._versions(group):
                key = (group.name, version)
                if key in by_version:
                    resources: list[JSON] | None = [_discovered(r) for r in by_version[key]]
                else:
                    given = remote[key].resources
                    resources = None if given is None else list(given)
                freshness = "Stale" if resources is None else "Current"
                versions.append({"version": version, "resources": resources or [], "freshness": freshness})
            metadata = {"name": group.name} if group.name else {}
            items.append({"metadata": metadata, "versions": versions})
        return {"kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": {}, "items": items}


def wants_aggregated(accept: str) -> bool:
    """Whether the first form of an Accept header that can be served is the aggregated one."""
    for clause in accept.split(","):
        media, *options = (part.strip() for part in clause.split(";"))
        if media not in ("application/json", "application/*", "*/*"):
            continue
        named = dict(option.partition("=")[::2] for option in options)
        if named.get("as") == "APIGroupDiscoveryList":
            if (named.get("g"), named.get("v")) == ("apidiscovery.k8s.io", "v2"):
                return True
            continue
        return False
    return False


def _subresources(resource: Resource) -> Iterable[Subresource]:
    found = list(resource.subresources.values())
    # Of custom resources status comes first; the built-in ones are in the order of the alphabet.
    return sorted(found, key=lambda s: s.name, reverse=resource.crd is not None)


def _verbs(resource: Resource) -> list[str]:
    verbs = resource.verbs
    return [v for v in _CUSTOM_VERBS if v in verbs] if resource.crd is not None else sorted(verbs)


def _entries(resource: Resource) -> Iterable[JSON]:
    entry: JSON = {
        "name": resource.plural,
        "singularName": resource.singular,
        "namespaced": resource.namespaced,
        "kind": resource.kind,
        "verbs": _verbs(resource),
    }
    if resource.short_names:
        entry["shortNames"] = list(resource.short_names)
    if resource.categories:
        entry["categories"] = list(resource.categories)
    if "watch" in resource.verbs:
        stored = f"{resource.group}/{resource.hub}/{resource.kind}"
        entry["storageVersionHash"] = base64.b64encode(hashlib.sha256(stored.encode()).digest()[:8]).decode()
    yield entry
    for subresource in _subresources(resource):
        part: JSON = {
            "name": f"{resource.plural}/{subresource.name}",
            "singularName": "",
            "namespaced": resource.namespaced,
        }
        if subresource.group:
            part["group"] = subresource.group
        if subresource.version:
            part["version"] = subresource.version
        yield {**part, "kind": subresource.kind, "verbs": list(subresource.verbs)}


def _discovered(resource: Resource) -> JSON:
    # The kinds of built-in resources stand without group and version where those are the resource's own.
    own = (resource.group, resource.version) if resource.crd is not None else ("", "")

    def kind(name: str, group: str, version: str) -> JSON:
        return {"group": group, "version": version, "kind": name}

    entry: JSON = {
        "resource": resource.plural,
        "responseKind": kind(resource.kind, *own),
        "scope": "Namespaced" if resource.namespaced else "Cluster",
        "singularResource": resource.singular,
        "verbs": _verbs(resource),
    }
    if resource.short_names:
        entry["shortNames"] = list(resource.short_names)
    if resource.categories:
        entry["categories"] = list(resource.categories)
    parts = []
    for part in _subresources(resource):
        group, version = (part.group, part.version) if part.group or part.version else own
        parts.append(
            {"subresource": part.name, "responseKind": kind(part.kind, group, version), "verbs": list(part.verbs)}
        )
    if parts:
        entry["subresources"] = parts
    return entry
