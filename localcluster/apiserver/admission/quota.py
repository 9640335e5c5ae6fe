"""ResourceQuota: refuses what would take more than a namespace may have.

What is taken is counted from what is stored, not read from the quotas' status, so it is always right; the status is
written by `quota_status`.
"""

from __future__ import annotations

from localcluster.apiserver.admission.pod_resources import Amounts, amounts
from localcluster.apiserver.admission.quota_usage import (
    CLAIMS,
    MUST_BE_GIVEN,
    PODS,
    SERVICES,
    compute_usage,
    in_scope,
    storage_of,
    total,
    usage_of,
)
from localcluster.apiserver.admission.refusal import refusal
from localcluster.apiserver.kinds.base import JSON, Context
from localcluster.apiserver.resources import Resource
from localcluster.quantity import ZERO, parse

_COUNTED_ON_UPDATE = (PODS, SERVICES, CLAIMS)


def validate(
    resource: Resource, operation: str, subresource: str, new: JSON | None, old: JSON | None, context: Context
) -> list[str]:
    if not resource.namespaced or new is None or operation not in ("CREATE", "UPDATE"):
        return []
    storage = resource.storage
    if subresource and not (storage == PODS and subresource == "resize"):
        return []
    if operation == "UPDATE" and storage not in _COUNTED_ON_UPDATE:
        return []
    for quota in context.store.list("/resourcequotas", new["metadata"].get("namespace", "")):
        _check(quota, resource, storage, new, old, context)
    return []


def _check(quota: JSON, resource: Resource, storage: str, new: JSON, old: JSON | None, context: Context) -> None:
    bounds = quota["spec"].get("hard") or {}
    hard = {name: parse(value) for name, value in bounds.items() if storage_of(name) == storage}
    if not hard or not in_scope(quota, storage, new):
        return
    name = quota["metadata"]["name"]
    if storage == PODS:
        missing = _unspecified(new["spec"], hard)
        if missing:
            raise refusal(resource, new, f"failed quota: {name}: must specify {missing}")
    more = usage_of(storage, new)
    if old is not None and in_scope(quota, storage, old):
        before = usage_of(storage, old)
        more = {key: value - before.get(key, ZERO) for key, value in more.items()}
    wanted = {key: value for key, value in more.items() if key in hard and value > ZERO}
    if not wanted:
        return
    used = total(quota, context.store)
    exceeded = sorted(key for key, value in wanted.items() if hard[key] < used[key] + value)
    if exceeded:
        texts = (
            f"{title}: {','.join(f'{key}={values[key]}' for key in exceeded)}"
            for title, values in (("requested", wanted), ("used", used), ("limited", hard))
        )
        raise refusal(resource, new, f"exceeded quota: {name}, {', '.join(texts)}")


def _unspecified(spec: JSON, hard: Amounts) -> str:
    """Which containers leave out what this quota needs to know: ``limits.memory for: a,b; requests.cpu for: a``."""
    needed = MUST_BE_GIVEN & set(hard)
    missing: dict[str, set[str]] = {}
    for container in (*(spec.get("containers") or ()), *(spec.get("initContainers") or ())):
        resources = container.get("resources") or {}
        given = compute_usage(amounts(resources.get("requests")), amounts(resources.get("limits")))
        for name in needed - set(given):
            missing.setdefault(name, set()).add(container["name"])
    return "; ".join(f"{name} for: {','.join(sorted(missing[name]))}" for name in sorted(missing))
