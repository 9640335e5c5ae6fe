"""Validation of pods and pod templates, in the order of k8s.io/kubernetes `pkg/apis/core/validation`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from localcluster.apiserver.errors import FieldError, duplicate, forbidden_field, invalid_value, required
from localcluster.apiserver.kinds import formats, metadata
from localcluster.apiserver.kinds.containers import (
    Surroundings,
    image_padding,
    validate_containers,
    validate_ephemeral_containers,
    validate_init_containers,
)
from localcluster.apiserver.kinds.formats import check, unsupported
from localcluster.apiserver.kinds.resource_rules import validate_pod_resources, validate_resources
from localcluster.apiserver.kinds.scheduling_rules import (
    validate_affinity,
    validate_tolerations,
    validate_topology_spread,
)
from localcluster.apiserver.kinds.security_context import (
    validate_pod_security_context,
    validate_profile_annotations,
    validate_profiles_match,
)
from localcluster.apiserver.kinds.volumes import validate_volumes

JSON = dict[str, Any]

MIRROR = "kubernetes.io/config.mirror"
DELETION_COST = "controller.kubernetes.io/pod-deletion-cost"
MAX_INT32 = 2**31 - 1
_RESTART = ("Always", "OnFailure", "Never")
_DNS = ("ClusterFirstWithHostNet", "ClusterFirst", "Default", "None")
_MAX_NAMESERVERS = 3
_MAX_SEARCHES = 32
_MAX_SEARCH_CHARACTERS = 2048
_SEARCH_LABEL = "_?[a-z0-9]([-_a-z0-9]*[a-z0-9])?"
_SEARCH_PATTERN = rf"{_SEARCH_LABEL}(\.{_SEARCH_LABEL})*"
_BAD_SEARCH = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '_', '-' or '.', and must "
    "start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is "
    f"'{_SEARCH_PATTERN}')"
)


def containers_with_paths(spec: JSON, path: str) -> Iterator[tuple[str, JSON]]:
    """All containers of a pod with their paths: init, main and ephemeral ones."""
    for kind in ("initContainers", "containers", "ephemeralContainers"):
        for i, container in enumerate(spec.get(kind) or ()):
            yield f"{path}.{kind}[{i}]", container


def validate_pod(pod: JSON) -> list[FieldError]:
    """Errors of a pod but for its metadata's common part."""
    meta, spec = pod["metadata"], pod.get("spec") or {}
    annotations = meta.get("annotations") or {}
    errors = _annotations(annotations, spec, "metadata.annotations")
    errors += validate_pod_spec(spec, "spec", pod_name=meta.get("name", ""), in_pod=True)
    if not spec.get("serviceAccountName"):
        for i, volume in enumerate(spec.get("volumes") or ()):
            for j, source in enumerate((volume.get("projected") or {}).get("sources") or ()):
                if source.get("serviceAccountToken") is not None:
                    path = f"spec.volumes[{i}].projected.sources[{j}].serviceAccountToken"
                    errors.append(forbidden_field(path, "must not be specified when serviceAccountName is not set"))
    for kind in ("containers", "initContainers"):
        for i, container in enumerate(spec.get(kind) or ()):
            errors += image_padding(container, f"spec.{kind}[{i}]")
    return errors


def validate_new_pod(pod: JSON) -> list[FieldError]:
    """`validate_pod`, and what is only asked of a pod when it is created."""
    errors = validate_pod(pod)
    spec = pod.get("spec") or {}
    if spec.get("ephemeralContainers"):
        errors.append(forbidden_field("spec.ephemeralContainers", "cannot be set on create"))
    if spec.get("nodeName") and spec.get("schedulingGates"):
        errors.append(forbidden_field("spec.nodeName", "cannot be set until all schedulingGates have been cleared"))
    return errors + _profiles(pod["metadata"], spec, "spec")


def validate_pod_template(template: JSON, path: str = "spec.template") -> list[FieldError]:
    """Errors of a PodTemplateSpec at `path`."""
    meta, spec = template.get("metadata") or {}, template.get("spec") or {}
    annotations = meta.get("annotations") or {}
    errors = metadata.validate_labels(meta.get("labels"), f"{path}.labels")
    errors += metadata.validate_annotations(annotations, f"{path}.annotations")
    errors += _annotations(annotations, spec, f"{path}.annotations")
    errors += validate_pod_spec(spec, f"{path}.spec")
    errors += _profiles(meta, spec, f"{path}.spec")
    if spec.get("ephemeralContainers"):
        detail = "ephemeral containers not allowed in pod template"
        errors.append(forbidden_field(f"{path}.spec.ephemeralContainers", detail))
    return errors


def _annotations(annotations: JSON, spec: JSON, path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    if MIRROR in annotations and not spec.get("nodeName"):
        detail = "must set spec.nodeName if mirror pod annotation is set"
        errors.append(invalid_value(f"{path}[{MIRROR}]", annotations[MIRROR], detail))
    cost = annotations.get(DELETION_COST)
    if cost is not None and not (
        re.fullmatch("-?[1-9][0-9]{0,9}|0", cost) and -MAX_INT32 - 1 <= int(cost) <= MAX_INT32
    ):
        errors.append(invalid_value(f"{path}[{DELETION_COST}]", cost, "must be a 32bit integer"))
    names = {c.get("name", "") for _, c in containers_with_paths(spec, "")}
    return errors + validate_profile_annotations(annotations, names, path)


def _profiles(meta: JSON, spec: JSON, path: str) -> list[FieldError]:
    def owners() -> Iterator[tuple[str, JSON]]:
        yield path, spec
        yield from containers_with_paths(spec, path)

    return validate_profiles_match(meta.get("annotations") or {}, owners(), path)


def validate_pod_spec(spec: JSON, path: str, *, pod_name: str = "", in_pod: bool = False) -> list[FieldError]:
    """Errors of a PodSpec. `in_pod` says that it is a pod's own, not a template's; then `pod_name` is known."""
    errors: list[FieldError] = []
    grace = spec.get("terminationGracePeriodSeconds")
    if grace is None:
        errors.append(required(f"{path}.terminationGracePeriodSeconds"))
    volumes, found = validate_volumes(spec.get("volumes"), f"{path}.volumes", pod_name=pod_name, in_pod=in_pod)
    errors += found
    claims = {c["name"] for c in spec.get("resourceClaims") or () if c.get("name")}
    errors += _resource_claims(spec.get("resourceClaims") or [], f"{path}.resourceClaims")
    host_users = spec.get("hostUsers") is not False
    pod = Surroundings(volumes, claims, grace, spec.get("restartPolicy", ""), host_users)
    main = spec.get("containers")
    errors += validate_containers(main, f"{path}.containers", pod)
    errors += validate_init_containers(spec.get("initContainers"), main, f"{path}.initContainers", pod)
    errors += validate_ephemeral_containers(spec, f"{path}.ephemeralContainers", pod)
    errors += validate_pod_resources(spec, f"{path}.resources", claims)
    errors += _host_ports(spec, path, in_pod)
    errors += _choices(spec, path)
    errors += metadata.validate_labels(spec.get("nodeSelector"), f"{path}.nodeSelector")
    errors += validate_pod_security_context(spec.get("securityContext"), spec, f"{path}.securityContext")
    errors += validate_affinity(spec.get("affinity"), f"{path}.affinity")
    errors += _dns_config(spec.get("dnsConfig"), spec.get("dnsPolicy", ""), f"{path}.dnsConfig")
    errors += _gates(spec, path)
    errors += validate_topology_spread(spec.get("topologySpreadConstraints"), f"{path}.topologySpreadConstraints")
    errors += _user_namespace(spec, path)
    errors += _names(spec, path)
    errors += validate_tolerations(spec.get("tolerations"), f"{path}.tolerations")
    errors += _host_aliases(spec.get("hostAliases") or [], f"{path}.hostAliases")
    return errors + _classes(spec, path)


def _resource_claims(claims: list[JSON], path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    seen: set[str] = set()
    for i, claim in enumerate(claims):
        here, name = f"{path}[{i}]", claim.get("name", "")
        if not name:
            errors.append(required(f"{here}.name"))
        elif name in seen:
            errors.append(duplicate(f"{here}.name", name))
        else:
            errors += check(f"{here}.name", name, formats.dns1123_label(name))
        seen.add(name)
        sources = ("resourceClaimName", "resourceClaimTemplateName")
        given = [key for key in sources if claim.get(key) is not None]
        shown = {
            "Name": name,
            "ResourceClaimName": claim.get(sources[0]),
            "ResourceClaimTemplateName": claim.get(sources[1]),
        }
        if len(given) > 1:
            detail = "at most one of `resourceClaimName` or `resourceClaimTemplateName` may be specified"
            errors.append(invalid_value(here, shown, detail))
        elif not given:
            detail = "must specify one of: `resourceClaimName`, `resourceClaimTemplateName`"
            errors.append(invalid_value(here, shown, detail))
        for key in given:
            errors += check(f"{here}.{key}", claim[key], formats.dns1123_subdomain(claim[key]))
    return errors


def _host_ports(spec: JSON, path: str, in_pod: bool) -> list[FieldError]:
    errors: list[FieldError] = []
    if not spec.get("hostNetwork"):
        return errors
    for i, container in enumerate(spec.get("containers") or ()):
        for j, port in enumerate(container.get("ports") or ()):
            host, own = port.get("hostPort", 0), port.get("containerPort", 0)
            if (in_pod or host) and host != own:
                detail = "must match `containerPort` when `hostNetwork` is true"
                errors.append(invalid_value(f"{path}.containers[{i}].ports[{j}].hostPort", host, detail))
    return errors


def _choices(spec: JSON, path: str) -> list[FieldError]:
    return [
        unsupported(f"{path}.{name}", spec.get(name, ""), *allowed)
        for name, allowed in (("restartPolicy", _RESTART), ("dnsPolicy", _DNS))
        if spec.get(name, "") not in allowed
    ]


def _dns_config(config: JSON | None, policy: str, path: str) -> list[FieldError]:
    if policy == "None" and config is None:
        return [required(path, "must provide `dnsConfig` when `dnsPolicy` is None")]
    config = config or {}
    servers, searches = config.get("nameservers") or [], config.get("searches") or []
    if policy == "None" and not servers:
        detail = "must provide at least one DNS nameserver when `dnsPolicy` is None"
        return [required(f"{path}.nameservers", detail)]
    errors: list[FieldError] = []
    if len(servers) > _MAX_NAMESERVERS:
        detail = f"must not have more than {_MAX_NAMESERVERS} nameservers"
        errors.append(invalid_value(f"{path}.nameservers", servers, detail))
    for i, server in enumerate(servers):
        errors += check(f"{path}.nameservers[{i}]", server, formats.ip(server))
    if len(searches) > _MAX_SEARCHES:
        detail = f"must not have more than {_MAX_SEARCHES} search paths"
        errors.append(invalid_value(f"{path}.searches", searches, detail))
    if len(" ".join(searches)) > _MAX_SEARCH_CHARACTERS:
        detail = f"must not have more than {_MAX_SEARCH_CHARACTERS} characters (including spaces) in the search list"
        errors.append(invalid_value(f"{path}.searches", searches, detail))
    for i, search in enumerate(searches):
        domain = search.removesuffix(".")
        if search != "." and not re.fullmatch(_SEARCH_PATTERN, domain):
            errors.append(invalid_value(f"{path}.searches[{i}]", domain, _BAD_SEARCH))
    for i, option in enumerate(config.get("options") or ()):
        if not option.get("name"):
            errors.append(required(f"{path}.options[{i}]", "must not be empty"))
    return errors


def _gates(spec: JSON, path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    for i, gate in enumerate(spec.get("readinessGates") or ()):
        kind = gate.get("conditionType", "")
        errors += check(f"{path}.readinessGates[{i}].conditionType", kind, formats.qualified_name(kind))
    seen: set[str] = set()
    for i, gate in enumerate(spec.get("schedulingGates") or ()):
        name, here = gate.get("name", ""), f"{path}.schedulingGates[{i}]"
        errors += check(here, name, formats.qualified_name(name))
        if name in seen:
            errors.append(duplicate(here, name))
        seen.add(name)
    return errors


def _user_namespace(spec: JSON, path: str) -> list[FieldError]:
    if spec.get("hostUsers") is not False:
        return []
    # The real server spells two of these in Go's way.
    fields = (("hostNetwork", "hostNetwork"), ("hostPID", "HostPID"), ("hostIPC", "HostIPC"))
    detail = "when `pod.Spec.HostUsers` is false"
    return [forbidden_field(f"{path}.{shown}", detail) for name, shown in fields if spec.get(name)]


def _names(spec: JSON, path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    for name in ("serviceAccountName", "nodeName"):
        if spec.get(name):
            errors += check(f"{path}.{name}", spec[name], formats.dns1123_subdomain(spec[name]))
    seconds = spec.get("activeDeadlineSeconds")
    if seconds is not None:
        errors += formats.in_range(f"{path}.activeDeadlineSeconds", seconds, 1, MAX_INT32)
    for name in ("hostname", "subdomain"):
        if spec.get(name):
            errors += check(f"{path}.{name}", spec[name], formats.dns1123_label(spec[name]))
    return errors


def _host_aliases(aliases: list[JSON], path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    for i, alias in enumerate(aliases):
        address = alias.get("ip", "")
        errors += check(f"{path}[{i}].ip", address, formats.ip(address))
        for j, name in enumerate(alias.get("hostnames") or ()):
            errors += check(f"{path}[{i}].hostnames[{j}]", name, formats.dns1123_subdomain(name))
    return errors


def _classes(spec: JSON, path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    if spec.get("priorityClassName"):
        name = spec["priorityClassName"]
        errors += check(f"{path}.priorityClassName", name, formats.dns1123_subdomain(name))
    if spec.get("runtimeClassName") is not None:
        name = spec["runtimeClassName"]
        errors += check(f"{path}.runtimeClassName", name, formats.dns1123_subdomain(name))
    policy = spec.get("preemptionPolicy")
    if policy is not None and policy not in ("PreemptLowerPriority", "Never"):
        allowed = ("PreemptLowerPriority", "Never")
        here = f"{path}.preemptionPolicy"
        errors.append(unsupported(here, policy, *allowed) if policy else required(here))
    if spec.get("overhead"):
        errors += validate_resources({"limits": spec["overhead"]}, f"{path}.overhead")
    system = spec.get("os")
    if system is not None and not system.get("name"):
        errors.append(required(f"{path}.os.name", "cannot be empty"))
    elif system is not None and system["name"] not in ("linux", "windows"):
        errors.append(unsupported(f"{path}.os", system["name"], "linux", "windows"))
    return errors
