"""CustomResourceDefinition objects: their defaults, their status and its conditions."""

from __future__ import annotations

from typing import Any

JSON = dict[str, Any]


# ---- defaults


def default(crd: JSON) -> None:
    """Fill in names, the conversion strategy and the fields that Go always writes; in place."""
    spec = crd.setdefault("spec", {})
    spec.setdefault("group", "")
    spec.setdefault("scope", "")
    names = spec.get("names")
    if not isinstance(names, dict):
        names = spec["names"] = {}
    names.setdefault("plural", "")
    names.setdefault("kind", "")
    _drop_empty(names, "singular", "listKind", "shortNames", "categories")
    kind = names["kind"]
    if "singular" not in names and kind:
        names["singular"] = kind.lower()
    if "listKind" not in names and kind:
        names["listKind"] = f"{kind}List"
    conversion = spec.get("conversion")
    if conversion is None:
        spec["conversion"] = {"strategy": "None"}
    else:
        service = ((conversion.get("webhook") or {}).get("clientConfig") or {}).get("service")
        if isinstance(service, dict):
            service.setdefault("port", 443)
    _drop_empty(spec, "preserveUnknownFields")
    for version in spec.get("versions") or ():
        version.setdefault("name", "")
        version.setdefault("served", False)
        version.setdefault("storage", False)
        _drop_empty(version, "deprecated", "additionalPrinterColumns", "selectableFields")
        for column in version.get("additionalPrinterColumns") or ():
            _drop_empty(column, "format", "description", "priority")
        raw = (version.get("schema") or {}).get("openAPIV3Schema")
        if isinstance(raw, dict):
            _drop_empty_keywords(raw)


def _drop_empty(obj: JSON, *names: str) -> None:
    for name in names:
        if name in obj and not obj[name]:
            del obj[name]


_KEPT_EMPTY = ("default", "example", "additionalProperties", "items", "not", "x-kubernetes-preserve-unknown-fields")


def _drop_empty_keywords(raw: JSON) -> None:
    # Go leaves out what is empty; numbers are pointers there, so that a zero stays.
    for name in list(raw):
        value = raw[name]
        if name not in _KEPT_EMPTY and (value is None or value is False or value in ("", [], {})):
            del raw[name]
    for below in [
        *(raw.get("properties") or {}).values(),
        raw.get("items"),
        raw.get("additionalProperties"),
        raw.get("not"),
    ]:
        if isinstance(below, dict):
            _drop_empty_keywords(below)
    for name in ("allOf", "anyOf", "oneOf"):
        for below in raw.get(name) or ():
            _drop_empty_keywords(below)


def initial_status(spec: JSON) -> JSON:
    """The status of a new definition: nothing accepted yet, stored in the storage version."""
    stored = next((v["name"] for v in spec.get("versions") or () if v.get("storage")), None)
    return {
        "acceptedNames": {"kind": "", "plural": ""},
        "conditions": None,
        "storedVersions": [stored] if stored is not None else None,
    }


def remember_stored_version(status: JSON, spec: JSON) -> None:
    """Add the storage version to `status.storedVersions`, in place: objects may be stored in it from now on."""
    stored = next((v["name"] for v in spec.get("versions") or () if v.get("storage")), None)
    known = status.get("storedVersions") or []
    if stored is not None and stored not in known:
        status["storedVersions"] = [*known, stored]


# ---- conditions


def condition(kind: str, status: str, reason: str, message: str, now: str) -> JSON:
    return {"lastTransitionTime": now, "message": message, "reason": reason, "status": status, "type": kind}


def with_condition(conditions: list[JSON] | None, new: JSON) -> list[JSON]:
    """The conditions with one of them replaced or added; its time is kept where its status stays the same."""
    result = []
    found = False
    for old in conditions or ():
        if old["type"] != new["type"]:
            result.append(old)
            continue
        found = True
        since = old.get("lastTransitionTime") if old["status"] == new["status"] else new["lastTransitionTime"]
        result.append({**new, "lastTransitionTime": since})
    return result if found else [*result, new]


def is_true(crd: JSON, kind: str) -> bool:
    """Whether a condition of a definition is True."""
    conditions = (crd.get("status") or {}).get("conditions") or ()
    return any(c["type"] == kind and c["status"] == "True" for c in conditions)
