"""What a request wants to do, as authorization sees it, and the error of one who may not.

Attributes(verb="get", group="apps", version="v1", resource="deployments", namespace="x", name="a")
Attributes(verb="get", path="/metrics")          # a path that is no resource
raise forbidden(user, attributes, reason)
"""

from __future__ import annotations

from dataclasses import dataclass

from localcluster.apiserver.errors import APIError
from localcluster.apiserver.errors import forbidden as forbidden_resource
from localcluster.apiserver.kinds.base import User


@dataclass(frozen=True, slots=True)
class Attributes:
    """A request for authorization: of a resource where `resource` is set, else of a path.

    Attributes:
        verb: ``get``, ``list``, ``watch``, ``create`` …; for paths the HTTP method in lower case.
        name: of the object; empty for list, create and deletecollection.
    """

    verb: str
    group: str = ""
    version: str = ""
    resource: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""
    path: str = ""

    @property
    def full_resource(self) -> str:
        """As RBAC rules name it: ``deployments/scale``."""
        return f"{self.resource}/{self.subresource}" if self.subresource else self.resource


def describe(user: User, attributes: Attributes) -> str:
    """``User "x" cannot get resource "pods" in API group "" in the namespace "n"``, as k8s.io/apiserver words it."""
    who = f'User "{user.name}" cannot {attributes.verb}'
    if not attributes.resource:
        return f'{who} path "{attributes.path}"'
    what = f'resource "{attributes.full_resource}" in API group "{attributes.group}"'
    where = f'in the namespace "{attributes.namespace}"' if attributes.namespace else "at the cluster scope"
    return f"{who} {what} {where}"


def forbidden(user: User, attributes: Attributes, reason: str = "") -> APIError:
    """The 403 of a request that nothing allows; `reason` is what the authorizer says about it, often nothing."""
    why = describe(user, attributes) + (f": {reason}" if reason else "")
    if attributes.resource:
        return forbidden_resource(attributes.group, attributes.resource, attributes.name, why)
    return APIError(403, "Forbidden", f"forbidden: {why}", {})
