"""The rules of ObjectMeta, which all kinds share, and of label selectors.

Field errors, their order and their texts follow k8s.io/apimachinery `api/validation` as recorded.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from localcluster.apiserver.errors import FieldError, forbidden_field, invalid_value, required, show, too_long
from localcluster.apiserver.kinds import formats
from localcluster.apiserver.kinds.formats import (
    check,
    config_map_key,
    dns1035_label,
    dns1123_label,
    dns1123_subdomain,
    label_value,
    path_segment,
    qualified_name,
)

__all__ = [
    "config_map_key",
    "dns1035_label",
    "dns1123_label",
    "dns1123_subdomain",
    "label_value",
    "path_segment",
    "qualified_name",
    "validate",
    "validate_annotations",
    "validate_label_selector",
    "validate_labels",
    "validate_update",
]

JSON = dict[str, Any]

TOTAL_ANNOTATION_BYTES = 256 * 1024
_STANDARD_FINALIZERS = ("kubernetes", "orphan", "foregroundDeletion")
_OWNER_FIELDS = ("apiVersion", "kind", "name", "uid", "controller", "blockOwnerDeletion")


def validate(
    obj: JSON,
    namespaced: bool,
    name_rule: Callable[[str], list[str]] | None = None,
    path: str = "metadata",
    *,
    builtin: bool = True,
) -> list[FieldError]:
    """Errors of an object's metadata.

    `name_rule` None is the DNS-1123 subdomain. Custom resources (`builtin` false) may have finalizers without prefix.
    """
    rule = name_rule or dns1123_subdomain
    meta = obj.get("metadata") or {}
    errors: list[FieldError] = []
    if prefix := meta.get("generateName"):
        errors += check(f"{path}.generateName", prefix, rule(_as_name(prefix)))
    if name := meta.get("name"):
        errors += check(f"{path}.name", name, rule(name))
    else:
        errors.append(required(f"{path}.name", "name or generateName is required"))
    errors += _validate_namespace(meta.get("namespace"), namespaced, path)
    errors += formats.not_negative(f"{path}.generation", meta.get("generation"))
    errors += _validate_common(meta, path)
    if builtin:
        errors += _validate_finalizer_names(meta, path)
    return errors


def _as_name(prefix: str) -> str:
    # A prefix may end in a hyphen, since something follows it.
    return prefix[:-2] + "a" if len(prefix) > 1 and prefix.endswith("-") else prefix


def _validate_namespace(namespace: str | None, namespaced: bool, path: str) -> list[FieldError]:
    if not namespaced:
        return [forbidden_field(f"{path}.namespace", "not allowed on this type")] if namespace else []
    if not namespace:
        return [required(f"{path}.namespace")]
    return check(f"{path}.namespace", namespace, dns1123_label(namespace))


def validate_update(new: JSON, old: JSON, path: str = "metadata") -> list[FieldError]:
    """Errors of a change of metadata. The real server checks twice, so each error is there twice."""
    errors = _validate_change(new["metadata"], old["metadata"], path)
    return errors + errors


def _validate_change(new: JSON, old: JSON, path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    if old.get("deletionTimestamp"):
        added = sorted(set(new.get("finalizers") or ()) - set(old.get("finalizers") or ()))
        if added:
            shown = ", ".join(show(name) for name in added)
            rule = "no new finalizers can be added if the object is being deleted"
            detail = f"{rule}, found new finalizers []string{{{shown}}}"
            errors.append(forbidden_field(f"{path}.finalizers", detail))
    for key in ("name", "namespace", "uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds"):
        if new.get(key) != old.get(key):
            errors.append(invalid_value(f"{path}.{key}", new.get(key), formats.IMMUTABLE))
    errors += validate_labels(new.get("labels"), f"{path}.labels")
    errors += validate_annotations(new.get("annotations"), f"{path}.annotations")
    errors += _validate_owners(new.get("ownerReferences"), f"{path}.ownerReferences")
    return errors


def _validate_common(meta: JSON, path: str) -> list[FieldError]:
    errors = validate_labels(meta.get("labels"), f"{path}.labels")
    errors += validate_annotations(meta.get("annotations"), f"{path}.annotations")
    errors += _validate_owners(meta.get("ownerReferences"), f"{path}.ownerReferences")
    errors += _validate_finalizers(meta.get("finalizers"), f"{path}.finalizers")
    return errors


def validate_labels(labels: Mapping[str, str] | None, path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    for key, value in (labels or {}).items():
        errors += check(path, key, qualified_name(key))
        errors += check(path, value, label_value(value))
    return errors


def validate_annotations(annotations: Mapping[str, str] | None, path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    size = 0
    for key, value in (annotations or {}).items():
        errors += check(path, key, qualified_name(key.lower()))
        size += len(key.encode()) + len(value.encode())
    if size > TOTAL_ANNOTATION_BYTES:
        errors.append(too_long(path, TOTAL_ANNOTATION_BYTES))
    return errors


def _validate_owners(owners: list[JSON] | None, path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    controller = ""
    for owner in owners or ():
        version = owner.get("apiVersion", "").rpartition("/")[2]
        if not version:
            errors.append(invalid_value(f"{path}.apiVersion", owner.get("apiVersion", ""), "version must not be empty"))
        for key in ("kind", "name", "uid"):
            if not owner.get(key):
                errors.append(invalid_value(f"{path}.{key}", "", "must not be empty"))
        if owner.get("apiVersion") == "v1" and owner.get("kind") == "Event":
            detail = "/v1, Kind=Event is disallowed from being an owner"
            errors.append(invalid_value(path, _in_order(owner), detail))
        if owner.get("controller"):
            this = f"{owner.get('kind', '')}/{owner.get('name', '')}"
            if controller:
                detail = (
                    "Only one reference can have Controller set to true. "
                    f'Found "true" in references for {controller} and {this}'
                )
                errors.append(invalid_value(path, [_in_order(o) for o in owners or ()], detail))
            controller = controller or this
    return errors


def _in_order(owner: JSON) -> JSON:
    return {key: owner[key] for key in _OWNER_FIELDS if key in owner}


def _validate_finalizers(finalizers: list[str] | None, path: str) -> list[FieldError]:
    names = finalizers or []
    errors: list[FieldError] = []
    for name in names:
        errors += check(path, name, qualified_name(name))
    if "orphan" in names and "foregroundDeletion" in names:
        errors.append(invalid_value(path, names, "finalizer orphan and foregroundDeletion cannot be both set"))
    return errors


def _validate_finalizer_names(meta: JSON, path: str) -> list[FieldError]:
    return [
        invalid_value(
            f"{path}.finalizers[{i}]", name, "name is neither a standard finalizer name nor is it fully qualified"
        )
        for i, name in enumerate(meta.get("finalizers") or ())
        if "/" not in name and name not in _STANDARD_FINALIZERS
    ]


# ---- label selectors


def validate_label_selector(
    selector: JSON | None, path: str, *, allow_invalid_values: bool = False
) -> list[FieldError]:
    """Errors of a LabelSelector (matchLabels, matchExpressions)."""
    if selector is None:
        return []
    errors = validate_labels(selector.get("matchLabels"), f"{path}.matchLabels")
    for i, expression in enumerate(selector.get("matchExpressions") or ()):
        errors += _validate_requirement(expression, f"{path}.matchExpressions[{i}]", allow_invalid_values)
    return errors


def _validate_requirement(expression: JSON, path: str, allow_invalid_values: bool) -> list[FieldError]:
    errors: list[FieldError] = []
    operator, values = expression.get("operator", ""), expression.get("values") or []
    if operator in ("In", "NotIn"):
        if not values:
            errors.append(required(f"{path}.values", "must be specified when `operator` is 'In' or 'NotIn'"))
    elif operator in ("Exists", "DoesNotExist"):
        if values:
            detail = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"
            errors.append(forbidden_field(f"{path}.values", detail))
    else:
        errors.append(invalid_value(f"{path}.operator", operator, "not a valid selector operator"))
    key = expression.get("key", "")
    errors += check(f"{path}.key", key, qualified_name(key))
    if not allow_invalid_values:
        for i, value in enumerate(values):
            errors += check(f"{path}.values[{i}]", value, label_value(value))
    return errors
