"""Which verb, resource and object a request means: the paths of the Kubernetes API."""

from __future__ import annotations

from dataclasses import dataclass

_VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete", "GET": "get", "HEAD": "get"}


@dataclass(frozen=True, slots=True)
class RequestInfo:
    """What a path asks for (k8s.io/apiserver `RequestInfo`); outside the API only `path` and `verb` are set."""

    path: str
    verb: str
    is_resource: bool = False
    prefix: str = ""
    group: str = ""
    version: str = ""
    namespace: str = ""
    resource: str = ""
    name: str = ""
    subresource: str = ""


def parse(method: str, path: str, watch: bool) -> RequestInfo:
    """`path` is decoded and has no query; `watch` is whether the query asks for a watch."""
    parts = [p for p in path.split("/") if p]
    verb = method.lower() if method not in _VERBS else _VERBS[method]
    plain = RequestInfo(path, method.lower())
    if len(parts) >= 2 and parts[0] == "api":
        prefix, group, version, parts = "api", "", parts[1], parts[2:]
    elif len(parts) >= 3 and parts[0] == "apis":
        prefix, group, version, parts = "apis", parts[1], parts[2], parts[3:]
    else:
        return plain
    if not parts:
        return plain
    if parts[0] == "watch" and len(parts) > 1:
        parts, watch = parts[1:], True
    namespace = ""
    if parts[0] == "namespaces" and len(parts) > 2 and parts[2] not in ("status", "finalize"):
        namespace, parts = parts[1], parts[2:]
    elif parts[0] == "namespaces" and len(parts) > 1:
        namespace = parts[1]
    resource, name = parts[0], parts[1] if len(parts) > 1 else ""
    subresource = parts[2] if len(parts) > 2 else ""
    if verb == "get" and watch and not subresource:
        verb = "watch"
    elif verb == "get" and not name:
        verb = "list"
    elif verb == "delete" and not name:
        verb = "deletecollection"
    return RequestInfo(path, verb, True, prefix, group, version, namespace, resource, name, subresource)
