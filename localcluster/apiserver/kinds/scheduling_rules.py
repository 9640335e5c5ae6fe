"""Validation of what says where a pod may run: affinity, node selectors, tolerations, topology spread."""

from __future__ import annotations

from typing import Any

from localcluster.apiserver.errors import (
    DUPLICATE,
    FieldError,
    duplicate,
    forbidden_field,
    invalid_value,
    required,
)
from localcluster.apiserver.kinds import formats
from localcluster.apiserver.kinds.formats import check, unsupported
from localcluster.apiserver.kinds.metadata import validate_label_selector

JSON = dict[str, Any]

_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
_PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"
_WEIGHT = "must be in the range 1-100"
_NO_OPERATOR = "not a valid selector operator"
_ABOVE_ZERO = "must be greater than zero"
_WITHOUT_SELECTOR = "must not be specified when labelSelector is not set"
_TAINT_EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")


# ---- affinity


def validate_affinity(affinity: JSON | None, path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    affinity = affinity or {}
    if (node := affinity.get("nodeAffinity")) is not None:
        here = f"{path}.nodeAffinity"
        if node.get(_REQUIRED) is not None:
            errors += validate_node_selector(node[_REQUIRED], f"{here}.{_REQUIRED}")
        for i, term in enumerate(node.get(_PREFERRED) or ()):
            errors += _weight(term, f"{here}.{_PREFERRED}[{i}]")
            errors += _node_selector_term(term.get("preference") or {}, f"{here}.{_PREFERRED}[{i}].preference")
    for kind in ("podAffinity", "podAntiAffinity"):
        pod, here = affinity.get(kind) or {}, f"{path}.{kind}"
        for i, term in enumerate(pod.get(_REQUIRED) or ()):
            errors += _pod_term(term, f"{here}.{_REQUIRED}[{i}]")
        for i, term in enumerate(pod.get(_PREFERRED) or ()):
            errors += _weight(term, f"{here}.{_PREFERRED}[{i}]")
            errors += _pod_term(term.get("podAffinityTerm") or {}, f"{here}.{_PREFERRED}[{i}].podAffinityTerm")
    return errors


def _weight(term: JSON, path: str) -> list[FieldError]:
    weight = term.get("weight", 0)
    return [] if 1 <= weight <= 100 else [invalid_value(f"{path}.weight", weight, _WEIGHT)]


def validate_node_selector(selector: JSON, path: str) -> list[FieldError]:
    """Errors of a NodeSelector (of nodes for a pod or for a volume)."""
    terms = selector.get("nodeSelectorTerms") or []
    if not terms:
        return [required(f"{path}.nodeSelectorTerms", "must have at least one node selector term")]
    errors: list[FieldError] = []
    for i, term in enumerate(terms):
        errors += _node_selector_term(term, f"{path}.nodeSelectorTerms[{i}]")
    return errors


def _node_selector_term(term: JSON, path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    for i, requirement in enumerate(term.get("matchExpressions") or ()):
        errors += _node_requirement(requirement, f"{path}.matchExpressions[{i}]")
    for i, requirement in enumerate(term.get("matchFields") or ()):
        errors += _node_field_requirement(requirement, f"{path}.matchFields[{i}]")
    return errors


def _node_requirement(requirement: JSON, path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    operator, values, key = requirement.get("operator", ""), requirement.get("values") or [], requirement.get("key", "")
    match operator:
        case "In" | "NotIn":
            if not values:
                errors.append(required(f"{path}.values", "must be specified when `operator` is 'In' or 'NotIn'"))
        case "Exists" | "DoesNotExist":
            if values:
                detail = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"
                errors.append(forbidden_field(f"{path}.values", detail))
        case "Gt" | "Lt":
            if len(values) != 1:
                detail = "must be specified single value when `operator` is 'Lt' or 'Gt'"
                errors.append(required(f"{path}.values", detail))
        case _:
            errors.append(invalid_value(f"{path}.operator", operator, _NO_OPERATOR))
    errors += check(f"{path}.key", key, formats.qualified_name(key))
    for i, value in enumerate(values):
        errors += check(f"{path}.values[{i}]", value, formats.label_value(value))
    return errors


def _node_field_requirement(requirement: JSON, path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    operator, values, key = requirement.get("operator", ""), requirement.get("values") or [], requirement.get("key", "")
    if operator not in ("In", "NotIn"):
        errors.append(invalid_value(f"{path}.operator", operator, _NO_OPERATOR))
    elif len(values) != 1:
        detail = "must be only one value when `operator` is 'In' or 'NotIn' for node field selector"
        errors.append(required(f"{path}.values", detail))
    if key != "metadata.name":
        return [*errors, invalid_value(f"{path}.key", key, "not a valid field selector key")]
    for i, value in enumerate(values):
        errors += check(f"{path}.values[{i}]", value, formats.dns1123_subdomain(value))
    return errors


def _pod_term(term: JSON, path: str) -> list[FieldError]:
    selector = term.get("labelSelector")
    errors = validate_label_selector(selector, f"{path}.labelSelector")
    errors += validate_label_selector(term.get("namespaceSelector"), f"{path}.namespaceSelector")
    for name in term.get("namespaces") or ():
        errors += check(f"{path}.namespace", name, formats.dns1123_label(name))
    wanted, unwanted = term.get("matchLabelKeys") or [], term.get("mismatchLabelKeys") or []
    for field, keys in (("matchLabelKeys", wanted), ("mismatchLabelKeys", unwanted)):
        if keys and selector is None:
            errors.append(forbidden_field(f"{path}.{field}", _WITHOUT_SELECTOR))
        elif keys:
            for i, key in enumerate(keys):
                errors += check(f"{path}.{field}[{i}]", key, formats.qualified_name(key))
    seen = set((selector or {}).get("matchLabels") or {})
    for expression in (selector or {}).get("matchExpressions") or ():
        key = expression.get("key", "")
        if key in wanted and key in seen:
            detail = "exists in both matchLabelKeys and labelSelector"
            errors.append(invalid_value(f"{path}[{wanted.index(key)}]", key, detail))
        seen.add(key)
    for i, key in enumerate(wanted):
        if key in unwanted:
            detail = "exists in both matchLabelKeys and mismatchLabelKeys"
            errors.append(invalid_value(f"{path}.matchLabelKeys[{i}]", key, detail))
    topology = term.get("topologyKey", "")
    if not topology:
        errors.append(required(f"{path}.topologyKey", "can not be empty"))
    return errors + check(f"{path}.topologyKey", topology, formats.qualified_name(topology))


# ---- tolerations and taints


def validate_tolerations(tolerations: list[JSON] | None, path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    for i, toleration in enumerate(tolerations or ()):
        errors += _toleration(toleration, f"{path}[{i}]")
    return errors


def _toleration(toleration: JSON, path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    key, operator = toleration.get("key", ""), toleration.get("operator", "")
    value, effect = toleration.get("value", ""), toleration.get("effect", "")
    if key:
        errors += check(f"{path}.key", key, formats.qualified_name(key))
    elif operator != "Exists":
        detail = 'operator must be Exists when `key` is empty, which means "match all values and all keys"'
        errors.append(invalid_value(f"{path}.operator", operator, detail))
    seconds = toleration.get("tolerationSeconds")
    if seconds is not None and effect != "NoExecute":
        detail = "effect must be 'NoExecute' when `tolerationSeconds` is set"
        errors.append(invalid_value(f"{path}.effect", effect, detail))
    if operator in ("Equal", ""):
        if messages := formats.label_value(value):
            errors.append(invalid_value(f"{path}.operator", value, ";".join(messages)))
    elif operator == "Exists":
        if value:
            shown = {"Key": key, "Operator": operator, "Value": value, "Effect": effect, "TolerationSeconds": seconds}
            errors.append(invalid_value(f"{path}.operator", shown, "value must be empty when `operator` is 'Exists'"))
    else:
        errors.append(unsupported(f"{path}.operator", operator, "Equal", "Exists"))
    if effect:
        errors += _effect(effect, f"{path}.effect")
    return errors


def _effect(effect: str, path: str) -> list[FieldError]:
    return [] if effect in _TAINT_EFFECTS else [unsupported(path, effect, *_TAINT_EFFECTS)]


def validate_taints(taints: list[JSON] | None, path: str) -> list[FieldError]:
    """Errors of the taints of a node."""
    errors: list[FieldError] = []
    seen: set[tuple[str, str]] = set()
    for i, taint in enumerate(taints or ()):
        here = f"{path}[{i}]"
        key, value, effect = taint.get("key", ""), taint.get("value", ""), taint.get("effect", "")
        errors += check(f"{here}.key", key, formats.qualified_name(key))
        if messages := formats.label_value(value):
            errors.append(invalid_value(f"{here}.value", value, ";".join(messages)))
        errors += _effect(effect, f"{here}.effect") if effect else [required(f"{here}.effect")]
        if (key, effect) in seen:
            shown = {"Key": key, "Value": value, "Effect": effect, "TimeAdded": taint.get("timeAdded")}
            errors.append(FieldError(DUPLICATE, here, shown, "taints must be unique by key and effect pair"))
        seen.add((key, effect))
    return errors


def validate_only_added_tolerations(new: list[JSON] | None, old: list[JSON] | None, path: str) -> list[FieldError]:
    """A pod's tolerations may get more, and their seconds may change."""

    def essence(toleration: JSON) -> JSON:
        return {k: v for k, v in toleration.items() if k != "tolerationSeconds"}

    kept = [essence(t) for t in new or ()]
    if any(essence(t) not in kept for t in old or ()):
        return [forbidden_field(path, "existing toleration can not be modified except its tolerationSeconds")]
    return validate_tolerations(new, path)


# ---- spread over topologies


def validate_topology_spread(constraints: list[JSON] | None, path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    constraints = constraints or []
    for i, constraint in enumerate(constraints):
        errors += _spread(constraint, constraints[i + 1 :], f"{path}[{i}]")
    return errors


def _spread(constraint: JSON, others: list[JSON], path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    skew, key, action = (
        constraint.get("maxSkew", 0), constraint.get("topologyKey", ""), constraint.get("whenUnsatisfiable", ""),
    )  # fmt: skip
    if skew <= 0:
        errors.append(invalid_value(f"{path}.maxSkew", skew, _ABOVE_ZERO))
    if not key:
        errors.append(required(f"{path}.topologyKey", "can not be empty"))
    if action not in ("DoNotSchedule", "ScheduleAnyway"):
        errors.append(unsupported(f"{path}.whenUnsatisfiable", action, "DoNotSchedule", "ScheduleAnyway"))
    if any((o.get("topologyKey", ""), o.get("whenUnsatisfiable", "")) == (key, action) for o in others):
        errors.append(duplicate(f"{path}.{{topologyKey, whenUnsatisfiable}}", f"{{{key}, {action}}}"))
    domains = constraint.get("minDomains")
    if domains is not None and domains <= 0:
        errors.append(invalid_value(f"{path}.minDomains", domains, _ABOVE_ZERO))
    if domains is not None and action != "DoNotSchedule":
        detail = f"can only use minDomains if whenUnsatisfiable=DoNotSchedule, not {action}"
        errors.append(invalid_value(f"{path}.minDomains", domains, detail))
    for name in ("nodeAffinityPolicy", "nodeTaintsPolicy"):
        policy = constraint.get(name)
        if policy is not None and policy not in ("Honor", "Ignore"):
            errors.append(unsupported(f"{path}.{name}", policy, "Honor", "Ignore"))
    selector = constraint.get("labelSelector")
    keys = constraint.get("matchLabelKeys") or []
    if keys and selector is None:
        errors.append(forbidden_field(f"{path}.matchLabelKeys", _WITHOUT_SELECTOR))
    for i, name in enumerate(keys):
        errors += check(f"{path}.matchLabelKeys[{i}]", name, formats.qualified_name(name))
    return errors + validate_label_selector(selector, f"{path}.labelSelector")
