"""LimitRanger: the LimitRanges of a namespace fill in requests and limits, and bound them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from localcluster.apiserver.admission.pod_resources import Amounts, amounts, pod_total
from localcluster.apiserver.admission.refusal import is_pod, refusal
from localcluster.apiserver.kinds.base import JSON, Context
from localcluster.apiserver.resources import Resource
from localcluster.quantity import Quantity, parse

_ANNOTATION = "kubernetes.io/limit-ranger"
# Above this many units ratios are compared in units, below in thousandths, as the real plugin does.
_MAX_MILLI_UNITS = (1 << 63) // 1000


def mutate(
    resource: Resource, operation: str, subresource: str, new: JSON | None, old: JSON | None, context: Context
) -> list[str]:
    """Give the containers of a new pod what the namespace's defaults say."""
    if not is_pod(resource) or operation != "CREATE" or subresource or new is None:
        return []
    for limit_range in _limit_ranges(new, context):
        defaults, default_requests = _container_defaults(limit_range)
        texts = []
        for key, title in (("containers", "container"), ("initContainers", "init container")):
            for container in new["spec"].get(key) or ():
                texts += _fill(container, defaults, default_requests, title)
        if texts:
            annotations = new["metadata"].setdefault("annotations", {})
            annotations[_ANNOTATION] = f"LimitRanger plugin set: {'; '.join(texts)}"
    return []


def _limit_ranges(obj: JSON, context: Context) -> Iterable[JSON]:
    return context.store.list("/limitranges", obj["metadata"].get("namespace", ""))


def _container_defaults(limit_range: JSON) -> tuple[JSON, JSON]:
    limits: JSON = {}
    requests: JSON = {}
    for item in limit_range["spec"].get("limits") or ():
        if item.get("type") == "Container":
            limits.update(item.get("default") or {})
            requests.update(item.get("defaultRequest") or {})
    return limits, requests


def _fill(container: JSON, limits: JSON, requests: JSON, title: str) -> list[str]:
    resources = container.setdefault("resources", {})
    texts = []
    for key, word, defaults in (("requests", "request", requests), ("limits", "limit", limits)):
        given = resources.get(key) or {}
        missing = sorted(name for name in defaults if name not in given)
        if missing:
            resources[key] = {**given, **{name: defaults[name] for name in missing}}
            texts.append(f"{', '.join(missing)} {word} for {title} {container['name']}")
    return texts


def validate(
    resource: Resource, operation: str, subresource: str, new: JSON | None, old: JSON | None, context: Context
) -> list[str]:
    if resource.group or new is None:
        return []
    errors: list[str] = []
    if resource.plural == "pods" and ((operation == "CREATE" and not subresource) or subresource == "resize"):
        for limit_range in _limit_ranges(new, context):
            for item in limit_range["spec"].get("limits") or ():
                errors += _pod_errors(item, new["spec"])
    elif resource.plural == "persistentvolumeclaims" and operation in ("CREATE", "UPDATE") and not subresource:
        requests = amounts((new["spec"].get("resources") or {}).get("requests"))
        for limit_range in _limit_ranges(new, context):
            for item in limit_range["spec"].get("limits") or ():
                if item.get("type") == "PersistentVolumeClaim":
                    errors += _claim_errors(item, requests)
    if errors:
        raise refusal(resource, new, errors)
    return []


def _pod_errors(item: JSON, spec: JSON) -> Iterator[str]:
    if item.get("type") == "Container":
        for key in ("containers", "initContainers"):
            for container in spec.get(key) or ():
                resources = container.get("resources") or {}
                yield from _errors(item, amounts(resources.get("requests")), amounts(resources.get("limits")))
    elif item.get("type") == "Pod":
        yield from _errors(item, pod_total(spec, "requests"), pod_total(spec, "limits"))


def _errors(item: JSON, requests: Amounts, limits: Amounts) -> Iterator[str]:
    kind = item["type"]
    for name, bound in _sorted(item.get("min")):
        usage = f"minimum {name} usage per {kind} is {bound}"
        if name not in requests:
            yield f"{usage}.  No request is specified"
        elif requests[name] < bound:
            yield f"{usage}, but request is {requests[name]}"
        elif name in limits and limits[name] < bound:
            yield f"{usage}, but limit is {limits[name]}"
    for name, bound in _sorted(item.get("max")):
        usage = f"maximum {name} usage per {kind} is {bound}"
        if name not in limits:
            yield f"{usage}.  No limit is specified"
        elif bound < limits[name]:
            yield f"{usage}, but limit is {limits[name]}"
        elif name in requests and bound < requests[name]:
            yield f"{usage}, but request is {requests[name]}"
    for name, bound in _sorted(item.get("maxLimitRequestRatio")):
        usage = f"{name} max limit to request ratio per {kind} is {bound}"
        request, limit = requests.get(name), limits.get(name)
        if not request:
            yield f"{usage}, but no request is specified or request is 0"
        elif not limit:
            yield f"{usage}, but no limit is specified or limit is 0"
        else:
            ratio = _ratio(limit, request)
            if ratio > float(bound):
                yield f"{usage}, but provided ratio is {ratio:f}"


def _ratio(limit: Quantity, request: Quantity) -> float:
    if limit.value > _MAX_MILLI_UNITS or request.value > _MAX_MILLI_UNITS:
        return limit.value / request.value
    return limit.milli_value / request.milli_value


def _claim_errors(item: JSON, requests: Amounts) -> Iterator[str]:
    for name, bound in _sorted(item.get("min")):
        usage = f"minimum {name} usage per PersistentVolumeClaim is {bound}"
        if name not in requests:
            yield f"{usage}.  No request is specified"
        elif requests[name] < bound:
            yield f"{usage}, but request is {requests[name]}"
    for name, bound in _sorted(item.get("max")):
        usage = f"maximum {name} usage per PersistentVolumeClaim is {bound}"
        if name not in requests:
            yield f"{usage}.  No request is specified"
        elif bound < requests[name]:
            yield f"{usage}, but request is {requests[name]}"


def _sorted(bounds: JSON | None) -> Iterator[tuple[str, Quantity]]:
    for name in sorted(bounds or {}):
        yield name, parse((bounds or {})[name])
