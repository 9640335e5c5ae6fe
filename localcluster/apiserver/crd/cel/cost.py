"""Costs of rules: their units, ranges of them, and the limits that a definition has to keep to.

https://kubernetes.io/docs/reference/using-api/cel/#resource-constraints
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from localcluster.apiserver.crd.cel.types import MAX_REQUEST_BYTES, Declared

UNLIMITED = 2**64 - 1
RULE_LIMIT = 10_000_000
TOTAL_LIMIT = 100_000_000


def capped(value: float) -> int:
    """A cost that does not exceed what 64 bits hold."""
    return UNLIMITED if value >= UNLIMITED else int(value)


@dataclass(frozen=True, slots=True)
class Range:
    """The least and the most of a cost or a size."""

    low: int
    high: int

    def __add__(self, other: Range) -> Range:
        return Range(capped(self.low + other.low), capped(self.high + other.high))

    def __mul__(self, other: Range) -> Range:
        return Range(capped(self.low * other.low), capped(self.high * other.high))

    def by(self, factor: float) -> Range:
        return Range(capped(math.ceil(self.low * factor)), capped(math.ceil(self.high * factor)))

    def union(self, other: Range) -> Range:
        return Range(min(self.low, other.low), max(self.high, other.high))


ZERO, ONE, UNKNOWN = Range(0, 0), Range(1, 1), Range(0, UNLIMITED)


def multiply(cost: int, times: int) -> int:
    return capped(cost * times)


def cardinality(declared: Declared) -> int:
    """How often at most a value can be in one request, where nothing limits the lists that it is in."""
    return MAX_REQUEST_BYTES // (declared.min_size + 1)


def exceeded(name: str, cost: int, limit: int) -> str:
    """What is said of a cost above its limit."""
    factor = cost / limit
    shown = "more than 100" if factor > 100 else f"{factor:.6f}" if factor < 1.5 else f"{factor:.1f}"
    return (
        f"{name} exceeds budget by factor of {shown}x (try simplifying the rule, or adding maxItems, maxProperties, "
        "and maxLength where arrays, maps, and strings are declared)"
    )
