"""PodSecurity: namespaces' labels say which Pod Security Standard their pods must keep, or are warned about.

https://kubernetes.io/docs/concepts/security/pod-security-admission/. Audit labels are checked and have no effect,
as there is no audit log. Versions are accepted and the current rules are applied whichever is named.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from localcluster.apiserver.admission.pod_security_checks import violations
from localcluster.apiserver.admission.refusal import is_pod, refusal
from localcluster.apiserver.errors import FieldError, invalid, invalid_value
from localcluster.apiserver.kinds.base import JSON, Context
from localcluster.apiserver.resources import Resource

_PREFIX = "pod-security.kubernetes.io/"
_LEVELS = ("privileged", "baseline", "restricted")
_VERSION = re.compile(r"v1\.(0|[1-9][0-9]*)")
_MAX_PODS_CHECKED = 3000

_TEMPLATES = {
    "/podtemplates": ("template",),
    "/replicationcontrollers": ("spec", "template"),
    "apps/replicasets": ("spec", "template"),
    "apps/deployments": ("spec", "template"),
    "apps/statefulsets": ("spec", "template"),
    "apps/daemonsets": ("spec", "template"),
    "batch/jobs": ("spec", "template"),
    "batch/cronjobs": ("spec", "jobTemplate", "spec", "template"),
}


def validate(
    resource: Resource, operation: str, subresource: str, new: JSON | None, old: JSON | None, context: Context
) -> list[str]:
    if new is None or operation not in ("CREATE", "UPDATE"):
        return []
    if is_pod(resource) and subresource in ("", "ephemeralcontainers", "resize"):
        return _validate_pod(resource, operation, new, old, context)
    if subresource:
        return []
    if resource.storage == "/namespaces":
        return _validate_namespace(new, old, context)
    if resource.storage in _TEMPLATES:
        return _warn_of_template(resource, new, context)
    return []


def _policy(namespace: JSON | None, mode: str) -> tuple[str, str]:
    """Level and version that a namespace sets for a mode; what is misspelt counts as not set (or as restricted)."""
    labels = (namespace or {}).get("metadata", {}).get("labels") or {}
    level = labels.get(_PREFIX + mode)
    if level is None:
        return "privileged", "latest"
    if level not in _LEVELS:
        # A level that nobody understands must not let everything in; warnings just do not come.
        level = "restricted" if mode == "enforce" else "privileged"
    return level, labels.get(f"{_PREFIX}{mode}-version", "latest")


def _text(level: str, version: str, metadata: JSON, spec: JSON) -> str:
    found = violations(level, metadata, spec)
    rules = ", ".join(f"{reason} ({detail})" if detail else reason for reason, detail in found)
    return f'PodSecurity "{level}:{version}": {rules}' if found else ""


def _validate_pod(resource: Resource, operation: str, new: JSON, old: JSON | None, context: Context) -> list[str]:
    if operation == "UPDATE" and old is not None and not _matters(new, old):
        return []
    namespace = context.store.get("/namespaces", "", new["metadata"].get("namespace", ""))
    enforced = _text(*_policy(namespace, "enforce"), new["metadata"], new["spec"])
    if enforced:
        raise refusal(resource, new, f"violates {enforced}")
    warned = _text(*_policy(namespace, "warn"), new["metadata"], new["spec"])
    return [f"would violate {warned}"] if warned else []


def _matters(new: JSON, old: JSON) -> bool:
    """Whether an update of a pod changes anything that the standards speak of."""

    def checked(pod: JSON) -> JSON:
        spec = {k: v for k, v in pod["spec"].items() if k not in ("tolerations", "activeDeadlineSeconds")}
        for key in ("containers", "initContainers"):
            spec[key] = [{k: v for k, v in c.items() if k != "image"} for c in spec.get(key) or ()]
        annotations = pod["metadata"].get("annotations") or {}
        return {"spec": spec, "annotations": {k: v for k, v in annotations.items() if "apparmor" in k}}

    return checked(new) != checked(old)


def _warn_of_template(resource: Resource, new: JSON, context: Context) -> list[str]:
    template: JSON | None = new
    for key in _TEMPLATES[resource.storage]:
        template = (template or {}).get(key)
    if not template or not template.get("spec"):
        return []
    namespace = context.store.get("/namespaces", "", new["metadata"].get("namespace", ""))
    warned = _text(*_policy(namespace, "warn"), template.get("metadata") or {}, template["spec"])
    return [f"would violate {warned}"] if warned else []


# ---- namespaces


def _validate_namespace(new: JSON, old: JSON | None, context: Context) -> list[str]:
    errors = list(_label_errors(new))
    if errors and (old is None or errors != list(_label_errors(old))):
        raise invalid("", "Namespace", new["metadata"]["name"], errors)
    level, version = _policy(new, "enforce")
    if old is None or level == "privileged":
        return []
    old_level, _ = _policy(old, "enforce")
    if _LEVELS.index(level) <= _LEVELS.index(old_level):
        return []
    return list(_existing_pods(new["metadata"]["name"], level, version, context))


def _label_errors(namespace: JSON) -> Iterator[FieldError]:
    labels = namespace["metadata"].get("labels") or {}
    for mode in ("enforce", "audit", "warn"):
        level, version = labels.get(_PREFIX + mode), labels.get(f"{_PREFIX}{mode}-version")
        path = f"metadata.labels[{_PREFIX}{mode}]"
        if level is not None and level not in _LEVELS:
            yield invalid_value(path, level, "must be one of privileged, baseline, restricted")
        if version is not None and version != "latest" and not _VERSION.fullmatch(version):
            path = f"metadata.labels[{_PREFIX}{mode}-version]"
            yield invalid_value(path, version, 'must be "latest" or "v1.x"')


def _existing_pods(name: str, level: str, version: str, context: Context) -> Iterator[str]:
    """Warnings of the pods that would not be let in now, those that break the same rules together."""
    pods_by_rules: dict[str, list[str]] = {}
    for count, pod in enumerate(context.store.list("/pods", name)):
        if count >= _MAX_PODS_CHECKED:
            break
        found = violations(level, pod["metadata"], pod["spec"])
        if found:
            rules = ", ".join(reason for reason, _ in found)
            pods_by_rules.setdefault(rules, []).append(pod["metadata"]["name"])
    if not pods_by_rules:
        return
    yield f'existing pods in namespace "{name}" violate the new PodSecurity enforce level "{level}:{version}"'
    lines = []
    for rules, pods in pods_by_rules.items():
        more = len(pods) - 1
        others = f" (and {more} other pod{'s' if more > 1 else ''})" if more else ""
        lines.append(f"{pods[0]}{others}: {rules}")
    yield from sorted(lines)
