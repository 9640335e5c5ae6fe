"""When a CronJob is due: the schedule's next and missed times in its time zone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any

from localcluster.controllers.times import parse_time

JSON = dict[str, Any]

MANY_MISSED = 100
NEVER = "time difference between two schedules is less than 1 second"


class InvalidSchedule(ValueError):
    """The schedule cannot be used."""


def zone(job: JSON) -> tzinfo:
    """ZoneInfoNotFoundError or ValueError if the name is unknown; UTC without one."""
    name = job["spec"].get("timeZone")
    if not name:
        return UTC
    from zoneinfo import ZoneInfo

    return ZoneInfo(name)


def moments(expression: str, after: datetime, where: tzinfo) -> Iterator[datetime]:
    """The times of a schedule after a moment, in UTC; `InvalidSchedule` if it cannot be read.

    ``@every 90s`` counts from `after`.
    """
    if expression.startswith("@every "):
        yield from _every(_duration(expression.removeprefix("@every ").strip()), after)
        return
    # Takes 20 ms to import and is needed only where there are CronJobs.
    from croniter import CroniterBadCronError, CroniterBadDateError, croniter

    try:
        found = croniter(expression.replace("?", "*"), after.astimezone(where), max_years_between_matches=8)
        while True:
            yield found.get_next(datetime).astimezone(UTC)
    except CroniterBadDateError:
        return
    except (CroniterBadCronError, ValueError) as error:
        raise InvalidSchedule(str(error)) from error


def _every(step: timedelta, after: datetime) -> Iterator[datetime]:
    moment = after.replace(microsecond=0)
    while True:
        moment += step
        yield moment


def _duration(text: str) -> timedelta:
    """Go's notation: ``1h30m``, ``90s``; at least a second."""
    import re

    parts = re.findall(r"(\d+(?:\.\d+)?)(ms|h|m|s)", text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise InvalidSchedule(f"failed to parse duration @every {text}")
    seconds = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
    return timedelta(seconds=max(1, int(sum(float(number) * seconds[unit] for number, unit in parts))))


@dataclass(frozen=True)
class Due:
    """The latest time that has come, if any; whether over a hundred were missed; when to look again."""

    scheduled: datetime | None
    many_missed: int
    next: datetime | None


def due(job: JSON, now: datetime) -> Due:
    """What is due at `now` (https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/#job-creation).

    Raises `InvalidSchedule` for a schedule that cannot be read or never comes.
    """
    spec = job["spec"]
    created = parse_time(job["metadata"]["creationTimestamp"]) or now
    earliest = parse_time(job.get("status", {}).get("lastScheduleTime")) or created
    deadline = spec.get("startingDeadlineSeconds")
    if deadline is not None:
        earliest = max(earliest, now - timedelta(seconds=deadline))
    where = zone(job)
    times = moments(spec["schedule"], earliest, where)
    first, second = next(times, None), next(times, None)
    if first is None or second is None:
        raise InvalidSchedule(NEVER)
    if now < first:
        return Due(None, 0, first)
    if now < second:
        return Due(first, 0, second)
    step = (second - first).total_seconds()
    missed = int((now - first).total_seconds() // step) + 1
    # Only the last ones are looked at: a schedule of every minute may have been missed for a year.
    near = max(first - timedelta(seconds=1), now - timedelta(seconds=3 * step))
    latest = first
    times = moments(spec["schedule"], near, where) if not spec["schedule"].startswith("@every") else _from(first, step)
    upcoming = None
    for moment in times:
        if moment > now:
            upcoming = moment
            break
        latest = moment
    if latest == first and near > first:
        # Irregular times, with none in the last three steps.
        for moment in moments(spec["schedule"], earliest, where):
            if moment > now:
                break
            latest = moment
    return Due(latest, missed if missed > MANY_MISSED else 0, upcoming)


def _from(first: datetime, step: float) -> Iterator[datetime]:
    moment = first
    while True:
        yield moment
        moment += timedelta(seconds=step)
