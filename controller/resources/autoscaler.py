"""A function's HorizontalPodAutoscaler, if it wants one."""

from __future__ import annotations

from typing import Any

from controller.resources.metadata import make_metadata
from kubeless.api.autoscaling import to_v2
from kubeless.api.function import Function

JSON = dict[str, Any]


def make_autoscaler(function: Function) -> JSON | None:
    """`spec.horizontalPodAutoscaler` of any version as autoscaling/v2. It scales the function's own Deployment,
    whatever the old manifest says. Raises InvalidSpec.
    """
    if not function.horizontal_pod_autoscaler:
        return None
    autoscaler = to_v2(function.horizontal_pod_autoscaler)
    given = autoscaler["metadata"]
    autoscaler["metadata"] = make_metadata(
        function, extra_labels=given.get("labels"), annotations=given.get("annotations")
    )
    autoscaler["spec"]["scaleTargetRef"] = {"apiVersion": "apps/v1", "kind": "Deployment", "name": function.name}
    return autoscaler
