"""HorizontalPodAutoscalers of autoscaling/v1 as those of v2 and back.

v1 knows one metric, the CPU utilization of requests. What else v2 says is kept for readers of v1 in annotations,
in the encoding of the real server (k8s.io/kubernetes `pkg/apis/autoscaling/v1` conversions).
"""

from __future__ import annotations

import copy
import json
from typing import Any

from localcluster.apiserver.kinds.base import JSON

_PREFIX = "autoscaling.alpha.kubernetes.io/"
METRICS = _PREFIX + "metrics"
BEHAVIOR = _PREFIX + "behavior"
CURRENT_METRICS = _PREFIX + "current-metrics"
CONDITIONS = _PREFIX + "conditions"
ANNOTATIONS = (METRICS, BEHAVIOR, CURRENT_METRICS, CONDITIONS)

DEFAULT_UTILIZATION = 80
"""Percent of requested CPU that an autoscaler aims at where it names no metric."""


def cpu_metric(percentage: int) -> JSON:
    """The v2 metric for a percentage of requested CPU."""
    target = {"type": "Utilization", "averageUtilization": percentage}
    return {"type": "Resource", "resource": {"name": "cpu", "target": target}}


def _is_cpu_utilization(metric: JSON, of: str) -> bool:
    resource = metric.get("resource") or {}
    values = resource.get(of) or {}
    return metric.get("type") == "Resource" and resource.get("name") == "cpu" and "averageUtilization" in values


def _compact(value: Any) -> str:
    # As Go's encoder writes it: characters that could end a script element are escaped.
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def _without_nothing(fields: JSON) -> JSON:
    return {name: value for name, value in fields.items() if value is not None}


# ---- v2 to v1


def to_v1(obj: JSON) -> JSON:
    """The v1 form of a v2 object; `obj` is not changed."""
    spec, status = obj.get("spec") or {}, obj.get("status") or {}
    found = {k: v for k, v in obj.items() if k not in ("spec", "status")}
    found["metadata"] = copy.deepcopy(obj["metadata"])
    new_spec = {k: v for k, v in spec.items() if k not in ("metrics", "behavior")}
    for metric in spec.get("metrics") or ():
        if _is_cpu_utilization(metric, "target"):
            new_spec["targetCPUUtilizationPercentage"] = metric["resource"]["target"]["averageUtilization"]
            break
    found["spec"] = new_spec
    new_status = {k: v for k, v in status.items() if k not in ("currentMetrics", "conditions")}
    new_status.setdefault("currentReplicas", 0)
    new_status.setdefault("desiredReplicas", 0)
    for metric in status.get("currentMetrics") or ():
        if _is_cpu_utilization(metric, "current"):
            new_status["currentCPUUtilizationPercentage"] = metric["resource"]["current"]["averageUtilization"]
            break
    found["status"] = new_status
    noted = _annotations(spec, status)
    kept = {k: v for k, v in (obj["metadata"].get("annotations") or {}).items() if k not in ANNOTATIONS}
    if noted or kept:
        found["metadata"]["annotations"] = {**kept, **noted}
    return found


def _annotations(spec: JSON, status: JSON) -> dict[str, str]:
    found = {}
    others = [_metric_v1(m, "target") for m in spec.get("metrics") or () if not _is_cpu_utilization(m, "target")]
    if others:
        found[METRICS] = _compact(others)
    if status.get("currentMetrics"):
        found[CURRENT_METRICS] = _compact([_metric_v1(m, "current") for m in status["currentMetrics"]])
    if status.get("conditions"):
        order = ("type", "status", "lastTransitionTime", "reason", "message")
        found[CONDITIONS] = _compact([{n: c[n] for n in order if n in c} for c in status["conditions"]])
    if spec.get("behavior") is not None:
        found[BEHAVIOR] = _compact({name[0].upper() + name[1:]: _rules_v1(spec["behavior"].get(name))
            for name in ("scaleUp", "scaleDown")})  # fmt: skip
    return found


def _rules_v1(rules: JSON | None) -> JSON | None:
    if rules is None:
        return None
    policies = rules.get("policies")
    return {
        "StabilizationWindowSeconds": rules.get("stabilizationWindowSeconds"),
        "SelectPolicy": rules.get("selectPolicy"),
        "Policies": policies
        and [{"Type": p.get("type", ""), "Value": p.get("value", 0), "PeriodSeconds": p.get("periodSeconds", 0)}
            for p in policies],
        "Tolerance": rules.get("tolerance"),
    }  # fmt: skip


def _metric_v1(metric: JSON, of: str) -> JSON:
    """A metric (`of` is ``target``) or what it was last (``current``) in v1's flat form."""
    prefix = of
    found: JSON = {"type": metric.get("type", "")}
    for kind in ("object", "pods", "resource", "containerResource", "external"):
        if kind not in metric:
            continue
        source = metric[kind]
        values = source.get(of) or {}
        identity = source.get("metric") or {}
        value, average = values.get("value"), values.get("averageValue")
        selector, name = identity.get("selector"), identity.get("name", "")
        if kind == "object":
            about = source.get("describedObject") or {}
            target = {n: about[n] for n in ("kind", "name", "apiVersion") if n in about}
            fields = {"target": target, "metricName": name, f"{prefix}Value": value or "0", "selector": selector,
                "averageValue": average}  # fmt: skip
        elif kind == "pods":
            fields = {"metricName": name, f"{prefix}AverageValue": average or "0", "selector": selector}
        elif kind == "external":
            number = value if of == "target" else value or "0"
            fields = {"metricName": name, "metricSelector": selector, f"{prefix}Value": number,
                f"{prefix}AverageValue": average}  # fmt: skip
        else:
            number = average if of == "target" else average or "0"
            fields = {
                "name": source.get("name", ""),
                f"{prefix}AverageUtilization": values.get("averageUtilization"),
                f"{prefix}AverageValue": number,
                "container": source.get("container") if kind == "containerResource" else None,
            }
        found[kind] = _without_nothing(fields)
    return found


# ---- v1 to v2


def to_v2(obj: JSON) -> JSON:
    """The v2 form of a v1 object, with what its annotations say; `obj` is not changed."""
    found = copy.deepcopy({k: v for k, v in obj.items() if k not in ("spec", "status")})
    annotations = found["metadata"].get("annotations") or {}
    spec, status = copy.deepcopy(obj.get("spec") or {}), copy.deepcopy(obj.get("status") or {})
    percentage = spec.pop("targetCPUUtilizationPercentage", None)
    own = [] if percentage is None else [cpu_metric(percentage)]
    others = _noted(annotations, METRICS)
    metrics = [_metric_v2(m, "target") for m in others or ()] + own
    spec["metrics"] = metrics or [cpu_metric(DEFAULT_UTILIZATION)]
    behavior = _noted(annotations, BEHAVIOR)
    if isinstance(behavior, dict):
        spec["behavior"] = _without_nothing(
            {name: _rules_v2(behavior.get(name[0].upper() + name[1:])) for name in ("scaleUp", "scaleDown")}
        )
    found["spec"] = spec
    used = status.pop("currentCPUUtilizationPercentage", None)
    current = _noted(annotations, CURRENT_METRICS)
    if current:
        status["currentMetrics"] = [_metric_v2(m, "current") for m in current]
    elif used is not None:
        values = {"averageUtilization": used}
        status["currentMetrics"] = [{"type": "Resource", "resource": {"name": "cpu", "current": values}}]
    else:
        status["currentMetrics"] = None
    conditions = _noted(annotations, CONDITIONS)
    if conditions:
        status["conditions"] = conditions
    found["status"] = status
    kept = {k: v for k, v in annotations.items() if k not in ANNOTATIONS}
    found["metadata"].pop("annotations", None)
    if kept:
        found["metadata"]["annotations"] = kept
    return found


def _noted(annotations: dict[str, str], name: str) -> Any:
    try:
        return json.loads(annotations[name]) if name in annotations else None
    except ValueError:
        return None


def _rules_v2(rules: JSON | None) -> JSON | None:
    if rules is None:
        return None
    policies = rules.get("Policies")
    return _without_nothing(
        {
            "stabilizationWindowSeconds": rules.get("StabilizationWindowSeconds"),
            "selectPolicy": rules.get("SelectPolicy"),
            "policies": policies
            and [{"type": p["Type"], "value": p["Value"], "periodSeconds": p["PeriodSeconds"]} for p in policies],
            "tolerance": rules.get("Tolerance"),
        }
    )


def _metric_v2(metric: JSON, of: str) -> JSON:
    prefix = of
    found: JSON = {"type": metric.get("type", "")}
    for kind in ("object", "pods", "resource", "containerResource", "external"):
        if kind not in metric:
            continue
        source = metric[kind]
        average = source.get("averageValue" if kind == "object" else f"{prefix}AverageValue")
        value = source.get(f"{prefix}Value")
        if kind == "object" and average is not None:
            value = None
        values = _without_nothing(
            {
                "value": value,
                "averageValue": average,
                "averageUtilization": source.get(f"{prefix}AverageUtilization"),
            }
        )
        if of == "target":
            values = {"type": _target_type(values), **values}
        if kind in ("resource", "containerResource"):
            extra = {"container": source.get("container")} if kind == "containerResource" else {}
            found[kind] = {"name": source.get("name", ""), **_without_nothing(extra), of: values}
            continue
        selector = source.get("metricSelector" if kind == "external" else "selector")
        identity = _without_nothing({"name": source.get("metricName", ""), "selector": selector})
        about = {"describedObject": source.get("target") or {}} if kind == "object" else {}
        found[kind] = {**about, "metric": identity, of: values}
    return found


def _target_type(values: JSON) -> str:
    if "averageUtilization" in values:
        return "Utilization"
    return "AverageValue" if "averageValue" in values else "Value"
