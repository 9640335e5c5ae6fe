"""Accounting of Jobs."""

from __future__ import annotations

from datetime import timedelta

import pytest

from localcluster.controllers.job import accounting, indexes, making
from localcluster.controllers.job.failure_policy import matched_rule
from tests.localcluster.controllers.objects import NOW, ago, meta, pod

HELD = {"finalizers": [accounting.FINALIZER]}


def job(status=None, template=None, **spec):
    template_spec = {"restartPolicy": "Never", "containers": [{"name": "c"}], **(template or {})}
    base = {"parallelism": 1, "completions": 1, "backoffLimit": 6, "template": {"spec": template_spec}}
    return {"metadata": meta("j"), "spec": base | spec, "status": {"startTime": ago(60)} | (status or {})}


def indexed(**spec):
    return job(completionMode="Indexed", **({"completions": 5, "parallelism": 5} | spec))


def held(name="p", phase="Succeeded", index=None, failures=0, **more):
    annotations = {}
    if index is not None:
        annotations = {indexes.INDEX: str(index), indexes.FAILURE_COUNT: str(failures)}
    return pod(name, phase, annotations=annotations, **(HELD | more))


def decide(a_job, *members):
    account = accounting.take_account(a_job, members)
    return accounting.outcome(a_job, account, NOW)


@pytest.mark.parametrize(
    ("text", "found"),
    [("", set()), ("0-2,5", {0, 1, 2, 5}), ("7", {7}), ("3,4", {3, 4}), ("8-12", {8, 9})],
)
def test_index_text_is_read(text, found):
    assert indexes.parse(text, 10) == found


@pytest.mark.parametrize(("found", "text"), [({0, 1, 2, 5}, "0-2,5"), ({3, 4}, "3,4"), (set(), ""), ({9}, "9")])
def test_index_text_is_written(found, text):
    assert indexes.format_indexes(found) == text


def test_each_pod_counts_once():
    members = [held("a"), held("b"), pod("done", "Succeeded")]
    a_job = job({"succeeded": 1, "uncountedTerminatedPods": {"succeeded": [members[0]["metadata"]["uid"]]}})
    account = accounting.take_account(a_job, members)
    assert account.succeeded == 3
    assert [p["metadata"]["name"] for p in account.new_succeeded] == ["b"]
    merged = accounting.merged_uncounted(a_job, account)
    assert merged["succeeded"] == [p["metadata"]["uid"] for p in members[:2]]


def test_completions_end_a_job():
    assert decide(job(completions=2), held("a")) is None
    assert decide(job(completions=2), held("a"), held("b"))[:2] == ("SuccessCriteriaMet", "CompletionsReached")


def test_a_work_queue_is_done_when_one_has_succeeded_and_none_is_active():
    queue = job(completions=None, parallelism=3)
    assert decide(queue, held("a"), pod("b")) is None
    assert decide(queue, held("a"))[0] == "SuccessCriteriaMet"
    assert accounting.wanted_active(queue, accounting.take_account(queue, [held("a"), pod("b")])) == 1


def test_too_many_failures():
    failed = [held(str(n), "Failed") for n in range(3)]
    assert decide(job(backoffLimit=3), *failed) is None
    found = decide(job(backoffLimit=2), *failed)
    assert found == ("FailureTarget", "BackoffLimitExceeded", "Job has reached the specified backoff limit")


def test_restarts_count_where_the_kubelet_restarts():
    restarted = pod("a", status={"containerStatuses": [{"name": "c", "restartCount": 2}]})
    assert decide(job(backoffLimit=2, template={"restartPolicy": "OnFailure"}), restarted)[1] == "BackoffLimitExceeded"
    assert decide(job(backoffLimit=2), restarted) is None


def test_the_deadline():
    found = decide(job(activeDeadlineSeconds=60), pod())
    assert found[1:] == ("DeadlineExceeded", "Job was active longer than specified deadline")
    assert decide(job(activeDeadlineSeconds=61), pod()) is None
    assert decide(job(activeDeadlineSeconds=1, suspend=True), pod()) is None


def test_what_was_decided_stays():
    decided = {"type": "FailureTarget", "status": "True", "reason": "DeadlineExceeded", "message": "m"}
    assert decide(job({"conditions": [decided]}, completions=1), held()) == ("FailureTarget", "DeadlineExceeded", "m")


def test_when_the_job_fails_pods_that_run_count_as_failed():
    running = held("a", "Running")
    assert accounting.take_account(job(), [running]).failed == 0
    assert accounting.take_account(job(), [running], "FailureTarget").failed == 1
    done = accounting.take_account(job(), [running], "SuccessCriteriaMet")
    assert (done.failed, done.released) == (0, [running])


def test_a_pod_that_is_being_deleted_failed_unless_only_ended_ones_do():
    going = held("a", "Running", deletionTimestamp=ago(1))
    assert accounting.take_account(job(), [going]).failed == 1
    assert accounting.take_account(job(podReplacementPolicy="Failed"), [going]).failed == 0


def test_indexes_that_are_free_are_started():
    a_job = indexed()
    a_job["status"]["completedIndexes"] = "0"
    account = accounting.take_account(a_job, [held("a", index=1), held("b", "Running", index=3)])
    assert account.done == {0, 1}
    assert accounting.wanted_active(a_job, account) == 3
    assert indexes.to_start(a_job, account.done, set(), account.active, 3) == [2, 4]


def test_duplicates_of_an_index_go():
    a_job = indexed()
    twice = [held("a", "Running", index=2), held("b", "Running", index=2), held("c", "Running", index=7)]
    account = accounting.take_account(a_job, twice)
    found = accounting.surplus(a_job, account, accounting.wanted_active(a_job, account))
    assert {p["metadata"]["name"] for p in found} == {"b", "c"}


def test_failures_of_an_index():
    a_job = indexed(backoffLimitPerIndex=1, backoffLimit=2**31 - 1)
    once = accounting.take_account(a_job, [held("a", "Failed", index=0)])
    assert once.failed_indexes == set()
    twice = accounting.take_account(a_job, [held("a", "Failed", index=0, failures=1)])
    assert twice.failed_indexes == {0}
    a_job["spec"]["maxFailedIndexes"] = 0
    assert accounting.outcome(a_job, twice, NOW)[1] == "MaxFailedIndexesExceeded"
    a_job["status"]["completedIndexes"] = "1-4"
    del a_job["spec"]["maxFailedIndexes"]
    account = accounting.take_account(a_job, [held("a", "Failed", index=0, failures=1)])
    assert accounting.outcome(a_job, account, NOW)[1:] == ("FailedIndexes", "Job has failed indexes")


def test_a_success_policy():
    policy = {"rules": [{"succeededIndexes": "0-2", "succeededCount": 2}]}
    assert decide(indexed(successPolicy=policy), held("a", index=0)) is None
    found = decide(indexed(successPolicy=policy), held("a", index=0), held("b", index=2))
    assert found == ("SuccessCriteriaMet", "SuccessPolicy", "Matched rules at index 0")


def exited(code, **more):
    ended = {"containerStatuses": [{"name": "c", "state": {"terminated": {"exitCode": code}}}]}
    return held("a", "Failed", status=ended, **more)


POLICY = {
    "rules": [
        {"action": "FailJob", "onExitCodes": {"operator": "In", "values": [42]}},
        {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
        {"action": "Count", "onExitCodes": {"operator": "NotIn", "values": [1]}},
    ]
}


def test_the_failure_policy():
    action, message = matched_rule(POLICY, exited(42))
    assert action == "FailJob"
    assert message == "Container c for pod ns/a failed with exit code 42 matching FailJob rule at index 0"
    assert matched_rule(POLICY, exited(3))[0] == "Count"
    assert matched_rule(POLICY, exited(1)) == ("Count", "")
    assert decide(job(podFailurePolicy=POLICY), exited(42))[:2] == ("FailureTarget", "PodFailurePolicy")


def test_ignored_failures_are_not_counted():
    evicted = pod("a", "Failed", ready=None, **HELD)
    evicted["status"]["conditions"] = [{"type": "DisruptionTarget", "status": "True"}]
    a_job = job(podFailurePolicy=POLICY, backoffLimit=0)
    account = accounting.take_account(a_job, [evicted])
    assert account.failed == 0
    assert accounting.merged_uncounted(a_job, account) == {}
    assert accounting.outcome(a_job, account, NOW) is None


def test_back_off_doubles():
    last = NOW - timedelta(seconds=5)
    assert accounting.backoff_left_seconds(0, None, NOW) == 0
    assert accounting.backoff_left_seconds(1, last, NOW) == 5
    assert accounting.backoff_left_seconds(3, last, NOW) == 35
    assert accounting.backoff_left_seconds(30, last, NOW) == 595


def test_pods_of_an_index_know_it():
    made = making.make_pod(indexed(backoffLimitPerIndex=3), 4, failures=2)
    assert made["metadata"]["generateName"] == "j-4-"
    assert made["metadata"]["annotations"] == {indexes.INDEX: "4", indexes.FAILURE_COUNT: "2"}
    assert made["metadata"]["labels"][indexes.INDEX] == "4"
    assert made["metadata"]["finalizers"] == [accounting.FINALIZER]
    assert made["spec"]["hostname"] == "j-4"
    assert made["spec"]["containers"][0]["env"][0]["name"] == "JOB_COMPLETION_INDEX"
