"""Validation of compute resources: their names, quantities, and requests against limits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from localcluster.apiserver.errors import (
    NOT_FOUND,
    FieldError,
    duplicate,
    forbidden_field,
    invalid_value,
    required,
)
from localcluster.apiserver.kinds import formats
from localcluster.apiserver.kinds.formats import check, unsupported
from localcluster.quantity import Quantity, parse

JSON = dict[str, Any]

_CONTAINER = frozenset({"cpu", "memory", "ephemeral-storage"})
_COUNTED = frozenset({
    "pods", "resourcequotas", "services", "replicationcontrollers", "secrets", "configmaps",
    "persistentvolumeclaims", "services.nodeports", "services.loadbalancers",
})  # fmt: skip
_QUOTA = _COUNTED | {
    "cpu", "memory", "ephemeral-storage", "requests.cpu", "requests.memory", "requests.ephemeral-storage",
    "limits.cpu", "limits.memory", "limits.ephemeral-storage", "requests.storage",
}  # fmt: skip
_STANDARD = _QUOTA | {"storage"}
NOT_AN_INTEGER = "must be an integer"


def is_native(name: str) -> bool:
    """A resource of Kubernetes itself: without a domain, or of ``kubernetes.io``."""
    return "/" not in name or "kubernetes.io/" in name


def is_extended(name: str) -> bool:
    """A resource that somebody else defines, for example ``example.com/gpu``."""
    return not is_native(name) and not name.startswith("requests.") and not formats.qualified_name(f"requests.{name}")


def may_overcommit(name: str) -> bool:
    """Whether requests may be lower than limits."""
    return is_native(name) and not name.startswith("hugepages-")


def is_counted(name: str) -> bool:
    """Whether only whole numbers make sense."""
    return name in _COUNTED or is_extended(name)


def is_quota_resource(name: str) -> bool:
    return name in _QUOTA or name.startswith("requests.hugepages-")


# ---- names


def validate_resource_name(name: str, path: str) -> list[FieldError]:
    errors = check(path, name, formats.qualified_name(name))
    if not errors and "/" not in name and name not in _STANDARD and not _is_huge_pages(name):
        errors.append(invalid_value(path, name, "must be a standard resource type or fully qualified"))
    return errors


def _is_huge_pages(name: str) -> bool:
    return name.startswith(("hugepages-", "requests.hugepages-"))


def validate_container_resource_name(name: str, path: str) -> list[FieldError]:
    errors = validate_resource_name(name, path)
    if "/" not in name:
        if name not in _CONTAINER and not name.startswith("hugepages-"):
            errors.append(invalid_value(path, name, "must be a standard resource for containers"))
    elif not is_native(name) and not is_extended(name):
        errors.append(invalid_value(path, name, "doesn't follow extended resource name standard"))
    return errors


def validate_quota_resource_name(name: str, path: str) -> list[FieldError]:
    errors = validate_resource_name(name, path)
    if "/" not in name and not is_quota_resource(name):
        errors.append(invalid_value(path, name, "must be a standard resource for quota"))
    return errors


def _pod_resource_name(name: str, path: str) -> list[FieldError]:
    errors = validate_resource_name(name, path)
    if not errors and name not in ("cpu", "memory") and not name.startswith("hugepages-"):
        errors.append(unsupported(path, name, "cpu", "hugepages-", "memory"))
    return errors


# ---- quantities


def validate_quantity(name: str, quantity: str, path: str) -> list[FieldError]:
    """Errors of an amount of the resource `name`."""
    amount = parse(quantity)
    errors = [invalid_value(path, str(amount), formats.NOT_NEGATIVE)] if amount.nanos < 0 else []
    if is_counted(name) and amount.milli_value % 1000:
        errors.append(invalid_value(path, str(amount), NOT_AN_INTEGER))
    return errors


def _huge_page_error(name: str, quantity: str, path: str) -> list[FieldError]:
    if not name.startswith("hugepages-"):
        return []
    try:
        page = parse(name.removeprefix("hugepages-"))
    except ValueError:
        return []
    amount = parse(quantity)
    if page.nanos <= 0 or amount.nanos % page.nanos == 0:
        return []
    return [invalid_value(path, str(amount), f"{amount} is not positive integer multiple of {name}")]


# ---- requirements


def validate_resources(
    resources: JSON | None,
    path: str,
    claim_names: set[str] | None = None,
    name_rule: Callable[[str, str], list[FieldError]] = validate_container_resource_name,
) -> list[FieldError]:
    """Errors of ResourceRequirements; `claim_names` are the pod's resource claims."""
    resources = resources or {}
    limits, requests = resources.get("limits") or {}, resources.get("requests") or {}
    errors: list[FieldError] = []
    for name, quantity in limits.items():
        here = f"{path}.limits[{name}]"
        errors += name_rule(name, here)
        errors += validate_quantity(name, quantity, here)
        errors += _huge_page_error(name, quantity, here)
    for name, quantity in requests.items():
        here = f"{path}.requests[{name}]"
        errors += name_rule(name, here)
        errors += validate_quantity(name, quantity, here)
        errors += _against_limit(name, quantity, limits.get(name), path)
        errors += _huge_page_error(name, quantity, here)
    names = {*limits, *requests}
    if any(name.startswith("hugepages-") for name in names) and not names & {"cpu", "memory"}:
        errors.append(forbidden_field(path, "HugePages require cpu or memory"))
    return errors + _claims(resources.get("claims") or [], claim_names or set(), f"{path}.claims")


def _against_limit(name: str, quantity: str, limit: str | None, path: str) -> list[FieldError]:
    if limit is None:
        detail = "Limit must be set for non overcommitable resources"
        return [] if may_overcommit(name) else [required(f"{path}.limits", detail)]
    amount, most = parse(quantity), parse(limit)
    if amount != most and not may_overcommit(name):
        return [invalid_value(f"{path}.requests", str(amount), f"must be equal to {name} limit of {most}")]
    if amount > most:
        detail = f"must be less than or equal to {name} limit of {most}"
        return [invalid_value(f"{path}.requests", str(amount), detail)]
    return []


def _claims(claims: list[JSON], known: set[str], path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    seen: set[str] = set()
    for i, claim in enumerate(claims):
        name, request = claim.get("name", ""), claim.get("request", "")
        key = f"{name}/{request}" if request else name
        if not name:
            errors.append(required(f"{path}[{i}]"))
            continue
        if name in seen or key in seen:
            errors.append(duplicate(f"{path}[{i}]", key if key in seen else name))
        elif request:
            errors += check(f"{path}[{i}].request", request, formats.dns1123_label(request))
        seen.add(key)
        if name not in known:
            listed = f": {', '.join(sorted(known))}" if known else " which is empty"
            detail = f"must be one of the names in pod.spec.resourceClaims{listed}"
            errors.append(FieldError(NOT_FOUND, f"{path}[{i}]", name, detail))
    return errors


def validate_pod_resources(spec: JSON, path: str, claim_names: set[str]) -> list[FieldError]:
    """Errors of the resources of a pod as a whole."""
    resources = spec.get("resources")
    if resources is None:
        return []
    errors = validate_resources(resources, path, claim_names, _pod_resource_name)
    if resources.get("claims"):
        errors.append(forbidden_field(f"{path}.claims", "claims may not be set for Resources at pod-level"))
    totals: dict[str, Quantity] = {}
    for container in spec.get("containers") or ():
        for name, quantity in ((container.get("resources") or {}).get("requests") or {}).items():
            totals[name] = totals.get(name, parse("0")) + parse(quantity)
    for name, quantity in (resources.get("requests") or {}).items():
        if name in totals and totals[name] > parse(quantity):
            detail = f"must be greater than or equal to aggregate container requests of {totals[name]}"
            errors.append(invalid_value(f"{path}.requests[{name}]", str(parse(quantity)), detail))
    for i, container in enumerate(spec.get("containers") or ()):
        for name, quantity in ((container.get("resources") or {}).get("limits") or {}).items():
            most = (resources.get("limits") or {}).get(name)
            if most is not None and parse(quantity) > parse(most):
                detail = f"must be less than or equal to pod limits of {parse(most)}"
                where = f"{path.removesuffix('.resources')}.containers[{i}].resources.limits[{name}]"
                errors.append(invalid_value(where, str(parse(quantity)), detail))
    return errors
