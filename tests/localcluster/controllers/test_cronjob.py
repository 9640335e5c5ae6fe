"""When CronJobs are due, and their history."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from localcluster.controllers.cronjob import making, schedule
from tests.localcluster.controllers.objects import NOW, ago, meta


def cron_job(expression, created=600, **more):
    spec = {"schedule": expression, "jobTemplate": {"spec": {"template": {}}}} | more.pop("spec", {})
    return {"metadata": meta("cj", creationTimestamp=ago(created)), "spec": spec, "status": more}


def at(text):
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def test_not_due_yet():
    found = schedule.due(cron_job("30 12 * * *"), NOW)
    assert found == schedule.Due(None, 0, at("2026-05-04T12:30:00"))


def test_the_last_missed_time_counts():
    found = schedule.due(cron_job("*/5 * * * *", created=3600), at("2026-05-04T12:03:00"))
    assert found.scheduled == at("2026-05-04T12:00:00")
    assert found.next == at("2026-05-04T12:05:00")
    assert found.many_missed == 0


def test_each_time_is_served_once():
    served = cron_job("*/5 * * * *", created=3600, lastScheduleTime="2026-05-04T12:00:00Z")
    assert schedule.due(served, at("2026-05-04T12:03:00")).scheduled is None


def test_over_a_hundred_missed_times_are_told():
    found = schedule.due(cron_job("* * * * *", created=7 * 86400), NOW)
    assert found.scheduled == NOW
    assert found.many_missed > 100


def test_a_starting_deadline_looks_back_only_so_far():
    late = cron_job("0 11 * * *", created=86400, spec={"startingDeadlineSeconds": 100})
    assert schedule.due(late, NOW).scheduled is None
    soon = cron_job("0 11 * * *", created=86400, spec={"startingDeadlineSeconds": 7200})
    assert schedule.due(soon, NOW).scheduled == at("2026-05-04T11:00:00")


def test_time_zones():
    berlin = cron_job("0 14 * * *", created=86400, spec={"timeZone": "Europe/Berlin"})
    assert schedule.due(berlin, NOW).scheduled == NOW
    with pytest.raises((LookupError, ValueError)):
        schedule.due(cron_job("0 14 * * *", spec={"timeZone": "Nowhere/City"}), NOW)


def test_irregular_times():
    weekdays = cron_job("0 9 * * 1-5", created=10 * 86400)
    found = schedule.due(weekdays, at("2026-05-03T10:00:00"))
    assert found.scheduled == at("2026-05-01T09:00:00")
    assert found.next == at("2026-05-04T09:00:00")


def test_every():
    found = schedule.due(cron_job("@every 90s", created=300), NOW)
    assert found.scheduled == NOW.replace(hour=11, minute=59, second=30)


@pytest.mark.parametrize("expression", ["5 2 31 2 *", "0 0 30 2 *"])
def test_a_schedule_that_never_comes(expression):
    with pytest.raises(schedule.InvalidSchedule, match="less than 1 second"):
        schedule.due(cron_job(expression), NOW)


def test_a_schedule_that_is_none():
    with pytest.raises(schedule.InvalidSchedule):
        schedule.due(cron_job("every day"), NOW)


def test_jobs_are_named_by_their_minute():
    made = making.make_job(cron_job("* * * * *"), NOW)
    assert made["metadata"]["name"] == f"cj-{int(NOW.timestamp()) // 60}"
    assert made["metadata"]["annotations"] == {making.SCHEDULED: "2026-05-04T12:00:00Z"}


def test_the_oldest_finished_jobs_go():
    def finished(name, type, started):
        status = {"startTime": ago(started), "conditions": [{"type": type, "status": "True"}]}
        return {"metadata": meta(name), "status": status}

    jobs = [finished("a", "Complete", 30), finished("b", "Complete", 20), finished("c", "Failed", 50)]
    limits = {"successfulJobsHistoryLimit": 1, "failedJobsHistoryLimit": 1}
    found = making.beyond_history(cron_job("* * * * *", spec=limits), jobs)
    assert [j["metadata"]["name"] for j in found] == ["a"]
    limits = {"successfulJobsHistoryLimit": 0, "failedJobsHistoryLimit": 0}
    assert len(making.beyond_history(cron_job("* * * * *", spec=limits), jobs)) == 3
