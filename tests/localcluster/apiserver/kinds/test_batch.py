"""Jobs and CronJobs."""

import copy
from typing import Any

import pytest

from tests.localcluster.apiserver.kinds.written import Written

JOB, CRON_JOB = Written("batch", "Job"), Written("batch", "CronJob")
UID, NAME = "batch.kubernetes.io/controller-uid", "batch.kubernetes.io/job-name"


def template(**pod: Any) -> dict[str, Any]:
    spec = {"restartPolicy": "Never", "containers": [{"name": "c", "image": "i"}], **pod}
    return {"metadata": {"labels": {"a": "b"}}, "spec": spec}


def job(**spec: Any) -> dict[str, Any]:
    return {"spec": {"template": template(), **spec}}


def cron(**spec: Any) -> dict[str, Any]:
    return {"spec": {"schedule": "@daily", "jobTemplate": job(), **spec}}


def test_selector_and_labels_come_from_the_uid() -> None:
    created = JOB.created(job())
    labels = {"a": "b", "controller-uid": "u", "job-name": "x", UID: "u", NAME: "x"}
    assert created["spec"]["selector"] == {"matchLabels": {UID: "u"}}
    assert created["spec"]["template"]["metadata"]["labels"] == labels
    assert created["metadata"]["labels"] == {"a": "b"}
    assert JOB.create_errors(job()) == []


def test_a_selector_of_ones_own_needs_to_be_asked_for() -> None:
    own = {"selector": {"matchLabels": {"a": "b"}}}
    assert JOB.create_errors(job(**own, manualSelector=True)) == []
    [error] = JOB.create_errors(job(**own))
    assert error.endswith("`selector` not auto-generated")


def test_generated_labels_cannot_be_taken() -> None:
    obj = job()
    obj["spec"]["template"]["metadata"]["labels"][NAME] = "other"
    assert f"spec.template.metadata.labels[{NAME}]: Invalid value: \"other\": must be 'x'" in JOB.create_errors(obj)


@pytest.mark.parametrize(
    ("given", "completions", "parallelism", "limit"),
    [({}, 1, 1, 6), ({"parallelism": 3}, None, 3, 6), ({"completions": 3}, 3, 1, 6),
     ({"backoffLimitPerIndex": 1}, 1, 1, 2**31 - 1)],
)  # fmt: skip
def test_counts(given: dict[str, int], completions: int | None, parallelism: int, limit: int) -> None:
    spec = JOB.created(job(**given))["spec"]
    assert (spec.get("completions"), spec["parallelism"], spec["backoffLimit"]) == (completions, parallelism, limit)


INDEXED = {"completionMode": "Indexed", "completions": 3}


@pytest.mark.parametrize(
    ("spec", "errors"),
    [
        (
            {"completionMode": "Indexed", "parallelism": 2},
            ["completions: Required value: when completion mode is Indexed"],
        ),
        ({"backoffLimitPerIndex": 1}, ["backoffLimitPerIndex: Invalid value: 1: requires indexed completion mode"]),
        (
            INDEXED | {"maxFailedIndexes": 1},
            ["backoffLimitPerIndex: Required value: when maxFailedIndexes is specified"],
        ),
        (
            INDEXED | {"successPolicy": {"rules": [{"succeededIndexes": "0-9"}]}},
            ['successPolicy.rules[0].succeededIndexes: Invalid value: "0-9": error parsing succeededIndexes: '
             'too large index: "9"'],
        ),
        (INDEXED | {"successPolicy": {"rules": [{"succeededIndexes": "0,2", "succeededCount": 2}]}}, []),
        (
            {"podFailurePolicy": {"rules": [{"action": "Odd"}]}},
            [
                'podFailurePolicy.rules[0].action: Unsupported value: "Odd": '
                'supported values: "Count", "FailIndex", "FailJob", "Ignore"',
                "podFailurePolicy.rules[0]: Invalid value: "
                "specifying one of OnExitCodes and OnPodConditions is required",
            ],
        ),
        (
            {"podFailurePolicy": {"rules": [{"action": "Count", "onExitCodes": {"operator": "In", "values": [2, 0]}}]}},
            [
                "podFailurePolicy.rules[0].onExitCodes.values[1]: Invalid value: 0: must not be 0 for the In operator",
                "podFailurePolicy.rules[0].onExitCodes.values: Invalid value: [2,0]: must be ordered",
            ],
        ),
        ({"podReplacementPolicy": "X"}, ['podReplacementPolicy: Unsupported value: "X": supported values: "Failed", '
                                         '"TerminatingOrFailed"']),
    ],
)  # fmt: skip
def test_rules_of_jobs(spec: dict[str, Any], errors: list[str]) -> None:
    assert JOB.create_errors(job(**spec)) == [f"spec.{error}" for error in errors]


def changed(**spec: Any) -> list[str]:
    before = job(suspend=True)
    old = JOB.created(before)
    after = {"spec": {**copy.deepcopy(old["spec"]), **spec}}
    return JOB.update_errors(before, after)


def test_what_may_change_of_a_job() -> None:
    assert changed(parallelism=5, suspend=False, backoffLimit=2, activeDeadlineSeconds=3) == []
    assert changed(completions=4) == ["spec.completions: Invalid value: 4: field is immutable"]
    assert changed(completionMode="Indexed")[0].startswith("spec.completionMode: Invalid value")


def test_a_suspended_job_may_be_sent_elsewhere() -> None:
    new = JOB.created(job(suspend=True))["spec"]["template"]
    moved = copy.deepcopy(new)
    moved["spec"] |= {"nodeSelector": {"x": "y"}, "affinity": {"nodeAffinity": {}}}
    assert changed(template=moved) == []
    moved["spec"]["hostNetwork"] = True
    [error] = changed(template=moved)
    assert error.startswith("spec.template: Invalid value: {")


DONE = {"type": "Complete", "status": "True"}
MET = {"type": "SuccessCriteriaMet", "status": "True"}
FAILED = {"type": "Failed", "status": "True"}
TIMES = {"startTime": "2026-01-01T00:00:00Z", "completionTime": "2026-01-01T00:00:01Z"}


@pytest.mark.parametrize(
    ("status", "before", "errors"),
    [
        ({"conditions": [MET, DONE], **TIMES}, {}, []),
        (
            {"conditions": [DONE], **TIMES},
            {},
            [
                "conditions: Invalid value: "
                "cannot set Complete=True condition without the SuccessCriteriaMet=true condition"
            ],
        ),
        (
            {"conditions": [MET, DONE], "startTime": TIMES["startTime"]},
            {},
            ["completionTime: Required value: completionTime is required for Complete jobs"],
        ),
        (
            {"conditions": [FAILED], "startTime": TIMES["startTime"], "active": 1},
            {},
            [
                "conditions: Invalid value: cannot set Failed=True condition without the FailureTarget=true condition",
                "active: Invalid value: 1: active>0 is invalid for finished job",
            ],
        ),
        ({}, {"failed": 1}, ["failed: Invalid value: 0: cannot decrease the failed counter"]),
        (
            {"conditions": [MET]},
            {"conditions": [MET, DONE]},
            ["conditions: Invalid value: cannot disable the terminal Complete=True condition"],
        ),
        ({"ready": 2, "active": 1}, {}, ["ready: Invalid value: 2: cannot set more ready pods than active"]),
    ],
)  # fmt: skip
def test_statuses_of_jobs(status: dict[str, Any], before: dict[str, Any], errors: list[str]) -> None:
    assert JOB.status_errors(job(), status, before) == [f"status.{error}" for error in errors]


def test_cron_jobs_are_filled_in() -> None:
    spec = CRON_JOB.created(cron())["spec"]
    assert spec["concurrencyPolicy"] == "Allow"
    assert (spec["successfulJobsHistoryLimit"], spec["failedJobsHistoryLimit"], spec["suspend"]) == (3, 1, False)
    assert spec["jobTemplate"]["metadata"] == {}
    assert "backoffLimit" not in spec["jobTemplate"]["spec"]


@pytest.mark.parametrize(
    ("spec", "errors"),
    [
        ({"timeZone": ""}, ['timeZone: Invalid value: "": timeZone must be nil or non-empty string']),
        (
            {"timeZone": "Local"},
            ['timeZone: Invalid value: "Local": timeZone must be an explicit time zone as defined in '
             "https://www.iana.org/time-zones"],
        ),
        (
            {"jobTemplate": job(selector={}, manualSelector=True)},
            [
                "jobTemplate.spec.selector: Invalid value: {}: `selector` will be auto-generated",
                'jobTemplate.spec.manualSelector: Unsupported value: true: supported values: "nil", "false"',
            ],
        ),
        (
            {"jobTemplate": {"spec": {"template": template(restartPolicy="Always")}}},
            ['jobTemplate.spec.template.spec.restartPolicy: Required value: valid values: "OnFailure", "Never"'],
        ),
    ],
)  # fmt: skip
def test_rules_of_cron_jobs(spec: dict[str, Any], errors: list[str]) -> None:
    assert CRON_JOB.create_errors(cron(**spec)) == [f"spec.{error}" for error in errors]


def test_an_old_schedule_may_keep_its_zone() -> None:
    old = cron(schedule="TZ=UTC 0 0 * * *")
    assert CRON_JOB.update_errors(old, cron(schedule="TZ=UTC 1 0 * * *")) == []
    assert "cannot use both" in CRON_JOB.update_errors(old, cron(schedule="TZ=UTC 1 0 * * *", timeZone="UTC"))[0]


def test_jobs_are_selected_by_how_many_pods_succeeded() -> None:
    assert JOB.kind.selectable_fields({"status": {"succeeded": 2}}) == {"status.successful": "2"}
    assert JOB.kind.selectable_fields({}) == {"status.successful": "0"}
