"""How fast the size may change: stabilisation windows, scaling policies and the limits of the spec."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, NamedTuple

JSON = dict[str, Any]

DOWNSCALE_WINDOW_SECONDS = 300.0
DEFAULT_UP: JSON = {
    "stabilizationWindowSeconds": 0,
    "selectPolicy": "Max",
    "policies": [
        {"type": "Pods", "value": 4, "periodSeconds": 15},
        {"type": "Percent", "value": 100, "periodSeconds": 15},
    ],
}
DEFAULT_DOWN: JSON = {
    "stabilizationWindowSeconds": 300,
    "selectPolicy": "Max",
    "policies": [{"type": "Percent", "value": 100, "periodSeconds": 15}],
}


class Word(NamedTuple):
    """A condition to set."""

    type: str
    status: str
    reason: str
    message: str


IN_RANGE = Word("ScalingLimited", "False", "DesiredWithinRange", "the desired count is within the acceptable range")
TOO_MANY = Word(
    "ScalingLimited",
    "True",
    "TooManyReplicas",
    "the desired replica count is more than the maximum replica count",
)
TOO_FEW = Word(
    "ScalingLimited", "True", "TooFewReplicas", "the desired replica count is less than the minimum replica count"
)
UP_LIMIT = Word(
    "ScalingLimited",
    "True",
    "ScaleUpLimit",
    "the desired replica count is increasing faster than the maximum scale rate",
)
DOWN_LIMIT = Word(
    "ScalingLimited",
    "True",
    "ScaleDownLimit",
    "the desired replica count is decreasing faster than the maximum scale rate",
)
STEADY = Word("AbleToScale", "True", "ReadyForNewScale", "recommended size matches current size")
HELD_UP = Word(
    "AbleToScale",
    "True",
    "ScaleDownStabilized",
    "recent recommendations were higher than current one, applying the highest recent recommendation",
)
HELD_DOWN = Word(
    "AbleToScale",
    "True",
    "ScaleUpStabilized",
    "recent recommendations were lower than current one, applying the lowest recent recommendation",
)


@dataclass
class History:
    """What was recommended and done for one autoscaler; times are of a monotonic clock, in seconds."""

    recommendations: list[tuple[float, int]] = field(default_factory=list)
    ups: list[tuple[float, int]] = field(default_factory=list)
    downs: list[tuple[float, int]] = field(default_factory=list)

    def note_scale(self, now: float, before: int, after: int) -> None:
        if after > before:
            self.ups.append((now, after - before))
        elif after < before:
            self.downs.append((now, before - after))
        # No policy looks further back than half an hour.
        for events in (self.ups, self.downs):
            events[:] = [event for event in events if now - event[0] <= 1800]


def rules(autoscaler: JSON) -> tuple[JSON, JSON]:
    """The rules for scaling up and down, with the documented defaults filled in."""
    behavior = autoscaler["spec"].get("behavior") or {}
    up = DEFAULT_UP | {k: v for k, v in (behavior.get("scaleUp") or {}).items() if v is not None}
    down = DEFAULT_DOWN | {k: v for k, v in (behavior.get("scaleDown") or {}).items() if v is not None}
    return up, down


def decide(autoscaler: JSON, history: History, current: int, proposed: int, now: float) -> tuple[int, list[Word]]:
    """The size that the metrics' proposal leads to now, with the conditions AbleToScale and ScalingLimited."""
    up, down = rules(autoscaler)
    minimum, maximum = int(autoscaler["spec"].get("minReplicas", 1)), int(autoscaler["spec"]["maxReplicas"])
    stable = _stabilized(history, up, down, current, proposed, now)
    if stable > proposed:
        able = HELD_UP
    elif stable < proposed:
        able = HELD_DOWN
    else:
        able = STEADY
    if stable > current:
        ceiling = _up_limit(history, up, current, now)
        bound, limited = (ceiling, UP_LIMIT) if maximum > ceiling else (maximum, TOO_MANY)
        if stable > bound:
            return bound, [able, limited]
    elif stable < current:
        floor = _down_limit(history, down, current, now)
        bound, limited = (floor, DOWN_LIMIT) if minimum < floor else (minimum, TOO_FEW)
        if stable < bound:
            return bound, [able, limited]
    elif stable > maximum:
        return maximum, [able, TOO_MANY]
    elif stable < minimum:
        return minimum, [able, TOO_FEW]
    return stable, [able, IN_RANGE]


def _stabilized(history: History, up: JSON, down: JSON, current: int, proposed: int, now: float) -> int:
    up_window, down_window = float(up["stabilizationWindowSeconds"]), float(down["stabilizationWindowSeconds"])
    lowest = highest = proposed
    for moment, value in history.recommendations:
        if now - moment < up_window:
            lowest = min(lowest, value)
        if now - moment < down_window:
            highest = max(highest, value)
    longest = max(up_window, down_window)
    history.recommendations = [entry for entry in history.recommendations if now - entry[0] < longest]
    history.recommendations.append((now, proposed))
    return min(max(current, lowest), highest)


def _changed(events: list[tuple[float, int]], now: float, seconds: float) -> int:
    return sum(amount for moment, amount in events if now - moment < seconds)


def _up_limit(history: History, rule: JSON, current: int, now: float) -> int:
    if rule["selectPolicy"] == "Disabled":
        return current
    limits = []
    for policy in rule["policies"]:
        seconds = policy["periodSeconds"]
        start = current - _changed(history.ups, now, seconds) + _changed(history.downs, now, seconds)
        if policy["type"] == "Pods":
            limits.append(start + int(policy["value"]))
        else:
            limits.append(math.ceil(start * (100 + policy["value"]) / 100))
    limit = min(limits) if rule["selectPolicy"] == "Min" else max(limits)
    return max(limit, current)


def _down_limit(history: History, rule: JSON, current: int, now: float) -> int:
    if rule["selectPolicy"] == "Disabled":
        return current
    limits = []
    for policy in rule["policies"]:
        seconds = policy["periodSeconds"]
        start = current + _changed(history.downs, now, seconds) - _changed(history.ups, now, seconds)
        if policy["type"] == "Pods":
            limits.append(start - int(policy["value"]))
        else:
            limits.append(start * (100 - int(policy["value"])) // 100)
    limit = max(limits) if rule["selectPolicy"] == "Min" else min(limits)
    return min(max(limit, 0), current)
