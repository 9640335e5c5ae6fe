"""Reconciles Jobs: takes account of the pods, writes down what ended, makes or deletes pods, sets conditions."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from localcluster.client import ApiStatusError, NotFound, PatchType
from localcluster.controllers import conditions, labels, owners, pods
from localcluster.controllers.creation import create_pods, delete_pods
from localcluster.controllers.job import accounting, indexes, making
from localcluster.controllers.job.accounting import FINALIZER, Account
from localcluster.controllers.job.failure_policy import matched_rule
from localcluster.controllers.manager import Controller, Manager
from localcluster.controllers.times import format_time, now
from localcluster.informer import Key, key_of
from localcluster.resource_types import JOBS, PODS

JSON = dict[str, Any]


class JobController(Controller):
    name = "job-controller"

    def __init__(self, manager: Manager) -> None:
        self.job_informer = manager.informer(JOBS, {"controller": owners.controller_uids})
        self.pods = manager.informer(PODS, {"controller": owners.controller_uids})
        super().__init__(manager, [self.job_informer, self.pods])
        self._failures: dict[str, tuple[int, datetime | None, set[str]]] = {}
        self.cancel_with(self.job_informer)
        self.job_informer.add_handler(self._job_changed)
        self.pods.add_handler(self._pod_changed)

    def _job_changed(self, old: JSON | None, new: JSON | None) -> None:
        if new is not None:
            self.queue.add(key_of(new))
        elif old is not None:
            self._failures.pop(old["metadata"]["uid"], None)
            for pod in self.pods.by_index("controller", old["metadata"]["uid"]):
                self._free_orphan(pod)

    def _pod_changed(self, old: JSON | None, new: JSON | None) -> None:
        for pod in (old, new):
            if pod is None:
                continue
            owner = owners.controller_of(pod)
            namespace = pod["metadata"]["namespace"]
            if owner is not None and owner["kind"] == "Job":
                self.queue.add((namespace, owner["name"]))
            elif owner is None and not pod["metadata"].get("deletionTimestamp"):
                for job in self.job_informer.list(namespace):
                    if labels.matches(job["spec"].get("selector"), pod["metadata"].get("labels")):
                        self.queue.add(key_of(job))
        if new is not None and accounting.has_finalizer(new):
            self._free_orphan(new)

    def _free_orphan(self, pod: JSON) -> None:
        """A pod whose Job is gone is found again under its own key."""
        owner = owners.controller_of(pod)
        namespace = pod["metadata"]["namespace"]
        if owner is None or self.job_informer.get(namespace, owner["name"]) is None:
            self.queue.add((f"pod/{namespace}", pod["metadata"]["name"]))

    async def reconcile(self, key: Key) -> None:
        kind, _, namespace = key[0].rpartition("/")
        if kind:
            await self._free(self.pods.get(namespace, key[1]))
            return
        job = self.job_informer.get(*key)
        if job is None or job["spec"].get("managedBy") not in (None, "kubernetes.io/job-controller"):
            return
        if accounting.finished_condition(job) is not None:
            await self._release_all(job)
            return
        await _Sync(self, job).run()

    async def _free(self, pod: JSON | None) -> None:
        if pod is None or not accounting.has_finalizer(pod):
            return
        owner = owners.controller_of(pod)
        job = self.job_informer.get(pod["metadata"]["namespace"], owner["name"]) if owner is not None else None
        if owner is None or job is None or job["metadata"]["uid"] != owner["uid"]:
            await remove_finalizers(self, [pod])

    async def _release_all(self, job: JSON) -> None:
        held = [p for p in self.pods.by_index("controller", job["metadata"]["uid"]) if accounting.has_finalizer(p)]
        await remove_finalizers(self, held)

    # ---- failures in a row, for the back-off

    def note_ends(self, job: JSON, account: Account) -> None:
        uid = job["metadata"]["uid"]
        count, last, seen = self._failures.get(uid, (0, None, set()))
        fresh = {p["metadata"]["uid"] for p in [*account.new_succeeded, *account.new_failed]}
        if fresh <= seen:
            return
        if account.new_succeeded:
            count, last = 0, None
        for pod in account.new_failed:
            if pod["metadata"]["uid"] in seen:
                continue
            ended = accounting.finish_time(pod)
            count, last = count + 1, max((t for t in (ended, last) if t is not None), default=None)
        self._failures[uid] = (count, last, fresh)

    def backoff_left_seconds(self, job: JSON) -> float:
        count, last, _ = self._failures.get(job["metadata"]["uid"], (0, None, None))
        return accounting.backoff_left_seconds(count, last, now())


class _Sync:
    """One reconciliation of one Job."""

    def __init__(self, controller: JobController, job: JSON) -> None:
        self.controller = controller
        self.stored = job
        self.job = job
        self.status: JSON = copy.deepcopy(job.get("status") or {})
        self.key = key_of(job)

    async def run(self) -> None:
        job, controller = self.job, self.controller
        suspended = bool(job["spec"].get("suspend"))
        if not suspended and not self.status.get("startTime"):
            self.status["startTime"] = format_time(now())

        async def read() -> JSON:
            return await controller.client.get(JOBS, self.key[1], self.key[0])

        claimed = await owners.claim(job, JOBS, job["spec"]["selector"], controller.pods, read, _with_finalizer)
        self.job = job = {**job, "status": self.status}
        account = accounting.take_account(job, claimed)
        controller.note_ends(job, account)
        decided = accounting.outcome(job, account, now())
        failure: Exception | None = None
        deleting = bool(job["metadata"].get("deletionTimestamp"))
        if decided is not None:
            failure = await self._delete(account, account.active)
            account = accounting.take_account(job, self._own_pods(), decided[0])
        elif not deleting:
            failure = await self._manage(account, suspended)
        if decided is None:
            self._tell_suspension(suspended)
        await self._count(account, decided)
        if failure is not None:
            raise failure
        self._look_again()

    # ---- pods

    async def _manage(self, account: Account, suspended: bool) -> Exception | None:
        job, controller = self.job, self.controller
        if suspended:
            return await self._delete(account, account.active)
        wanted = accounting.wanted_active(job, account)
        surplus = accounting.surplus(job, account, wanted)
        if surplus:
            return await self._delete(account, surplus)
        waiting = len(account.terminating) if accounting.replaces_only_failed(job) else 0
        missing = wanted - len(account.active) - waiting
        if missing <= 0:
            return None
        wait = 0.0 if job["spec"].get("backoffLimitPerIndex") is not None else controller.backoff_left_seconds(job)
        if wait > 0:
            controller.queue.add_after(self.key, wait)
            return None
        made = self._new_pods(account, missing)
        failure = await create_pods(controller, job, controller.pods, made)
        account.active = [p for p in self._own_pods() if pods.is_active(p)]
        account.ready = sum(pods.is_ready(p) for p in account.active)
        return failure

    def _new_pods(self, account: Account, count: int) -> list[JSON]:
        job = self.job
        if not indexes.is_indexed(job):
            return [making.make_pod(job)] * count
        busy = [*account.active]
        if accounting.replaces_only_failed(job):
            busy += account.terminating
        made = []
        per_index = job["spec"].get("backoffLimitPerIndex") is not None
        for index in indexes.to_start(job, account.done, account.failed_indexes, busy, count):
            before = [p for p in self._own_pods() if indexes.index_of(p) == index] if per_index else []
            if not before:
                made.append(making.make_pod(job, index))
                continue
            last = max(before, key=lambda p: (indexes.failure_count(p), p["metadata"]["creationTimestamp"]))
            counts, ignored = indexes.failure_count(last), indexes.failure_count(last, indexes.IGNORED_FAILURE_COUNT)
            if matched_rule(job["spec"].get("podFailurePolicy"), last)[0] == "Ignore":
                ignored += 1
            else:
                counts += 1
            wait = accounting.backoff_left_seconds(counts + ignored, accounting.finish_time(last), now())
            if wait > 0:
                self.controller.queue.add_after(self.key, wait)
                continue
            made.append(making.make_pod(job, index, counts, ignored))
        return made

    def _own_pods(self) -> Sequence[JSON]:
        return self.controller.pods.by_index("controller", self.job["metadata"]["uid"])

    async def _delete(self, account: Account, surplus: Sequence[JSON]) -> Exception | None:
        if not surplus:
            return None
        failure = await delete_pods(self.controller, self.job, self.controller.pods, list(surplus))
        # Pods that go away while the Job still has its finalizer on them are seen again as failed.
        fresh = self._own_pods()
        account.active = [p for p in fresh if pods.is_active(p)]
        account.terminating = [p for p in fresh if pods.is_terminating(p)]
        account.ready = sum(pods.is_ready(p) for p in account.active)
        return failure

    # ---- status

    def _tell_suspension(self, suspended: bool) -> None:
        present = self.status.get("conditions") or []
        was = conditions.is_true(present, "Suspended")
        if suspended == was:
            return
        moment = now()
        if suspended:
            self.status["conditions"] = making.put(
                present, making.condition("Suspended", "JobSuspended", "Job suspended", moment)
            )
            self.status.pop("startTime", None)
            self.controller.normal(self.job, "Suspended", "Job suspended")
        else:
            word = making.condition("Suspended", "JobResumed", "Job resumed", moment, status="False")
            self.status["conditions"] = making.put(present, word)
            self.status["startTime"] = format_time(moment)
            self.controller.normal(self.job, "Resumed", "Job resumed")

    async def _count(self, account: Account, decided: tuple[str, str, str] | None) -> None:
        """Write down what ended, take off the finalizers, move it into the counters, and set the conditions."""
        job, status = self.job, self.status
        self._set_counts(account)
        status["uncountedTerminatedPods"] = accounting.merged_uncounted(job, account)
        if decided is not None:
            word = making.condition(*decided, now())
            status["conditions"] = making.put(status.get("conditions") or [], word)
        if status["uncountedTerminatedPods"]:
            await self._write()
        uncounted = status["uncountedTerminatedPods"]
        noted = {*(uncounted.get("succeeded") or ()), *(uncounted.get("failed") or ())}
        policy = job["spec"].get("podFailurePolicy")
        free = [p for p in account.new_failed if matched_rule(policy, p)[0] == "Ignore"] + account.released
        free += [p for p in self._own_pods() if p["metadata"]["uid"] in noted]
        await remove_finalizers(self.controller, free)
        if uncounted:
            _set(status, "failed", status.get("failed", 0) + len(uncounted.get("failed") or ()))
            succeeded = status.get("succeeded", 0) + len(uncounted.get("succeeded") or ())
            _set(status, "succeeded", len(account.done) if indexes.is_indexed(job) else succeeded)
            status["uncountedTerminatedPods"] = {}
        if decided is not None:
            # Pods that were waiting for nothing but the finalizer are gone now.
            account = accounting.take_account({**job, "status": status}, self._own_pods(), decided[0])
            self._set_counts(account)
            if not account.active and not account.terminating:
                self._finish(decided)
        await self._write()

    def _set_counts(self, account: Account) -> None:
        status = self.status
        _set(status, "active", len(account.active))
        status["ready"] = account.ready
        status["terminating"] = len(account.terminating)
        if indexes.is_indexed(self.job):
            _set(status, "completedIndexes", indexes.format_indexes(account.done))
            if self.job["spec"].get("backoffLimitPerIndex") is not None:
                status["failedIndexes"] = indexes.format_indexes(account.failed_indexes)

    def _finish(self, decided: tuple[str, str, str]) -> None:
        type, reason, message = decided
        final = "Failed" if type == "FailureTarget" else "Complete"
        moment = now()
        status = self.status
        status["conditions"] = making.put(status["conditions"], making.condition(final, reason, message, moment))
        if final == "Complete":
            status["completionTime"] = format_time(moment)
            self.controller.normal(self.job, "Completed", "Job completed")
        else:
            self.controller.warning(self.job, reason, message)

    async def _write(self) -> None:
        current = self.controller.job_informer.get(*self.key) or self.stored
        if self.status == current.get("status"):
            return
        self.stored = await self.controller.job_informer.update_status(
            {**self.stored, "status": copy.deepcopy(self.status)}
        )

    def _look_again(self) -> None:
        seconds = accounting.seconds_to_deadline({**self.job, "status": self.status}, now())
        if seconds is not None:
            self.controller.queue.add_after(self.key, seconds + 0.05)


def _set(status: JSON, key: str, value: int | str) -> None:
    """Zero and empty are not written."""
    if value:
        status[key] = value
    else:
        status.pop(key, None)


def _with_finalizer(pod: JSON) -> JSON:
    return {"finalizers": [*(pod["metadata"].get("finalizers") or ()), FINALIZER]}


async def remove_finalizers(controller: JobController, held: Iterable[JSON]) -> None:
    """Let go of pods that are counted."""

    async def remove(pod: JSON) -> None:
        patch = {
            "metadata": {"uid": pod["metadata"]["uid"], "$deleteFromPrimitiveList/finalizers": [FINALIZER]},
        }
        try:
            await controller.pods.patch(pod, patch, type=PatchType.STRATEGIC)
        except NotFound:
            return
        except ApiStatusError as error:
            if error.code not in (409, 422):
                raise

    await asyncio.gather(*(remove(pod) for pod in held))
