"""LimitRanges and ResourceQuotas."""

from __future__ import annotations

from typing import Any

from localcluster.apiserver.errors import FieldError, duplicate, forbidden_field, invalid_value, required
from localcluster.apiserver.kinds import formats
from localcluster.apiserver.kinds.base import Context, Kind
from localcluster.apiserver.kinds.formats import check
from localcluster.apiserver.kinds.pod_defaults import default_resource_list, drop_empty
from localcluster.apiserver.kinds.resource_rules import (
    is_quota_resource,
    may_overcommit,
    validate_container_resource_name,
    validate_quantity,
    validate_quota_resource_name,
    validate_resource_name,
)
from localcluster.apiserver.kinds.with_status import KindWithStatus
from localcluster.quantity import Quantity, parse

JSON = dict[str, Any]

_AMOUNTS = ("max", "min", "default", "defaultRequest", "maxLimitRequestRatio")
_LIMIT_TYPES = ("Pod", "Container", "PersistentVolumeClaim")

_CONFLICTING_SCOPES = (("BestEffort", "NotBestEffort"), ("Terminating", "NotTerminating"))
_SCOPES = (
    "Terminating", "NotTerminating", "BestEffort", "NotBestEffort", "PriorityClass", "CrossNamespacePodAffinity",
    "VolumeAttributesClass",
)  # fmt: skip
_POD_COMPUTE = {
    "pods", "cpu", "memory", "ephemeral-storage", "requests.cpu", "requests.memory", "requests.ephemeral-storage",
    "limits.cpu", "limits.memory", "limits.ephemeral-storage",
}  # fmt: skip
_ONLY_EXISTS = (
    "must be 'Exists' when scope is any of ResourceQuotaScopeTerminating, ResourceQuotaScopeNotTerminating, "
    "ResourceQuotaScopeBestEffort, ResourceQuotaScopeNotBestEffort or ResourceQuotaScopeCrossNamespacePodAffinity"
)


class LimitRange(Kind):
    create_on_update = True

    def default(self, obj: JSON) -> None:
        if obj.get("spec") is None:
            obj["spec"] = {}
        obj["spec"].setdefault("limits", [])
        for limit in obj["spec"]["limits"] or ():
            for name in _AMOUNTS:
                default_resource_list(limit.get(name))
            if limit.get("type") == "Container":
                limit["default"] = {**(limit.get("max") or {}), **(limit.get("default") or {})}
                fallback = {**(limit.get("min") or {}), **limit["default"]}
                limit["defaultRequest"] = {**fallback, **(limit.get("defaultRequest") or {})}
            drop_empty(limit, _AMOUNTS)

    def validate_create(self, new: JSON, context: Context) -> list[FieldError]:
        errors: list[FieldError] = []
        types: set[str] = set()
        for i, limit in enumerate(new["spec"].get("limits") or ()):
            path, kind = f"spec.limits[{i}]", limit.get("type", "")
            errors += _limit_type(kind, f"{path}.type")
            if kind in types:
                errors.append(duplicate(f"{path}.type", kind))
            types.add(kind)
            errors += _limit_names(limit, kind, path)
            errors += _limit_amounts(limit, kind, path)
        return errors


def _limit_type(kind: str, path: str) -> list[FieldError]:
    errors = check(path, kind, formats.qualified_name(kind))
    if not errors and "/" not in kind and kind not in _LIMIT_TYPES:
        errors.append(invalid_value(path, kind, "must be a standard limit type or fully qualified"))
    return errors


def _limit_names(limit: JSON, kind: str, path: str) -> list[FieldError]:
    rule = validate_container_resource_name if kind in ("Pod", "Container") else validate_resource_name
    errors: list[FieldError] = []
    for name in _AMOUNTS:
        if kind == "Pod" and name in ("default", "defaultRequest"):
            if limit.get(name):
                errors.append(forbidden_field(f"{path}.{name}", "may not be specified when `type` is 'Pod'"))
            continue
        if name == "maxLimitRequestRatio" and kind == "PersistentVolumeClaim":
            bounds = {**(limit.get("min") or {}), **(limit.get("max") or {})}
            if "storage" not in bounds:
                detail = "either minimum or maximum storage value is required, but neither was provided"
                errors.append(required(f"{path}.limits", detail))
        for resource in limit.get(name) or ():
            errors += rule(resource, f"{path}.{name}[{resource}]")
    return errors


def _limit_amounts(limit: JSON, kind: str, path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    skipped = ("default", "defaultRequest") if kind == "Pod" else ()
    amounts: dict[str, dict[str, Quantity]] = {}
    for name in _AMOUNTS:
        for resource, text in (limit.get(name) or {}).items() if name not in skipped else ():
            amounts.setdefault(resource, {})[name] = parse(text)
    for resource, found in amounts.items():
        errors += _compare(found, resource, path)
    return errors


def _compare(found: dict[str, Quantity], resource: str, path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    low, high = found.get("min"), found.get("max")
    default, request, ratio = found.get("default"), found.get("defaultRequest"), found.get("maxLimitRequestRatio")

    def above(
        larger: Quantity | None, smaller: Quantity | None, names: tuple[str, str], field: str, shown: Quantity | None
    ) -> None:
        if larger is not None and smaller is not None and larger > smaller:
            detail = f"{names[0]} value {larger} is greater than {names[1]} value {smaller}"
            errors.append(invalid_value(f"{path}.{field}[{resource}]", str(shown), detail))

    above(low, high, ("min", "max"), "min", low)
    above(low, request, ("min", "default request"), "defaultRequest", request)
    above(request, high, ("default request", "max"), "defaultRequest", request)
    above(request, default, ("default request", "default limit"), "defaultRequest", request)
    above(low, default, ("min", "default"), "default", low)
    above(default, high, ("default", "max"), "default", high)
    here = f"{path}.maxLimitRequestRatio[{resource}]"
    if ratio is not None and ratio < parse("1"):
        errors.append(invalid_value(here, str(ratio), f"ratio {ratio} is less than 1"))
    if ratio is not None and low and high is not None and float(ratio) > high.milli_value / low.milli_value:
        most = high.milli_value / low.milli_value
        errors.append(invalid_value(here, str(ratio), f"ratio {ratio} is greater than max/min = {most:f}"))
    if not may_overcommit(resource) and default is not None and request is not None and default != request:
        detail = f"default value {default} must equal to defaultRequest value {request} in {resource}"
        errors.append(invalid_value(f"{path}.defaultRequest[{resource}]", str(request), detail))
    return errors


class ResourceQuota(KindWithStatus):
    delete_answers_object = True
    omitted_of_spec = ("hard", "scopes")
    omitted_of_status = ("hard", "used")

    def default(self, obj: JSON) -> None:
        super().default(obj)
        default_resource_list(obj["spec"].get("hard"))
        for name in ("hard", "used"):
            default_resource_list(obj["status"].get(name))

    def validate_create(self, new: JSON, context: Context) -> list[FieldError]:
        spec = new["spec"]
        errors = _quota_amounts(spec.get("hard"), "spec.hard")
        scopes = spec.get("scopes") or []
        for scope in scopes:
            errors += _scope(scope, spec, "spec.scopes", "spec.scopes", scopes)
        errors += _conflicts(scopes, "spec.scopes", scopes)
        return errors + _scope_selector(spec)

    def validate_update(self, new: JSON, old: JSON, context: Context) -> list[FieldError]:
        errors = self.validate_create(new, context)
        scopes = new["spec"].get("scopes") or []
        if set(scopes) != set(old["spec"].get("scopes") or ()):
            errors.append(invalid_value("spec.scopes", scopes or None, formats.IMMUTABLE))
        return errors

    def validate_status(self, new: JSON, old: JSON, context: Context) -> list[FieldError]:
        return [e for name in ("hard", "used") for e in _quota_amounts(new["status"].get(name), f"status.{name}")]


def _quota_amounts(amounts: JSON | None, path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    for name, text in (amounts or {}).items():
        errors += validate_quota_resource_name(name, f"{path}[{name}]")
        errors += validate_quantity(name, text, f"{path}[{name}]")
    return errors


def _scope(scope: str, spec: JSON, path: str, unknown_path: str, shown: Any) -> list[FieldError]:
    errors: list[FieldError] = []
    if scope not in _SCOPES:
        value = scope if unknown_path != path else shown
        errors.append(invalid_value(unknown_path, value, "unsupported scope"))
    for name in sorted(spec.get("hard") or ()):
        if is_quota_resource(name) and not _scope_fits(scope, name):
            errors.append(invalid_value(path, shown, "unsupported scope applied to resource"))
    return errors


def _scope_fits(scope: str, resource: str) -> bool:
    if scope == "BestEffort":
        return resource == "pods"
    if scope == "VolumeAttributesClass":
        return resource in ("persistentvolumeclaims", "requests.storage")
    if scope in _SCOPES:
        return resource in _POD_COMPUTE or resource.startswith("requests.hugepages-")
    return True


def _conflicts(scopes: list[str], path: str, shown: Any) -> list[FieldError]:
    return [
        invalid_value(path, shown or None, "conflicting scopes")
        for pair in _CONFLICTING_SCOPES
        if all(scope in scopes for scope in pair)
    ]


def _scope_selector(spec: JSON) -> list[FieldError]:
    selector = spec.get("scopeSelector")
    if selector is None:
        return []
    errors: list[FieldError] = []
    path = "spec.scopeSelector.matchExpressions"
    expressions = selector.get("matchExpressions") or []
    shown = {
        "MatchExpressions": [
            {"ScopeName": e.get("scopeName", ""), "Operator": e.get("operator", ""), "Values": e.get("values")}
            for e in expressions
        ]
    }
    for expression in expressions:
        scope, operator, values = (
            expression.get("scopeName", ""), expression.get("operator", ""), expression.get("values") or [],
        )  # fmt: skip
        errors += _scope(scope, spec, path, f"{path}.scopeName", shown)
        if scope in _SCOPES and scope not in ("PriorityClass", "VolumeAttributesClass") and operator != "Exists":
            errors.append(invalid_value(f"{path}.operator", operator, _ONLY_EXISTS))
        if operator in ("In", "NotIn"):
            if not values:
                detail = "must be at least one value when `operator` is 'In' or 'NotIn' for scope selector"
                errors.append(required(f"{path}.values", detail))
        elif operator in ("Exists", "DoesNotExist"):
            if values:
                detail = "must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector"
                errors.append(invalid_value(f"{path}.values", values, detail))
        else:
            errors.append(invalid_value(f"{path}.operator", operator, "not a valid selector operator"))
    scopes = [e.get("scopeName", "") for e in expressions]
    return errors + _conflicts(scopes, path, spec.get("scopes"))
