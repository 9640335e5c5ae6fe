"""Admission: what the cluster's policies change in a write, and what they refuse.

    warnings += admission.mutate(resource, operation, subresource, new, old, context)     # before validation
    warnings += admission.validate(resource, operation, subresource, new, old, context)   # after it

`operation` is CREATE, UPDATE, DELETE or CONNECT; `new` is changed in place by `mutate` and is None on DELETE; `old` is
None on CREATE. Both raise APIError; `new` has its namespace when they are called. The plugins and their order are those
that kube-apiserver runs by default (https://kubernetes.io/docs/reference/access-authn-authz/admission-controllers/), as
far as they concern what is served.
"""

from __future__ import annotations

from collections.abc import Callable

from localcluster.apiserver.admission import (
    ingress_class,
    limit_ranger,
    namespace_lifecycle,
    pod_security,
    priority,
    quota,
    service_account,
    storage_protection,
    tolerations,
)
from localcluster.apiserver.kinds.base import JSON, Context
from localcluster.apiserver.resources import Resource

CREATE = "CREATE"
UPDATE = "UPDATE"
DELETE = "DELETE"

Plugin = Callable[[Resource, str, str, JSON | None, JSON | None, Context], list[str]]

_MUTATING: tuple[Plugin, ...] = (
    namespace_lifecycle.admit,
    limit_ranger.mutate,
    service_account.mutate,
    priority.mutate,
    tolerations.mutate,
    storage_protection.mutate,
    ingress_class.mutate,
)
_VALIDATING: tuple[Plugin, ...] = (
    namespace_lifecycle.protect,
    limit_ranger.validate,
    service_account.validate,
    pod_security.validate,
    priority.validate,
    quota.validate,
)


def mutate(
    resource: Resource, operation: str, subresource: str, new: JSON | None, old: JSON | None, context: Context
) -> list[str]:
    """Fill in what policies give; the answer is texts for Warning headers."""
    return _run(_MUTATING, resource, operation, subresource, new, old, context)


def validate(
    resource: Resource, operation: str, subresource: str, new: JSON | None, old: JSON | None, context: Context
) -> list[str]:
    """Refuse what policies do not allow; the answer is texts for Warning headers."""
    return _run(_VALIDATING, resource, operation, subresource, new, old, context)


def _run(
    plugins: tuple[Plugin, ...],
    resource: Resource,
    operation: str,
    subresource: str,
    new: JSON | None,
    old: JSON | None,
    context: Context,
) -> list[str]:
    return [w for plugin in plugins for w in plugin(resource, operation, subresource, new, old, context)]
