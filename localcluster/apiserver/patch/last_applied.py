"""The annotation in which `kubectl apply` keeps what it applied, as far as server-side apply minds it."""

from __future__ import annotations

import json
from typing import Any

import orjson

from localcluster.apiserver.patch.fieldsets import FieldSet, difference
from localcluster.apiserver.patch.shapes import Shape
from localcluster.apiserver.patch.typed_values import compare, field_set

JSON = dict[str, Any]

ANNOTATION = "kubectl.kubernetes.io/last-applied-configuration"
_MAX_ANNOTATIONS = 256 * 1024


def _annotations(obj: JSON) -> JSON:
    return (obj.get("metadata") or {}).get("annotations") or {}


def has_last_applied(obj: JSON) -> bool:
    return bool(_annotations(obj).get(ANNOTATION))


def allowed_conflicts(live: JSON, api_version: str, shape: Shape) -> FieldSet:
    """The fields that client-side apply set and that are still as it set them: kubectl may take them over."""
    try:
        last = orjson.loads(_annotations(live).get(ANNOTATION) or "null")
        if not isinstance(last, dict) or last.get("apiVersion") != api_version:
            return {}
        return difference(field_set(last, shape), compare(last, live, shape).all)
    except ValueError:
        return {}


def set_last_applied(obj: JSON, applied: JSON) -> JSON:
    """`obj` with the annotation saying what was applied; without it if the annotations would be too large."""
    meta = dict(applied.get("metadata") or {})
    if meta.get("annotations") is None:
        meta.pop("annotations", None)
    else:
        meta["annotations"] = {k: v for k, v in meta["annotations"].items() if k != ANNOTATION}
    text = json.dumps({**applied, "metadata": meta}, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    for char in "<>&\u2028\u2029":
        text = text.replace(char, f"\\u{ord(char):04x}")
    annotations = {**_annotations(obj), ANNOTATION: text + "\n"}
    if sum(len(k.encode()) + len(v.encode()) for k, v in annotations.items()) > _MAX_ANNOTATIONS:
        del annotations[ANNOTATION]
    return {**obj, "metadata": {**obj["metadata"], "annotations": annotations}}
