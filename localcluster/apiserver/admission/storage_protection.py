"""StorageObjectInUseProtection: volumes and claims get a finalizer that keeps them while they are in use."""

from __future__ import annotations

from localcluster.apiserver.kinds.base import JSON, Context
from localcluster.apiserver.resources import Resource

_FINALIZERS = {
    "persistentvolumes": "kubernetes.io/pv-protection",
    "persistentvolumeclaims": "kubernetes.io/pvc-protection",
}


def mutate(
    resource: Resource, operation: str, subresource: str, new: JSON | None, old: JSON | None, context: Context
) -> list[str]:
    finalizer = None if resource.group else _FINALIZERS.get(resource.plural)
    if finalizer and operation == "CREATE" and not subresource and new is not None:
        existing = new["metadata"].get("finalizers") or []
        if finalizer not in existing:
            new["metadata"]["finalizers"] = [*existing, finalizer]
    return []
