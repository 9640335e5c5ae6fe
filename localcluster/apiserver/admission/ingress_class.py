"""DefaultIngressClass: an Ingress that names no class gets the one that is marked as the default."""

from __future__ import annotations

from localcluster.apiserver.kinds.base import JSON, Context
from localcluster.apiserver.resources import Resource

_DEFAULT = "ingressclass.kubernetes.io/is-default-class"
_OLD_ANNOTATION = "kubernetes.io/ingress.class"


def mutate(
    resource: Resource, operation: str, subresource: str, new: JSON | None, old: JSON | None, context: Context
) -> list[str]:
    is_ingress = (resource.group, resource.plural) == ("networking.k8s.io", "ingresses")
    if not is_ingress or operation != "CREATE" or subresource or new is None:
        return []
    if new["spec"].get("ingressClassName") is not None or _OLD_ANNOTATION in (new["metadata"].get("annotations") or {}):
        return []
    defaults = [
        c
        for c in context.store.list("networking.k8s.io/ingressclasses")
        if (c["metadata"].get("annotations") or {}).get(_DEFAULT) == "true"
    ]
    if defaults:
        # Of several the newest, and of those made at once the first by name, as the real plugin chooses.
        defaults.sort(key=lambda c: str(c["metadata"]["name"]))
        newest = max(defaults, key=lambda c: str(c["metadata"].get("creationTimestamp", "")))
        new["spec"]["ingressClassName"] = newest["metadata"]["name"]
    return []
