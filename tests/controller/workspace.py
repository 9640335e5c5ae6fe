"""A namespace of a test's own: its Functions, and what a controller made of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import requests

from kubeless.cluster import Resource, resource_of
from kubeless.cluster.resources import (
    CONFIG_MAPS,
    DEPLOYMENTS,
    FUNCTIONS,
    HORIZONTAL_POD_AUTOSCALERS,
    NAMESPACES,
    SERVICES,
)
from tests.localcluster.clusters import Cluster, eventually

JSON = dict[str, Any]

SOURCE = "def handler(event, context):\n    return 'hello'\n"
CHILDREN = (CONFIG_MAPS, SERVICES, DEPLOYMENTS, HORIZONTAL_POD_AUTOSCALERS)


def make_function(name: str = "hello", **spec: Any) -> JSON:
    """A Function without pods; `spec` adds fields or replaces them, with `_` for `-` in their names."""
    fields = {field.replace("_", "-"): value for field, value in spec.items()}
    return {
        "apiVersion": FUNCTIONS.api_version,
        "kind": FUNCTIONS.kind,
        "metadata": {"name": name},
        "spec": {
            "runtime": "python3.11",
            "handler": "code.handler",
            "function": SOURCE,
            "deployment": {"spec": {"replicas": 0}},
            **fields,
        },
    }


@dataclass
class Workspace:
    """Requests are made as the administrator."""

    cluster: Cluster
    namespace: str

    def __post_init__(self) -> None:
        self.session = self.cluster.session()

    def url(self, of: Resource, name: str = "") -> str:
        return f"{self.cluster.url}{of.path(self.namespace, name)}"

    def create(self, obj: JSON) -> JSON:
        return self._checked(self.session.post(self.url(resource_of(obj)), json=obj, timeout=10))

    def get(self, of: Resource, name: str = "hello") -> JSON:
        """Raises LookupError if it does not exist."""
        answer = self.session.get(self.url(of, name), timeout=10)
        if answer.status_code == 404:
            raise LookupError(answer.text)
        return self._checked(answer)

    def list(self, of: Resource) -> list[JSON]:
        items: list[JSON] = self._checked(self.session.get(self.url(of), timeout=10))["items"]
        return items

    def patch(self, of: Resource, patch: JSON, name: str = "hello", *, subresource: str = "", by: str = "test") -> JSON:
        """A merge patch."""
        answer = self.session.patch(
            f"{self.cluster.url}{of.path(self.namespace, name, subresource)}",
            json=patch,
            params={"fieldManager": by},
            headers={"Content-Type": "application/merge-patch+json"},
            timeout=10,
        )
        return self._checked(answer)

    def delete(self, of: Resource, name: str = "hello", **options: Any) -> None:
        self._checked(self.session.delete(self.url(of, name), json=options, timeout=10))

    def delete_namespace(self) -> None:
        self.session.delete(f"{self.cluster.url}{NAMESPACES.path('', self.namespace)}", timeout=10)

    # ---- what becomes of it

    def ready(self, name: str = "hello") -> JSON:
        """The condition Ready, {} before there is one, and {} while it is about an earlier generation."""
        function = self.get(FUNCTIONS, name)
        for condition in (function.get("status") or {}).get("conditions") or []:
            if condition["type"] == "Ready" and condition["observedGeneration"] == function["metadata"]["generation"]:
                found: JSON = condition
                return found
        return {}

    def condition(self, type_: str, name: str = "hello") -> JSON:
        conditions = (self.get(FUNCTIONS, name).get("status") or {}).get("conditions") or []
        return next(condition for condition in conditions if condition["type"] == type_)

    def wait_reason(self, reason: str, name: str = "hello", seconds: float = 30) -> JSON:
        """The condition Ready as soon as it has this reason."""
        eventually(
            lambda: self.ready(name).get("reason") == reason,
            seconds,
            f"{name} is {reason}; it is {self.ready(name)}",
        )
        return self.ready(name)

    def wait(self, check: Callable[[], Any], seconds: float = 15) -> Any:
        return eventually(check, seconds)

    def versions(self) -> dict[tuple[str, str], str]:
        """The resourceVersions of all Functions and children: a write shows as a difference."""
        return {
            (of.kind, obj["metadata"]["name"]): obj["metadata"]["resourceVersion"]
            for of in (*CHILDREN, FUNCTIONS)
            for obj in self.list(of)
        }

    @staticmethod
    def _checked(answer: requests.Response) -> JSON:
        assert answer.ok, answer.text
        content: JSON = answer.json()
        return content
