"""Objects for the tests of controllers, with just what the logic under test reads."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from typing import Any

JSON = dict[str, Any]

NOW = datetime(2026, 5, 4, 12, 0, 0, tzinfo=UTC)
_uids = itertools.count(1)


def ago(seconds: float) -> str:
    return (NOW - timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")


def meta(name: str, **more: Any) -> JSON:
    made = {"name": name, "namespace": "ns", "uid": f"uid-{next(_uids)}", "resourceVersion": "1", "generation": 1}
    return made | {"creationTimestamp": ago(600)} | more


def pod(
    name: str = "p",
    phase: str = "Running",
    ready: bool | None = True,
    *,
    ready_for: float = 100,
    node: str = "",
    labels: JSON | None = None,
    requests: JSON | None = None,
    status: JSON | None = None,
    spec: JSON | None = None,
    **metadata: Any,
) -> JSON:
    container: JSON = {"name": "c", "image": "i"}
    if requests:
        container["resources"] = {"requests": requests}
    made: JSON = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": meta(name, labels=labels or {}, **metadata),
        "spec": {"containers": [container], **({"nodeName": node} if node else {}), **(spec or {})},
        "status": {"phase": phase, "startTime": ago(600), **(status or {})},
    }
    if ready is not None:
        condition = {"type": "Ready", "status": str(ready), "lastTransitionTime": ago(ready_for)}
        made["status"]["conditions"] = [condition]
    return made


def deployment(replicas: int = 10, surge: Any = "25%", unavailable: Any = "25%", **spec: Any) -> JSON:
    rolling = {"maxSurge": surge, "maxUnavailable": unavailable}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": meta("web"),
        "spec": {
            "replicas": replicas,
            "progressDeadlineSeconds": 600,
            "revisionHistoryLimit": 10,
            "strategy": {"type": "RollingUpdate", "rollingUpdate": rolling},
            "selector": {"matchLabels": {"app": "web"}},
            "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}},
            **spec,
        },
        "status": {},
    }


def replica_set(
    name: str,
    replicas: int,
    available: int | None = None,
    *,
    age: float = 100,
    annotations: JSON | None = None,
    **status: Any,
) -> JSON:
    up = replicas if available is None else available
    return {
        "metadata": meta(name, creationTimestamp=ago(age), annotations=annotations or {}),
        "spec": {
            "replicas": replicas,
            "template": {
                "metadata": {"labels": {"app": "web"}},
                "spec": {"containers": [{"name": "c", "image": name}]},
            },
        },
        "status": {"replicas": replicas, "readyReplicas": up, "availableReplicas": up, "observedGeneration": 1}
        | status,
    }
