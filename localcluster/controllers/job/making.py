"""The pods of a Job, and its conditions at its end."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from localcluster.controllers import pods
from localcluster.controllers.job import indexes
from localcluster.controllers.job.accounting import FINALIZER
from localcluster.controllers.owners import controller_reference
from localcluster.controllers.times import format_time
from localcluster.resource_types import JOBS

JSON = dict[str, Any]


def make_pod(job: JSON, index: int | None = None, failures: int = 0, ignored_failures: int = 0) -> JSON:
    """A pod to create; with `index` it is told which one it is.

    Args:
        failures: failed pods of the same index before this one, where backoffLimitPerIndex counts them.
    """
    name = job["metadata"]["name"]
    prefix = f"{name}-" if index is None else f"{name}-{index}-"
    pod = pods.from_template(job["spec"]["template"], controller_reference(job, JOBS), prefix)
    pod["metadata"]["finalizers"] = [*pod["metadata"].get("finalizers", ()), FINALIZER]
    if index is None:
        return pod
    annotations = pod["metadata"].setdefault("annotations", {})
    annotations[indexes.INDEX] = str(index)
    if job["spec"].get("backoffLimitPerIndex") is not None:
        annotations[indexes.FAILURE_COUNT] = str(failures)
        if ignored_failures:
            annotations[indexes.IGNORED_FAILURE_COUNT] = str(ignored_failures)
    pod["metadata"].setdefault("labels", {})[indexes.INDEX] = str(index)
    pod["spec"]["hostname"] = f"{name}-{index}"
    source = {"fieldRef": {"apiVersion": "v1", "fieldPath": f"metadata.labels['{indexes.INDEX}']"}}
    for container in [*pod["spec"].get("initContainers", ()), *pod["spec"]["containers"]]:
        env = container.setdefault("env", [])
        if all(variable["name"] != "JOB_COMPLETION_INDEX" for variable in env):
            env.append({"name": "JOB_COMPLETION_INDEX", "valueFrom": source})
    return pod


def condition(type: str, reason: str, message: str, now: datetime, status: str = "True") -> JSON:
    moment = format_time(now)
    return {
        "type": type,
        "status": status,
        "lastProbeTime": moment,
        "lastTransitionTime": moment,
        "reason": reason,
        "message": message,
    }


def put(present: Sequence[JSON], new: JSON) -> list[JSON]:
    """With the condition in its place, or last; unchanged if it says the same already."""
    for old in present:
        if old["type"] == new["type"]:
            if all(old.get(key) == new[key] for key in ("status", "reason", "message")):
                return list(present)
            return [new if c is old else c for c in present]
    return [*present, new]
