"""Timestamps as the API writes them (RFC 3339, UTC) and durations."""

from __future__ import annotations

from datetime import UTC, datetime


def now() -> datetime:
    return datetime.now(UTC)


def format_time(moment: datetime) -> str:
    """metav1.Time: whole seconds."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def format_micro_time(moment: datetime) -> str:
    """metav1.MicroTime."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def parse_time(text: str | None) -> datetime | None:
    """Of either form; None for none."""
    return datetime.fromisoformat(text) if text else None


def seconds_since(text: str | None, moment: datetime) -> float:
    """How long ago `text` was at `moment`; infinite for none."""
    then = parse_time(text)
    return float("inf") if then is None else (moment - then).total_seconds()
