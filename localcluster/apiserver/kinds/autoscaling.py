"""HorizontalPodAutoscalers: defaults and rules of v2, which is what is stored; v1 is converted."""

from __future__ import annotations

import copy
from typing import Any, ClassVar

from localcluster.apiserver.errors import FieldError, forbidden_field, invalid_value, required
from localcluster.apiserver.kinds import field_rules as rules
from localcluster.apiserver.kinds import formats, hpa_versions
from localcluster.apiserver.kinds.base import JSON, Context, Kind
from localcluster.apiserver.kinds.with_status import KindWithStatus
from localcluster.quantity import parse

_MAX_WINDOW_SECONDS = 3600
_MAX_PERIOD_SECONDS = 1800
_SCALE_UP: JSON = {
    "stabilizationWindowSeconds": 0,
    "selectPolicy": "Max",
    "policies": [
        {"type": "Pods", "value": 4, "periodSeconds": 15},
        {"type": "Percent", "value": 100, "periodSeconds": 15},
    ],
}
_SCALE_DOWN: JSON = {"selectPolicy": "Max", "policies": [{"type": "Percent", "value": 100, "periodSeconds": 15}]}
_SOURCES = {
    "ContainerResource": "containerResource",
    "External": "external",
    "Object": "object",
    "Pods": "pods",
    "Resource": "resource",
}


class HorizontalPodAutoscaler(KindWithStatus):
    empty_status: ClassVar[dict[str, Any]] = {"currentMetrics": None, "desiredReplicas": 0}
    omitted_of_status = ("currentReplicas", "conditions")

    def default(self, obj: JSON) -> None:
        super().default(obj)
        spec = obj["spec"]
        spec.setdefault("minReplicas", 1)
        spec.setdefault("maxReplicas", 0)
        spec.setdefault("scaleTargetRef", {"kind": "", "name": ""})
        if not spec.get("metrics"):
            spec["metrics"] = [hpa_versions.cpu_metric(hpa_versions.DEFAULT_UTILIZATION)]
        behavior = spec.get("behavior")
        if behavior is not None:
            for name, defaults in (("scaleUp", _SCALE_UP), ("scaleDown", _SCALE_DOWN)):
                given = {k: v for k, v in (behavior.get(name) or {}).items() if v is not None}
                behavior[name] = {**copy.deepcopy(defaults), **given}

    def validate_create(self, new: JSON, context: Context) -> list[FieldError]:
        return self._validate(new["spec"], 1, {})

    def validate_update(self, new: JSON, old: JSON, context: Context) -> list[FieldError]:
        lowest = 0 if old["spec"].get("minReplicas") == 0 else 1
        return self._validate(new["spec"], lowest, old["spec"].get("scaleTargetRef") or {})

    @staticmethod
    def _validate(spec: JSON, lowest: int, old_target: JSON) -> list[FieldError]:
        found: list[FieldError] = []
        low, high = spec.get("minReplicas"), spec.get("maxReplicas", 0)
        if low is not None and low < lowest:
            found.append(invalid_value("spec.minReplicas", low, f"must be greater than or equal to {lowest}"))
        if high == 0:
            found.append(required("spec.maxReplicas", "must be set and greater than 0"))
        elif high < 1:
            found.append(invalid_value("spec.maxReplicas", high, "must be greater than 0"))
        if low is not None and high < low:
            found.append(invalid_value("spec.maxReplicas", high, "must be greater than or equal to `minReplicas`"))
        target = spec.get("scaleTargetRef") or {}
        found += _validate_reference(target, "spec.scaleTargetRef")
        # A target that was accepted by an older server stays acceptable.
        if target.get("apiVersion") != old_target.get("apiVersion") or not old_target:
            found += _validate_api_version(target, "spec.scaleTargetRef", needs_group=True)
        metrics = spec.get("metrics") or []
        for i, metric in enumerate(metrics):
            found += _validate_metric(metric, f"spec.metrics[{i}]")
        if low == 0 and not any(m.get("type") in ("Object", "External") for m in metrics):
            detail = "must specify at least one Object or External metric to support scaling to zero replicas"
            found.append(forbidden_field("spec.metrics", detail))
        for name in ("scaleUp", "scaleDown"):
            scaling = (spec.get("behavior") or {}).get(name)
            if scaling is not None:
                found += _validate_rules(scaling, f"spec.behavior.{name}")
        return found

    def validate_status(self, new: JSON, old: JSON, context: Context) -> list[FieldError]:
        return rules.not_negative_fields(new["status"], "status", "currentReplicas", "desiredReplicas")


def _validate_reference(reference: JSON, path: str) -> list[FieldError]:
    found: list[FieldError] = []
    for name in ("kind", "name"):
        value = reference.get(name, "")
        if not value:
            found.append(required(f"{path}.{name}"))
        else:
            found += formats.check(f"{path}.{name}", value, formats.path_segment(value))
    return found


def _validate_api_version(reference: JSON, path: str, *, needs_group: bool) -> list[FieldError]:
    version = reference.get("apiVersion", "")
    if version.count("/") > 1:
        return [invalid_value(f"{path}.apiVersion", version, f"unexpected GroupVersion string: {version}")]
    # ReplicationControllers are the one target of the core group, whose name is empty.
    in_core = version == "v1" and reference.get("kind") == "ReplicationController"
    if needs_group and not version.partition("/")[1] and not in_core:
        return [invalid_value(f"{path}.apiVersion", version, "apiVersion must specify API group")]
    return []


def _validate_metric(metric: JSON, path: str) -> list[FieldError]:
    found: list[FieldError] = []
    type = metric.get("type", "")
    if not type:
        found.append(required(f"{path}.type", "must specify a metric source type"))
    wrong_type = formats.unsupported(f"{path}.type", type, *_SOURCES)
    if type not in _SOURCES:
        found.append(wrong_type)
    present = [name for name in ("object", "external", "pods", "resource", "containerResource") if name in metric]
    if present:
        found += _validate_source(present[0], metric[present[0]], f"{path}.{present[0]}")
    expected = _SOURCES.get(type, "")
    if not expected:
        found.append(wrong_type)
    elif expected not in metric:
        detail = "must populate information for the given metric source"
        found.append(required(f"{path}.{expected}", detail))
    if len(present) > 1:
        detail = "must populate the given metric source only"
        found += [forbidden_field(f"{path}.{name}", detail) for name in present if name != expected]
    return found


def _validate_source(kind: str, source: JSON, path: str) -> list[FieldError]:
    found: list[FieldError] = []
    if kind == "object":
        described = source.get("describedObject") or {}
        found += _validate_reference(described, f"{path}.describedObject")
        found += _validate_api_version(described, f"{path}.describedObject", needs_group=False)
    if kind in ("object", "external", "pods"):
        name = (source.get("metric") or {}).get("name", "")
        if not name:
            found.append(required(f"{path}.metric.name", "must specify a metric name"))
        else:
            found += formats.check(f"{path}.metric.name", name, formats.path_segment(name))
    else:
        found += _validate_resource(kind, source, path)
    target = source.get("target") or {}
    found += _validate_target(target, f"{path}.target")
    return found + _validate_target_of(kind, target, f"{path}.target")


def _validate_resource(kind: str, source: JSON, path: str) -> list[FieldError]:
    found: list[FieldError] = []
    name = source.get("name", "")
    if not name:
        found.append(required(f"{path}.name", "must specify a resource name"))
    if kind == "containerResource":
        standard = ("cpu", "memory", "ephemeral-storage")
        if name and "/" not in name and name not in standard and not name.startswith("hugepages-"):
            found.append(invalid_value(f"{path}.name", name, "must be a standard resource for containers"))
        container = source.get("container", "")
        if not container:
            found.append(required(f"{path}.container", "must specify a container"))
        else:
            found += formats.check(f"{path}.container", container, formats.dns1123_label(container))
    return found


def _validate_target(target: JSON, path: str) -> list[FieldError]:
    found: list[FieldError] = []
    type = target.get("type", "")
    if not type:
        found.append(required(f"{path}.type", "must specify a metric target type"))
    if type not in ("Utilization", "Value", "AverageValue"):
        found.append(invalid_value(f"{path}.type", type, "must be either Utilization, Value, or AverageValue"))
    for name in ("value", "averageValue"):
        if name in target and not parse("0") < parse(target[name]):
            found.append(invalid_value(f"{path}.{name}", target[name], "must be positive"))
    if "averageUtilization" in target and target["averageUtilization"] < 1:
        detail = "must be greater than 0"
        found.append(invalid_value(f"{path}.averageUtilization", target["averageUtilization"], detail))
    return found


def _validate_target_of(kind: str, target: JSON, path: str) -> list[FieldError]:
    """What a target must and may not say, by the kind of its metric."""
    value, average, used = "value" in target, "averageValue" in target, "averageUtilization" in target
    found: list[FieldError] = []
    if kind == "object" and not value and not average:
        found.append(required(f"{path}.averageValue", "must set either a target value or averageValue"))
    elif kind == "external":
        if not value and not average:
            detail = "must set either a target value for metric or a per-pod target"
            found.append(required(f"{path}.averageValue", detail))
        if value and average:
            detail = "may not set both a target value for metric and a per-pod target"
            found.append(forbidden_field(f"{path}.value", detail))
    elif kind == "pods" and not average:
        found.append(required(f"{path}.averageValue", "must specify a positive target averageValue"))
    elif kind in ("resource", "containerResource"):
        if not used and not average:
            detail = "must set either a target raw value or a target utilization"
            found.append(required(f"{path}.averageUtilization", detail))
        if used and average:
            detail = "may not set both a target raw value and a target utilization"
            found.append(forbidden_field(f"{path}.averageValue", detail))
    return found


def _validate_rules(scaling: JSON, path: str) -> list[FieldError]:
    found: list[FieldError] = []
    window = scaling.get("stabilizationWindowSeconds")
    if window is not None and window < 0:
        detail = "must be greater than or equal to zero"
        found.append(invalid_value(f"{path}.stabilizationWindowSeconds", window, detail))
    if window is not None and window > _MAX_WINDOW_SECONDS:
        detail = f"must be less than or equal to {_MAX_WINDOW_SECONDS}"
        found.append(invalid_value(f"{path}.stabilizationWindowSeconds", window, detail))
    select = scaling.get("selectPolicy")
    if select is not None and select not in ("Disabled", "Max", "Min"):
        found.append(formats.unsupported(f"{path}.selectPolicy", select, "Disabled", "Max", "Min"))
    if not scaling.get("policies"):
        found.append(required(f"{path}.policies", "must specify at least one Policy"))
    for i, policy in enumerate(scaling.get("policies") or ()):
        found += _validate_policy(policy, f"{path}.policies[{i}]")
    if "tolerance" in scaling and parse(scaling["tolerance"]) < parse("0"):
        detail = "must be greater than or equal to zero"
        found.append(invalid_value(f"{path}.tolerance", scaling["tolerance"], detail))
    return found


def _validate_policy(policy: JSON, path: str) -> list[FieldError]:
    found: list[FieldError] = []
    value, period = policy.get("value", 0), policy.get("periodSeconds", 0)
    if policy.get("type", "") not in ("Percent", "Pods"):
        found.append(formats.unsupported(f"{path}.type", policy.get("type", ""), "Percent", "Pods"))
    if value <= 0:
        found.append(invalid_value(f"{path}.value", value, "must be greater than zero"))
    if period <= 0:
        found.append(invalid_value(f"{path}.periodSeconds", period, "must be greater than zero"))
    if period > _MAX_PERIOD_SECONDS:
        detail = f"must be less than or equal to {_MAX_PERIOD_SECONDS}"
        found.append(invalid_value(f"{path}.periodSeconds", period, detail))
    return found


class HorizontalPodAutoscalerV1(KindWithStatus):
    """The v1 view: rules are those of v2, after conversion."""

    empty_status: ClassVar[dict[str, Any]] = {"currentReplicas": 0, "desiredReplicas": 0}

    def __init__(self) -> None:
        self._hub = HorizontalPodAutoscaler()

    def to_hub(self, obj: JSON) -> JSON:
        return hpa_versions.to_v2(obj)

    def from_hub(self, obj: JSON) -> JSON:
        return hpa_versions.to_v1(obj)

    def default(self, obj: JSON) -> None:
        super().default(obj)
        spec = obj["spec"]
        spec.setdefault("minReplicas", 1)
        spec.setdefault("maxReplicas", 0)
        spec.setdefault("scaleTargetRef", {"kind": "", "name": ""})

    def validate_create(self, new: JSON, context: Context) -> list[FieldError]:
        return self._hub.validate_create(self.to_hub(new), context)

    def validate_update(self, new: JSON, old: JSON, context: Context) -> list[FieldError]:
        return self._hub.validate_update(self.to_hub(new), self.to_hub(old), context)

    def validate_status(self, new: JSON, old: JSON, context: Context) -> list[FieldError]:
        return self._hub.validate_status(self.to_hub(new), self.to_hub(old), context)


KINDS: dict[str, type[Kind]] = {
    "v1/HorizontalPodAutoscaler": HorizontalPodAutoscalerV1,
    "v2/HorizontalPodAutoscaler": HorizontalPodAutoscaler,
}
