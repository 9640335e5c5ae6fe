"""Warnings about pods and pod templates: deprecated fields, duplicates, fractions of bytes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from localcluster.apiserver.kinds.formats import dns1123_label
from localcluster.apiserver.kinds.pod_validation import containers_with_paths
from localcluster.apiserver.kinds.security_context import APPARMOR_CONTAINER, SECCOMP_CONTAINER, SECCOMP_POD
from localcluster.quantity import parse

JSON = dict[str, Any]

_NODE_LABELS = {
    "beta.kubernetes.io/arch": 'deprecated since v1.14; use "kubernetes.io/arch" instead',
    "beta.kubernetes.io/os": 'deprecated since v1.14; use "kubernetes.io/os" instead',
    "failure-domain.beta.kubernetes.io/region": 'deprecated since v1.17; use "topology.kubernetes.io/region" instead',
    "failure-domain.beta.kubernetes.io/zone": 'deprecated since v1.17; use "topology.kubernetes.io/zone" instead',
    "beta.kubernetes.io/instance-type": 'deprecated since v1.17; use "node.kubernetes.io/instance-type" instead',
}
_ANNOTATIONS = {
    "scheduler.alpha.kubernetes.io/critical-pod": 'non-functional in v1.16+; use the "priorityClassName" field instead',
    "security.alpha.kubernetes.io/sysctls": 'non-functional in v1.11+; use the "sysctls" field instead',
    "security.alpha.kubernetes.io/unsafe-sysctls": 'non-functional in v1.11+; use the "sysctls" field instead',
}
_VOLUMES = {
    "photonPersistentDisk": "deprecated in v1.11, non-functional in v1.16+",
    "gitRepo": "deprecated in v1.11",
    "scaleIO": "deprecated in v1.16, non-functional in v1.22+",
    "flocker": "deprecated in v1.22, non-functional in v1.25+",
    "storageos": "deprecated in v1.22, non-functional in v1.25+",
    "quobyte": "deprecated in v1.22, non-functional in v1.25+",
    "glusterfs": "deprecated in v1.25, non-functional in v1.26+",
    "cephfs": "deprecated in v1.28, non-functional in v1.31+",
    "rbd": "deprecated in v1.28, non-functional in v1.31+",
}
_SECCOMP = 'non-functional in v1.27+; use the "seccompProfile" field instead'
_APPARMOR = 'deprecated since v1.30; use the "appArmorProfile" field instead'
_NEGATIVE_GRACE = "must be >= 0; negative values are invalid and will be treated as 1"
_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
_PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"
_NO_SELECTOR = "a null labelSelector results in matching no pod"
_HOSTNAME = (
    "metadata.name: this is used in the Pod's hostname, which can result in surprising behavior; "
    "a DNS label is recommended: "
)


def pod_warnings(pod: JSON, *, new: bool) -> list[str]:
    """Warnings about a pod; `new` is whether it is being created."""
    messages = dns1123_label(pod["metadata"].get("name", "")) if new else []
    named = [f"{_HOSTNAME}[{' '.join(messages)}]"] if messages else []
    return named + list(_warnings(pod["metadata"], pod.get("spec") or {}, ""))


def template_warnings(template: JSON, path: str = "spec.template") -> list[str]:
    """Warnings about a PodTemplateSpec at `path`."""
    return list(_warnings(template.get("metadata") or {}, template.get("spec") or {}, f"{path}."))


def _warnings(meta: JSON, spec: JSON, prefix: str) -> Iterator[str]:
    """`prefix` is empty for pods, else the template's path with a dot."""
    path, noted = f"{prefix}spec", f"{prefix}metadata.annotations"
    annotations = meta.get("annotations") or {}
    yield from _deprecated_labels(spec, path)
    for key, message in _ANNOTATIONS.items():
        if key in annotations:
            yield f"{noted}[{key}]: {message}"
    for i, volume in enumerate(spec.get("volumes") or ()):
        for kind, message in _VOLUMES.items():
            if volume.get(kind) is not None:
                yield f"{path}.volumes[{i}].{'storageOS' if kind == 'storageos' else kind}: {message}"
    yield from _duplicates(spec.get("hostAliases") or [], "ip", f"{path}.hostAliases")
    yield from _duplicates(spec.get("imagePullSecrets") or [], "name", f"{path}.imagePullSecrets")
    for i, secret in enumerate(spec.get("imagePullSecrets") or ()):
        if not secret.get("name"):
            yield f'{path}.imagePullSecrets[{i}].name: invalid empty name ""'
    yield from _fractions(spec.get("overhead"), f"{path}.overhead", ("memory", "ephemeral-storage"))
    context = spec.get("securityContext") or {}
    if context.get("seccompProfile") is None and SECCOMP_POD in annotations:
        yield f"{noted}[{SECCOMP_POD}]: {_SECCOMP}"
    for here, container in containers_with_paths(spec, path):
        own, name = container.get("securityContext") or {}, container.get("name", "")
        key = SECCOMP_CONTAINER + name
        if own.get("seccompProfile") is None and key in annotations:
            yield f"{noted}[{key}]: {_SECCOMP}"
        key = APPARMOR_CONTAINER + name
        if key in annotations and own.get("appArmorProfile") is None and context.get("appArmorProfile") is None:
            yield f"{noted}[{key}]: {_APPARMOR}"
        resources = container.get("resources") or {}
        for resource in ("memory", "ephemeral-storage"):
            for kind in ("limits", "requests"):
                yield from _fractions(resources.get(kind), f"{here}.resources.{kind}", (resource,))
        yield from _hidden_variables(container.get("env") or [], f"{here}.env")
    yield from _ports(spec, path)
    if (spec.get("terminationGracePeriodSeconds") or 0) < 0:
        yield f"{path}.terminationGracePeriodSeconds: {_NEGATIVE_GRACE}"
    yield from _affinity_without_selector(spec, path)


def _deprecated_labels(spec: JSON, path: str) -> Iterator[str]:
    for key in spec.get("nodeSelector") or ():
        if key in _NODE_LABELS:
            yield f"{path}.nodeSelector[{key}]: {_NODE_LABELS[key]}"
    node = (spec.get("affinity") or {}).get("nodeAffinity") or {}
    here = f"{path}.affinity.nodeAffinity"
    terms = [
        (f"{here}.{_REQUIRED}.nodeSelectorTerms[{i}]", term)
        for i, term in enumerate((node.get(_REQUIRED) or {}).get("nodeSelectorTerms") or ())
    ] + [
        (f"{here}.{_PREFERRED}[{i}].preference", term.get("preference") or {})
        for i, term in enumerate(node.get(_PREFERRED) or ())
    ]
    for where, term in terms:
        for i, expression in enumerate(term.get("matchExpressions") or ()):
            key = expression.get("key", "")
            if key in _NODE_LABELS:
                yield f"{where}.matchExpressions[{i}].key: {key} is {_NODE_LABELS[key]}"
    for i, constraint in enumerate(spec.get("topologySpreadConstraints") or ()):
        key = constraint.get("topologyKey", "")
        if key in _NODE_LABELS:
            yield f"{path}.topologySpreadConstraints[{i}].topologyKey: {key} is {_NODE_LABELS[key]}"
        if constraint.get("labelSelector") is None:
            yield f"{path}.topologySpreadConstraints[{i}].labelSelector: {_NO_SELECTOR}"


def _affinity_without_selector(spec: JSON, path: str) -> Iterator[str]:
    for kind in ("podAffinity", "podAntiAffinity"):
        terms = (spec.get("affinity") or {}).get(kind) or {}
        here = f"{path}.affinity.{kind}"
        for i, term in enumerate(terms.get(_REQUIRED) or ()):
            if term.get("labelSelector") is None:
                yield f"{here}.{_REQUIRED}[{i}].labelSelector: {_NO_SELECTOR}"
        for i, weighted in enumerate(terms.get(_PREFERRED) or ()):
            if (weighted.get("podAffinityTerm") or {}).get("labelSelector") is None:
                yield f"{here}.{_PREFERRED}[{i}].podAffinityTerm.labelSelector: {_NO_SELECTOR}"


def _duplicates(items: list[JSON], key: str, path: str) -> Iterator[str]:
    seen: set[str] = set()
    for i, item in enumerate(items):
        value = item.get(key, "")
        if value in seen:
            yield f'{path}[{i}].{key}: duplicate {key} "{value}"'
        seen.add(value)


def _fractions(resources: JSON | None, path: str, names: tuple[str, ...]) -> Iterator[str]:
    for name in names:
        text = (resources or {}).get(name)
        if text is not None and parse(text).milli_value % 1000:
            yield f'{path}[{name}]: fractional byte value "{parse(text)}" is invalid, must be an integer'


def _hidden_variables(variables: list[JSON], path: str) -> Iterator[str]:
    seen: set[str] = set()
    for i, variable in enumerate(variables):
        name, value = variable.get("name", ""), variable.get("value", "")
        reference = f"$({name})"
        if name in seen and (variable.get("valueFrom") is not None or value == reference or reference not in value):
            yield f'{path}[{i}]: hides previous definition of "{name}", which may be dropped when using apply'
        seen.add(name)


def _ports(spec: JSON, path: str) -> Iterator[str]:
    seen: dict[tuple[int, str], list[tuple[str, JSON]]] = {}
    for here, container in containers_with_paths(spec, path):
        for i, port in enumerate(container.get("ports") or ()):
            where = f"{here}.ports[{i}]"
            others = seen.setdefault((port.get("containerPort", 0), port.get("protocol", "")), [])
            for place, other in others:
                address, number = port.get("hostIP", ""), port.get("hostPort", 0)
                address_2, number_2 = other.get("hostIP", ""), other.get("hostPort", 0)
                if (address, number) == (address_2, number_2):
                    yield f"{where}: duplicate port definition with {place}"
                elif not number or not number_2:
                    yield f"{where}: overlapping port definition with {place}"
                elif number == number_2 and (not address or not address_2):
                    yield f"{where}: dangerously ambiguous port definition with {place}"
            others.append((where, port))
