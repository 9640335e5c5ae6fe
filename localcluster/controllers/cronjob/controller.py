"""Reconciles CronJobs: follows the Jobs that run, cleans up old ones, starts one when it is due."""

from __future__ import annotations

import copy
from datetime import UTC, datetime
from typing import Any

from localcluster.client import AlreadyExists, ApiStatusError, NotFound
from localcluster.controllers import owners
from localcluster.controllers.cronjob import making, schedule
from localcluster.controllers.job.accounting import finished_condition
from localcluster.controllers.manager import Controller, Manager
from localcluster.controllers.times import format_time, now, parse_time
from localcluster.informer import Key, key_of
from localcluster.resource_types import CRON_JOBS, JOBS

JSON = dict[str, Any]

# Times come a little after the second, so that the clock has surely reached it.
LATE_SECONDS = 0.1
# Timers are checked against the clock at least so often, for laptops that sleep.
MAX_WAIT_SECONDS = 600.0


def _rfc1123z(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%a, %d %b %Y %H:%M:%S +0000")


class CronJobController(Controller):
    name = "cronjob-controller"
    workers = 2

    def __init__(self, manager: Manager) -> None:
        self.cron_jobs = manager.informer(CRON_JOBS)
        self.job_informer = manager.informer(JOBS, {"controller": owners.controller_uids})
        super().__init__(manager, [self.cron_jobs, self.job_informer])
        self.cancel_with(self.cron_jobs)
        self.cron_jobs.add_handler(self._cron_job_changed)
        self.job_informer.add_handler(self._job_changed)

    def _cron_job_changed(self, old: JSON | None, new: JSON | None) -> None:
        if new is not None:
            self.queue.add(key_of(new))

    def _job_changed(self, old: JSON | None, new: JSON | None) -> None:
        for job in (old, new):
            owner = owners.controller_of(job) if job is not None else None
            if job is not None and owner is not None and owner["kind"] == "CronJob":
                self.queue.add((job["metadata"]["namespace"], owner["name"]))

    async def reconcile(self, key: Key) -> None:
        cron_job = self.cron_jobs.get(*key)
        if cron_job is None:
            return
        children = list(self.job_informer.by_index("controller", cron_job["metadata"]["uid"]))
        status = copy.deepcopy(cron_job.get("status") or {})
        await self._follow(cron_job, children, status)
        for job in making.beyond_history(cron_job, children):
            await self._delete(cron_job, job, status)
        wait: float | None = None
        if not cron_job["metadata"].get("deletionTimestamp") and not cron_job["spec"].get("suspend"):
            wait = await self._start_due(cron_job, status)
        await self._write(cron_job, status)
        if wait is not None:
            self.queue.add_after(key, min(wait + LATE_SECONDS, MAX_WAIT_SECONDS))

    # ---- Jobs that are there

    async def _follow(self, cron_job: JSON, children: list[JSON], status: JSON) -> None:
        active = {entry["uid"]: entry for entry in status.get("active") or ()}
        for job in children:
            uid, name = job["metadata"]["uid"], job["metadata"]["name"]
            condition = finished_condition(job)
            if uid in active and condition is not None:
                del active[uid]
                message = f"Saw completed job: {name}, condition: {condition['type']}"
                self.normal(cron_job, "SawCompletedJob", message)
                self._note_success(job, condition, status)
            elif uid not in active and condition is None:
                message = f"Saw a job that the controller did not create or forgot: {name}"
                self.warning(cron_job, "UnexpectedJob", message)
            elif condition is not None:
                self._note_success(job, condition, status)
        known = {job["metadata"]["uid"] for job in children}
        for uid, entry in list(active.items()):
            if uid in known:
                continue
            try:
                found = await self.client.get(JOBS, entry["name"], entry["namespace"])
            except NotFound:
                found = None
            if found is None or found["metadata"]["uid"] != uid:
                self.normal(cron_job, "MissingJob", f"Active job went missing: {entry['name']}")
                del active[uid]
        _set_active(status, list(active.values()))

    def _note_success(self, job: JSON, condition: JSON, status: JSON) -> None:
        completed = job.get("status", {}).get("completionTime")
        if condition["type"] != "Complete" or not completed:
            return
        before, this = parse_time(status.get("lastSuccessfulTime")), parse_time(completed)
        if this is not None and (before is None or this > before):
            status["lastSuccessfulTime"] = completed

    async def _delete(self, cron_job: JSON, job: JSON, status: JSON) -> None:
        name = job["metadata"]["name"]
        try:
            await self.job_informer.delete(job, propagation="Background")
        except ApiStatusError as error:
            self.warning(cron_job, "FailedDelete", f"Deleted job: {error.message}")
            return
        uid = job["metadata"]["uid"]
        _set_active(status, [entry for entry in status.get("active") or () if entry["uid"] != uid])
        self.normal(cron_job, "SuccessfulDelete", f"Deleted job {name}")

    # ---- a new Job

    async def _start_due(self, cron_job: JSON, status: JSON) -> float | None:
        """Make the Job that is due; the seconds until the next one, None if the schedule is of no use."""
        spec, moment = cron_job["spec"], now()
        try:
            due = schedule.due({**cron_job, "status": status}, moment)
        except schedule.InvalidSchedule as error:
            if str(error) == schedule.NEVER:
                self.warning(cron_job, "InvalidSchedule", f"invalid schedule: {spec['schedule']} : {error}")
            else:
                message = f'unparseable schedule: "{spec["schedule"]}" : {error}'
                self.warning(cron_job, "UnparseableSchedule", message)
            return None
        except (LookupError, ValueError, OSError):
            name = spec.get("timeZone")
            self.warning(cron_job, "UnknownTimeZone", f'invalid timeZone: "{name}": unknown time zone {name}')
            return None
        if due.many_missed:
            message = f"too many missed start times: {due.many_missed}. "
            message += "Set or decrease .spec.startingDeadlineSeconds or check clock skew"
            self.warning(cron_job, "TooManyMissedTimes", message)
        wait = (due.next - moment).total_seconds() if due.next is not None else None
        if due.scheduled is None or parse_time(status.get("lastScheduleTime")) == due.scheduled:
            return wait
        deadline = spec.get("startingDeadlineSeconds")
        if deadline is not None and (moment - due.scheduled).total_seconds() > deadline:
            missed = _rfc1123z(due.scheduled)
            self.warning(cron_job, "MissSchedule", f"Missed scheduled time to start a job: {missed}")
            return wait
        if any(entry["name"] == making.job_name(cron_job, due.scheduled) for entry in status.get("active") or ()):
            return wait
        policy = spec.get("concurrencyPolicy", "Allow")
        if policy == "Forbid" and status.get("active"):
            message = "Not starting job because prior execution is running and concurrency policy is Forbid"
            self.normal(cron_job, "JobAlreadyActive", message)
            return wait
        if policy == "Replace":
            for entry in list(status.get("active") or ()):
                job = self.job_informer.get(entry["namespace"], entry["name"])
                if job is not None:
                    await self._delete(cron_job, job, status)
        await self._create(cron_job, due.scheduled, status)
        return wait

    async def _create(self, cron_job: JSON, scheduled: datetime, status: JSON) -> None:
        wanted = making.make_job(cron_job, scheduled)
        try:
            job = await self.job_informer.create(wanted)
        except AlreadyExists:
            # It was made before a crash, and only the status was not written.
            job = await self.client.get(JOBS, wanted["metadata"]["name"], wanted["metadata"]["namespace"])
            if not owners.is_controlled_by(job, cron_job):
                raise
        except ApiStatusError as error:
            if error.has_cause("NamespaceTerminating"):
                return
            self.warning(cron_job, "FailedCreate", f"Error creating job: {error.message}")
            raise
        else:
            self.normal(cron_job, "SuccessfulCreate", f"Created job {job['metadata']['name']}")
        if finished_condition(job) is None:
            _set_active(status, [*(status.get("active") or ()), making.reference(job)])
        status["lastScheduleTime"] = format_time(scheduled)

    async def _write(self, cron_job: JSON, status: JSON) -> None:
        if status != (cron_job.get("status") or {}):
            await self.cron_jobs.update_status({**cron_job, "status": status})


def _set_active(status: JSON, entries: list[JSON]) -> None:
    if entries:
        status["active"] = entries
    else:
        status.pop("active", None)
