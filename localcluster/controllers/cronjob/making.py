"""The Jobs of a CronJob: made for a time, and which finished ones are beyond the history limits."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from localcluster.controllers.job.accounting import finished_condition
from localcluster.controllers.owners import controller_reference
from localcluster.controllers.times import format_time
from localcluster.resource_types import CRON_JOBS

JSON = dict[str, Any]

SCHEDULED = "batch.kubernetes.io/cronjob-scheduled-timestamp"


def job_name(cron_job: JSON, scheduled: datetime) -> str:
    """One name for each minute, so that no time is served twice."""
    return f"{cron_job['metadata']['name']}-{int(scheduled.timestamp()) // 60}"


def make_job(cron_job: JSON, scheduled: datetime) -> JSON:
    template = copy.deepcopy(cron_job["spec"]["jobTemplate"])
    meta = template.get("metadata") or {}
    made = {
        "name": job_name(cron_job, scheduled),
        "namespace": cron_job["metadata"]["namespace"],
        "annotations": {**(meta.get("annotations") or {}), SCHEDULED: format_time(scheduled)},
        "ownerReferences": [controller_reference(cron_job, CRON_JOBS)],
    }
    if meta.get("labels"):
        made["labels"] = meta["labels"]
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": made, "spec": template["spec"]}


def reference(job: JSON) -> JSON:
    """As in status.active."""
    meta = job["metadata"]
    return {
        "kind": "Job",
        "namespace": meta["namespace"],
        "name": meta["name"],
        "uid": meta["uid"],
        "apiVersion": "batch/v1",
        "resourceVersion": meta["resourceVersion"],
    }


def beyond_history(cron_job: JSON, jobs: Iterable[JSON]) -> list[JSON]:
    """The oldest finished Jobs above successfulJobsHistoryLimit and failedJobsHistoryLimit."""
    finished: dict[str, list[JSON]] = {"Complete": [], "Failed": []}
    for job in jobs:
        condition = finished_condition(job)
        if condition is not None and not job["metadata"].get("deletionTimestamp"):
            finished[condition["type"]].append(job)
    surplus: list[JSON] = []
    for type, key in (("Complete", "successfulJobsHistoryLimit"), ("Failed", "failedJobsHistoryLimit")):
        limit = cron_job["spec"].get(key)
        entries = finished[type]
        if limit is None or len(entries) <= limit:
            continue
        entries.sort(key=lambda job: (job.get("status", {}).get("startTime") or "", job["metadata"]["name"]))
        surplus += entries[: len(entries) - limit]
    return surplus
