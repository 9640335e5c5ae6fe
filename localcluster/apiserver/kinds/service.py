"""Services: defaults, what goes with which type, and what is kept when a client leaves it out."""

from __future__ import annotations

from typing import Any, ClassVar

from localcluster.apiserver.errors import FieldError
from localcluster.apiserver.kinds import metadata
from localcluster.apiserver.kinds.base import Context
from localcluster.apiserver.kinds.formats import dns1123_label
from localcluster.apiserver.kinds.pod_defaults import drop_empty
from localcluster.apiserver.kinds.service_allocation import (
    TYPES_WITH_ADDRESS,
    allocate,
    is_headless,
    needs_address,
    needs_health_port,
    needs_node_ports,
)
from localcluster.apiserver.kinds.service_validation import (
    is_external,
    validate_load_balancer_status,
    validate_service,
    validate_service_change,
)
from localcluster.apiserver.kinds.with_status import KindWithStatus

JSON = dict[str, Any]

_AFFINITY_SECONDS = 10800
_OMITTED = (
    "ports", "selector", "clusterIP", "clusterIPs", "type", "externalIPs", "sessionAffinity", "loadBalancerIP",
    "loadBalancerSourceRanges", "externalName", "externalTrafficPolicy", "healthCheckNodePort",
    "publishNotReadyAddresses", "ipFamilies",
)  # fmt: skip
_TOPOLOGY_HINTS = "service.kubernetes.io/topology-aware-hints"


class Service(KindWithStatus):
    name_rule = staticmethod(dns1123_label)
    create_on_update = True
    delete_answers_object = True
    empty_status: ClassVar[dict[str, Any]] = {"loadBalancer": {}}
    omitted_of_spec = _OMITTED
    omitted_of_status = ("conditions",)

    def default(self, obj: JSON) -> None:
        super().default(obj)
        spec = obj["spec"]
        _default_affinity(spec)
        kind = spec.setdefault("type", "ClusterIP")
        for port in spec.get("ports") or ():
            drop_empty(port, ("name", "protocol", "targetPort", "nodePort"))
            port.setdefault("protocol", "TCP")
            port.setdefault("port", 0)
            port.setdefault("targetPort", port["port"])
        if is_external(spec):
            spec.setdefault("externalTrafficPolicy", "Cluster")
        if spec.get("internalTrafficPolicy") is None and kind in TYPES_WITH_ADDRESS:
            spec["internalTrafficPolicy"] = "Cluster"
        if kind == "LoadBalancer":
            if spec.get("allocateLoadBalancerNodePorts") is None:
                spec["allocateLoadBalancerNodePorts"] = True
            for entry in obj["status"]["loadBalancer"].get("ingress") or ():
                if entry.get("ip") and entry.get("ipMode") is None:
                    entry["ipMode"] = "VIP"

    def prepare_create(self, new: JSON, context: Context) -> None:
        super().prepare_create(new, context)
        spec = new["spec"]
        if spec.get("clusterIP") and not spec.get("clusterIPs"):
            spec["clusterIPs"] = [spec["clusterIP"]]
        allocate(new, None, context)

    def prepare_update(self, new: JSON, old: JSON, context: Context) -> None:
        super().prepare_update(new, old, context)
        now, before = new["spec"], old["spec"]
        _keep_allocated(now, before)
        _match_cluster_ips(now, before)
        _drop_what_the_type_has_not(now, before)
        allocate(new, old, context)

    def prepare_status(self, new: JSON, old: JSON, context: Context) -> None:
        super().prepare_status(new, old, context)
        self.default(new)

    def validate_create(self, new: JSON, context: Context) -> list[FieldError]:
        return validate_service(new)

    def validate_update(self, new: JSON, old: JSON, context: Context) -> list[FieldError]:
        errors = validate_service_change(new, old)
        return errors + metadata.validate(new, True, dns1123_label) + validate_service(new)

    def validate_status(self, new: JSON, old: JSON, context: Context) -> list[FieldError]:
        return validate_load_balancer_status(new["status"], new["spec"])

    def warnings(self, new: JSON, old: JSON | None) -> list[str]:
        spec, found = new["spec"], []
        if _TOPOLOGY_HINTS in (new["metadata"].get("annotations") or {}):
            instead = "please use service.kubernetes.io/topology-mode instead"
            found.append(f"annotation {_TOPOLOGY_HINTS} is deprecated, {instead}")
        headless, named = spec["type"] == "ClusterIP" and is_headless(spec), spec["type"] == "ExternalName"
        if headless:
            if spec.get("loadBalancerIP"):
                found.append("spec.loadBalancerIP is ignored for headless services")
            if spec.get("externalIPs"):
                found.append("spec.externalIPs is ignored for headless services")
            if spec["sessionAffinity"] != "None":
                found.append("spec.SessionAffinity is ignored for headless services")
        if spec.get("externalIPs") and not headless and not named:
            found.append("spec.externalIPs is deprecated and may no longer be implemented in some clusters")
        if spec.get("externalIPs") and named:
            found.append('spec.externalIPs is ignored when spec.type is "ExternalName"')
        if spec.get("externalName") and not named:
            found.append('spec.externalName is ignored when spec.type is not "ExternalName"')
        if spec.get("trafficDistribution") == "PreferClose":
            found.append('spec.trafficDistribution: "PreferClose" is deprecated; use "PreferSameZone"')
        return found

    def selectable_fields(self, obj: JSON) -> dict[str, str]:
        return {"spec.clusterIP": obj["spec"].get("clusterIP", ""), "spec.type": obj["spec"].get("type", "")}


def _default_affinity(spec: JSON) -> None:
    affinity = spec.setdefault("sessionAffinity", "None")
    if affinity == "None":
        spec.pop("sessionAffinityConfig", None)
    elif affinity == "ClientIP":
        config = (spec.get("sessionAffinityConfig") or {}).get("clientIP") or {}
        if config.get("timeoutSeconds") is None:
            spec["sessionAffinityConfig"] = {"clientIP": {"timeoutSeconds": _AFFINITY_SECONDS}}


# ---- updates


def _keep_allocated(now: JSON, before: JSON) -> None:
    """Take over what was allocated where the client leaves it out, so that a manifest can be put again and again."""
    if needs_address(before) and needs_address(now):
        if not now.get("clusterIP") and not now.get("clusterIPs"):
            now["clusterIP"] = before.get("clusterIP", "")
            now["clusterIPs"] = list(before.get("clusterIPs") or ())
        elif not now.get("clusterIPs") and now.get("clusterIP") == before.get("clusterIP"):
            now["clusterIPs"] = list(before.get("clusterIPs") or ())
        elif not now.get("clusterIP") and now.get("clusterIPs") == before.get("clusterIPs"):
            now["clusterIP"] = before.get("clusterIP", "")
    if needs_node_ports(before) and needs_node_ports(now):
        used = {port.get("nodePort") for port in now.get("ports") or ()}
        for port in now.get("ports") or ():
            if port.get("nodePort"):
                continue
            for former in before.get("ports") or ():
                same = all(former.get(key) == port.get(key) for key in ("protocol", "port"))
                if same and former.get("nodePort") and former["nodePort"] not in used:
                    port["nodePort"] = former["nodePort"]
                    used.add(former["nodePort"])
                    break
    if needs_health_port(before) and needs_health_port(now) and not now.get("healthCheckNodePort"):
        now["healthCheckNodePort"] = before.get("healthCheckNodePort", 0)


def _match_cluster_ips(now: JSON, before: JSON) -> None:
    """Keep clusterIP and clusterIPs in step where a client changed one of them."""
    single, several = now.get("clusterIP", ""), now.get("clusterIPs") or []
    if single and not several:
        now["clusterIPs"] = [single]
    elif single != before.get("clusterIP", "") and several == (before.get("clusterIPs") or []):
        if single:
            now["clusterIPs"] = [single, *several[1:]]
        else:
            now.pop("clusterIPs", None)


def _drop_what_the_type_has_not(now: JSON, before: JSON) -> None:
    """Clear fields of the former type that the client left as they were."""

    def same(*names: str) -> bool:
        return all(now.get(name) == before.get(name) for name in names)

    def drop(*names: str) -> None:
        for name in names:
            now.pop(name, None)

    if needs_node_ports(before) and not needs_node_ports(now):
        former = {(p.get("protocol"), p.get("port")): p.get("nodePort") for p in before.get("ports") or ()}
        kept = [p for p in now.get("ports") or () if p.get("nodePort")]
        if all(p["nodePort"] in former.values() for p in kept):
            for port in kept:
                del port["nodePort"]
    if needs_address(before) and now.get("type") == "ExternalName":
        if same("clusterIP", "clusterIPs"):
            drop("clusterIP", "clusterIPs")
        if same("ipFamilies"):
            drop("ipFamilies")
        if same("ipFamilyPolicy"):
            drop("ipFamilyPolicy")
    if needs_health_port(before) and not needs_health_port(now) and same("healthCheckNodePort"):
        drop("healthCheckNodePort")
    if before.get("type") == "LoadBalancer" and now.get("type") != "LoadBalancer":
        for name in ("allocateLoadBalancerNodePorts", "loadBalancerClass"):
            if same(name):
                drop(name)
    if is_external(before) and not is_external(now) and same("externalTrafficPolicy"):
        drop("externalTrafficPolicy")
