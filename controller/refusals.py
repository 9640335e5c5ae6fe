"""What the API server's refusals mean to a Function's author."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from controller.reasons import Reason
from kubeless.api.errors import Reason as SpecReason
from kubeless.cluster import AlreadyExists, ApiError, Conflict, Forbidden, Invalid, NotFound

JSON = dict[str, Any]

_SPEC_FIELDS = {
    "Deployment": "spec.deployment",
    "Service": "spec.service",
    "HorizontalPodAutoscaler": "spec.horizontalPodAutoscaler",
}
_OF_A_SPEC = ("Service",)
"""Kinds of which the Function has the spec alone."""
_UNDECLARED = re.compile(r"(\.[^\s:]+): field not declared in schema")
_TYPED = re.compile(r"failed to create typed patch object \([^)]*\): ")


@dataclass(frozen=True)
class Refusal:
    """`reason` and `message` for the status; `later`: it may go by itself, without a change of the Function."""

    reason: str
    message: str
    later: bool


def explain(error: ApiError, obj: JSON) -> Refusal | None:
    """None where trying again is all that can be done."""
    kind, name = obj["kind"], obj["metadata"]["name"]
    if error.quota_exceeded:
        return Refusal(
            Reason.QUOTA_EXCEEDED,
            f"the {kind} {name} does not fit into the namespace's quota: {error.message}",
            later=True,
        )
    if isinstance(error, Forbidden):
        if "because it is being terminated" in error.message:
            return None
        return Refusal(Reason.FORBIDDEN, f"the {kind} {name} cannot be written: {error.message}", later=True)
    if isinstance(error, AlreadyExists | Conflict | NotFound) or not isinstance(error, Invalid):
        return None
    field = _SPEC_FIELDS.get(kind, "spec")
    if match := _UNDECLARED.search(error.message):
        path = match[1].removeprefix(".spec") if kind in _OF_A_SPEC else match[1]
        return Refusal(SpecReason.INVALID_SPEC, f"{field}{path}: is not a field of a {kind}", later=False)
    if _TYPED.match(error.message):
        words = _TYPED.sub("", error.message)
        return Refusal(SpecReason.INVALID_SPEC, f"{field} is not a {kind}: {words}", later=False)
    # A port that another Service has is free when that Service goes.
    later = "already allocated" in error.message
    return Refusal(Reason.REFUSED, f"the cluster refuses the {kind} (see {field}): {error.message}", later)
