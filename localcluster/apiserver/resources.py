"""What is served: each resource of each group and version, with its verbs, names and subresources.

The built-in ones are declared in `builtin_resources.py`; those of CustomResourceDefinitions and of aggregated APIs
come and go at run time. Discovery, OpenAPI, authorization and the verbs all read the same `Registry`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from localcluster.apiserver import schema as schemas
from localcluster.apiserver.kinds import behaviour
from localcluster.apiserver.kinds.base import Kind
from localcluster.apiserver.schema import Schema

if TYPE_CHECKING:
    from localcluster.apiserver.crd.served import ServedVersion

READ_WRITE = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")


@dataclass(frozen=True)
class Subresource:
    """A path under an object: ``status``, ``scale``, ``log`` …

    `group`, `version` and `kind` are of the objects that it speaks, where they differ from the resource's own.
    """

    name: str
    kind: str
    verbs: tuple[str, ...] = ("get", "patch", "update")
    group: str = ""
    version: str = ""


@dataclass
class Resource:
    """One resource in one version, for example deployments of apps/v1.

    Attributes:
        plural, singular, kind, list_kind: its names.
        hub: the version in which its objects are stored.
        stored_as: the storage key where it is not ``group/plural`` (events of two groups are the same objects).
        crd: for custom resources, the definition's version that serves it.
    """

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool = True
    verbs: tuple[str, ...] = READ_WRITE
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    singular: str = ""
    list_kind: str = ""
    subresources: dict[str, Subresource] = field(default_factory=dict)
    hub: str = ""
    stored_as: str = ""
    crd: ServedVersion | None = None

    def __post_init__(self) -> None:
        self.singular = self.singular or self.kind.lower()
        self.list_kind = self.list_kind or self.kind + "List"
        self.hub = self.hub or self.version

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def hub_api_version(self) -> str:
        return f"{self.group}/{self.hub}" if self.group else self.hub

    @property
    def storage(self) -> str:
        """The key under which the store keeps the objects, whatever the version: ``apps/deployments``."""
        return self.stored_as or f"{self.group}/{self.plural}"

    @cached_property
    def schema(self) -> Schema:
        """The schema in this version."""
        if self.crd is not None:
            return self.crd.schema
        return schemas.builtin(self.group, self.version, self.kind)

    @cached_property
    def behaviour(self) -> Kind:
        """Defaults, validation and life cycle of the kind; works on objects of this version."""
        if self.crd is not None:
            return self.crd.behaviour
        return behaviour(self.group, self.version, self.kind)


class Registry:
    """The served resources by path and by kind. `generation` counts changes, for caches of discovery and OpenAPI."""

    def __init__(self) -> None:
        self._by_path: dict[tuple[str, str, str], Resource] = {}
        self.generation = 0

    def add(self, resource: Resource) -> None:
        self._by_path[resource.group, resource.version, resource.plural] = resource
        self.generation += 1

    def remove(self, group: str, version: str, plural: str) -> None:
        if self._by_path.pop((group, version, plural), None) is not None:
            self.generation += 1

    def find(self, group: str, version: str, plural: str) -> Resource | None:
        return self._by_path.get((group, version, plural))

    def of_kind(self, api_version: str, kind: str) -> Resource | None:
        group, _, version = api_version.rpartition("/")
        return next((r for r in self if (r.group, r.version, r.kind) == (group, version, kind)), None)

    def versions(self, group: str) -> list[str]:
        """The served versions of a group, the preferred one first."""
        found = {r.version: None for r in self if r.group == group}
        return sorted(found, key=version_priority, reverse=True)

    def groups(self) -> list[str]:
        return list(dict.fromkeys(r.group for r in self))

    def __iter__(self) -> Iterator[Resource]:
        return iter(list(self._by_path.values()))


def version_priority(version: str) -> tuple[Any, ...]:
    """Sort key of Kubernetes versions: v2 > v1 > v1beta2 > v1alpha1 > anything else
    (https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definition-versioning/)."""
    import re

    match = re.fullmatch(r"v(\d+)(?:(alpha|beta)(\d+))?", version)
    if match is None:
        return (0, [-ord(c) for c in version])
    major, stage, minor = match.groups()
    return (1, {"alpha": 0, "beta": 1, None: 2}[stage], int(major), int(minor or 0))
