"""How far a Job has come: its pods sorted by what they are, what was counted already, and what it wants next.

Each finished pod is counted once: first its uid is written to status.uncountedTerminatedPods, then its finalizer
is removed, then the counters take it over
(https://kubernetes.io/docs/concepts/workloads/controllers/job/#job-tracking-with-finalizers).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from localcluster.controllers import conditions, pods
from localcluster.controllers.job import indexes
from localcluster.controllers.job.failure_policy import matched_rule, success_message
from localcluster.controllers.times import parse_time, seconds_since

JSON = dict[str, Any]

FINALIZER = "batch.kubernetes.io/job-tracking"
BACKOFF_SECONDS = 10.0
MAX_BACKOFF_SECONDS = 600.0
COMPLETIONS_REACHED = ("CompletionsReached", "Reached expected number of succeeded pods")


@dataclass
class Account:
    """The pods of a Job at one moment.

    Attributes:
        succeeded, failed: everything so far, counted or not.
        new_succeeded, new_failed: finished pods whose uid is not yet noted down.
        done, failed_indexes: for Indexed Jobs.
        released: pods that need not be counted, because the Job has succeeded without them.
        fail_message: what the pod failure policy says if it ends the Job.
    """

    active: list[JSON]
    terminating: list[JSON]
    ready: int
    succeeded: int
    failed: int
    new_succeeded: list[JSON]
    new_failed: list[JSON]
    released: list[JSON] = field(default_factory=list)
    done: set[int] = field(default_factory=set)
    failed_indexes: set[int] = field(default_factory=set)
    fail_message: str = ""


def has_finalizer(pod: JSON) -> bool:
    return FINALIZER in (pod["metadata"].get("finalizers") or ())


def replaces_only_failed(job: JSON) -> bool:
    """Whether a pod must have ended before another takes its place."""
    return bool(job["spec"].get("podReplacementPolicy") == "Failed" or job["spec"].get("podFailurePolicy"))


def is_failed(job: JSON, pod: JSON) -> bool:
    if pods.phase(pod) == "Failed":
        return True
    gone = pod["metadata"].get("deletionTimestamp") and pods.phase(pod) != "Succeeded"
    return bool(gone) and not replaces_only_failed(job)


def finished_condition(job: JSON) -> JSON | None:
    """The condition Complete or Failed, if true."""
    for condition in job.get("status", {}).get("conditions") or ():
        if condition["type"] in ("Complete", "Failed") and condition["status"] == "True":
            found: JSON = condition
            return found
    return None


def take_account(job: JSON, claimed: Sequence[JSON], decided: str = "") -> Account:
    """Sort the Job's pods; once a FailureTarget is `decided`, every pod that has not ended counts as failed."""
    status = job.get("status") or {}
    uncounted = status.get("uncountedTerminatedPods") or {}
    known_succeeded, known_failed = set(uncounted.get("succeeded") or ()), set(uncounted.get("failed") or ())
    known = known_succeeded | known_failed
    fresh = [pod for pod in claimed if has_finalizer(pod) and pod["metadata"]["uid"] not in known]
    active = [pod for pod in claimed if pods.is_active(pod)]
    account = Account(
        active=active,
        terminating=[pod for pod in claimed if pods.is_terminating(pod)],
        ready=sum(pods.is_ready(pod) for pod in active),
        succeeded=0,
        failed=0,
        new_succeeded=[pod for pod in fresh if pods.phase(pod) == "Succeeded"],
        new_failed=[],
    )
    for pod in fresh:
        if decided == "SuccessCriteriaMet" and not pods.is_finished(pod):
            account.released.append(pod)
        elif pods.phase(pod) != "Succeeded" and (is_failed(job, pod) or decided == "FailureTarget"):
            account.new_failed.append(pod)
    policy = job["spec"].get("podFailurePolicy")
    counted_failures = []
    for pod in account.new_failed:
        action, message = matched_rule(policy, pod)
        if action == "FailJob" and not account.fail_message:
            account.fail_message = message
        if action != "Ignore":
            counted_failures.append(pod)
    account.succeeded = status.get("succeeded", 0) + len(known_succeeded) + len(account.new_succeeded)
    account.failed = status.get("failed", 0) + len(known_failed) + len(counted_failures)
    if indexes.is_indexed(job):
        _account_indexes(job, account, claimed)
    return account


def _account_indexes(job: JSON, account: Account, claimed: Sequence[JSON]) -> None:
    completions = job["spec"]["completions"]
    status = job.get("status") or {}
    account.done = indexes.parse(status.get("completedIndexes"), completions)
    for pod in claimed:
        index = indexes.index_of(pod)
        if index is not None and index < completions and pods.phase(pod) == "Succeeded" and has_finalizer(pod):
            account.done.add(index)
    # A second pod of an index that is done does not count.
    account.succeeded = len(account.done)
    per_index = job["spec"].get("backoffLimitPerIndex")
    if per_index is None:
        return
    account.failed_indexes = indexes.parse(status.get("failedIndexes"), completions)
    for pod in account.new_failed:
        index = indexes.index_of(pod)
        if index is None or index >= completions or index in account.done:
            continue
        action, _ = matched_rule(job["spec"].get("podFailurePolicy"), pod)
        over = action == "Count" and indexes.failure_count(pod) >= per_index
        if over or action == "FailIndex":
            account.failed_indexes.add(index)


def outcome(job: JSON, account: Account, now: datetime) -> tuple[str, str, str] | None:
    """The condition FailureTarget or SuccessCriteriaMet (type, reason, message) that decides the Job, if one does."""
    spec, status = job["spec"], job.get("status") or {}
    for type in ("FailureTarget", "SuccessCriteriaMet"):
        present = conditions.find(status.get("conditions"), type)
        if present is not None and present["status"] == "True":
            return type, present.get("reason", ""), present.get("message", "")
    if account.fail_message:
        return "FailureTarget", "PodFailurePolicy", account.fail_message
    limit = spec.get("backoffLimit", 6)
    if account.failed > limit or _restarted_too_often(job, account, limit):
        return "FailureTarget", "BackoffLimitExceeded", "Job has reached the specified backoff limit"
    if is_past_deadline(job, now):
        return "FailureTarget", "DeadlineExceeded", "Job was active longer than specified deadline"
    if spec.get("backoffLimitPerIndex") is not None:
        most = spec.get("maxFailedIndexes")
        if most is not None and len(account.failed_indexes) > most:
            message = "Job has exceeded the specified maximal number of failed indexes"
            return "FailureTarget", "MaxFailedIndexesExceeded", message
        if account.failed_indexes and len(account.failed_indexes | account.done) >= spec["completions"]:
            return "FailureTarget", "FailedIndexes", "Job has failed indexes"
    if message := success_message(job, account.done):
        return "SuccessCriteriaMet", "SuccessPolicy", message
    completions = spec.get("completions")
    if completions is None:
        # A work queue is empty when one pod has succeeded and the others have ended too.
        complete = account.succeeded > 0 and not account.active and not account.terminating
    else:
        complete = account.succeeded >= completions
    return ("SuccessCriteriaMet", *COMPLETIONS_REACHED) if complete else None


def _restarted_too_often(job: JSON, account: Account, limit: int) -> bool:
    if job["spec"]["template"]["spec"].get("restartPolicy") != "OnFailure":
        return False
    restarts = 0
    for pod in account.active:
        status = pod.get("status", {})
        containers = [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]
        restarts += sum(container.get("restartCount", 0) for container in containers)
    return restarts > 0 if limit == 0 else restarts >= limit


def is_past_deadline(job: JSON, now: datetime) -> bool:
    seconds = job["spec"].get("activeDeadlineSeconds")
    started = job.get("status", {}).get("startTime")
    if seconds is None or started is None or job["spec"].get("suspend"):
        return False
    return seconds_since(started, now) >= float(seconds)


def seconds_to_deadline(job: JSON, now: datetime) -> float | None:
    seconds = job["spec"].get("activeDeadlineSeconds")
    started = job.get("status", {}).get("startTime")
    if seconds is None or started is None or job["spec"].get("suspend"):
        return None
    return max(0.0, float(seconds) - seconds_since(started, now))


def wanted_active(job: JSON, account: Account) -> int:
    """How many pods should be active."""
    spec = job["spec"]
    parallelism = int(spec.get("parallelism", 1))
    if spec.get("completions") is None:
        return len(account.active) if account.succeeded > 0 else parallelism
    left = int(spec["completions"]) - account.succeeded - len(account.failed_indexes)
    return max(0, min(left, parallelism))


def surplus(job: JSON, account: Account, wanted: int) -> list[JSON]:
    """Active pods to delete: those of no use, and of the others those that have come least far."""
    unneeded: list[JSON] = []
    if indexes.is_indexed(job):
        unneeded = indexes.duplicates(account.active, job["spec"]["completions"], account.done, account.failed_indexes)
    rest = [pod for pod in account.active if pod not in unneeded]
    excess = len(rest) - wanted
    if excess > 0:
        rest.sort(key=lambda p: (pods.phase(p) != "Pending", pods.is_ready(p), p["metadata"]["creationTimestamp"]))
        unneeded += rest[:excess]
    return unneeded


def backoff_left_seconds(failures: int, last_failure: datetime | None, now: datetime) -> float:
    """How long to wait before the next pod after so many failures in a row."""
    if failures <= 0 or last_failure is None:
        return 0.0
    wait: float = min(BACKOFF_SECONDS * 2 ** min(failures - 1, 20), MAX_BACKOFF_SECONDS)
    return max(0.0, wait - (now - last_failure).total_seconds())


def finish_time(pod: JSON) -> datetime | None:
    """When the last container of a finished pod ended; else when it was deleted or made."""
    ended = [
        container["state"]["terminated"].get("finishedAt")
        for container in pod.get("status", {}).get("containerStatuses") or ()
        if container.get("state", {}).get("terminated")
    ]
    times = [moment for moment in map(parse_time, ended) if moment is not None]
    ready = conditions.find(pod.get("status", {}).get("conditions"), "Ready")
    fallback = (ready or {}).get("lastTransitionTime") or pod["metadata"].get("deletionTimestamp")
    return max(times) if times else parse_time(fallback or pod["metadata"].get("creationTimestamp"))


def merged_uncounted(job: JSON, account: Account) -> JSON:
    """status.uncountedTerminatedPods with the newly finished ones."""
    uncounted = (job.get("status") or {}).get("uncountedTerminatedPods") or {}
    policy = job["spec"].get("podFailurePolicy")
    merged: JSON = {}
    for key, new in (
        ("succeeded", account.new_succeeded),
        ("failed", [pod for pod in account.new_failed if matched_rule(policy, pod)[0] != "Ignore"]),
    ):
        uids = [*(uncounted.get(key) or ()), *(pod["metadata"]["uid"] for pod in new)]
        if uids:
            merged[key] = uids
    return merged
