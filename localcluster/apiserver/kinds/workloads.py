"""What Deployments, ReplicaSets, StatefulSets and DaemonSets have in common: selectors and pod templates."""

from __future__ import annotations

from localcluster.apiserver.errors import FieldError, forbidden_field, invalid_value, required
from localcluster.apiserver.kinds import field_rules as rules
from localcluster.apiserver.kinds import formats, label_selectors, metadata, pod_defaults, pod_warnings
from localcluster.apiserver.kinds.base import JSON
from localcluster.apiserver.kinds.pod_validation import validate_pod_template
from localcluster.apiserver.kinds.with_status import KindWithStatus, template_of


def validate_selector(selector: JSON | None, path: str, of: str) -> list[FieldError]:
    if selector is None:
        return [required(path)]
    found = metadata.validate_label_selector(selector, path)
    if label_selectors.is_empty(selector):
        found.append(invalid_value(path, {}, f"empty selector is invalid for {of}"))
    return found


def labels_mismatch(selector: JSON | None, template: JSON, path: str) -> list[FieldError]:
    labels = template["metadata"].get("labels")
    if label_selectors.matches(selector, labels):
        return []
    shown = label_selectors.quoted_labels(labels)
    return [invalid_value(f"{path}.metadata.labels", shown, label_selectors.NO_MATCH)]


def always_restarts(template: JSON, path: str, kind: str) -> list[FieldError]:
    found: list[FieldError] = []
    spec = template["spec"]
    if spec.get("restartPolicy") != "Always":
        found.append(formats.unsupported(f"{path}.spec.restartPolicy", spec.get("restartPolicy", ""), "Always"))
    if "activeDeadlineSeconds" in spec:
        detail = f"activeDeadlineSeconds in {kind} is not Supported"
        found.append(forbidden_field(f"{path}.spec.activeDeadlineSeconds", detail))
    return found


def validate_replica_template(spec: JSON) -> list[FieldError]:
    """Errors of selector and template together, as Deployments and ReplicaSets have them."""
    selector, template = spec.get("selector"), spec["template"]
    if not label_selectors.is_usable(selector):
        return [invalid_value("spec.selector", label_selectors.quoted(selector), "invalid label selector")]
    found: list[FieldError] = []
    if selector is None or not label_selectors.is_empty(selector):
        found += labels_mismatch(selector, template, "spec.template")
    found += validate_pod_template(template, "spec.template")
    return found + always_restarts(template, "spec.template", "ReplicaSet")


def selector_is_immutable(new: JSON, old: JSON) -> list[FieldError]:
    selector = new["spec"].get("selector")
    before = old["spec"].get("selector")
    return rules.immutable("spec.selector", selector, before, label_selectors.quoted(selector))


class Workload(KindWithStatus):
    counts_generations = True
    names_pods = True
    """Pods are called after it, so that a name which is no DNS label earns a warning."""
    omitted_of_spec: tuple[str, ...] = ("minReadySeconds",)
    omitted_of_status: tuple[str, ...] = ("observedGeneration", "readyReplicas", "availableReplicas", "conditions")

    def default(self, obj: JSON) -> None:
        super().default(obj)
        pod_defaults.default_pod_template(template_of(obj["spec"]))

    def warnings(self, new: JSON, old: JSON | None) -> list[str]:
        found = rules.pod_name_warnings(new) if old is None and self.names_pods else []
        if old is None or old["spec"].get("template") != new["spec"]["template"]:
            found += pod_warnings.template_warnings(new["spec"]["template"])
        return found


def available_within_ready(status: JSON, detail: str) -> list[FieldError]:
    available = status.get("availableReplicas", 0)
    if available <= status.get("readyReplicas", 0):
        return []
    return [invalid_value("status.availableReplicas", available, detail)]
