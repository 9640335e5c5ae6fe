"""One request on its way through the server: what was asked, by whom, and how the answer is to look."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from localcluster.apiserver.auth.rbac import Authorizer
from localcluster.apiserver.errors import (
    APIError,
    bad_request,
    invalid,
    not_found,
    not_supported,
)
from localcluster.apiserver.kinds.base import Context, User
from localcluster.apiserver.negotiation import Form
from localcluster.apiserver.requests import RequestInfo
from localcluster.apiserver.resources import Registry, Resource
from localcluster.apiserver.store import Store

JSON = dict[str, Any]

MAX_FIELD_MANAGER_LENGTH = 128


@dataclass(slots=True)
class Call:
    """A request for a resource.

    Attributes:
        query: the last value of each query parameter.
        body: the request's body, as sent.
        warnings: texts for Warning headers, added on the way.
    """

    info: RequestInfo
    resource: Resource
    user: User
    query: Mapping[str, str]
    form: Form
    context: Context
    store: Store
    registry: Registry
    authorizer: Authorizer
    body: bytes = b""
    content_type: str = ""
    user_agent: str = ""
    warnings: list[str] = field(default_factory=list)

    @property
    def namespace(self) -> str:
        """The namespace of the objects, empty for cluster-scoped ones."""
        return self.info.namespace if self.resource.namespaced else ""

    @property
    def dry_run(self) -> bool:
        return self.context.dry_run

    @property
    def field_validation(self) -> str:
        """Strict, Warn (the default) or Ignore."""
        value = self.query.get("fieldValidation", "")
        if value not in ("", "Ignore", "Warn", "Strict"):
            error = not_supported("fieldValidation", value, ("", "Ignore", "Strict", "Warn"))
            raise invalid("meta.k8s.io", _OPTIONS.get(self.info.verb, "UpdateOptions"), "", [error])
        return value or "Warn"

    @property
    def field_manager(self) -> str:
        """Who owns the fields that are written: asked for, else the client's name before the slash."""
        return self.query.get("fieldManager") or self.user_agent.partition("/")[0][:MAX_FIELD_MANAGER_LENGTH]

    def integer(self, name: str) -> int | None:
        """A numeric query parameter. Raises APIError 400."""
        text = self.query.get(name, "")
        if not text:
            return None
        try:
            return int(text)
        except ValueError:
            raise bad_request(f'strconv.ParseInt: parsing "{text}": invalid syntax') from None

    def flag(self, name: str) -> bool:
        return self.query.get(name, "").lower() in ("1", "t", "true")

    # ---- versions

    def present(self, stored: JSON) -> JSON:
        """A stored object in the version that was asked for; may be the stored object itself."""
        resource = self.resource
        same = stored.get("apiVersion") == resource.api_version
        if same and resource.crd is None:
            return stored
        shown = resource.behaviour.from_hub(stored)
        if same:
            return shown
        return {**shown, "apiVersion": resource.api_version, "kind": resource.kind}

    def storable(self, obj: JSON) -> JSON:
        resource = self.resource
        if resource.version == resource.hub and not resource.stored_as:
            return obj
        kept = resource.behaviour.to_hub(obj)
        if resource.stored_as:
            return kept
        return {**kept, "apiVersion": resource.hub_api_version}

    def find(self, name: str) -> JSON:
        """The stored object of that name. Raises APIError 404."""
        stored = self.store.get(self.resource.storage, self.namespace, name)
        if stored is None:
            raise not_found(self.resource.group, self.resource.plural, name)
        return stored


_OPTIONS = {"create": "CreateOptions", "update": "UpdateOptions", "patch": "PatchOptions", "delete": "DeleteOptions"}


def options_kind(verb: str) -> str:
    return _OPTIONS.get(verb, "UpdateOptions")


def parse_version(text: str) -> int:
    """A resourceVersion as a number. Raises ValueError with the real parser's text."""
    if not text.isascii() or not text.isdigit():
        raise ValueError(f'strconv.ParseUint: parsing "{text}": invalid syntax')
    return int(text)


def plain_internal_error(message: str) -> APIError:
    """500 whose message stands alone and that has no reason, as errors that are no API errors look."""
    return APIError(500, "", message)
