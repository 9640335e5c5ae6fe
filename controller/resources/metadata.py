"""The metadata of a function's children: the Function's labels, and who owns them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kubeless import labels
from kubeless.api.function import Function

JSON = dict[str, Any]

REVISION_LABEL = "kubeless.io/revision"
"""On the ConfigMap that one version of a function's pods mounts: which source is in it."""
TEMPLATE_ANNOTATION = "kubeless.io/template"
"""On pods: a digest of the template that they were made from, so that old and new ones are told apart."""


def make_metadata(
    function: Function,
    name: str = "",
    *,
    extra_labels: Mapping[str, str] | None = None,
    annotations: Mapping[str, str] | None = None,
) -> JSON:
    """`extra_labels` give way to the Function's own ones; `name` is the Function's if none is given."""
    made: JSON = {
        "name": name or function.name,
        "namespace": function.namespace,
        "labels": labels.of_children(function.name, {**(extra_labels or {}), **function.labels}),
        "ownerReferences": [function.metadata.owner_reference()],
    }
    if annotations:
        made["annotations"] = dict(annotations)
    return made
