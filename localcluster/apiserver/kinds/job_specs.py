"""The rules of a JobSpec, in Jobs and in the templates of CronJobs."""

from __future__ import annotations

import copy

from localcluster.apiserver.errors import OMITTED, TOO_MANY, FieldError, duplicate, invalid_value, required, too_long
from localcluster.apiserver.kinds import field_rules as rules
from localcluster.apiserver.kinds import formats
from localcluster.apiserver.kinds.base import JSON
from localcluster.apiserver.kinds.job_indexes import count_indexes
from localcluster.apiserver.kinds.pod_validation import validate_pod_template

_MAX_INDEXED = 100_000
_SOFT_LIMIT = 100_000
_HIGH_COMPLETIONS_LIMIT = 10_000
_MAX_RULES = 20
_MAX_PATTERNS = 20
_MAX_EXIT_CODES = 255
_MAX_INDEXES_TEXT = 64 * 1024


def default_pod_failure_policy(spec: JSON) -> None:
    for rule in (spec.get("podFailurePolicy") or {}).get("rules") or ():
        for pattern in rule.get("onPodConditions") or ():
            if not pattern.get("status"):
                pattern["status"] = "True"


def too_many(path: str, count: int, limit: int) -> FieldError:
    return FieldError(TOO_MANY, path, None, f"{count}: must have at most {limit} items")


def validate(spec: JSON, path: str) -> list[FieldError]:
    """Errors of everything but the selector."""
    found = rules.not_negative_fields(
        spec, path, "parallelism", "completions", "activeDeadlineSeconds", "backoffLimit", "ttlSecondsAfterFinished",
        "backoffLimitPerIndex", "maxFailedIndexes",
    )  # fmt: skip
    if "maxFailedIndexes" in spec and "backoffLimitPerIndex" not in spec:
        found.append(required(f"{path}.backoffLimitPerIndex", "when maxFailedIndexes is specified"))
    managed_by = spec.get("managedBy")
    if managed_by is not None:
        found += _validate_managed_by(managed_by, f"{path}.managedBy")
    found += _validate_indexing(spec, path)
    if "podFailurePolicy" in spec:
        found += _validate_failure_policy(spec, f"{path}.podFailurePolicy")
    if "successPolicy" in spec:
        found += _validate_success_policy(spec, f"{path}.successPolicy")
    found += _validate_replacement(spec, f"{path}.podReplacementPolicy")
    found += validate_pod_template(spec["template"], f"{path}.template")
    return found + _validate_restart_policy(spec, f"{path}.template.spec.restartPolicy")


def _validate_managed_by(value: str, path: str) -> list[FieldError]:
    if not value:
        return [required(path)]
    found = formats.check(path, value, formats.domain_prefixed_path(value))
    return [*found, too_long(path, 63)] if len(value) > 63 else found


def _validate_indexing(spec: JSON, path: str) -> list[FieldError]:
    mode = spec.get("completionMode", "NonIndexed")
    found: list[FieldError] = []
    if mode not in ("NonIndexed", "Indexed"):
        return [formats.unsupported(f"{path}.completionMode", mode, "Indexed", "NonIndexed")]
    if mode == "NonIndexed":
        return [
            invalid_value(f"{path}.{name}", spec[name], "requires indexed completion mode")
            for name in ("backoffLimitPerIndex", "maxFailedIndexes")
            if name in spec
        ]
    completions, parallelism, failed = spec.get("completions"), spec.get("parallelism"), spec.get("maxFailedIndexes")
    if completions is None:
        found.append(required(f"{path}.completions", "when completion mode is Indexed"))
    if parallelism is not None and parallelism > _MAX_INDEXED:
        detail = f"must be less than or equal to {_MAX_INDEXED} when completion mode is Indexed"
        found.append(invalid_value(f"{path}.parallelism", parallelism, detail))
    if completions is not None and failed is not None and failed > completions:
        found.append(invalid_value(f"{path}.maxFailedIndexes", failed, "must be less than or equal to completions"))
    if failed is not None and failed > _MAX_INDEXED:
        found.append(invalid_value(f"{path}.maxFailedIndexes", failed, f"must be less than or equal to {_MAX_INDEXED}"))
    if completions is not None and completions > _SOFT_LIMIT and "backoffLimitPerIndex" in spec:
        found += _validate_many_indexes(parallelism, failed, path)
    return found


def _validate_many_indexes(parallelism: int | None, failed: int | None, path: str) -> list[FieldError]:
    found: list[FieldError] = []
    detail = (
        f"must be less than or equal to {_HIGH_COMPLETIONS_LIMIT} when completions are above {_SOFT_LIMIT} "
        "and used with backoff limit per index"
    )
    if failed is None:
        needed = f"must be specified when completions is above {_SOFT_LIMIT}"
        found.append(required(f"{path}.maxFailedIndexes", needed))
    if parallelism is not None and parallelism > _HIGH_COMPLETIONS_LIMIT:
        found.append(invalid_value(f"{path}.parallelism", parallelism, detail))
    if failed is not None and failed > _HIGH_COMPLETIONS_LIMIT:
        found.append(invalid_value(f"{path}.maxFailedIndexes", failed, detail))
    return found


def _validate_restart_policy(spec: JSON, path: str) -> list[FieldError]:
    policy = spec["template"]["spec"].get("restartPolicy", "")
    if policy in ("", "Always"):
        return [required(path, 'valid values: "OnFailure", "Never"')]
    if policy not in ("OnFailure", "Never"):
        return [formats.unsupported(path, policy, "OnFailure", "Never")]
    if "podFailurePolicy" in spec and policy != "Never":
        return [invalid_value(path, policy, 'only "Never" is supported when podFailurePolicy is specified')]
    return []


def _validate_replacement(spec: JSON, path: str) -> list[FieldError]:
    policy = spec.get("podReplacementPolicy")
    allowed = ("Failed",) if "podFailurePolicy" in spec else ("Failed", "TerminatingOrFailed")
    return [] if policy is None or policy in allowed else [formats.unsupported(path, policy, *allowed)]


# ---- podFailurePolicy


def _validate_failure_policy(spec: JSON, path: str) -> list[FieldError]:
    policy_rules = spec["podFailurePolicy"].get("rules") or []
    found: list[FieldError] = []
    if len(policy_rules) > _MAX_RULES:
        found.append(too_many(f"{path}.rules", len(policy_rules), _MAX_RULES))
    pod = spec["template"]["spec"]
    names = {c.get("name") for key in ("containers", "initContainers") for c in pod.get(key) or ()}
    for i, rule in enumerate(policy_rules):
        found += _validate_failure_rule(spec, rule, f"{path}.rules[{i}]", names)
    return found


_ACTIONS = ("Count", "FailIndex", "FailJob", "Ignore")


def _valid_values(*values: str) -> str:
    return "valid values: [" + " ".join(f'"{value}"' for value in values) + "]"


def _validate_failure_rule(spec: JSON, rule: JSON, path: str, names: set[str | None]) -> list[FieldError]:
    found: list[FieldError] = []
    action = rule.get("action", "")
    if not action:
        found.append(required(f"{path}.action", _valid_values(*_ACTIONS)))
    elif action == "FailIndex":
        if "backoffLimitPerIndex" not in spec:
            found.append(invalid_value(f"{path}.action", action, "requires the backoffLimitPerIndex to be set"))
    elif action not in _ACTIONS:
        found.append(formats.unsupported(f"{path}.action", action, *_ACTIONS))
    codes, conditions = rule.get("onExitCodes"), rule.get("onPodConditions")
    if codes is not None:
        found += _validate_exit_codes(codes, f"{path}.onExitCodes", names)
    if conditions:
        found += _validate_conditions(conditions, f"{path}.onPodConditions")
    if codes is not None and conditions:
        detail = "specifying both OnExitCodes and OnPodConditions is not supported"
        found.append(invalid_value(path, OMITTED, detail))
    if codes is None and not conditions:
        detail = "specifying one of OnExitCodes and OnPodConditions is required"
        found.append(invalid_value(path, OMITTED, detail))
    return found


def _validate_conditions(patterns: list[JSON], path: str) -> list[FieldError]:
    found = [too_many(path, len(patterns), _MAX_PATTERNS)] if len(patterns) > _MAX_PATTERNS else []
    statuses = ("False", "True", "Unknown")
    for i, pattern in enumerate(patterns):
        type, status = pattern.get("type", ""), pattern.get("status", "")
        found += formats.check(f"{path}[{i}].type", type, formats.qualified_name(type))
        if not status:
            found.append(required(f"{path}[{i}].status", _valid_values(*statuses)))
        elif status not in statuses:
            found.append(formats.unsupported(f"{path}[{i}].status", status, *statuses))
    return found


def _validate_exit_codes(codes: JSON, path: str, names: set[str | None]) -> list[FieldError]:
    found: list[FieldError] = []
    operator, values = codes.get("operator", ""), codes.get("values") or []
    if not operator:
        found.append(required(f"{path}.operator", _valid_values("In", "NotIn")))
    elif operator not in ("In", "NotIn"):
        found.append(formats.unsupported(f"{path}.operator", operator, "In", "NotIn"))
    if "containerName" in codes and codes["containerName"] not in names:
        detail = "must be one of the container or initContainer names in the pod template"
        found.append(invalid_value(f"{path}.containerName", codes["containerName"], detail))
    if not values:
        found.append(invalid_value(f"{path}.values", codes.get("values"), "at least one value is required"))
    elif len(values) > _MAX_EXIT_CODES:
        found.append(too_many(f"{path}.values", len(values), _MAX_EXIT_CODES))
    for i, value in enumerate(values):
        if operator == "In" and value == 0:
            found.append(invalid_value(f"{path}.values[{i}]", value, "must not be 0 for the In operator"))
        if value in values[:i]:
            found.append(duplicate(f"{path}.values[{i}]", value))
    if values != sorted(values):
        found.append(invalid_value(f"{path}.values", values, "must be ordered"))
    return found


# ---- successPolicy


def _validate_success_policy(spec: JSON, path: str) -> list[FieldError]:
    policy = spec["successPolicy"]
    policy_rules = policy.get("rules") or []
    if spec.get("completionMode") != "Indexed":
        shown = {
            "Rules": [
                {"SucceededIndexes": r.get("succeededIndexes"), "SucceededCount": r.get("succeededCount")}
                for r in policy_rules
            ]
            or None
        }
        return [invalid_value(path, shown, "requires indexed completion mode")]
    found: list[FieldError] = []
    if not policy_rules:
        detail = "at least one rules must be specified when the successPolicy is specified"
        found.append(required(f"{path}.rules", detail))
    if len(policy_rules) > _MAX_RULES:
        found.append(too_many(f"{path}.rules", len(policy_rules), _MAX_RULES))
    for i, rule in enumerate(policy_rules):
        found += _validate_success_rule(spec.get("completions") or 0, rule, f"{path}.rules[{i}]")
    return found


def _validate_success_rule(completions: int, rule: JSON, path: str) -> list[FieldError]:
    found: list[FieldError] = []
    indexes, count = rule.get("succeededIndexes"), rule.get("succeededCount")
    if count is None and indexes is None:
        detail = "at least one of succeededCount or succeededIndexes must be specified"
        found.append(required(path, detail))
    total = 0
    if indexes is not None:
        if len(indexes) > _MAX_INDEXES_TEXT:
            found.append(too_long(f"{path}.succeededIndexes", _MAX_INDEXES_TEXT))
        try:
            total = count_indexes(indexes, completions)
        except ValueError as error:
            detail = f"error parsing succeededIndexes: {error}"
            found.append(invalid_value(f"{path}.succeededIndexes", indexes, detail))
    if count is not None:
        found += formats.not_negative(f"{path}.succeededCount", count)
        detail = "must be less than or equal to {} (the number of {})"
        if count > completions:
            text = detail.format(completions, "specified completions")
            found.append(invalid_value(f"{path}.succeededCount", count, text))
        if indexes is not None and count > total:
            text = detail.format(total, "indexes in the specified succeededIndexes field")
            found.append(invalid_value(f"{path}.succeededCount", count, text))
    return found


# ---- updates


def validate_template_update(spec: JSON, before: JSON, old: JSON) -> list[FieldError]:
    """The template of a Job cannot change, but for where its pods may run while it is suspended and not started."""
    template, former = spec["template"], before["template"]
    if before.get("suspend") and not (old.get("status") or {}).get("startTime"):
        former = copy.deepcopy(former)
        for part, names in (
            ("metadata", ("labels", "annotations")),
            ("spec", ("nodeSelector", "tolerations", "schedulingGates")),
        ):
            for name in names:
                former[part].pop(name, None)
                if name in template[part]:
                    former[part][name] = template[part][name]
        _take_node_affinity(former["spec"], template["spec"])
    return rules.immutable("spec.template", template, former)


def _take_node_affinity(former: JSON, now: JSON) -> None:
    affinity = {k: v for k, v in (former.get("affinity") or {}).items() if k != "nodeAffinity"}
    if "nodeAffinity" in (now.get("affinity") or {}):
        affinity["nodeAffinity"] = now["affinity"]["nodeAffinity"]
    former.pop("affinity", None)
    if affinity or now.get("affinity") == {}:
        former["affinity"] = affinity
