"""Jobs and CronJobs: defaults, generated selectors and labels, rules, and what may change."""

from __future__ import annotations

import copy
from collections.abc import Callable

from localcluster.apiserver.errors import FieldError, invalid_value, required
from localcluster.apiserver.kinds import (
    cron_schedules,
    formats,
    job_specs,
    label_selectors,
    metadata,
    pod_defaults,
    pod_warnings,
)
from localcluster.apiserver.kinds import field_rules as rules
from localcluster.apiserver.kinds.base import JSON, Context, Kind
from localcluster.apiserver.kinds.job_status import validate_job_status
from localcluster.apiserver.kinds.with_status import KindWithStatus, template_of

CONTROLLER_UID = "batch.kubernetes.io/controller-uid"
JOB_NAME = "batch.kubernetes.io/job-name"
_OLD_CONTROLLER_UID = "controller-uid"
_OLD_JOB_NAME = "job-name"
MAX_CRON_JOB_NAME = 52
"""A CronJob's Jobs have a suffix of eleven characters, and names of Jobs end up in labels of at most 63."""


def _own_labels(job: JSON) -> dict[str, str]:
    """The labels by which the pods of a Job are told from others'."""
    uid, name = job["metadata"]["uid"], job["metadata"]["name"]
    return {_OLD_CONTROLLER_UID: uid, _OLD_JOB_NAME: name, CONTROLLER_UID: uid, JOB_NAME: name}


def _warnings(new: JSON, old: JSON | None, template: Callable[[JSON], JSON], path: str) -> list[str]:
    found = rules.pod_name_warnings(new) if old is None else []
    if old is None or template(old) != template(new):
        found += pod_warnings.template_warnings(template(new), path)
    return found


class Job(KindWithStatus):
    counts_generations = True
    # The answer of batch/v1 since its first version: pods stay unless the client says otherwise.
    default_propagation = "Orphan"
    omitted_of_status = ("active", "succeeded", "failed", "conditions", "completedIndexes")

    def default(self, obj: JSON) -> None:
        super().default(obj)
        spec = obj["spec"]
        pod_defaults.default_pod_template(template_of(spec))
        if "completions" not in spec and "parallelism" not in spec:
            spec["completions"] = 1
        spec.setdefault("parallelism", 1)
        spec.setdefault("backoffLimit", rules.MAX_INT32 if "backoffLimitPerIndex" in spec else 6)
        spec.setdefault("completionMode", "NonIndexed")
        spec.setdefault("suspend", False)
        spec.setdefault("manualSelector", False)
        job_specs.default_pod_failure_policy(spec)
        spec.setdefault("podReplacementPolicy", "Failed" if "podFailurePolicy" in spec else "TerminatingOrFailed")
        self._default_labels(obj)

    @staticmethod
    def _default_labels(obj: JSON) -> None:
        labels = obj["spec"]["template"]["metadata"].get("labels")
        if labels and not obj["metadata"].get("labels"):
            obj["metadata"]["labels"] = dict(labels)

    def prepare_create(self, new: JSON, context: Context) -> None:
        super().prepare_create(new, context)
        spec = new["spec"]
        if spec.get("manualSelector"):
            return
        meta = spec["template"]["metadata"]
        meta["labels"] = {**(meta.get("labels") or {}), **self._missing_labels(meta.get("labels") or {}, new)}
        selector = copy.deepcopy(spec.get("selector") or {})
        selector.setdefault("matchLabels", {}).setdefault(CONTROLLER_UID, new["metadata"]["uid"])
        spec["selector"] = selector
        self._default_labels(new)

    @staticmethod
    def _missing_labels(labels: JSON, job: JSON) -> JSON:
        # What the user set stays, for validation to refuse it.
        return {key: value for key, value in _own_labels(job).items() if key not in labels}

    def validate_create(self, new: JSON, context: Context) -> list[FieldError]:
        found = self._validate_generated_selector(new) + self._validate_spec(new["spec"])
        spec, name = new["spec"], new["metadata"].get("name", "")
        completions = spec.get("completions")
        if spec.get("completionMode") == "Indexed" and completions:
            last = f"{name}-{completions - 1}"
            if formats.dns1123_label(last):
                detail = f"will not able to create pod with invalid DNS label: {last}"
                found.append(invalid_value("metadata.name", name, detail))
        return found

    @staticmethod
    def _validate_generated_selector(job: JSON) -> list[FieldError]:
        spec = job["spec"]
        if spec.get("manualSelector") or spec.get("selector") is None:
            return []
        found: list[FieldError] = []
        expected = _own_labels(job)
        labels = spec["template"]["metadata"].get("labels") or {}
        path = "spec.template.metadata.labels"
        for key, value in expected.items():
            if key not in labels:
                found.append(required(f"{path}[{key}]", f"must be '{value}'"))
            elif labels[key] != value:
                found.append(invalid_value(f"{path}[{key}]", labels[key], f"must be '{value}'"))
        selector = spec["selector"]
        if label_selectors.is_usable(selector) and not label_selectors.matches(selector, expected):
            shown = label_selectors.quoted(selector)
            found.append(invalid_value("spec.selector", shown, "`selector` not auto-generated"))
        return found

    @staticmethod
    def _validate_spec(spec: JSON) -> list[FieldError]:
        found = job_specs.validate(spec, "spec")
        selector, labels = spec.get("selector"), spec["template"]["metadata"].get("labels")
        if selector is None:
            found.append(required("spec.selector"))
        else:
            found += metadata.validate_label_selector(selector, "spec.selector")
        if label_selectors.is_usable(selector) and not label_selectors.matches(selector, labels):
            shown = label_selectors.quoted_labels(labels)
            found.append(invalid_value("spec.template.metadata.labels", shown, label_selectors.NO_MATCH))
        return found

    def validate_update(self, new: JSON, old: JSON, context: Context) -> list[FieldError]:
        spec, before = new["spec"], old["spec"]
        found = self._validate_spec(spec)
        found += self._validate_completions(spec, before)
        selector = spec.get("selector")
        found += rules.immutable(
            "spec.selector", selector, before.get("selector"), label_selectors.quoted(selector)
        )  # fmt: skip
        found += job_specs.validate_template_update(spec, before, old)
        for name in ("completionMode", "podFailurePolicy", "backoffLimitPerIndex", "managedBy", "successPolicy"):
            found += rules.immutable(f"spec.{name}", spec.get(name), before.get(name))
        return found

    @staticmethod
    def _validate_completions(spec: JSON, before: JSON) -> list[FieldError]:
        completions = spec.get("completions")
        if spec.get("completionMode") != "Indexed":
            return rules.immutable("spec.completions", completions, before.get("completions"))
        if completions in (None, before.get("completions"), spec.get("parallelism")):
            return []
        detail = "can only be modified in tandem with spec.parallelism"
        return [invalid_value("spec.completions", completions, detail)]

    def validate_status(self, new: JSON, old: JSON, context: Context) -> list[FieldError]:
        return validate_job_status(new, old)

    def warnings(self, new: JSON, old: JSON | None) -> list[str]:
        return _warnings(new, old, lambda obj: obj["spec"]["template"], "spec.template")

    def selectable_fields(self, obj: JSON) -> dict[str, str]:
        return {"status.successful": str((obj.get("status") or {}).get("succeeded", 0))}


class CronJob(KindWithStatus):
    counts_generations = True
    omitted_of_status = ("active",)

    def default(self, obj: JSON) -> None:
        super().default(obj)
        spec = obj["spec"]
        if not spec.get("concurrencyPolicy"):
            spec["concurrencyPolicy"] = "Allow"
        spec.setdefault("suspend", False)
        spec.setdefault("successfulJobsHistoryLimit", 3)
        spec.setdefault("failedJobsHistoryLimit", 1)
        job = template_of({"template": spec.setdefault("jobTemplate", {})})
        spec["jobTemplate"] = job
        pod_defaults.default_pod_template(template_of(job["spec"]))
        job_specs.default_pod_failure_policy(job["spec"])

    def validate_create(self, new: JSON, context: Context) -> list[FieldError]:
        found = self._validate_spec(new["spec"], None)
        name = new["metadata"].get("name", "")
        if len(name) > MAX_CRON_JOB_NAME:
            found.append(invalid_value("metadata.name", name, f"must be no more than {MAX_CRON_JOB_NAME} characters"))
        return found

    def validate_update(self, new: JSON, old: JSON, context: Context) -> list[FieldError]:
        return self._validate_spec(new["spec"], old["spec"])

    def _validate_spec(self, spec: JSON, before: JSON | None) -> list[FieldError]:
        schedule = spec.get("schedule", "")
        if not schedule:
            found = [required("spec.schedule")]
        else:
            found = self._validate_schedule(spec, before)
        found += formats.not_negative("spec.startingDeadlineSeconds", spec.get("startingDeadlineSeconds"))
        if before is None or before.get("timeZone") != spec.get("timeZone"):
            found += self._validate_time_zone(spec.get("timeZone"))
        policies = ("Allow", "Forbid", "Replace")
        if spec["concurrencyPolicy"] not in policies:
            found.append(formats.unsupported("spec.concurrencyPolicy", spec["concurrencyPolicy"], *policies))
        found += self._validate_job_template(spec["jobTemplate"]["spec"])
        return found + rules.not_negative_fields(spec, "spec", "successfulJobsHistoryLimit", "failedJobsHistoryLimit")

    @staticmethod
    def _validate_schedule(spec: JSON, before: JSON | None) -> list[FieldError]:
        path, schedule = "spec.schedule", spec["schedule"]
        problem = cron_schedules.problem(schedule)
        found = [invalid_value(path, schedule, problem)] if problem else []
        if "TZ" in schedule:
            if before is None or "TZ" not in before.get("schedule", ""):
                detail = "cannot use TZ or CRON_TZ in schedule, use timeZone field instead"
                found.append(invalid_value(path, schedule, detail))
            elif "timeZone" in spec:
                detail = "cannot use both timeZone field and TZ or CRON_TZ in schedule"
                found.append(invalid_value(path, schedule, detail))
        return found

    @staticmethod
    def _validate_time_zone(zone: str | None) -> list[FieldError]:
        path = "spec.timeZone"
        if zone is None:
            return []
        if not zone:
            return [invalid_value(path, zone, "timeZone must be nil or non-empty string")]
        if zone.lower() == "local":
            detail = "timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones"
            return [invalid_value(path, zone, detail)]
        return [] if cron_schedules.is_time_zone(zone) else [invalid_value(path, zone, f"unknown time zone {zone}")]

    @staticmethod
    def _validate_job_template(spec: JSON) -> list[FieldError]:
        path = "spec.jobTemplate.spec"
        found = job_specs.validate(spec, path)
        if spec.get("selector") is not None:
            shown = label_selectors.quoted(spec["selector"])
            found.append(invalid_value(f"{path}.selector", shown, "`selector` will be auto-generated"))
        if spec.get("manualSelector"):
            found.append(formats.unsupported(f"{path}.manualSelector", True, "nil", "false"))
        return found

    def warnings(self, new: JSON, old: JSON | None) -> list[str]:
        path = "spec.jobTemplate.spec.template"
        return _warnings(new, old, lambda obj: obj["spec"]["jobTemplate"]["spec"]["template"], path)


KINDS: dict[str, type[Kind]] = {"CronJob": CronJob, "Job": Job}
