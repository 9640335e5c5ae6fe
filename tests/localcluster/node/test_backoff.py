"""The growing wait of crashed containers."""

import pytest

from localcluster.node.backoff import Backoff, duration


def test_the_first_retry_is_at_once_then_the_wait_doubles() -> None:
    backoff = Backoff(10, 300)
    now, waits = 1000.0, []
    for _ in range(8):
        wait = backoff.remaining(now, now)
        waits.append(wait)
        now += wait
        backoff.retry(now)
        now += 1
    assert waits == [0, 10, 20, 40, 80, 160, 300, 300]


def test_the_time_since_the_failure_counts() -> None:
    backoff = Backoff(10, 300)
    backoff.retry(0.0)
    assert backoff.remaining(5.0, 9.0) == 6.0


def test_a_long_run_starts_anew() -> None:
    backoff = Backoff(10, 300)
    backoff.retry(0.0)
    backoff.retry(1.0)
    assert backoff.remaining(602.0, 602.0) == 0.0
    backoff.retry(602.0)
    assert backoff.wait_seconds == 10


@pytest.mark.parametrize(
    ("seconds", "text"), [(10, "10s"), (80, "1m20s"), (300, "5m0s"), (0.5, "500ms"), (3600, "1h0m0s")]
)
def test_durations_as_go_prints_them(seconds: float, text: str) -> None:
    assert duration(seconds) == text
