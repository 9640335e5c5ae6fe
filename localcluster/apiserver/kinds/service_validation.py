"""Validation of Services."""

from __future__ import annotations

from typing import Any

from localcluster.apiserver.errors import FieldError, duplicate, forbidden_field, invalid_value, required
from localcluster.apiserver.kinds import addresses, formats, metadata
from localcluster.apiserver.kinds.containers import PROTOCOLS
from localcluster.apiserver.kinds.formats import check, unsupported
from localcluster.apiserver.kinds.probes import port_number_or_name

JSON = dict[str, Any]

KUBELET_PORT = 10250
_TYPES = ("ClusterIP", "ExternalName", "LoadBalancer", "NodePort")
_POLICIES = ("Cluster", "Local")
_FAMILY_POLICIES = ("PreferDualStack", "RequireDualStack", "SingleStack")
_DISTRIBUTIONS = ("PreferClose", "PreferSameNode", "PreferSameZone")
_MAX_AFFINITY_SECONDS = 86400
_ONLY_LOAD_BALANCER = "may only be used when `type` is 'LoadBalancer'"
_NOT_EXTERNAL_NAME = "may not be set for ExternalName services"
_ONCE = "may not change once set"
_SOURCE_RANGES = "service.beta.kubernetes.io/load-balancer-source-ranges"
_HINTS, _MODE = "service.kubernetes.io/topology-aware-hints", "service.kubernetes.io/topology-mode"


def _is_headless(spec: JSON) -> bool:
    return list(spec.get("clusterIPs") or ()) == ["None"]


def is_external(spec: JSON) -> bool:
    """Whether the Service can be reached from outside the cluster."""
    kind = spec.get("type")
    return kind in ("LoadBalancer", "NodePort") or (kind == "ClusterIP" and bool(spec.get("externalIPs")))


def validate_service(service: JSON) -> list[FieldError]:
    """Errors of a Service but for its metadata's common part."""
    annotations, spec = service["metadata"].get("annotations") or {}, service["spec"]
    errors: list[FieldError] = []
    if _HINTS in annotations and _MODE in annotations and annotations[_HINTS] != annotations[_MODE]:
        detail = f"must match annotations[{_HINTS}] when both are specified"
        errors.append(invalid_value(f"metadata.annotations[{_MODE}]", annotations[_MODE], detail))
    kind, ports = spec.get("type", ""), spec.get("ports") or []
    if not ports and not _is_headless(spec) and kind != "ExternalName":
        errors.append(required("spec.ports"))
    errors += _of_type(spec, kind)
    names: set[str] = set()
    for i, port in enumerate(ports):
        errors += _port(port, len(ports) > 1, names, f"spec.ports[{i}]")
    errors += metadata.validate_labels(spec.get("selector"), "spec.selector")
    errors += _session_affinity(spec)
    errors += validate_cluster_ips(spec)
    for i, address in enumerate(spec.get("externalIPs") or ()):
        errors += addresses.validate_public(address, f"spec.externalIPs[{i}]")
    if not kind:
        errors.append(required("spec.type"))
    elif kind not in _TYPES:
        errors.append(unsupported("spec.type", kind, *_TYPES))
    errors += _node_ports(ports, kind)
    errors += _source_ranges(spec, annotations, kind)
    return errors + _traffic(spec, kind)


def _of_type(spec: JSON, kind: str) -> list[FieldError]:
    errors: list[FieldError] = []
    if kind == "LoadBalancer":
        for i, port in enumerate(spec.get("ports") or ()):
            if port.get("port") == KUBELET_PORT:
                detail = f"may not expose port {KUBELET_PORT} externally since it is used by kubelet"
                errors.append(invalid_value(f"spec.ports[{i}]", KUBELET_PORT, detail))
    if kind in ("LoadBalancer", "NodePort") and _is_headless(spec):
        detail = f"may not be set to 'None' for {kind} services"
        errors.append(invalid_value("spec.clusterIPs[0]", "None", detail))
    if kind == "ExternalName":
        for name in ("clusterIPs", "ipFamilies", "ipFamilyPolicy"):
            if spec.get(name):
                errors.append(forbidden_field(f"spec.{name}", _NOT_EXTERNAL_NAME))
        name = spec.get("externalName", "").removesuffix(".")
        path = "spec.externalName"
        errors += check(path, name, formats.dns1123_subdomain(name)) if name else [required(path)]
    return errors


def _port(port: JSON, needs_name: bool, names: set[str], path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    name, number, protocol = port.get("name", ""), port.get("port", 0), port.get("protocol", "")
    if name:
        errors += check(f"{path}.name", name, formats.dns1123_label(name))
        if name in names:
            errors.append(duplicate(f"{path}.name", name))
        names.add(name)
    elif needs_name:
        errors.append(required(f"{path}.name"))
    errors += check(f"{path}.port", number, formats.port_number(number))
    if not protocol:
        errors.append(required(f"{path}.protocol"))
    elif protocol not in PROTOCOLS:
        errors.append(unsupported(f"{path}.protocol", protocol, *PROTOCOLS))
    errors += port_number_or_name(port.get("targetPort", 0), f"{path}.targetPort")
    if port.get("appProtocol") is not None:
        errors += check(f"{path}.appProtocol", port["appProtocol"], formats.qualified_name(port["appProtocol"]))
    return errors


def _session_affinity(spec: JSON) -> list[FieldError]:
    affinity, config = spec.get("sessionAffinity", ""), spec.get("sessionAffinityConfig")
    path = "spec.sessionAffinityConfig"
    if not affinity:
        return [required("spec.sessionAffinity")]
    if affinity == "None":
        detail = "must not be set when session affinity is None"
        return [forbidden_field(path, detail)] if config is not None else []
    if affinity != "ClientIP":
        return [unsupported("spec.sessionAffinity", affinity, "ClientIP", "None")]
    seconds: Any = config
    for name in ("", "clientIP", "timeoutSeconds"):
        if name:
            path, seconds = f"{path}.{name}", seconds.get(name)
        if seconds is None:
            return [required(path, "when session affinity type is ClientIP")]
    if 0 < seconds <= _MAX_AFFINITY_SECONDS:
        return []
    return [invalid_value(path, seconds, f"must be greater than 0 and less than {_MAX_AFFINITY_SECONDS}")]


def validate_cluster_ips(spec: JSON) -> list[FieldError]:
    """Errors of clusterIP, clusterIPs, ipFamilies and ipFamilyPolicy, and of how they fit together."""
    if spec.get("type") == "ExternalName":
        return []
    errors: list[FieldError] = []
    single, several = spec.get("clusterIP", ""), list(spec.get("clusterIPs") or ())
    path = "spec.clusterIPs"
    if single and not several:
        errors.append(required(path))
    elif single and several[0] != single:
        errors.append(invalid_value(path, several, "first value must match `clusterIP`"))
    elif several and not single:
        errors.append(invalid_value(path, several, "must be empty when `clusterIP` is not specified"))
    families = spec.get("ipFamilies") or []
    for i, family in enumerate(families):
        if family not in ("IPv4", "IPv6"):
            errors.append(unsupported(f"spec.ipFamilies[{i}]", family, "IPv4", "IPv6"))
        if family in families[:i]:
            errors.append(duplicate(f"spec.ipFamilies[{i}]", family))
    policy = spec.get("ipFamilyPolicy")
    if policy is not None and policy not in _FAMILY_POLICIES:
        errors.append(unsupported("spec.ipFamilyPolicy", policy, *_FAMILY_POLICIES))
    misplaced = False
    for i, address in enumerate(several):
        if i == 0 and address == "None":
            if len(several) > 1:
                misplaced = True
                errors.append(invalid_value(path, several, "'None' must be the first and only value"))
            continue
        messages = formats.ip(address)
        misplaced = misplaced or bool(messages)
        errors += check(f"{path}[{i}]", address, messages)
    if len(several) > 2:
        errors.append(invalid_value(path, several, "may only hold up to 2 values"))
    if misplaced:
        return errors
    versions = ["IPv6" if ":" in address else "IPv4" for address in several]
    if len(several) > 1 and len(set(versions)) < 2:
        errors.append(invalid_value(path, several, "may specify no more than one IP for each IP family"))
    if several != ["None"]:
        for i, (address, version, family) in enumerate(zip(several, versions, families, strict=False)):
            if family in ("IPv4", "IPv6") and version != family:
                detail = f"expected an {family} value as indicated by `ipFamilies[{i}]`"
                errors.append(invalid_value(f"{path}[{i}]", address, detail))
    return errors


def _node_ports(ports: list[JSON], kind: str) -> list[FieldError]:
    errors: list[FieldError] = []
    seen_nodes: set[tuple[str, int]] = set()
    seen: set[tuple[str, int]] = set()
    if kind == "ClusterIP":
        for i, port in enumerate(ports):
            if port.get("nodePort"):
                detail = "may not be used when `type` is 'ClusterIP'"
                errors.append(forbidden_field(f"spec.ports[{i}].nodePort", detail))
    for i, port in enumerate(ports):
        if node_port := port.get("nodePort"):
            pair = (port.get("protocol", ""), node_port)
            if pair in seen_nodes:
                errors.append(duplicate(f"spec.ports[{i}].nodePort", node_port))
            seen_nodes.add(pair)
    for i, port in enumerate(ports):
        pair = (port.get("protocol", ""), port.get("port", 0))
        if pair in seen:
            shown = {
                "Name": "", "Protocol": pair[0], "AppProtocol": None, "Port": pair[1], "TargetPort": 0, "NodePort": 0,
            }  # fmt: skip
            errors.append(duplicate(f"spec.ports[{i}]", shown))
        seen.add(pair)
    return errors


def _source_ranges(spec: JSON, annotations: JSON, kind: str) -> list[FieldError]:
    ranges, noted = spec.get("loadBalancerSourceRanges") or [], annotations.get(_SOURCE_RANGES)
    errors: list[FieldError] = []
    if ranges:
        path = "spec.LoadBalancerSourceRanges"
        if kind != "LoadBalancer":
            errors.append(forbidden_field(path, _ONLY_LOAD_BALANCER))
        for i, value in enumerate(ranges):
            errors += check(f"{path}[{i}]", value.strip(), formats.cidr(value.strip()))
    elif noted is not None:
        path = f"metadata.annotations[{_SOURCE_RANGES}]"
        if kind != "LoadBalancer":
            errors.append(forbidden_field(path, _ONLY_LOAD_BALANCER))
        for value in noted.strip().split(",") if noted.strip() else ():
            errors += check(path, value.strip(), formats.cidr(value.strip()))
    return errors


def _traffic(spec: JSON, kind: str) -> list[FieldError]:
    errors: list[FieldError] = []
    balanced = kind == "LoadBalancer"
    if spec.get("allocateLoadBalancerNodePorts") is not None and not balanced:
        errors.append(forbidden_field("spec.allocateLoadBalancerNodePorts", _ONLY_LOAD_BALANCER))
    errors += _load_balancer_class(spec, balanced)
    policy, path = spec.get("externalTrafficPolicy", ""), "spec.externalTrafficPolicy"
    if not is_external(spec):
        if policy:
            errors.append(invalid_value(path, policy, "may only be set for externally-accessible services"))
    elif not policy:
        errors.append(required(path))
    elif policy not in _POLICIES:
        errors.append(unsupported(path, policy, *_POLICIES))
    health, path = spec.get("healthCheckNodePort", 0), "spec.healthCheckNodePort"
    if not (balanced and policy == "Local"):
        if health:
            detail = "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'"
            errors.append(invalid_value(path, health, detail))
    elif not health:
        errors.append(required(path))
    else:
        errors += check(path, health, formats.port_number(health))
    policy, path = spec.get("internalTrafficPolicy"), "spec.internalTrafficPolicy"
    if policy is None:
        if kind in ("NodePort", "LoadBalancer", "ClusterIP"):
            errors.append(required(path))
    elif policy not in _POLICIES:
        errors.append(unsupported(path, policy, *_POLICIES))
    distribution = spec.get("trafficDistribution")
    if distribution is not None and distribution not in _DISTRIBUTIONS:
        errors.append(unsupported("spec.trafficDistribution", distribution, *_DISTRIBUTIONS))
    return errors


def _load_balancer_class(spec: JSON, balanced: bool) -> list[FieldError]:
    name, path = spec.get("loadBalancerClass"), "spec.loadBalancerClass"
    if name is None:
        return []
    return check(path, name, formats.qualified_name(name)) if balanced else [forbidden_field(path, _ONLY_LOAD_BALANCER)]


# ---- changes


def validate_service_change(new: JSON, old: JSON) -> list[FieldError]:
    """Errors of a change: addresses and families stay, unless to or from ExternalName."""
    now, before = new["spec"], old["spec"]
    errors: list[FieldError] = []
    if "ExternalName" not in (now.get("type"), before.get("type")):
        errors += _address_change(now, before) + _family_change(now, before)
    balanced = now.get("type") == "LoadBalancer"
    if balanced and before.get("type") == "LoadBalancer":
        if now.get("loadBalancerClass") != before.get("loadBalancerClass"):
            errors.append(invalid_value("spec.loadBalancerClass", now.get("loadBalancerClass"), _ONCE))
        local = now.get("externalTrafficPolicy") == before.get("externalTrafficPolicy") == "Local"
        if local and now.get("healthCheckNodePort") != before.get("healthCheckNodePort"):
            errors.append(forbidden_field("spec.healthCheckNodePort", formats.IMMUTABLE))
    return errors + _load_balancer_class(now, balanced)


def _address_change(now: JSON, before: JSON) -> list[FieldError]:
    new, old = list(now.get("clusterIPs") or ()), list(before.get("clusterIPs") or ())
    if _is_headless(now) and _is_headless(before):
        return []
    if len(new) == len(old):
        return [
            invalid_value(f"spec.clusterIPs[{i}]", new, _ONCE)
            for i, pair in enumerate(zip(new, old, strict=True))
            if pair[0] != pair[1]
        ]
    errors: list[FieldError] = []
    if not new:
        errors.append(invalid_value("spec.clusterIPs[0]", new, "primary clusterIP can not be unset"))
    elif old and new[0] != old[0]:
        errors.append(invalid_value("spec.clusterIPs[0]", new, _ONCE))
    if len(new) == 1 and len(old) > 1 and now.get("ipFamilyPolicy") != "SingleStack":
        detail = "must be set to 'SingleStack' when releasing the secondary clusterIP"
        errors.append(invalid_value("spec.ipFamilyPolicy", now.get("ipFamilyPolicy"), detail))
    return errors


def _family_change(now: JSON, before: JSON) -> list[FieldError]:
    if _is_headless(now) or _is_headless(before):
        return []
    new, old = list(now.get("ipFamilies") or ()), list(before.get("ipFamilies") or ())
    return [
        invalid_value("spec.ipFamilies[0]", new, _ONCE) for pair in zip(new, old, strict=False) if pair[0] != pair[1]
    ]


def validate_load_balancer_status(status: JSON, spec: JSON) -> list[FieldError]:
    """Errors of ``status.loadBalancer``."""
    ingress = (status.get("loadBalancer") or {}).get("ingress") or []
    path = "status.loadBalancer.ingress"
    if ingress and spec.get("type") != "LoadBalancer":
        return [forbidden_field(path, "may only be used when `spec.type` is 'LoadBalancer'")]
    errors: list[FieldError] = []
    for i, entry in enumerate(ingress):
        here, address, mode = f"{path}[{i}]", entry.get("ip", ""), entry.get("ipMode")
        if address:
            errors += check(f"{here}.ip", address, formats.ip(address))
        if mode is None and address:
            errors.append(required(f"{here}.ipMode", "must be specified when `ip` is set"))
        elif mode is not None and not address:
            errors.append(forbidden_field(f"{here}.ipMode", "may not be specified when `ip` is not set"))
        elif mode is not None and mode not in ("Proxy", "VIP"):
            errors.append(unsupported(f"{here}.ipMode", mode, "Proxy", "VIP"))
        if name := entry.get("hostname"):
            errors += check(f"{here}.hostname", name, formats.dns1123_subdomain(name))
            if formats.parse_ip(name) is not None:
                errors.append(invalid_value(f"{here}.hostname", name, "must be a DNS name, not an IP address"))
    return errors
