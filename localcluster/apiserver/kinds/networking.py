"""Ingresses, IngressClasses and NetworkPolicies: defaults and rules."""

from __future__ import annotations

import ipaddress
from typing import Any, ClassVar

from localcluster.apiserver.errors import FieldError, forbidden_field, invalid_value, required, too_long
from localcluster.apiserver.kinds import field_rules as rules
from localcluster.apiserver.kinds import formats, metadata
from localcluster.apiserver.kinds.base import JSON, Context, Kind
from localcluster.apiserver.kinds.with_status import KindWithStatus

_CLASS_ANNOTATION = "kubernetes.io/ingress.class"
_BAD_SEQUENCES = ("//", "/./", "/../", "%2f", "%2F")
_BAD_SUFFIXES = ("/..", "/.")


class Ingress(KindWithStatus):
    counts_generations = True
    empty_status: ClassVar[dict[str, Any]] = {"loadBalancer": {}}

    def default(self, obj: JSON) -> None:
        super().default(obj)
        spec = obj["spec"]
        backends = [spec.get("defaultBackend")]
        for rule in spec.get("rules") or ():
            backends += [path.setdefault("backend", {}) for path in (rule.get("http") or {}).get("paths") or ()]
        for backend in backends:
            service = (backend or {}).get("service")
            if service is not None:
                service.setdefault("port", {})

    def validate_create(self, new: JSON, context: Context) -> list[FieldError]:
        found = self._validate_spec(new["spec"])
        old_class = (new["metadata"].get("annotations") or {}).get(_CLASS_ANNOTATION)
        new_class = new["spec"].get("ingressClassName")
        if old_class is not None and new_class is not None and old_class != new_class:
            detail = "must match `ingressClassName` when both are specified"
            found.append(invalid_value(f"annotations.{_CLASS_ANNOTATION}", old_class, detail))
        return found

    def validate_update(self, new: JSON, old: JSON, context: Context) -> list[FieldError]:
        return self._validate_spec(new["spec"])

    @staticmethod
    def _validate_spec(spec: JSON) -> list[FieldError]:
        found: list[FieldError] = []
        if not spec.get("rules") and "defaultBackend" not in spec:
            found.append(invalid_value("spec", None, "either `defaultBackend` or `rules` must be specified"))
        if "defaultBackend" in spec:
            found += _validate_backend(spec["defaultBackend"], "spec.defaultBackend")
        for i, rule in enumerate(spec.get("rules") or ()):
            found += _validate_rule(rule, f"spec.rules[{i}]")
        for i, tls in enumerate(spec.get("tls") or ()):
            for j, host in enumerate(tls.get("hosts") or ()):
                found += _validate_host(host, f"spec.tls[{i}].hosts[{j}]")
            if tls.get("secretName"):
                messages = formats.dns1123_subdomain(tls["secretName"])
                found += formats.check(f"spec.tls[{i}].secretName", tls["secretName"], messages)
        if "ingressClassName" in spec:
            messages = formats.dns1123_subdomain(spec["ingressClassName"])
            found += formats.check("spec.ingressClassName", spec["ingressClassName"], messages)
        return found

    def validate_status(self, new: JSON, old: JSON, context: Context) -> list[FieldError]:
        found: list[FieldError] = []
        for i, point in enumerate((new["status"].get("loadBalancer") or {}).get("ingress") or ()):
            path = f"status.loadBalancer.ingress[{i}]"
            if point.get("ip"):
                found += formats.check(f"{path}.ip", point["ip"], formats.ip(point["ip"]))
            host = point.get("hostname")
            if host:
                found += formats.check(f"{path}.hostname", host, formats.dns1123_subdomain(host))
                if formats.parse_ip(host) is not None:
                    found.append(invalid_value(f"{path}.hostname", host, "must be a DNS name, not an IP address"))
        return found

    def warnings(self, new: JSON, old: JSON | None) -> list[str]:
        annotated = _CLASS_ANNOTATION in (new["metadata"].get("annotations") or {})
        if old is not None or not annotated or "ingressClassName" in new["spec"]:
            return []
        return [f"annotation \"{_CLASS_ANNOTATION}\" is deprecated, please use 'spec.ingressClassName' instead"]


def _validate_host(host: str, path: str) -> list[FieldError]:
    rule = formats.wildcard_dns1123_subdomain if "*" in host else formats.dns1123_subdomain
    return formats.check(path, host, rule(host))


def _validate_rule(rule: JSON, path: str) -> list[FieldError]:
    found: list[FieldError] = []
    host = rule.get("host", "")
    if host:
        if formats.parse_ip(host) is not None:
            found.append(invalid_value(f"{path}.host", host, "must be a DNS name, not an IP address"))
        found += _validate_host(host, f"{path}.host")
    if "http" in rule:
        paths = rule["http"].get("paths") or []
        if not paths:
            found.append(required(f"{path}.http.paths"))
        for i, http_path in enumerate(paths):
            found += _validate_path(http_path, f"{path}.http.paths[{i}]")
    return found


def _validate_path(http_path: JSON, path: str) -> list[FieldError]:
    type, value = http_path.get("pathType"), http_path.get("path", "")
    if not type:
        return [required(f"{path}.pathType", "pathType must be specified")]
    found: list[FieldError] = []
    if type in ("Exact", "Prefix"):
        if not value.startswith("/"):
            found.append(invalid_value(f"{path}.path", value, "must be an absolute path"))
        for part in _BAD_SEQUENCES:
            if part in value:
                found.append(invalid_value(f"{path}.path", value, f"must not contain '{part}'"))
        for suffix in _BAD_SUFFIXES:
            if value.endswith(suffix):
                found.append(invalid_value(f"{path}.path", value, f"cannot end with '{suffix}'"))
    elif type == "ImplementationSpecific":
        if value and not value.startswith("/"):
            found.append(invalid_value(f"{path}.path", value, "must be an absolute path"))
    else:
        found.append(formats.unsupported(f"{path}.pathType", type, "Exact", "ImplementationSpecific", "Prefix"))
    return found + _validate_backend(http_path["backend"], f"{path}.backend")


def _validate_backend(backend: JSON, path: str) -> list[FieldError]:
    resource, service = backend.get("resource"), backend.get("service")
    if resource is not None and service is not None:
        return [invalid_value(path, "", "cannot set both resource and service backends")]
    if resource is not None:
        return _validate_resource(resource, f"{path}.resource")
    if service is None:
        return [invalid_value(path, "", "resource or service backend is required")]
    found: list[FieldError] = []
    name, port = service.get("name", ""), service.get("port") or {}
    if not name:
        found.append(required(f"{path}.service.name"))
    else:
        # Names of Services may start with a digit.
        found += formats.check(f"{path}.service.name", name, formats.dns1123_label(name))
    number, port_name = port.get("number", 0), port.get("name", "")
    if port_name and number:
        found.append(invalid_value(path, "", "cannot set both port name & port number"))
    elif port_name:
        found += formats.check(f"{path}.service.port.name", port_name, formats.port_name(port_name))
    elif number:
        found += formats.check(f"{path}.service.port.number", number, formats.port_number(number))
    else:
        found.append(required(path, "port name or number is required"))
    return found


def _validate_resource(reference: JSON, path: str) -> list[FieldError]:
    found: list[FieldError] = []
    group = reference.get("apiGroup")
    if group is not None:
        found += formats.check(f"{path}.apiGroup", group, formats.dns1123_subdomain(group))
    for name in ("kind", "name"):
        value = reference.get(name, "")
        if not value:
            found.append(required(f"{path}.{name}"))
        else:
            found += formats.check(f"{path}.{name}", value, formats.path_segment(value))
    return found


class IngressClass(Kind):
    counts_generations = True

    def default(self, obj: JSON) -> None:
        spec = obj.setdefault("spec", {})
        if spec.get("parameters"):
            spec["parameters"].setdefault("scope", "Cluster")

    def validate_create(self, new: JSON, context: Context) -> list[FieldError]:
        spec = new["spec"]
        controller, path = spec.get("controller", ""), "spec.controller"
        found = [too_long(path, 250)] if len(controller) > 250 else []
        if not controller:
            found.append(required(path))
        else:
            found += formats.check(path, controller, formats.domain_prefixed_path(controller))
        parameters = spec.get("parameters")
        if parameters is not None:
            found += self._validate_parameters(parameters, "spec.parameters")
        return found

    @staticmethod
    def _validate_parameters(parameters: JSON, path: str) -> list[FieldError]:
        found = _validate_resource(parameters, path)
        scope, namespace = parameters.get("scope"), parameters.get("namespace")
        if namespace:
            found += formats.check(f"{path}.namespace", namespace, formats.dns1123_label(namespace))
        if scope not in ("Cluster", "Namespace"):
            found.append(formats.unsupported(f"{path}.scope", scope, "Cluster", "Namespace"))
        elif scope == "Namespace" and not namespace:
            detail = "`parameters.scope` is set to 'Namespace'"
            found.append(required(f"{path}.namespace", detail))
        elif scope == "Cluster" and namespace is not None:
            detail = "`parameters.scope` is set to 'Cluster'"
            found.append(forbidden_field(f"{path}.namespace", detail))
        return found

    def validate_update(self, new: JSON, old: JSON, context: Context) -> list[FieldError]:
        found = rules.immutable("spec.controller", new["spec"].get("controller"), old["spec"].get("controller"))
        return self.validate_create(new, context) + found


class NetworkPolicy(Kind):
    counts_generations = True

    def default(self, obj: JSON) -> None:
        spec = obj.setdefault("spec", {})
        spec.setdefault("podSelector", {})
        for rule in (*(spec.get("ingress") or ()), *(spec.get("egress") or ())):
            for port in rule.get("ports") or ():
                port.setdefault("protocol", "TCP")
        if not spec.get("policyTypes"):
            spec["policyTypes"] = ["Ingress", "Egress"] if spec.get("egress") else ["Ingress"]

    def validate_create(self, new: JSON, context: Context) -> list[FieldError]:
        spec = new["spec"]
        found = metadata.validate_label_selector(spec["podSelector"], "spec.podSelector")
        for direction, side in (("ingress", "from"), ("egress", "to")):
            for i, rule in enumerate(spec.get(direction) or ()):
                path = f"spec.{direction}[{i}]"
                for j, port in enumerate(rule.get("ports") or ()):
                    found += self._validate_port(port, f"{path}.ports[{j}]")
                for j, peer in enumerate(rule.get(side) or ()):
                    found += self._validate_peer(peer, f"{path}.{side}[{j}]")
        types = spec["policyTypes"]
        if len(types) > 2:
            detail = "may not specify more than two policyTypes"
            return [*found, invalid_value("spec.policyTypes", types, detail)]
        for i, type in enumerate(types):
            if type not in ("Ingress", "Egress"):
                found.append(formats.unsupported(f"spec.policyTypes[{i}]", type, "Ingress", "Egress"))
        return found

    @staticmethod
    def _validate_port(port: JSON, path: str) -> list[FieldError]:
        found: list[FieldError] = []
        if port["protocol"] not in ("SCTP", "TCP", "UDP"):
            found.append(formats.unsupported(f"{path}.protocol", port["protocol"], "SCTP", "TCP", "UDP"))
        number, end = port.get("port"), port.get("endPort")
        if isinstance(number, int):
            found += formats.check(f"{path}.port", number, formats.port_number(number))
            if end is not None:
                if end < number:
                    found.append(invalid_value(f"{path}.endPort", end, "must be greater than or equal to `port`"))
                found += formats.check(f"{path}.endPort", end, formats.port_number(end))
        elif number is not None:
            if end is not None:
                detail = "may not be specified when `port` is non-numeric"
                found.append(invalid_value(f"{path}.endPort", end, detail))
            found += formats.check(f"{path}.port", number, formats.port_name(number))
        elif end is not None:
            detail = "may not be specified when `port` is not specified"
            found.append(invalid_value(f"{path}.endPort", end, detail))
        return found

    @staticmethod
    def _validate_peer(peer: JSON, path: str) -> list[FieldError]:
        found: list[FieldError] = []
        for name in ("podSelector", "namespaceSelector"):
            found += metadata.validate_label_selector(peer.get(name), f"{path}.{name}")
        if "ipBlock" in peer:
            found += _validate_ip_block(peer["ipBlock"], f"{path}.ipBlock")
        if not peer.keys() & {"podSelector", "namespaceSelector", "ipBlock"}:
            found.append(required(path, "must specify a peer"))
        elif "ipBlock" in peer and len(peer) > 1:
            found.append(forbidden_field(path, "may not specify both ipBlock and another peer"))
        return found


def _validate_ip_block(block: JSON, path: str) -> list[FieldError]:
    cidr = block.get("cidr", "")
    if not cidr:
        return [required(f"{path}.cidr")]
    found = formats.check(f"{path}.cidr", cidr, formats.cidr(cidr))
    if found:
        return found
    network = ipaddress.ip_network(cidr, strict=False)
    for i, text in enumerate(block.get("except") or ()):
        where = f"{path}.except[{i}]"
        problems = formats.check(where, text, formats.cidr(text))
        if not problems:
            part: Any = ipaddress.ip_network(text, strict=False)
            if part.version != network.version or part == network or not part.subnet_of(network):
                problems.append(invalid_value(where, text, "must be a strict subset of `cidr`"))
        found += problems
    return found


KINDS: dict[str, type[Kind]] = {"Ingress": Ingress, "IngressClass": IngressClass, "NetworkPolicy": NetworkPolicy}
