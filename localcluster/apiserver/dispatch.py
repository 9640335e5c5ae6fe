"""From a request for a resource to the verb that answers it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING

from aiohttp import web

from localcluster.apiserver import streams
from localcluster.apiserver.errors import invalid as invalid_options
from localcluster.apiserver.errors import (
    invalid_value,
    method_not_allowed,
    not_found,
    not_supported,
    path_not_found,
    too_long,
)
from localcluster.apiserver.requests import RequestInfo
from localcluster.apiserver.resources import Resource, Subresource
from localcluster.apiserver.schema import builtin
from localcluster.apiserver.verbs import deleting, pods, reading, scaling, watching, writing
from localcluster.apiserver.verbs.call import JSON, MAX_FIELD_MANAGER_LENGTH, Call, options_kind

if TYPE_CHECKING:
    from localcluster.apiserver.server import Server

SCALES = Resource("autoscaling", "v1", "scales", "Scale", verbs=())
"""What the scale subresource of any resource speaks."""
STREAMED = frozenset({"log", "exec", "attach", "portforward", "proxy"})
_NAMED = frozenset({"get", "update", "patch", "delete"})


def check_verb(info: RequestInfo, resource: Resource) -> None:
    """Raises APIError 404 or 405 where the path or the verb is not of this resource."""
    if info.subresource:
        subresource = resource.subresources.get(info.subresource)
        if subresource is None and resource.crd is not None:
            raise not_found(resource.group, resource.plural, info.name)
        if subresource is None:
            raise path_not_found()
        if info.subresource not in STREAMED and info.verb not in subresource.verbs:
            raise method_not_allowed()
        return
    if info.verb not in resource.verbs:
        raise method_not_allowed()
    if info.verb in _NAMED and not info.name:
        raise method_not_allowed()
    if info.verb == "create" and (info.name or (resource.namespaced and not info.namespace)):
        raise method_not_allowed()
    if info.verb == "deletecollection" and resource.namespaced and not info.namespace:
        raise method_not_allowed()
    if resource.namespaced and info.name and not info.namespace:
        raise method_not_allowed()


def check_options(info: RequestInfo, query: Mapping[str, str]) -> None:
    """Raises APIError 422 where the options of a write are wrong."""
    if info.verb not in ("create", "update", "patch"):
        return
    errors = []
    if len(query.get("fieldManager", "")) > MAX_FIELD_MANAGER_LENGTH:
        errors.append(too_long("fieldManager", MAX_FIELD_MANAGER_LENGTH))
    elif any(not c.isprintable() for c in query.get("fieldManager", "")):
        errors.append(invalid_value("fieldManager", query["fieldManager"], "should only contain printable characters"))
    if errors:
        raise invalid_options("meta.k8s.io", options_kind(info.verb), "", errors)


def dry_run(info: RequestInfo, query: Mapping[str, str]) -> bool:
    """Whether nothing is to be stored. Raises APIError 422 for values other than All."""
    value = query.get("dryRun", "")
    if value not in ("", "All"):
        error = not_supported("dryRun", [value], ("All",))
        raise invalid_options("meta.k8s.io", options_kind(info.verb), "", [error])
    return value == "All"


async def answer(server: Server, call: Call, request: web.Request) -> web.StreamResponse:
    """The response to a request whose identity and rights were checked."""
    info, resource = call.info, call.resource
    if resource.crd is not None and resource.crd.warning:
        call.warnings.append(resource.crd.warning)
    elif resource.behaviour.deprecation:
        call.warnings.append(resource.behaviour.deprecation)
    if info.subresource in STREAMED:
        return await streams.pod_subresource(request, server, resource, call.namespace, info.name, info.subresource)
    if info.verb == "watch":
        return await watching.serve(call, request, server.stopping)
    code, body = _answer(server, call)
    return server.respond(call.form, body, code, call.warnings)


def _answer(server: Server, call: Call) -> tuple[int, JSON]:
    info, resource = call.info, call.resource
    if server.reviews.handles(resource.group, resource.plural):
        body = writing.decode_typed(call, resource.schema, resource.api_version, resource.kind)
        context = call.context
        answer = server.reviews.create(
            resource.group, resource.plural, call.info.namespace, body, call.user, context.now
        )
        return 201, answer
    if info.subresource:
        return _subresource(server, call, resource.subresources[info.subresource])
    match info.verb:
        case "get":
            return 200, reading.get(call)
        case "list":
            return 200, reading.list_objects(call)
        case "create" if resource.plural == "bindings" and not resource.group:
            return 201, pods.bind(_on_pods(server, call))
        case "create":
            return 201, reading.shaped(call, writing.create(call))
        case "update":
            existed = call.store.get(resource.storage, call.namespace, info.name) is not None
            return 200 if existed else 201, reading.shaped(call, writing.update(call))
        case "patch":
            obj, created = writing.patch(call)
            return 201 if created else 200, reading.shaped(call, obj)
        case "delete":
            obj, _ = deleting.delete(call)
            return 200, obj if obj.get("kind") == "Status" else reading.shaped(call, obj)
        case "deletecollection":
            return 200, deleting.delete_collection(call)
    raise method_not_allowed()


def _subresource(server: Server, call: Call, subresource: Subresource) -> tuple[int, JSON]:
    verb = call.info.verb
    match subresource.name:
        case "scale":
            if verb == "get":
                scale = scaling.read(call)
            else:
                scale = scaling.update(call) if verb == "update" else scaling.patch(call)
            return 200, reading.shaped(dataclasses.replace(call, resource=SCALES), scale)
        case "binding":
            return 201, pods.bind(call)
        case "eviction":
            return 201, pods.evict(call)
        case "token":
            schema = builtin("authentication.k8s.io", "v1", "TokenRequest")
            body = writing.decode_typed(call, schema, "authentication.k8s.io/v1", "TokenRequest")
            return 201, server.tokens.request(call.namespace, call.info.name, body)
        case "finalize":
            return 200, pods.finalize_namespace(call)
    if verb == "get":
        return 200, reading.get(call)
    if verb == "update":
        return 200, reading.shaped(call, writing.update(call))
    return 200, reading.shaped(call, writing.patch(call)[0])


def _on_pods(server: Server, call: Call) -> Call:
    resource = server.registry.find("", "v1", "pods")
    if resource is None:
        raise path_not_found()
    return dataclasses.replace(call, resource=resource)
