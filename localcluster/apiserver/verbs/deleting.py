"""delete and deletecollection: options, preconditions, grace, finalizers and propagation."""

from __future__ import annotations

import copy
import dataclasses
import datetime as dt
from dataclasses import dataclass
from typing import Any

import orjson

from localcluster.apiserver import admission
from localcluster.apiserver.encoding import codec, protobuf
from localcluster.apiserver.errors import (
    NOT_SUPPORTED,
    FieldError,
    bad_request,
    conflict,
    invalid,
    invalid_value,
)
from localcluster.apiserver.verbs.call import Call
from localcluster.apiserver.verbs.reading import listed, matcher
from localcluster.apiserver.verbs.writing import media_type

JSON = dict[str, Any]

FOREGROUND = "foregroundDeletion"
ORPHAN = "orphan"
DEFAULT_GRACE_SECONDS = 30
_JOB_WARNING = (
    "child pods are preserved by default when jobs are deleted; set propagationPolicy=Background to remove them "
    "or set propagationPolicy=Orphan to suppress this warning"
)


@dataclass(frozen=True, slots=True)
class DeleteOptions:
    """meta.k8s.io/v1 DeleteOptions, from the body and the query."""

    grace_seconds: int | None = None
    propagation: str = ""
    uid: str = ""
    version: str = ""


def read_options(call: Call) -> DeleteOptions:
    """Raises APIError where they are malformed or contradict each other."""
    raw = _options_sent(call)
    grace = raw.get("gracePeriodSeconds")
    if (asked := call.integer("gracePeriodSeconds")) is not None:
        grace = asked
    propagation = raw.get("propagationPolicy") or call.query.get("propagationPolicy", "")
    orphan = raw.get("orphanDependents")
    if orphan is None and call.query.get("orphanDependents"):
        orphan = call.flag("orphanDependents")
    errors = []
    path = "propagationPolicy"
    if propagation and orphan is not None:
        detail = "orphanDependents and deletionPropagation cannot be both set"
        errors.append(invalid_value(path, propagation, detail))
    elif propagation and propagation not in ("Foreground", "Background", "Orphan"):
        detail = 'supported values: "Foreground", "Background", "Orphan", "nil"'
        errors.append(FieldError(NOT_SUPPORTED, path, propagation, detail))
    for value in raw.get("dryRun") or ():
        if value == "All":
            call.context = dataclasses.replace(call.context, dry_run=True)
        else:
            errors.append(FieldError(NOT_SUPPORTED, "dryRun", raw["dryRun"], 'supported values: "All"'))
    if errors:
        raise invalid("meta.k8s.io", "DeleteOptions", "", errors)
    if orphan is not None:
        propagation = "Orphan" if orphan else "Background"
    preconditions = raw.get("preconditions") or {}
    return DeleteOptions(grace, propagation, preconditions.get("uid") or "", preconditions.get("resourceVersion") or "")


def _options_sent(call: Call) -> JSON:
    if not call.body.strip():
        return {}
    media = media_type(call)
    if media == protobuf.MEDIA:
        return protobuf.decode(call.body, "v1", "DeleteOptions")
    if media == "application/yaml":
        return codec.decode(call.body, media, kind="DeleteOptions")[0]
    try:
        raw = orjson.loads(call.body)
    except orjson.JSONDecodeError:
        raise bad_request("couldn't get version/kind; json parse error: unexpected end of JSON input") from None
    if not isinstance(raw, dict):
        raise bad_request("couldn't get version/kind; json parse error: the body must be an object")
    return raw


def delete(call: Call) -> tuple[JSON, bool]:
    """The answer to a DELETE, and whether the object is gone already."""
    options = read_options(call)
    stored = call.find(call.info.name)
    if call.resource.storage == "batch/jobs" and not options.propagation:
        call.warnings.append(_JOB_WARNING)
    last, gone = remove(call, stored, options)
    resource = call.resource
    if not gone or resource.behaviour.delete_answers_object or call.flag("returnDeletedObject"):
        return call.present(last), gone
    meta = last["metadata"]
    details: JSON = {"name": meta["name"]}
    if resource.group:
        details["group"] = resource.group
    details |= {"kind": resource.plural, "uid": meta["uid"]}
    return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}, gone


def delete_collection(call: Call) -> JSON:
    """Delete all that match; the answer is the list of them as they were."""
    options = read_options(call)
    matches = matcher(call)
    found = call.store.list(call.resource.storage, call.namespace or None)
    if matches is not None:
        found = [o for o in found if matches(call.present(o))]
    items = [call.present(o) for o in found]
    for stored in found:
        remove(call, stored, options)
    return listed(call, items, {"resourceVersion": str(call.store.version)})


def remove(call: Call, stored: JSON, options: DeleteOptions) -> tuple[JSON, bool]:
    """Delete an object or mark it as being deleted: its state after that, and whether it is gone."""
    resource, context = call.resource, call.context
    meta = stored["metadata"]
    _check_preconditions(call, meta, options)
    call.warnings += admission.validate(resource, "DELETE", "", None, call.present(stored), context)
    begun = stored if meta.get("deletionTimestamp") else resource.behaviour.begin_deletion(stored, context)
    finalizers = list(begun["metadata"].get("finalizers") or ())
    propagation = options.propagation or resource.behaviour.default_propagation
    for policy, finalizer in (("Foreground", FOREGROUND), ("Orphan", ORPHAN)):
        if propagation == policy and finalizer not in finalizers:
            finalizers.append(finalizer)
        elif options.propagation and propagation != policy and finalizer in finalizers:
            finalizers.remove(finalizer)
    grace = _grace_seconds(call, stored, options)
    waits = bool(finalizers) or grace > 0 or _namespace_waits(call, stored)
    if not waits:
        if resource.plural == "pods" and not resource.group:
            # A pod's last state says that it was deleted, even without grace.
            marked = _marked(stored, context.now, 0, finalizers)
            if call.dry_run:
                return marked, True
            last = call.store.delete(resource.storage, stored)
            resource.behaviour.stored(None, call.present(stored), context)
            marked["metadata"]["resourceVersion"] = last["metadata"]["resourceVersion"]
            return marked, True
        if call.dry_run:
            return stored, True
        last = call.store.delete(resource.storage, stored)
        resource.behaviour.stored(None, call.present(stored), context)
        # The answer has the object as it was; only watchers see the version of the deletion.
        return stored, True
    if meta.get("deletionTimestamp"):
        shorter = grace < (meta.get("deletionGracePeriodSeconds") or 0)
        if not shorter and finalizers == (meta.get("finalizers") or []):
            return stored, False
        if not shorter:
            grace = meta.get("deletionGracePeriodSeconds") or 0
    marked = _marked(begun, context.now, grace, finalizers)
    if resource.plural == "namespaces" and not resource.group:
        marked["status"] = {**(marked.get("status") or {}), "phase": "Terminating"}
    if call.dry_run:
        return marked, False
    updated = call.store.update(resource.storage, marked, stored)
    resource.behaviour.stored(call.present(updated), call.present(stored), context)
    return updated, False


def _marked(stored: JSON, now: str, grace: int, finalizers: list[str]) -> JSON:
    marked = copy.deepcopy(stored)
    meta = marked["metadata"]
    if not meta.get("deletionTimestamp") and meta.get("generation"):
        meta["generation"] += 1
    moment = dt.datetime.strptime(now, "%Y-%m-%dT%H:%M:%SZ") + dt.timedelta(seconds=grace)
    if not meta.get("deletionTimestamp") or grace < (meta.get("deletionGracePeriodSeconds") or 0):
        meta["deletionTimestamp"] = moment.strftime("%Y-%m-%dT%H:%M:%SZ")
        meta["deletionGracePeriodSeconds"] = grace
    meta.pop("finalizers", None)
    if finalizers:
        meta["finalizers"] = finalizers
    return marked


def _grace_seconds(call: Call, stored: JSON, options: DeleteOptions) -> int:
    """Only pods on a node have a grace period; a negative one means one second."""
    if call.resource.group or call.resource.plural != "pods":
        return 0
    spec, status = stored.get("spec") or {}, stored.get("status") or {}
    if not spec.get("nodeName") or status.get("phase") in ("Succeeded", "Failed"):
        return 0
    grace = options.grace_seconds
    if grace is None:
        grace = stored["metadata"].get("deletionGracePeriodSeconds")
    if grace is None:
        grace = spec.get("terminationGracePeriodSeconds", DEFAULT_GRACE_SECONDS)
    return 1 if grace < 0 else int(grace)


def _namespace_waits(call: Call, stored: JSON) -> bool:
    is_namespace = call.resource.plural == "namespaces" and not call.resource.group
    return is_namespace and bool((stored.get("spec") or {}).get("finalizers"))


def _check_preconditions(call: Call, meta: JSON, options: DeleteOptions) -> None:
    resource, name = call.resource, meta["name"]
    if options.uid and options.uid != meta["uid"]:
        why = (
            f"the UID in the precondition ({options.uid}) does not match the UID in record ({meta['uid']}). "
            "The object might have been deleted and then recreated"
        )
        raise conflict(resource.group, resource.kind, name, why)
    if options.version and options.version != meta["resourceVersion"]:
        why = (
            f"the ResourceVersion in the precondition ({options.version}) does not match the ResourceVersion in "
            f"record ({meta['resourceVersion']}). The object might have been modified"
        )
        raise conflict(resource.group, resource.kind, name, why)
