"""What counts towards a ResourceQuota: the usage of an object, the scopes that it is in, and a namespace's total.

Names and rules: https://kubernetes.io/docs/concepts/policy/resource-quotas/.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from datetime import datetime

from localcluster.apiserver.admission.pod_resources import Amounts, amounts, pod_total
from localcluster.apiserver.kinds.base import JSON, Reader
from localcluster.quantity import ZERO, Quantity, parse

PODS = "/pods"
SERVICES = "/services"
CLAIMS = "/persistentvolumeclaims"
_ONE = parse("1")
_PLAIN_COUNTS = ("configmaps", "replicationcontrollers", "resourcequotas", "secrets")
_CLASS_SUFFIX = ".storageclass.storage.k8s.io/"
_COMPUTE = ("cpu", "memory", "ephemeral-storage")
MUST_BE_GIVEN = {"cpu", "memory", "requests.cpu", "requests.memory", "limits.cpu", "limits.memory"}
"""Where a quota bounds one of these, every container has to say how much it takes."""


def storage_of(name: str) -> str:
    """The storage key of the objects that a quota's resource counts, for example ``/pods`` of ``limits.cpu``."""
    if name.startswith("count/"):
        plural, _, group = name.removeprefix("count/").partition(".")
        return f"{group}/{plural}"
    if name in _PLAIN_COUNTS:
        return f"/{name}"
    if name == "services" or name.startswith("services."):
        return SERVICES
    if name in ("persistentvolumeclaims", "requests.storage") or _CLASS_SUFFIX in name:
        return CLAIMS
    return PODS


def usage_of(storage: str, obj: JSON) -> Amounts:
    """What one object takes."""
    group, _, plural = storage.partition("/")
    usage = {f"count/{plural}.{group}" if group else f"count/{plural}": _ONE}
    if storage == PODS:
        usage.update(_pod_usage(obj))
    elif storage == SERVICES:
        usage.update(_service_usage(obj))
    elif storage == CLAIMS:
        usage.update(_claim_usage(obj))
    elif not group and plural in _PLAIN_COUNTS:
        usage[plural] = _ONE
    return usage


def _pod_usage(pod: JSON) -> Amounts:
    if pod.get("status", {}).get("phase") in ("Failed", "Succeeded") or _overdue(pod):
        return {}
    usage: Amounts = {"pods": _ONE}
    usage.update(compute_usage(pod_total(pod["spec"], "requests"), pod_total(pod["spec"], "limits")))
    return usage


def compute_usage(requests: Amounts, limits: Amounts) -> Amounts:
    usage: Amounts = {}
    for name, value in requests.items():
        if name in _COMPUTE or name.startswith("hugepages-"):
            usage[name] = value
        usage[f"requests.{name}"] = value
    for name, value in limits.items():
        usage[f"limits.{name}"] = value
    return usage


def _overdue(pod: JSON) -> bool:
    """Whether a pod's node should have ended it by now; it then counts no more."""
    deleted = pod["metadata"].get("deletionTimestamp")
    grace = pod["metadata"].get("deletionGracePeriodSeconds")
    if deleted is None or grace is None:
        return False
    return time.time() > datetime.fromisoformat(deleted).timestamp() + int(grace)


def _service_usage(service: JSON) -> Amounts:
    usage = {"services": _ONE}
    ports = len(service["spec"].get("ports") or ())
    kind = service["spec"].get("type", "ClusterIP")
    if kind == "NodePort":
        usage["services.nodeports"] = parse(ports)
    elif kind == "LoadBalancer":
        if service["spec"].get("allocateLoadBalancerNodePorts") is False:
            ports = sum(1 for p in service["spec"].get("ports") or () if p.get("nodePort"))
        usage["services.nodeports"] = parse(ports)
        usage["services.loadbalancers"] = _ONE
    return usage


def _claim_usage(claim: JSON) -> Amounts:
    usage = {"persistentvolumeclaims": _ONE}
    annotations = claim["metadata"].get("annotations") or {}
    name = annotations.get("volume.beta.kubernetes.io/storage-class") or claim["spec"].get("storageClassName")
    storage = amounts((claim["spec"].get("resources") or {}).get("requests")).get("storage")
    if storage is not None:
        usage["requests.storage"] = storage
    if name:
        usage[f"{name}{_CLASS_SUFFIX}persistentvolumeclaims"] = _ONE
        if storage is not None:
            usage[f"{name}{_CLASS_SUFFIX}requests.storage"] = storage
    return usage


def total(quota: JSON, store: Reader) -> dict[str, Quantity]:
    """What a quota's namespace takes of each resource that it bounds."""
    hard = quota["spec"].get("hard") or {}
    used = dict.fromkeys(hard, ZERO)
    namespace = quota["metadata"]["namespace"]
    for storage in dict.fromkeys(storage_of(name) for name in hard):
        for obj in store.list(storage, namespace):
            if not in_scope(quota, storage, obj):
                continue
            for name, value in usage_of(storage, obj).items():
                if name in used:
                    used[name] = used[name] + value
    return used


# ---- scopes


def in_scope(quota: JSON, storage: str, obj: JSON) -> bool:
    """Whether a quota counts an object; scopes only ever fit pods and, by volume attributes class, claims."""
    spec = quota["spec"]
    selectors = [{"scopeName": s, "operator": "Exists"} for s in spec.get("scopes") or ()]
    selectors += (spec.get("scopeSelector") or {}).get("matchExpressions") or []
    if not selectors:
        return True
    return storage == PODS and all(_matches(s, obj["spec"]) for s in selectors)


def _matches(selector: JSON, spec: JSON) -> bool:
    name: str = selector.get("scopeName", "")
    if name in ("Terminating", "NotTerminating"):
        return (spec.get("activeDeadlineSeconds") is not None) == (name == "Terminating")
    if name in ("BestEffort", "NotBestEffort"):
        return _best_effort(spec) == (name == "BestEffort")
    if name == "CrossNamespacePodAffinity":
        return _crosses_namespaces(spec.get("affinity") or {})
    if name == "PriorityClass":
        found: str = spec.get("priorityClassName", "")
        values: list[str] = selector.get("values") or []
        match selector.get("operator"):
            case "In":
                return found in values
            case "NotIn":
                return found not in values
            case "Exists":
                return bool(found)
            case "DoesNotExist":
                return not found
    return False


def _best_effort(spec: JSON) -> bool:
    for container in (*(spec.get("containers") or ()), *(spec.get("initContainers") or ())):
        resources = container.get("resources") or {}
        if resources.get("requests") or resources.get("limits"):
            return False
    return True


def _crosses_namespaces(affinity: JSON) -> bool:
    for kind in ("podAffinity", "podAntiAffinity"):
        rules = affinity.get(kind) or {}
        terms: list[JSON] = list(rules.get("requiredDuringSchedulingIgnoredDuringExecution") or ())
        preferred: Iterable[JSON] = rules.get("preferredDuringSchedulingIgnoredDuringExecution") or ()
        terms += [p.get("podAffinityTerm") or {} for p in preferred]
        if any(t.get("namespaces") or t.get("namespaceSelector") is not None for t in terms):
            return True
    return False
