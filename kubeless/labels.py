"""The labels by which functions and what is made for them find each other; Kubeless' own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

CREATED_BY = "created-by"
CREATOR = "kubeless"
FUNCTION = "function"

CHILDREN = f"{CREATED_BY}={CREATOR},{FUNCTION}"
"""Label selector of all that is made for functions."""


def of_function(name: str) -> dict[str, str]:
    """What a function's children carry, and its pods are selected by."""
    return {CREATED_BY: CREATOR, FUNCTION: name}


def of_children(name: str, own: Mapping[str, str]) -> dict[str, str]:
    """A Function's own labels and those that are always there, which win."""
    return {**own, **of_function(name)}


def selector(name: str) -> str:
    """Label selector of one function's children."""
    return f"{CREATED_BY}={CREATOR},{FUNCTION}={name}"


def is_made_for(obj: Mapping[str, Any], name: str) -> bool:
    """Whether an object carries the labels of that function's children, and so may be changed by us."""
    labels = (obj.get("metadata") or {}).get("labels") or {}
    return labels.get(CREATED_BY) == CREATOR and labels.get(FUNCTION) == name
