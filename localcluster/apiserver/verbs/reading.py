"""get and list: selectors, pages, versions, and the forms of the answer."""

from __future__ import annotations

import base64
import datetime as dt
import json
from collections.abc import Callable, Iterable
from typing import Any

import orjson

from localcluster.apiserver import tables
from localcluster.apiserver.encoding.typed_decoding import json_type
from localcluster.apiserver.errors import (
    NOT_SUPPORTED,
    APIError,
    FieldError,
    bad_request,
    forbidden_field,
    gone,
    invalid,
)
from localcluster.apiserver.resources import Resource
from localcluster.apiserver.selectors import Matcher, field_selector, label_selector
from localcluster.apiserver.store import Expired, key_of
from localcluster.apiserver.verbs.call import Call, parse_version

JSON = dict[str, Any]


def get(call: Call) -> JSON:
    """The object, in the form that was asked for."""
    wanted = call.query.get("resourceVersion", "")
    if wanted:
        _check_not_in_future(call, _list_version(wanted))
    return shaped(call, call.present(call.find(call.info.name)))


def shaped(call: Call, obj: JSON) -> JSON:
    """One object as itself, as a table of one row or as metadata."""
    if call.form.transform == "Table":
        return table(call, [obj], {"resourceVersion": obj["metadata"].get("resourceVersion", "")})
    if call.form.transform.startswith("PartialObjectMetadata"):
        return metadata_only(obj)
    return obj


def metadata_only(obj: JSON) -> JSON:
    return {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": obj["metadata"]}


def list_objects(call: Call) -> JSON:
    """A list, or a page of one (https://kubernetes.io/docs/reference/using-api/api-concepts/)."""
    _check_list_options(call)
    resource, store = call.resource, call.store
    matches = matcher(call)
    limit = call.integer("limit") or 0
    version_text = call.query.get("resourceVersion", "")
    token = call.query.get("continue", "")
    start = ""
    version = store.version
    at_old_version = False
    if token:
        if version_text and version_text != "0":
            raise bad_request("specifying resource version is not allowed when using continue")
        version, start = _read_token(token)
        _check_not_in_future(call, version)
        at_old_version = version < store.version
        if version <= 0:
            version, at_old_version = store.version, False
    elif version_text:
        asked = _list_version(version_text)
        _check_not_in_future(call, asked)
        if call.query.get("resourceVersionMatch") == "Exact":
            version, at_old_version = asked, asked < store.version
    try:
        if at_old_version:
            objects: Iterable[JSON] = store.list_at(resource.storage, version)
            if call.namespace:
                objects = [o for o in objects if o["metadata"].get("namespace") == call.namespace]
        else:
            objects = store.list(resource.storage, call.namespace or None)
    except Expired:
        if token:
            message = (
                "The provided continue parameter is too old to display a consistent list result. You can start a new "
                "list without the continue parameter, or use the continue token in this response to retrieve the "
                "remainder of the results. Continuing with the provided token results in an inconsistent list - "
                "objects that were created, modified, or deleted between the time the first chunk was returned and "
                "now may show up in the list."
            )
            error = gone(message)
            error.status_metadata = {"continue": _write_token(-1, start)}
            raise error from None
        raise gone("The resourceVersion for the provided list is too old.") from None

    found: list[JSON] = []
    remaining = 0
    last = ""
    for obj in objects:
        position = key_of(obj)
        if start and position < start:
            continue
        if matches is not None and not matches(call.present(obj)):
            continue
        if limit > 0 and len(found) >= limit:
            remaining += 1
            continue
        found.append(obj)
        last = position
    meta: JSON = {"resourceVersion": str(version)}
    if remaining:
        meta["continue"] = _write_token(version, last + "\0")
        if matches is None:
            meta["remainingItemCount"] = remaining
    return listed(call, [call.present(o) for o in found], meta)


def listed(call: Call, items: list[JSON], meta: JSON) -> JSON:
    """Items as a list, a table or a list of metadata."""
    resource = call.resource
    if call.form.transform == "Table":
        return table(call, items, meta)
    if call.form.transform.startswith("PartialObjectMetadata"):
        return {
            "kind": "PartialObjectMetadataList",
            "apiVersion": "meta.k8s.io/v1",
            "metadata": meta,
            "items": [metadata_only(o) for o in items],
        }
    if resource.crd is None:
        # Built-in lists leave out what the list itself says.
        items = [{k: v for k, v in o.items() if k not in ("kind", "apiVersion")} for o in items]
    return {"kind": resource.list_kind, "apiVersion": resource.api_version, "metadata": meta, "items": items}


def table(call: Call, items: Iterable[JSON], meta: JSON, with_columns: bool = True) -> JSON:
    """A meta.k8s.io/v1 Table; rows carry metadata, the object or nothing (`includeObject`)."""
    include = call.query.get("includeObject", "") or "Metadata"
    if include not in ("None", "Metadata", "Object"):
        why = f"includeObject: Invalid value: \"{include}\": must be 'Metadata', 'Object', 'None', or empty"
        raise bad_request(f"Unable to convert to Table as requested: {why}")
    now = dt.datetime.now(dt.UTC)
    rows = []
    for obj in items:
        row: JSON = {"cells": tables.row(call.resource, obj, now)}
        conditions = tables.row_conditions(call.resource, obj)
        if conditions:
            row["conditions"] = conditions
        row["object"] = None if include == "None" else obj if include == "Object" else metadata_only(obj)
        rows.append(row)
    return {
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": meta,
        "columnDefinitions": tables.columns(call.resource) if with_columns else None,
        "rows": rows,
    }


# ---- selectors


def matcher(call: Call) -> Callable[[JSON], bool] | None:
    """Whether an object (in the asked version) matches the selectors and the name of the request; None: all do."""
    labels = label_selector(call.query.get("labelSelector", ""))
    fields = selected_fields(call.resource, call.query.get("fieldSelector", ""))
    name = call.info.name
    if labels is None and fields is None and not name:
        return None
    selectable = call.resource.behaviour.selectable_fields

    def matches(obj: JSON) -> bool:
        meta = obj["metadata"]
        if name and meta["name"] != name:
            return False
        if labels is not None and not labels(meta.get("labels") or {}):
            return False
        if fields is None:
            return True
        flat = {"metadata.name": meta["name"], "metadata.namespace": meta.get("namespace", "")}
        return fields(flat | selectable(obj))

    return matches


def selected_fields(resource: Resource, text: str) -> Matcher | None:
    if not text:
        return None
    empty: JSON = {"metadata": {"name": "", "namespace": ""}, "spec": {}, "status": {}}
    names = {"metadata.name", "metadata.namespace", *resource.behaviour.selectable_fields(empty)}

    def problem(name: str) -> str | None:
        if name in names:
            return None
        if resource.crd is None and len(names) > 2:
            return f"field label not supported: {name}"
        only = ", ".join(f'"{n}"' for n in sorted(names))
        if resource.crd is not None:
            return f"field label not supported: {name}"
        return f'"{name}" is not a known field selector: only {only}'

    return field_selector(text, problem)


# ---- versions and pages


def _check_list_options(call: Call) -> None:
    query = call.query
    errors = []
    match, version = query.get("resourceVersionMatch", ""), query.get("resourceVersion", "")
    if "sendInitialEvents" in query:
        errors.append(forbidden_field("sendInitialEvents", "sendInitialEvents is forbidden for list"))
    if match:
        path = "resourceVersionMatch"
        if not version:
            errors.append(forbidden_field(path, f"{path} is forbidden unless resourceVersion is provided"))
        if query.get("continue"):
            errors.append(forbidden_field(path, f"{path} is forbidden when continue is provided"))
        if match not in ("Exact", "NotOlderThan"):
            detail = 'supported values: "Exact", "NotOlderThan", ""'
            errors.append(FieldError(NOT_SUPPORTED, path, match, detail))
        if match == "Exact" and version == "0":
            errors.append(forbidden_field(path, f'{path} "exact" is forbidden for resourceVersion "0"'))
    if errors:
        raise invalid("meta.k8s.io", "ListOptions", "", errors)


def _list_version(text: str) -> int:
    try:
        return parse_version(text)
    except ValueError as error:
        message = f'invalid resource version: resourceVersion: Invalid value: "{text}": {error}'
        raise bad_request(message) from None


def _check_not_in_future(call: Call, version: int) -> None:
    current = call.store.version
    if version > current:
        cause = {"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}
        message = f"Timeout: Too large resource version: {version}, current: {current}"
        raise APIError(504, "Timeout", message, {"causes": [cause], "retryAfterSeconds": 1})


def _write_token(version: int, start: str) -> str:
    text = json.dumps({"v": "meta.k8s.io/v1", "rv": version, "start": start}, separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).rstrip(b"=").decode()


def _read_token(token: str) -> tuple[int, str]:
    try:
        raw = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
    except ValueError as error:
        raise _bad_token(str(error)) from None
    try:
        content = orjson.loads(raw)
    except ValueError:
        first = raw.decode("latin-1")[:1]
        shown = first if first.isascii() and first.isprintable() else f"\\u{ord(first):04x}" if first else ""
        why = f"invalid character '{shown}' looking for beginning of value" if first else "unexpected end of JSON input"
        raise _bad_token(why) from None
    return _token_fields(content)


def _token_fields(content: Any) -> tuple[int, str]:
    """Version and first key of a decoded token; errors as of Go's decoder and k8s.io/apiserver `DecodeContinue`."""
    kind = json_type(content)
    if not isinstance(content, dict):
        raise _bad_token(f"json: cannot unmarshal {kind} into Go value of type storage.continueToken")
    given = {key: value for key, value in content.items() if value is not None}
    encoded, version, start = given.get("v", ""), given.get("rv", 0), given.get("start", "")
    for name, value, wanted in (("v", encoded, "string"), ("rv", version, "int64"), ("start", start, "string")):
        if type(value) is not (int if wanted == "int64" else str):
            found = f"number {value}" if isinstance(value, float) else json_type(value)
            field = f"Go struct field continueToken.{name} of type {wanted}"
            raise _bad_token(f"json: cannot unmarshal {found} into {field}")
    if encoded != "meta.k8s.io/v1":
        raise _bad_token(f'server does not recognize this encoded version "{encoded}"')
    if not version:
        raise _bad_token("incorrect encoded start resourceVersion (version meta.k8s.io/v1)")
    if not start:
        raise _bad_token("encoded start key empty (version meta.k8s.io/v1)")
    return version, start


def _bad_token(why: str) -> APIError:
    return bad_request(f"invalid continue token: continue key is not valid: {why}")
