"""Completion indexes of Indexed Jobs: their text form (``0-2,5``), and which are done, failed or to be started."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from localcluster.controllers import pods

JSON = dict[str, Any]

INDEX = "batch.kubernetes.io/job-completion-index"
FAILURE_COUNT = "batch.kubernetes.io/job-index-failure-count"
IGNORED_FAILURE_COUNT = "batch.kubernetes.io/job-index-ignored-failure-count"


def parse(text: str | None, completions: int) -> set[int]:
    """Of ``1,3-5,7``; what is not below `completions` is left out."""
    found: set[int] = set()
    for part in (text or "").split(","):
        first, _, last = part.partition("-")
        if first.isdigit():
            found.update(range(int(first), min(int(last or first), completions - 1) + 1))
    return found


def format_indexes(indexes: Iterable[int]) -> str:
    """Runs of more than two numbers as a range, as the real controller writes them."""
    runs: list[list[int]] = []
    for index in sorted(indexes):
        if runs and runs[-1][1] == index - 1:
            runs[-1][1] = index
        else:
            runs.append([index, index])
    return ",".join(str(a) if a == b else f"{a},{b}" if b == a + 1 else f"{a}-{b}" for a, b in runs)


def index_of(pod: JSON) -> int | None:
    text = (pod["metadata"].get("annotations") or {}).get(INDEX, "")
    return int(text) if text.isdigit() else None


def is_indexed(job: JSON) -> bool:
    return bool(job["spec"].get("completionMode") == "Indexed")


def failure_count(pod: JSON, key: str = FAILURE_COUNT) -> int:
    text = (pod["metadata"].get("annotations") or {}).get(key, "")
    return int(text) if text.isdigit() else 0


def to_start(job: JSON, done: set[int], failed: set[int], active: Iterable[JSON], count: int) -> list[int]:
    """The lowest `count` indexes that are neither finished nor being worked on."""
    busy = {index_of(pod) for pod in active}
    free: list[int] = []
    for index in range(job["spec"]["completions"]):
        if len(free) >= count:
            break
        if index not in done and index not in failed and index not in busy:
            free.append(index)
    return free


def duplicates(active: Iterable[JSON], completions: int, done: set[int], failed: set[int]) -> list[JSON]:
    """Active pods that no index needs: of finished or too high indexes, or the later of two."""
    seen: set[int] = set()
    surplus = []
    for pod in sorted(active, key=lambda p: (not pods.is_ready(p), p["metadata"]["creationTimestamp"])):
        index = index_of(pod)
        if index is None or index >= completions or index in done or index in failed or index in seen:
            surplus.append(pod)
        else:
            seen.add(index)
    return surplus
