"""The scale subresource: autoscaling/v1 Scale over the replicas of built-in and custom resources."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable
from typing import Any

from localcluster.apiserver import schema as schemas
from localcluster.apiserver.encoding import codec
from localcluster.apiserver.errors import (
    STALE,
    APIError,
    bad_request,
    conflict,
    internal,
    invalid,
    invalid_value,
    path_not_found,
)
from localcluster.apiserver.patch import json_patch, merge_patch
from localcluster.apiserver.patch.scale import after_scale
from localcluster.apiserver.selectors import format_selector
from localcluster.apiserver.verbs import writing
from localcluster.apiserver.verbs.call import Call

JSON = dict[str, Any]

_BUILTIN_PATHS = {"specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas"}


def _paths(call: Call) -> JSON:
    if call.resource.crd is None:
        return _BUILTIN_PATHS
    if call.resource.crd.scale is None:
        raise path_not_found()
    return call.resource.crd.scale


def read(call: Call) -> JSON:
    """The Scale of the object that the path names."""
    obj = call.present(call.find(call.info.name))
    path = _paths(call)["specReplicasPath"]
    if call.resource.crd is not None and _at(obj, path) is None:
        # A write may set what a read does not find.
        raise internal(f'the spec replicas field "{path}" does not exist')
    return scale_of(call, obj)


def scale_of(call: Call, obj: JSON) -> JSON:
    paths, meta = _paths(call), obj["metadata"]
    shown = {k: meta[k] for k in ("name", "namespace", "uid", "resourceVersion", "creationTimestamp") if k in meta}
    replicas = _at(obj, paths["specReplicasPath"])
    status: JSON = {"replicas": _at(obj, paths["statusReplicasPath"]) or 0}
    if call.resource.crd is None:
        selector: Any = (obj.get("spec") or {}).get("selector")
        if call.resource.kind == "ReplicationController":
            selector = {"matchLabels": selector or {}}
        status["selector"] = format_selector(selector)
    elif paths.get("labelSelectorPath"):
        status["selector"] = _at(obj, paths["labelSelectorPath"])
    if not status.get("selector"):
        status.pop("selector", None)
    spec = {"replicas": replicas} if replicas else {}
    return {"kind": "Scale", "apiVersion": "autoscaling/v1", "metadata": shown, "spec": spec, "status": status}


def update(call: Call) -> JSON:
    """PUT of a Scale."""
    document, duplicates = writing.decode_body(call)
    return _write(call, lambda old: document, duplicates)


def patch(call: Call) -> JSON:
    """PATCH of a Scale; an apply takes the ownership of the replicas without a conflict."""
    media = call.content_type.partition(";")[0].strip()
    if media == writing.JSON_PATCH:
        operations = codec.decode_json_patch(call.body)
        return _write(call, lambda old: json_patch.apply(old, operations), [])
    if media not in (writing.MERGE_PATCH, writing.STRATEGIC_PATCH, writing.APPLY_PATCH):
        raise APIError(415, "UnsupportedMediaType", "415: Unsupported Media Type", {})
    document, duplicates = codec.decode_merge_patch(call.body, strict=True)
    # A Scale has no lists, so that the other forms mean what a merge patch means.
    return _write(call, lambda old: merge_patch.apply(old, document), duplicates)


def _schema() -> schemas.Schema:
    return schemas.builtin("autoscaling", "v1", "Scale")


def _write(call: Call, change: Callable[[JSON], JSON], duplicates: list[str]) -> JSON:
    stored = call.find(call.info.name)
    old = scale_of(call, call.present(stored))
    new = change(old)
    for key, wanted in (("kind", "Scale"), ("apiVersion", "autoscaling/v1")):
        if new.get(key) not in (None, "", wanted):
            raise bad_request(f"the {key} in the data ({new[key]}) does not match the expected one ({wanted})")
    codec.conform(
        new,
        _schema(),
        "autoscaling/v1",
        "Scale",
        field_validation=call.field_validation,
        duplicates=duplicates,
    )
    name = call.info.name
    meta = new.get("metadata") or {}
    if meta.get("name", name) != name:
        raise bad_request(f"the name of the object ({meta['name']}) does not match the name on the URL ({name})")
    replicas = (new.get("spec") or {}).get("replicas", 0)
    if replicas < 0:
        if call.resource.crd is not None:
            path = _paths(call)["specReplicasPath"]
            error = invalid_value(path, replicas, "should be a non-negative integer")
            raise invalid(call.resource.group, call.resource.kind, name, [error])
        error = invalid_value("spec.replicas", replicas, "must be greater than or equal to 0")
        raise invalid("autoscaling", "Scale", name, [error])
    version = meta.get("resourceVersion")
    if version and version != stored["metadata"]["resourceVersion"]:
        raise conflict(call.resource.group, call.resource.plural, name, STALE)
    path = _paths(call)["specReplicasPath"]
    # The object itself changes, through its own rules, as if its replicas had been written.
    inner = dataclasses.replace(call, info=dataclasses.replace(call.info, subresource=""))

    def scaled(live: JSON) -> JSON:
        obj = copy.deepcopy(live)
        _set(obj, path, replicas)
        return after_scale(
            live,
            obj,
            manager=call.field_manager,
            api_version=call.resource.api_version,
            path_for=lambda version: _replicas_path(call, version),
        )

    return scale_of(call, writing.store_changed(inner, stored, scaled))


def _replicas_path(call: Call, api_version: str) -> tuple[str, ...] | None:
    """Where the kind has its replicas in another apiVersion."""
    resource = call.registry.of_kind(api_version, call.resource.kind)
    if resource is None or (resource.crd is not None and resource.crd.scale is None):
        return None
    paths = resource.crd.scale if resource.crd is not None and resource.crd.scale else _BUILTIN_PATHS
    return tuple(paths["specReplicasPath"].strip(".").split("."))


def _at(obj: JSON, path: str) -> Any:
    value: Any = obj
    for name in path.strip(".").split("."):
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _set(obj: JSON, path: str, value: Any) -> None:
    *parents, last = path.strip(".").split(".")
    for name in parents:
        obj = obj.setdefault(name, {})
    obj[last] = value
