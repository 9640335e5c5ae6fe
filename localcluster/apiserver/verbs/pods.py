"""The subresources of pods that write: binding to a node and eviction."""

from __future__ import annotations

import copy
from typing import Any

from localcluster.apiserver.errors import (
    STALE,
    APIError,
    bad_request,
    conflict,
    internal,
    invalid,
    not_found,
    not_supported,
    required,
)
from localcluster.apiserver.selectors import matches_object_selector
from localcluster.apiserver.verbs import deleting, writing
from localcluster.apiserver.verbs.call import Call

JSON = dict[str, Any]

CREATED: JSON = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}


def bind(call: Call) -> JSON:
    """POST binding: puts a pod on a node, once."""
    binding, _ = writing.decode_body(call)
    target = binding.get("target") or {}
    name = call.info.name or (binding.get("metadata") or {}).get("name", "")
    if not target.get("name"):
        raise invalid("", "Binding", name, [required("target.name")])
    if target.get("kind") not in (None, "", "Node"):
        raise invalid("", "Binding", name, [not_supported("target.kind", target["kind"], ("Node", "<empty>"))])
    stored = call.store.get(call.resource.storage, call.namespace, name)
    if stored is None:
        raise not_found("", "pods", name)
    if stored["metadata"].get("deletionTimestamp"):
        why = f"pod {name} is being deleted, cannot be assigned to a host"
        raise conflict("", "pods/binding", name, why)
    node = stored["spec"].get("nodeName")
    if node:
        raise conflict("", "pods/binding", name, f'pod {name} is already assigned to node "{node}"')
    if stored["spec"].get("schedulingGates"):
        raise conflict("", "pods/binding", name, f"pod {name} has non-empty .spec.schedulingGates")
    bound = copy.deepcopy(stored)
    bound["spec"]["nodeName"] = target["name"]
    for key in ("labels", "annotations"):
        added = (binding.get("metadata") or {}).get(key)
        if added:
            bound["metadata"].setdefault(key, {}).update(added)
    status = bound.setdefault("status", {})
    conditions = [c for c in status.get("conditions") or [] if c.get("type") != "PodScheduled"]
    moment = call.context.now
    scheduled = {"type": "PodScheduled", "status": "True", "lastProbeTime": None, "lastTransitionTime": moment}
    status["conditions"] = [*conditions, scheduled]
    if not call.dry_run:
        call.store.update(call.resource.storage, bound, stored)
    return CREATED


def evict(call: Call) -> JSON:
    """POST eviction: a delete that disruption budgets may refuse with 429."""
    eviction, _ = writing.decode_body(call)
    name = call.info.name
    given = (eviction.get("metadata") or {}).get("name")
    if given and given != name:
        raise bad_request("name in URL does not match name in Eviction object")
    stored = call.find(name)
    phase = (stored.get("status") or {}).get("phase")
    counted = phase not in ("Succeeded", "Failed", "Pending") and not stored["metadata"].get("deletionTimestamp")
    budgets = [b for b in call.store.list("policy/poddisruptionbudgets", call.namespace) if _covers(b, stored)]
    if len(budgets) > 1:
        raise internal(
            "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support."
        )
    if counted and budgets:
        _take_disruption(call, budgets[0], stored)
    options = deleting.DeleteOptions(
        grace_seconds=(eviction.get("deleteOptions") or {}).get("gracePeriodSeconds"),
        propagation=(eviction.get("deleteOptions") or {}).get("propagationPolicy") or "",
    )
    dry = call.dry_run or bool((eviction.get("deleteOptions") or {}).get("dryRun"))
    if not dry:
        deleting.remove(call, stored, options)
    return CREATED


def _covers(budget: JSON, pod: JSON) -> bool:
    return matches_object_selector(budget["spec"].get("selector"), pod["metadata"].get("labels") or {})


def _take_disruption(call: Call, budget: JSON, pod: JSON) -> None:
    name, status = budget["metadata"]["name"], budget.get("status") or {}
    ready = any(
        c.get("type") == "Ready" and c.get("status") == "True"
        for c in (pod.get("status") or {}).get("conditions") or []
    )
    healthy_enough = status.get("currentHealthy", 0) >= status.get("desiredHealthy", 0) > 0
    policy = budget["spec"].get("unhealthyPodEvictionPolicy", "IfHealthyBudget")
    if not ready and (policy == "AlwaysAllow" or healthy_enough):
        return
    message = "Cannot evict pod as it would violate the pod's disruption budget."
    if status.get("observedGeneration", 0) < budget["metadata"].get("generation", 0):
        cause = {
            "reason": "DisruptionBudget",
            "message": f"The disruption budget {name} is still being processed by the server.",
        }
        raise APIError(429, "TooManyRequests", message, {"causes": [cause], "retryAfterSeconds": 10})
    if status.get("disruptionsAllowed", 0) <= 0:
        desired, healthy = status.get("desiredHealthy", 0), status.get("currentHealthy", 0)
        text = f"The disruption budget {name} needs {desired} healthy pods and has {healthy} currently"
        raise APIError(429, "TooManyRequests", message, {"causes": [{"reason": "DisruptionBudget", "message": text}]})
    if call.dry_run:
        return
    changed = copy.deepcopy(budget)
    changed["status"]["disruptionsAllowed"] -= 1
    changed["status"].setdefault("disruptedPods", {})[pod["metadata"]["name"]] = call.context.now
    call.store.update("policy/poddisruptionbudgets", changed, budget)


def finalize_namespace(call: Call) -> JSON:
    """PUT finalize: replaces the finalizers in a namespace's spec; the last one lets it go."""
    new, duplicates = writing.decode_body(call)
    writing.check_kind(call, new)
    writing.conform(call, new, duplicates)
    stored = call.find(call.info.name)
    wanted = (new.get("spec") or {}).get("finalizers") or []
    version = (new.get("metadata") or {}).get("resourceVersion")
    if version and version != stored["metadata"]["resourceVersion"]:
        raise conflict("", "namespaces", call.info.name, STALE)
    changed = copy.deepcopy(stored)
    spec = changed.setdefault("spec", {})
    spec.pop("finalizers", None)
    if wanted:
        spec["finalizers"] = wanted
    if call.dry_run or changed == stored:
        return changed
    if writing.is_finished(changed):
        call.store.delete(call.resource.storage, stored)
        return changed
    return call.store.update(call.resource.storage, changed, stored)
