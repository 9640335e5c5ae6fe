"""Priority: a pod's priority comes from the PriorityClass that it names, else from the default one."""

from __future__ import annotations

from localcluster.apiserver.admission.refusal import is_pod, refusal
from localcluster.apiserver.kinds.base import JSON, Context
from localcluster.apiserver.resources import Resource

STORAGE = "scheduling.k8s.io/priorityclasses"
_PREEMPT = "PreemptLowerPriority"
_CREATE_OR_UPDATE = ("CREATE", "UPDATE")


def mutate(
    resource: Resource, operation: str, subresource: str, new: JSON | None, old: JSON | None, context: Context
) -> list[str]:
    if not is_pod(resource) or subresource or new is None or operation not in _CREATE_OR_UPDATE:
        return []
    spec = new["spec"]
    if operation == "UPDATE":
        # Older objects may lack it; it never changes.
        if spec.get("priority") is None and old is not None and old["spec"].get("priority") is not None:
            spec["priority"] = old["spec"]["priority"]
        return []
    name, value, policy = _class_of(resource, new, context)
    if name:
        spec["priorityClassName"] = name
    given = spec.get("priority")
    if given is not None and given != value:
        raise refusal(
            resource,
            new,
            f"the integer value of priority ({given}) must not be provided in pod spec; priority admission controller "
            f"computed {value} from the given PriorityClass name",
        )
    spec["priority"] = value
    given_policy = spec.get("preemptionPolicy")
    if given_policy is not None and given_policy != policy:
        raise refusal(
            resource,
            new,
            f"the string value of PreemptionPolicy ({given_policy}) must not be provided in pod spec; priority "
            f"admission controller computed {policy} from the given PriorityClass name",
        )
    spec["preemptionPolicy"] = policy
    return []


def _class_of(resource: Resource, pod: JSON, context: Context) -> tuple[str, int, str]:
    """Name, value and preemption policy of a pod's class."""
    name = pod["spec"].get("priorityClassName", "")
    if not name:
        defaults = [c for c in context.store.list(STORAGE) if c.get("globalDefault")]
        if not defaults:
            return "", 0, _PREEMPT
        found = min(defaults, key=lambda c: int(c.get("value", 0)))
        return found["metadata"]["name"], found.get("value", 0), found.get("preemptionPolicy") or _PREEMPT
    stored = context.store.get(STORAGE, "", name)
    if stored is None:
        raise refusal(resource, pod, f"no PriorityClass with name {name} was found")
    return name, stored.get("value", 0), stored.get("preemptionPolicy") or _PREEMPT


def validate(
    resource: Resource, operation: str, subresource: str, new: JSON | None, old: JSON | None, context: Context
) -> list[str]:
    """There is one default class at most."""
    if resource.storage != STORAGE or new is None or operation not in _CREATE_OR_UPDATE or not new.get("globalDefault"):
        return []
    for other in context.store.list(STORAGE):
        if other.get("globalDefault") and other["metadata"]["name"] != new["metadata"]["name"]:
            why = f"PriorityClass {other['metadata']['name']} is already marked as default. Only one default can exist"
            raise refusal(resource, new, why)
    return []
