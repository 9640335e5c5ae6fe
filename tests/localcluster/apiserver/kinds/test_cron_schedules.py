"""Which schedules of CronJobs are well formed, and what is said of the others."""

import pytest

from localcluster.apiserver.kinds.cron_schedules import is_time_zone, problem


@pytest.mark.parametrize(
    "schedule",
    ["* * * * *", "*/5 0-6/2 1,15 JAN-mar mon", "? ? ? ? ?", "@daily", "@every 1h30m", "5 2 31 2 *", "0 0 1/3 * *",
     "TZ=UTC * * * * *", "CRON_TZ=Europe/Berlin 0 0 * * *"],
)  # fmt: skip
def test_good_schedules(schedule: str) -> None:
    assert problem(schedule) == ""


@pytest.mark.parametrize(
    ("schedule", "message"),
    [
        ("", "empty spec string"),
        ("nonsense", "expected exactly 5 fields, found 1: [nonsense]"),
        ("* * * * * *", "expected exactly 5 fields, found 6: [* * * * * *]"),
        ("61 * * * *", "end of range (61) above maximum (59): 61"),
        ("* * 0 * *", "beginning of range (0) below minimum (1): 0"),
        ("* * * * 7", "end of range (7) above maximum (6): 7"),
        ("9-5 * * * *", "beginning of range (9) beyond end of range (5): 9-5"),
        ("*/0 * * * *", "step of range should be a positive number: */0"),
        ("1-2-3 * * * *", "too many hyphens: 1-2-3"),
        ("1/2/3 * * * *", "too many slashes: 1/2/3"),
        ("x * * * *", 'failed to parse int from x: strconv.Atoi: parsing "x": invalid syntax'),
        ("-5 * * * *", 'failed to parse int from : strconv.Atoi: parsing "": invalid syntax'),
        ("@sometimes", "unrecognized descriptor: @sometimes"),
        ("@every day", 'failed to parse duration @every day: time: invalid duration "day"'),
        ("@every 5", 'failed to parse duration @every 5: time: missing unit in duration "5"'),
        ("@every 5x", 'failed to parse duration @every 5x: time: unknown unit "x" in duration "5x"'),
        ("TZ=Mars * * * * *", "provided bad location Mars: unknown time zone Mars"),
    ],
)
def test_bad_schedules(schedule: str, message: str) -> None:
    assert problem(schedule) == message


@pytest.mark.parametrize("name", ["UTC", "Europe/Berlin", "America/Argentina/Buenos_Aires", "Etc/GMT+5"])
def test_time_zones(name: str) -> None:
    assert is_time_zone(name)


@pytest.mark.parametrize("name", ["Mars/Olympus", "../etc/passwd", "/etc/localtime", "", "Europe/", "Europe"])
def test_what_is_no_time_zone(name: str) -> None:
    assert not is_time_zone(name)
