"""The ResourceQuota controller: status.hard and status.used, counted anew when something went away."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from localcluster import quantity
from localcluster.client import Conflict, NotFound
from localcluster.controllers import labels, pod_resources, pods
from localcluster.controllers.manager import Controller, Manager
from localcluster.controllers.scales import Scales
from localcluster.informer import Key, key_of
from localcluster.quantity import Quantity
from localcluster.resource_types import PODS, RESOURCE_QUOTAS, SERVICES, ResourceType

JSON = dict[str, Any]

RESYNC_SECONDS = 300.0
SETTLE_SECONDS = 0.05
PLAIN_COUNTS = (
    "configmaps",
    "persistentvolumeclaims",
    "replicationcontrollers",
    "resourcequotas",
    "secrets",
    "services",
)
_ZERO = Quantity(0)


def _number(count: int) -> Quantity:
    return quantity.parse(str(count))


def in_scopes(quota: JSON, pod: JSON) -> bool:
    """Whether the quota counts the pod (https://kubernetes.io/docs/concepts/policy/resource-quotas/#quota-scopes)."""
    spec = quota["spec"]
    requirements = [{"scopeName": name, "operator": "Exists"} for name in spec.get("scopes") or ()]
    requirements += (spec.get("scopeSelector") or {}).get("matchExpressions") or []
    return all(_in_scope(requirement, pod) for requirement in requirements)


def _in_scope(requirement: JSON, pod: JSON) -> bool:
    spec = pod["spec"]
    name = requirement["scopeName"]
    if name == "Terminating":
        return spec.get("activeDeadlineSeconds") is not None
    if name == "NotTerminating":
        return spec.get("activeDeadlineSeconds") is None
    if name in ("BestEffort", "NotBestEffort"):
        best_effort = not (pod_resources.of_pod(pod, "requests") or pod_resources.of_pod(pod, "limits"))
        return bool(best_effort == (name == "BestEffort"))
    if name == "PriorityClass":
        found = {"priority": spec["priorityClassName"]} if spec.get("priorityClassName") else {}
        return labels.requirement_holds({**requirement, "key": "priority"}, found)
    if name == "CrossNamespacePodAffinity":
        return "namespaceSelector" in str(spec.get("affinity") or "")
    return False


def pod_usage(quota: JSON, members: Iterable[JSON], names: Iterable[str]) -> dict[str, Quantity]:
    """Of compute resources and pods; finished pods use nothing."""
    counted = [pod for pod in members if not pods.is_finished(pod) and in_scopes(quota, pod)]
    requests: pod_resources.Amounts = {}
    limits: pod_resources.Amounts = {}
    for pod in counted:
        pod_resources.add(requests, pod_resources.of_pod(pod, "requests"))
        pod_resources.add(limits, pod_resources.of_pod(pod, "limits"))
    used = {}
    for name in names:
        if name in ("pods", "count/pods"):
            used[name] = _number(len(counted))
        elif name.startswith("limits."):
            used[name] = limits.get(name.removeprefix("limits."), _ZERO)
        else:
            used[name] = requests.get(name.removeprefix("requests."), _ZERO)
    return used


def service_usage(services: Iterable[JSON]) -> dict[str, Quantity]:
    found = [service["spec"] for service in services]
    ports = [
        port
        for spec in found
        for port in spec.get("ports") or ()
        if spec.get("type") == "NodePort" or (spec.get("type") == "LoadBalancer" and port.get("nodePort"))
    ]
    return {
        "services": _number(len(found)),
        "count/services": _number(len(found)),
        "services.nodeports": _number(len(ports)),
        "services.loadbalancers": _number(sum(spec.get("type") == "LoadBalancer" for spec in found)),
    }


def claim_usage(claims: Iterable[JSON], names: Iterable[str]) -> dict[str, Quantity]:
    found = list(claims)
    used = {}
    for name in names:
        storage_class, separator, rest = name.rpartition(".storageclass.storage.k8s.io/")
        mine = [c for c in found if not separator or c["spec"].get("storageClassName") == storage_class]
        if rest.endswith("persistentvolumeclaims"):
            used[name] = _number(len(mine))
            continue
        total = _ZERO
        for claim in mine:
            request = ((claim["spec"].get("resources") or {}).get("requests") or {}).get("storage", "0")
            total = total + quantity.parse(request)
        used[name] = total
    return used


def kind_of(name: str) -> str:
    """What has to be counted for a resource name: ``pods``, ``services``, ``claims`` or ``objects``."""
    if name in ("services", "services.nodeports", "services.loadbalancers", "count/services"):
        return "services"
    if name.endswith("requests.storage") or name.endswith("persistentvolumeclaims"):
        return "claims"
    if name in PLAIN_COUNTS or (name.startswith("count/") and name != "count/pods"):
        return "objects"
    return "pods"


class ResourceQuotaController(Controller):
    """Admission adds to status.used at once; this one corrects it downwards, and fills in new quotas."""

    name = "resource-quota-controller"
    workers = 2

    def __init__(self, manager: Manager) -> None:
        self.quotas = manager.informer(RESOURCE_QUOTAS)
        super().__init__(manager, [self.quotas])
        self.scales = Scales(manager.client)
        self.quotas.add_handler(self._quota_changed)
        manager.informer(PODS).add_handler(self._pod_changed)
        manager.informer(SERVICES).add_handler(self._service_changed)
        manager.on_removed.append(self._removed)

    def _quota_changed(self, old: JSON | None, new: JSON | None) -> None:
        if new is not None and (old is None or new["spec"].get("hard") != new.get("status", {}).get("hard")):
            self.queue.add(key_of(new))

    def _enqueue(self, namespace: str) -> None:
        if len(self.quotas):
            for quota in self.quotas.list(namespace):
                self.queue.add_after(key_of(quota), SETTLE_SECONDS)

    def _pod_changed(self, old: JSON | None, new: JSON | None) -> None:
        if old is not None and (new is None or pods.is_finished(new) != pods.is_finished(old)):
            self._enqueue(old["metadata"]["namespace"])

    def _service_changed(self, old: JSON | None, new: JSON | None) -> None:
        if old is not None and (new is None or new["spec"] != old["spec"]):
            self._enqueue(old["metadata"]["namespace"])

    def _removed(self, of: ResourceType, obj: JSON) -> None:
        if of.namespaced and of not in (PODS, SERVICES):
            self._enqueue(obj["metadata"]["namespace"])

    async def reconcile(self, key: Key) -> None:
        if self.quotas.get(*key) is None:
            return
        try:
            # Read before what it counts: if admission adds something in between, the update conflicts.
            quota = await self.client.get(RESOURCE_QUOTAS, key[1], key[0])
            used = await self._used(quota)
            status = {"hard": quota["spec"].get("hard") or {}, "used": {n: str(used[n]) for n in sorted(used)}}
            if status != quota.get("status"):
                await self.quotas.update_status({**quota, "status": status})
        except NotFound:
            return
        except Conflict:
            self.queue.add_after(key, SETTLE_SECONDS)
            return
        self.queue.add_after(key, RESYNC_SECONDS)

    async def _used(self, quota: JSON) -> dict[str, Quantity]:
        namespace = quota["metadata"]["namespace"]
        by_kind: dict[str, list[str]] = {}
        for name in quota["spec"].get("hard") or {}:
            by_kind.setdefault(kind_of(name), []).append(name)
        used: dict[str, Quantity] = {}
        if names := by_kind.get("pods"):
            used |= pod_usage(quota, await self._list(PODS, namespace), names)
        if names := by_kind.get("services"):
            counts = service_usage(await self._list(SERVICES, namespace))
            used |= {name: counts[name] for name in names}
        if names := by_kind.get("claims"):
            claims = ResourceType("", "v1", "persistentvolumeclaims", "PersistentVolumeClaim")
            used |= claim_usage(await self._list(claims, namespace), names)
        for name in by_kind.get("objects", ()):
            plural, _, group = name.removeprefix("count/").partition(".")
            of = await self.scales.resource_of_plural(group, plural)
            used[name] = _number(len(await self._list(of, namespace, metadata_only=True))) if of else _ZERO
        return used

    async def _list(self, of: ResourceType, namespace: str, metadata_only: bool = False) -> list[JSON]:
        items: list[JSON] = (await self.client.list(of, namespace, metadata_only=metadata_only)).get("items") or []
        return items
