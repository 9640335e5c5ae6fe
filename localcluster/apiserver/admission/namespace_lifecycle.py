"""NamespaceLifecycle: nothing is made in namespaces that do not exist or are going; the system's own cannot go."""

from __future__ import annotations

from localcluster.apiserver.admission.refusal import refusal
from localcluster.apiserver.errors import forbidden, not_found
from localcluster.apiserver.kinds.base import JSON, Context
from localcluster.apiserver.resources import Resource

_IMMORTAL = ("default", "kube-system", "kube-public")


def admit(
    resource: Resource, operation: str, subresource: str, new: JSON | None, old: JSON | None, context: Context
) -> list[str]:
    if operation != "CREATE" or not resource.namespaced or new is None:
        return []
    if (resource.group, resource.plural) == ("authorization.k8s.io", "localsubjectaccessreviews"):
        return []
    name = new.get("metadata", {}).get("namespace", "")
    namespace = context.store.get("/namespaces", "", name)
    if namespace is None:
        raise not_found("", "namespaces", name)
    if namespace.get("status", {}).get("phase") == "Terminating":
        why = f"unable to create new content in namespace {name} because it is being terminated"
        error = refusal(resource, new, why)
        cause = {
            "reason": "NamespaceTerminating",
            "message": f"namespace {name} is being terminated",
            "field": "metadata.namespace",
        }
        error.details = {**(error.details or {}), "causes": [cause]}
        raise error
    return []


def protect(
    resource: Resource, operation: str, subresource: str, new: JSON | None, old: JSON | None, context: Context
) -> list[str]:
    if operation == "DELETE" and not resource.group and resource.plural == "namespaces" and old is not None:
        name = old["metadata"]["name"]
        if name in _IMMORTAL:
            raise forbidden("", "namespaces", name, "this namespace may not be deleted")
    return []
