"""The rules of a Job's status: which conditions go together, and which values never go back."""

from __future__ import annotations

from localcluster.apiserver.errors import OMITTED, FieldError, duplicate, invalid_value, required
from localcluster.apiserver.kinds import field_rules as rules
from localcluster.apiserver.kinds.base import JSON
from localcluster.apiserver.kinds.job_indexes import count_indexes, intervals


def _is_true(status: JSON, type: str) -> bool:
    return any(c.get("type") == type and c.get("status") == "True" for c in status.get("conditions") or ())


def _conditions(detail: str) -> FieldError:
    return invalid_value("status.conditions", OMITTED, detail)


def validate_job_status(job: JSON, old_job: JSON) -> list[FieldError]:
    """Errors of a write to ``/status``. Most rules hold for what the write changes only."""
    new, old = job["status"], old_job.get("status") or {}
    found = rules.not_negative_fields(new, "status", "active", "succeeded", "failed", "ready", "terminating")
    found += _validate_uncounted(new)
    found += _validate_conditions(new, old)
    found += _validate_times(job, new, old)
    found += _validate_finished(new, old)
    found += _validate_indexes(job["spec"], new, old)
    found += _validate_policies(job["spec"], new)
    return found + _validate_change(job, new, old)


def _validate_uncounted(status: JSON) -> list[FieldError]:
    found: list[FieldError] = []
    seen: set[str] = set()
    for list_name in ("succeeded", "failed"):
        for i, uid in enumerate((status.get("uncountedTerminatedPods") or {}).get(list_name) or ()):
            path = f"status.uncountedTerminatedPods.{list_name}[{i}]"
            if not uid:
                found.append(invalid_value(path, uid, "must not be empty"))
            elif uid in seen:
                found.append(duplicate(path, uid))
            seen.add(uid)
    return found


def _became(new: JSON, old: JSON, type: str) -> bool:
    return _is_true(new, type) and not _is_true(old, type)


def _validate_conditions(new: JSON, old: JSON) -> list[FieldError]:
    found: list[FieldError] = []
    complete = _is_true(new, "Complete")
    if complete and _is_true(new, "Failed") and (_became(new, old, "Complete") or _became(new, old, "Failed")):
        found.append(_conditions("cannot set Complete=True and Failed=true conditions"))
    if _became(new, old, "Complete") and _is_true(new, "FailureTarget"):
        found.append(_conditions("cannot set Complete=True and FailureTarget=true conditions"))
    return found


def _validate_times(job: JSON, new: JSON, old: JSON) -> list[FieldError]:
    found: list[FieldError] = []
    path, ended = "status.completionTime", new.get("completionTime")
    complete = _is_true(new, "Complete")
    changed = ended != old.get("completionTime") or complete != _is_true(old, "Complete")
    if ended and not complete and changed:
        detail = "cannot set completionTime when there is no Complete=True condition"
        found.append(invalid_value(path, ended, detail))
    if complete and not ended and changed:
        found.append(required(path, "completionTime is required for Complete jobs"))
    if ended and changed and new.get("startTime") and ended < new["startTime"]:
        found.append(invalid_value(path, ended, "completionTime cannot be set before startTime"))
    return found


def _validate_finished(new: JSON, old: JSON) -> list[FieldError]:
    found: list[FieldError] = []
    if _became(new, old, "Failed") and not _is_true(new, "FailureTarget"):
        found.append(_conditions("cannot set Failed=True condition without the FailureTarget=true condition"))
    if _became(new, old, "Complete") and not _is_true(new, "SuccessCriteriaMet"):
        found.append(_conditions("cannot set Complete=True condition without the SuccessCriteriaMet=true condition"))
    if not (_became(new, old, "Complete") or _became(new, old, "Failed")):
        return found
    if new.get("active", 0) > 0:
        found.append(invalid_value("status.active", new["active"], "active>0 is invalid for finished job"))
    if not new.get("startTime"):
        found.append(required("status.startTime", "startTime is required for finished job"))
    uncounted = new.get("uncountedTerminatedPods") or {}
    if uncounted.get("succeeded") or uncounted.get("failed"):
        shown = {"Succeeded": uncounted.get("succeeded"), "Failed": uncounted.get("failed")}
        detail = "uncountedTerminatedPods needs to be empty for finished job"
        found.append(invalid_value("status.uncountedTerminatedPods", shown, detail))
    return found


def _validate_indexes(spec: JSON, new: JSON, old: JSON) -> list[FieldError]:
    found: list[FieldError] = []
    completions = spec.get("completions")
    completed, failed = new.get("completedIndexes", ""), new.get("failedIndexes")
    for name, text in (("completedIndexes", completed), ("failedIndexes", failed)):
        if completions is None or not text or text == old.get(name):
            continue
        try:
            count_indexes(text, completions)
        except ValueError as error:
            found.append(invalid_value(f"status.{name}", text, f"error parsing {name}: {error}"))
    if completed and spec.get("completionMode") != "Indexed" and completed != old.get("completedIndexes"):
        detail = "cannot set non-empty completedIndexes when non-indexed completion mode"
        found.append(invalid_value("status.completedIndexes", completed, detail))
    if failed is not None and "backoffLimitPerIndex" not in spec and failed != old.get("failedIndexes"):
        detail = "cannot set non-null failedIndexes when backoffLimitPerIndex is null"
        found.append(invalid_value("status.failedIndexes", failed, detail))
    if not found and completions is not None and failed and completed:
        overlap = _overlap(completed, failed, completions)
        if overlap is not None:
            detail = f"failedIndexes and completedIndexes overlap at index: {overlap}"
            found.append(invalid_value("status.failedIndexes", failed, detail))
    if new.get("terminating", 0) > 0 and (_became(new, old, "Complete") or _became(new, old, "Failed")):
        detail = "terminating>0 is invalid for finished job"
        found.append(invalid_value("status.terminating", new["terminating"], detail))
    if new.get("ready", 0) > new.get("active", 0) and new.get("ready") != old.get("ready"):
        found.append(invalid_value("status.ready", new["ready"], "cannot set more ready pods than active"))
    return found


def _overlap(one: str, other: str, completions: int) -> int | None:
    try:
        pairs = [(a, b) for a in intervals(one, completions) for b in intervals(other, completions)]
    except ValueError:
        return None
    return next((max(a[0], b[0]) for a, b in pairs if a[0] <= b[1] and b[0] <= a[1]), None)


def _validate_policies(spec: JSON, new: JSON) -> list[FieldError]:
    found: list[FieldError] = []
    if _is_true(new, "SuccessCriteriaMet"):
        if _is_true(new, "Failed"):
            found.append(_conditions("cannot set SuccessCriteriaMet=True and Failed=true conditions"))
        if _is_true(new, "FailureTarget"):
            found.append(_conditions("cannot set SuccessCriteriaMet=True and FailureTarget=true conditions"))
    elif "successPolicy" in spec and _is_true(new, "Complete"):
        detail = "cannot set Complete=True for Job with SuccessPolicy unless SuccessCriteriaMet=True"
        found.append(_conditions(detail))
    return found


def _validate_change(job: JSON, new: JSON, old: JSON) -> list[FieldError]:
    found: list[FieldError] = []
    for type in ("Failed", "Complete", "FailureTarget"):
        if _is_true(old, type) and not _is_true(new, type):
            found.append(_conditions(f"cannot disable the terminal {type}=True condition"))
    for name in ("failed", "succeeded"):
        # An elastic Indexed Job may lose completions together with its indexes.
        elastic = name == "succeeded" and job["spec"].get("completionMode") == "Indexed"
        if new.get(name, 0) < old.get(name, 0) and not elastic:
            found.append(invalid_value(f"status.{name}", new.get(name, 0), f"cannot decrease the {name} counter"))
    ended, former = new.get("completionTime"), old.get("completionTime")
    if ended and former and ended != former:
        found.append(invalid_value("status.completionTime", ended, "completionTime cannot be mutated"))
    started = old.get("startTime")
    if started and new.get("startTime") != started and not job["spec"].get("suspend"):
        found.append(required("status.startTime", "startTime cannot be removed for unsuspended job"))
    if _is_true(old, "SuccessCriteriaMet") and not _is_true(new, "SuccessCriteriaMet"):
        found.append(_conditions("cannot disable the SuccessCriteriaMet=True condition"))
    if _is_true(old, "Complete") and _became(new, old, "SuccessCriteriaMet"):
        detail = "cannot set SuccessCriteriaMet=True for Job already has Complete=true conditions"
        found.append(_conditions(detail))
    return found
