"""create, update and patch: from a request's body to a stored object.

The order is the real server's: decode, default, own fields, admit, prepare, validate, admit by quota, store. Nothing
here awaits, so what was read at the start is still what is stored at the end.
"""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable
from typing import Any

from localcluster.apiserver import admission
from localcluster.apiserver.auth import rbac
from localcluster.apiserver.auth.escalation import check_write
from localcluster.apiserver.crd import pruning
from localcluster.apiserver.encoding import codec, protobuf
from localcluster.apiserver.errors import (
    STALE,
    APIError,
    already_exists,
    bad_request,
    conflict,
    forbidden_field,
    invalid,
    invalid_value,
    not_found,
    required,
    shortened,
)
from localcluster.apiserver.kinds import metadata
from localcluster.apiserver.negotiation import ACCEPTED
from localcluster.apiserver.patch import json_patch, managed_fields, merge_patch, strategic
from localcluster.apiserver.patch.wording import go_value, quote_object, rejected
from localcluster.apiserver.resources import Resource
from localcluster.apiserver.schema import Schema
from localcluster.apiserver.store import Exists
from localcluster.apiserver.verbs.call import Call, parse_version, plain_internal_error

JSON = dict[str, Any]

JSON_PATCH = "application/json-patch+json"
MERGE_PATCH = "application/merge-patch+json"
STRATEGIC_PATCH = "application/strategic-merge-patch+json"
APPLY_PATCH = "application/apply-patch+yaml"

GENERATED_SUFFIX_LENGTH = 5
_SUFFIX_LETTERS = "bcdfghjklmnpqrstvwxz2456789"
"""Without vowels and look-alikes, as k8s.io/apimachinery `rand` has them."""


# ---- create


def create(call: Call) -> JSON:
    """POST: the new object as stored (or as it would be, in a dry run), in the asked version."""
    new, duplicates = decode_body(call)
    check_kind(call, new)
    conform(call, new, duplicates)
    meta = new.setdefault("metadata", {})
    check_namespace(call, meta)
    if call.info.name and not call.info.subresource:
        meta.setdefault("name", call.info.name)
    call.resource.behaviour.default(new)
    new = own_fields(call, None, new)
    return store_new(call, new)


def store_new(call: Call, new: JSON) -> JSON:
    """The second half of a create: `new` is decoded, defaulted, and its fields are owned."""
    resource, context, behaviour = call.resource, call.context, call.resource.behaviour
    meta = new["metadata"]
    if meta.get("resourceVersion"):
        raise plain_internal_error("resourceVersion should not be set on objects to be created")
    for key in ("resourceVersion", "selfLink", "deletionTimestamp", "deletionGracePeriodSeconds"):
        meta.pop(key, None)
    generated = not meta.get("name") and meta.get("generateName")
    call.warnings += admission.mutate(resource, "CREATE", call.info.subresource, new, None, context)
    meta = new["metadata"]
    meta["uid"] = str(uuid.uuid4())
    meta["creationTimestamp"] = context.now
    if resource.namespaced:
        meta["namespace"] = call.namespace
    else:
        meta.pop("namespace", None)
    if generated:
        meta["name"] = _generated_name(meta["generateName"])
    _check_escalation(call, new, None)
    behaviour.prepare_create(new, context)
    if behaviour.counts_generations:
        meta["generation"] = 1
    if not meta.get("name"):
        error = required("metadata.name", "name or generateName is required")
        raise invalid(resource.group, resource.kind, "", [error])
    errors = metadata.validate(new, resource.namespaced, behaviour.name_rule, builtin=resource.crd is None)
    errors += behaviour.validate_create(new, context)
    if errors:
        raise invalid(_stored_group(resource), resource.kind, meta["name"], errors)
    call.warnings += behaviour.warnings(new, None)
    taken = call.store.get(resource.storage, call.namespace, meta["name"])
    if taken is None:
        call.warnings += admission.validate(resource, "CREATE", call.info.subresource, new, None, context)
    elif generated and not call.dry_run:
        meta["name"] = _generated_name(meta["generateName"])
        return store_new(call, new)
    rest = {k: v for k, v in new.items() if k not in ("kind", "apiVersion", "metadata")}
    kept = call.storable({"kind": resource.kind, "apiVersion": resource.api_version, "metadata": meta, **rest})
    if call.dry_run:
        if taken is not None:
            raise _exists(resource, taken)
        return call.present(kept)
    try:
        stored = call.store.create(resource.storage, kept)
    except Exists as error:
        raise _exists(resource, error.obj) from None
    behaviour.stored(stored, None, context)
    return call.present(stored)


def _stored_group(resource: Resource) -> str:
    """The group that errors name: that of the stored object, which for events of both groups is the core one."""
    return resource.storage.partition("/")[0]


def _exists(resource: Resource, taken: JSON) -> APIError:
    error = already_exists(resource.group, resource.plural, taken["metadata"]["name"])
    if taken["metadata"].get("deletionTimestamp"):
        error.message = f"object is being deleted: {error.message}"
    return error


def _generated_name(prefix: str) -> str:
    suffix = "".join(random.choices(_SUFFIX_LETTERS, k=GENERATED_SUFFIX_LENGTH))  # noqa: S311
    return prefix[: 63 - GENERATED_SUFFIX_LENGTH] + suffix


# ---- update


def update(call: Call) -> JSON:
    """PUT on the object or on its status; creates where the kind allows that."""
    new, duplicates = decode_body(call)
    check_kind(call, new)
    conform(call, new, duplicates)
    meta = new.setdefault("metadata", {})
    check_namespace(call, meta)
    name = call.info.name
    given = meta.get("name", "")
    if not given:
        raise bad_request(f"the name of the object ({name} based on URL) was undeterminable: name must be provided")
    if given != name:
        raise bad_request(f"the name of the object ({given}) does not match the name on the URL ({name})")
    resource = call.resource
    stored = call.store.get(resource.storage, call.namespace, name)
    if stored is None:
        if not resource.behaviour.create_on_update or call.info.subresource or meta.get("uid"):
            raise not_found(resource.group, resource.plural, name)
        resource.behaviour.default(new)
        meta.pop("resourceVersion", None)
        return store_new(call, own_fields(call, None, new))
    resource.behaviour.default(new)
    return store_changed(call, stored, lambda old: own_fields(call, old, new))


def store_changed(call: Call, stored: JSON, change: Callable[[JSON], JSON]) -> JSON:
    """Write what `change` makes of a stored object (in the asked version); nothing if that is the same."""
    resource, context, behaviour = call.resource, call.context, call.resource.behaviour
    name = stored["metadata"]["name"]
    old = call.present(stored)
    new = change(old)
    if new is old:
        return old
    meta, old_meta = new["metadata"], old["metadata"]
    _check_preconditions(call, meta, old_meta)
    if not call.info.subresource:
        call.warnings += admission.mutate(resource, "UPDATE", "", new, old, context)
        meta = new["metadata"]
    if call.info.verb != "patch" or not meta.get("uid"):
        # A patch of the uid is an error in validation; a PUT was compared above.
        meta["uid"] = old_meta["uid"]
    for key in ("creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "selfLink"):
        meta.pop(key, None)
        if key in old_meta:
            meta[key] = old_meta[key]
    if resource.namespaced:
        meta["namespace"] = call.namespace
    meta.pop("generation", None)
    if "generation" in old_meta:
        meta["generation"] = old_meta["generation"]
    _check_escalation(call, new, old)
    if call.info.subresource == "status":
        behaviour.prepare_status(new, old, context)
        meta = new["metadata"]
        errors = metadata.validate_update(new, old)
        errors += behaviour.validate_status(new, old, context)
    elif call.info.subresource:
        behaviour.prepare_subresource(call.info.subresource, new, old, context)
        meta = new["metadata"]
        errors = metadata.validate_update(new, old)
        errors += behaviour.validate_subresource(call.info.subresource, new, old, context)
    else:
        behaviour.prepare_update(new, old, context)
        errors = metadata.validate(new, resource.namespaced, behaviour.name_rule, builtin=resource.crd is None)
        errors += metadata.validate_update(new, old)
        errors += behaviour.validate_update(new, old, context)
    writes_spec = call.info.subresource != "status" and behaviour.counts_generations
    if writes_spec and behaviour.generation_of(new) != behaviour.generation_of(old):
        meta["generation"] = old_meta.get("generation", 0) + 1
    if errors:
        raise invalid(_stored_group(resource), resource.kind, name, errors)
    call.warnings += behaviour.warnings(new, old)
    call.warnings += admission.validate(resource, "UPDATE", call.info.subresource, new, old, context)
    meta["resourceVersion"] = old_meta["resourceVersion"]
    if new == old:
        return old
    kept = call.storable(new)
    if call.dry_run:
        return new
    if is_finished(kept):
        gone = call.store.delete(resource.storage, stored)
        behaviour.stored(None, old, context)
        # The deleted event carries the last state, which is the one without finalizers for the writer only.
        gone_version = gone["metadata"]["resourceVersion"]
        return call.present({**kept, "metadata": {**kept["metadata"], "resourceVersion": gone_version}})
    updated = call.store.update(resource.storage, kept, stored)
    behaviour.stored(updated, old, context)
    return call.present(updated)


def _check_escalation(call: Call, new: JSON, old: JSON | None) -> None:
    resource = call.resource
    if resource.group == rbac.GROUP:
        check_write(call.authorizer, call.user, resource.plural, new, old, call.namespace, call.info.name)


def is_finished(obj: JSON) -> bool:
    """Whether an object that is being deleted has nothing left to wait for."""
    meta = obj["metadata"]
    if not meta.get("deletionTimestamp") or meta.get("finalizers") or meta.get("deletionGracePeriodSeconds"):
        return False
    return not (obj.get("kind") == "Namespace" and obj.get("spec", {}).get("finalizers"))


def _check_preconditions(call: Call, meta: JSON, old_meta: JSON) -> None:
    resource, name = call.resource, old_meta["name"]
    uid = meta.get("uid")
    if uid and uid != old_meta["uid"] and call.info.verb != "patch":
        key = f"/registry/{resource.plural}/{call.namespace + '/' if call.namespace else ''}{name}"
        why = (
            f"StorageError: invalid object, Code: 4, Key: {key}, ResourceVersion: 0, AdditionalErrorMsg: "
            f"Precondition failed: UID in precondition: {uid}, UID in object meta: {old_meta['uid']}"
        )
        raise conflict(resource.group, resource.plural, name, why)
    version = meta.get("resourceVersion")
    if version and version != "0":
        try:
            parse_version(version)
        except ValueError as error:
            raise plain_internal_error(str(error)) from None
        if version != old_meta["resourceVersion"]:
            raise conflict(resource.group, resource.plural, name, STALE)
    elif not resource.behaviour.unconditional_update and call.info.verb == "update":
        detail = "must be specified for an update"
        error_version = invalid_value("metadata.resourceVersion", version or 0, detail)
        raise invalid(resource.group, resource.kind, name, [error_version])


# ---- patch


def patch(call: Call) -> tuple[JSON, bool]:
    """PATCH in its four forms; the second value is whether the object was created (by an apply)."""
    resource = call.resource
    media = call.content_type.partition(";")[0].strip()
    accepted = [JSON_PATCH, MERGE_PATCH, APPLY_PATCH]
    if resource.crd is None:
        accepted = [JSON_PATCH, MERGE_PATCH, STRATEGIC_PATCH, APPLY_PATCH]
    if media not in (JSON_PATCH, MERGE_PATCH, STRATEGIC_PATCH, APPLY_PATCH):
        raise APIError(415, "UnsupportedMediaType", "415: Unsupported Media Type", {})
    if media not in accepted:
        message = (
            f"the body of the request was in an unknown format - accepted media types include: {', '.join(accepted)}"
        )
        raise APIError(415, "UnsupportedMediaType", message)
    if media == APPLY_PATCH:
        return _apply(call)
    if call.query.get("force"):
        error = forbidden_field("force", "may not be specified for non-apply patch")
        raise invalid("meta.k8s.io", "PatchOptions", "", [error])
    stored = call.find(call.info.name)
    make = _patcher(call, media)

    def change(old: JSON) -> JSON:
        new, duplicates, quote = make(old)
        _check_patched(call, new, duplicates, quote)
        _check_name(call, new.setdefault("metadata", {}))
        resource.behaviour.default(new)
        return own_fields(call, old, new)

    return store_changed(call, stored, change), False


def _patcher(call: Call, media: str) -> Callable[[JSON], tuple[JSON, list[str], Callable[[], str]]]:
    """What makes of the stored object the patched one, its duplicate fields, and how errors quote it."""
    strict = call.field_validation != "Ignore"
    if media == JSON_PATCH:
        operations = codec.decode_json_patch(call.body)

        def patched(old: JSON) -> tuple[JSON, list[str], Callable[[], str]]:
            new = json_patch.apply(old, operations)
            return new, [], lambda: quote_object(new)

        return patched
    if media == MERGE_PATCH:
        document, duplicates = codec.decode_merge_patch(call.body, strict=strict)

        def merged(old: JSON) -> tuple[JSON, list[str], Callable[[], str]]:
            new = merge_patch.apply(old, document)
            return new, duplicates, lambda: quote_object(new)

        return merged
    document, duplicates = codec.decode_strategic_patch(call.body, strict=strict)
    return lambda old: (
        strategic.apply(old, document, call.resource.schema),
        duplicates,
        lambda: go_value(document),
    )


def _check_patched(call: Call, new: JSON, duplicates: list[str], quote: Callable[[], str]) -> None:
    """Like a body, but what does not fit the kind is an invalid patch (422)."""
    resource = call.resource
    if resource.crd is not None:
        check_kind(call, new)
        conform(call, new, duplicates)
        return
    problem = _other_kind(call, new)
    if problem:
        raise rejected(quote(), problem)
    try:
        call.warnings += codec.decode_as(
            new,
            resource.schema,
            field_validation=call.field_validation,
            duplicates=duplicates,
            unstructured=call.content_type.startswith(STRATEGIC_PATCH),
        )
    except ValueError as error:
        raise rejected(quote(), str(error)) from None


def _other_kind(call: Call, new: JSON) -> str:
    """Why a patched object is not of the kind any more; empty if it is."""
    kind, api_version = call.resource.kind, call.resource.api_version
    given_version, given_kind = new.get("apiVersion", api_version), new.get("kind", kind)
    if given_version != api_version:
        scheme = "pkg/api/legacyscheme/scheme.go:30"
        return f'no kind "{given_kind}" is registered for version "{given_version}" in scheme "{scheme}"'
    if given_kind != kind:
        package = call.resource.group.partition(".")[0] or "core"
        version = call.resource.version
        return f"converting ({version}.{given_kind}) to ({package}.{kind}): unknown conversion"
    new["apiVersion"], new["kind"] = api_version, kind
    return ""


def _apply(call: Call) -> tuple[JSON, bool]:
    resource = call.resource
    manager = call.query.get("fieldManager", "")
    if not manager:
        error = required("fieldManager", "is required for apply patch")
        raise invalid("meta.k8s.io", "PatchOptions", "", [error])
    applied, warnings = codec.decode_apply_patch(call.body, field_validation=call.field_validation)
    call.warnings += warnings
    name, namespace = call.info.name, call.namespace
    stored = call.store.get(resource.storage, namespace, name)
    live = call.present(stored) if stored is not None else None
    if live is None and (call.info.subresource or applied.get("metadata", {}).get("uid")):
        raise not_found(resource.group, resource.plural, name)
    if applied.get("metadata") is None:
        applied["metadata"] = {}

    def merged(old: JSON | None) -> JSON:
        new = managed_fields.apply(
            old,
            applied,
            manager=manager,
            force=call.flag("force"),
            api_version=resource.api_version,
            schema=resource.schema,
            subresource=call.info.subresource,
            now=call.context.now,
            schema_for=schema_lookup(call),
            group=resource.group,
            kind=resource.kind,
            ignored=unowned(call),
        )
        if new is old:
            return new
        conform(call, new, [])
        _check_name(call, new["metadata"])
        resource.behaviour.default(new)
        return new if old is None else managed_fields.keep_times(new, old)

    if stored is None:
        new = merged(None)
        new["metadata"].pop("resourceVersion", None)
        return store_new(call, new), True
    return store_changed(call, stored, merged), False


# ---- shared steps


def decode_body(call: Call) -> tuple[JSON, list[str]]:
    """The body as an object, and what is wrong with it in strict decoding."""
    media = media_type(call)
    custom = call.resource.crd is not None and call.info.subresource != "scale"
    if media == protobuf.MEDIA:
        if custom:
            raise protobuf.refuse_custom(call.body, call.resource.api_version, call.resource.kind)
        return protobuf.decode(call.body, *_spoken(call)), []
    strict = call.field_validation != "Ignore"
    document, duplicates = codec.decode(call.body, media, strict=strict, kind=call.resource.kind)
    if custom:
        for key, title in (("kind", "Kind"), ("apiVersion", "apiVersion")):
            if not document.get(key):
                text = shortened(call.body.decode("utf-8", "replace"))
                raise codec.unrecognized(call.resource.kind, f"Object '{title}' is missing in '{text}'", call.body)
    return document if document is not None else {}, duplicates


def media_type(call: Call) -> str:
    """The body's media type, one of those that objects may be sent in. Raises APIError 415."""
    media = call.content_type.partition(";")[0].strip() or "application/json"
    if media not in ACCEPTED:
        accepted = ", ".join(ACCEPTED)
        message = f"the body of the request was in an unknown format - accepted media types include: {accepted}"
        raise APIError(415, "UnsupportedMediaType", message)
    return media


def _spoken(call: Call) -> tuple[str, str]:
    """apiVersion and kind of the objects that the path takes."""
    resource, subresource = call.resource, call.resource.subresources.get(call.info.subresource)
    if subresource is None:
        return resource.api_version, resource.kind
    if not subresource.version:
        return resource.api_version, subresource.kind
    return f"{subresource.group}/{subresource.version}".lstrip("/"), subresource.kind


def decode_typed(call: Call, schema: Schema, api_version: str, kind: str) -> JSON:
    """The body as an object of a kind that is not the resource's own and is not stored (reviews, token requests)."""
    obj, duplicates = decode_body(call)
    for key, wanted in (("apiVersion", api_version), ("kind", kind)):
        given = obj.get(key) or wanted
        if given != wanted:
            raise bad_request(f"the {key} in the data ({given}) does not match the expected {key} ({wanted})")
    obj = {"kind": kind, "apiVersion": api_version, **obj}
    mode = call.field_validation
    call.warnings += codec.conform(obj, schema, api_version, kind, field_validation=mode, duplicates=duplicates)
    return obj


def check_kind(call: Call, obj: JSON) -> None:
    """Fill in apiVersion and kind, or refuse those of another resource."""
    resource = call.resource
    kind, api_version = _wanted_kind(call)
    given_version, given_kind = obj.get("apiVersion") or api_version, obj.get("kind") or kind
    if given_version != api_version:
        message = (
            f"the API version in the data ({given_version}) does not match the expected API version ({api_version})"
        )
        raise bad_request(message)
    if given_kind != kind:
        if resource.crd is not None:
            error = invalid_value("kind", given_kind, f"must be {kind}")
            raise invalid(resource.group, given_kind, (obj.get("metadata") or {}).get("name", ""), [error])
        package = (resource.group.partition(".")[0] or "core").lower()
        message = (
            f'{given_kind} in version "{resource.version}" cannot be handled as a {kind}: converting '
            f"({resource.version}.{given_kind}) to ({package}.{kind}): unknown conversion"
        )
        raise bad_request(message)
    obj["apiVersion"], obj["kind"] = api_version, kind


def _wanted_kind(call: Call) -> tuple[str, str]:
    return call.resource.kind, call.resource.api_version


def _check_name(call: Call, meta: JSON) -> None:
    """A patched or applied object must still be the one that the path names."""
    given, name = meta.setdefault("name", call.info.name), call.info.name
    if given != name:
        raise bad_request(f"the name of the object ({given}) does not match the name on the URL ({name})")
    check_namespace(call, meta)


def check_namespace(call: Call, meta: JSON) -> None:
    """The namespace in the body, if any, must be that of the path; what has no namespace loses it."""
    if not call.resource.namespaced:
        meta.pop("namespace", None)
        return
    namespace = meta.get("namespace")
    if namespace and namespace != call.namespace:
        raise bad_request("the namespace of the provided object does not match the namespace sent on the request")
    meta["namespace"] = call.namespace


def conform(call: Call, obj: JSON, duplicates: list[str]) -> None:
    """Refuse wrong types, drop unknown fields, and complain of them as asked (fieldValidation)."""
    resource = call.resource
    mode = call.field_validation
    if resource.crd is not None:
        call.warnings += pruning.conform(obj, resource.crd, field_validation=mode, duplicates=duplicates)
    else:
        call.warnings += codec.conform(
            obj,
            resource.schema,
            resource.api_version,
            resource.kind,
            field_validation=mode,
            duplicates=duplicates,
        )


def own_fields(call: Call, old: JSON | None, new: JSON) -> JSON:
    """`new` with managedFields as a plain write of its author leaves them."""
    resource = call.resource
    return managed_fields.after_update(
        old,
        new,
        manager=call.field_manager,
        api_version=resource.api_version,
        schema=resource.schema,
        subresource=call.info.subresource,
        now=call.context.now,
        schema_for=schema_lookup(call),
        ignored=unowned(call),
    )


def unowned(call: Call) -> frozenset[tuple[str, ...]]:
    """Top-level paths that a write through this endpoint resets, so that its author does not own them."""
    if call.info.subresource == "status":
        return frozenset({("spec",), ("metadata", "labels"), ("metadata", "annotations")})
    if call.resource.behaviour.has_status:
        return frozenset({("status",)})
    return frozenset()


def schema_lookup(call: Call) -> Callable[[str], Schema | None]:
    def schema_for(api_version: str) -> Schema | None:
        found = call.registry.of_kind(api_version, call.resource.kind)
        return found.schema if found is not None else None

    return schema_for
