"""A function's Deployment: kubeless-config's, the Function's own over it, and over both what makes it a function's."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from controller.resources.merging import merged, without_blanks
from controller.resources.metadata import TEMPLATE_ANNOTATION, make_metadata
from controller.resources.pod import make_pod_spec
from controller.resources.service import container_port
from kubeless import labels
from kubeless.api.catalogue import Runtime
from kubeless.api.config import Config
from kubeless.api.function import Function, pod_spec

JSON = dict[str, Any]

_ROLLING = {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}}
_TEMPLATE_DIGITS = 12


def make_deployment(
    function: Function,
    config: Config,
    runtime: Runtime | None,
    config_map: str,
    selector: Mapping[str, str] | None = None,
) -> JSON:
    """The Deployment. It has no `replicas` where somebody else decides on them. Raises InvalidSpec.

    Args:
        runtime: None for a prebuilt image of an unknown runtime.
        config_map: name of the one with the source, "" for a prebuilt image.
        selector: the labels that the Deployment selects by if it exists already; they cannot be changed.
    """
    given = _given(function, config)
    given_spec: JSON = given.get("spec") or {}
    spec = merged({"strategy": _ROLLING}, {**given_spec, "template": {}})
    if function.horizontal_pod_autoscaler:
        spec.pop("replicas", None)
    selector = dict(selector or labels.of_function(function.name))
    spec["selector"] = {"matchLabels": selector}
    spec["template"] = _template(function, config, runtime, given_spec.get("template") or {}, config_map, selector)
    metadata: JSON = given.get("metadata") or {}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": make_metadata(
            function, extra_labels=metadata.get("labels"), annotations=metadata.get("annotations")
        ),
        "spec": spec,
    }


def prebuilt_image(function: Function, config: Config) -> str:
    """The image that has the function in it already; "" if the function is to be provisioned."""
    containers = pod_spec(_given(function, config)).get("containers") or [{}]
    return str(containers[0].get("image") or "")


def _given(function: Function, config: Config) -> JSON:
    return merged(without_blanks(config.deployment), without_blanks(function.deployment))


def _template(
    function: Function,
    config: Config,
    runtime: Runtime | None,
    given: JSON,
    config_map: str,
    selector: Mapping[str, str],
) -> JSON:
    metadata: JSON = given.get("metadata") or {}
    spec = make_pod_spec(function, config, runtime, given.get("spec") or {}, config_map)
    scraped = {
        "prometheus.io/scrape": "true",
        "prometheus.io/path": "/metrics",
        "prometheus.io/port": str(container_port(function)["containerPort"]),
    }
    template: JSON = {
        "metadata": {
            "labels": {
                **labels.of_children(function.name, {**(metadata.get("labels") or {}), **function.labels}),
                **selector,
            },
            "annotations": {**scraped, **(metadata.get("annotations") or {})},
        },
        "spec": spec,
    }
    digest = hashlib.sha256(json.dumps(template, sort_keys=True).encode()).hexdigest()
    template["metadata"]["annotations"][TEMPLATE_ANNOTATION] = digest[:_TEMPLATE_DIGITS]
    return template
