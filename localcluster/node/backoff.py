"""The growing wait before a crashed container or a failed image is tried again, by a kubelet's rules."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Backoff:
    """The first retry is at once, then `base_seconds` doubling up to `max_seconds`; all times are in seconds.

    A run that ends more than twice `max_seconds` after the last wait was chosen starts anew
    (k8s.io/client-go `util/flowcontrol`).
    """

    base_seconds: float
    max_seconds: float
    wait_seconds: float = 0.0
    updated_at: float = float("-inf")

    def remaining(self, failed_at: float, now: float) -> float:
        """How long still to wait after a failure."""
        if failed_at - self.updated_at > 2 * self.max_seconds:
            self.wait_seconds = 0.0
        return max(0.0, failed_at + self.wait_seconds - now)

    def retry(self, now: float) -> None:
        """A retry begins: the next wait is longer."""
        self.wait_seconds = min(self.wait_seconds * 2, self.max_seconds) if self.wait_seconds else self.base_seconds
        self.updated_at = now


def duration(seconds: float) -> str:
    """As Go prints durations: `10s`, `1m20s`, `500ms`."""
    if seconds < 1:
        return f"{seconds * 1000:g}ms"
    hours, rest = divmod(seconds, 3600)
    minutes, rest = divmod(rest, 60)
    text = f"{hours:g}h" if hours else ""
    return f"{text}{minutes:g}m{rest:g}s" if hours or minutes else f"{rest:g}s"
