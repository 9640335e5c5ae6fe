"""Label selectors in objects: which labels they match, and how error messages quote them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from localcluster.apiserver.kinds import metadata
from localcluster.apiserver.selectors import matches_object_selector

JSON = dict[str, Any]
NO_MATCH = "`selector` does not match template `labels`"


def is_usable(selector: JSON | None) -> bool:
    """Whether the selector can be evaluated at all."""
    return not metadata.validate_label_selector(selector, "")


def is_empty(selector: JSON) -> bool:
    return not selector.get("matchLabels") and not selector.get("matchExpressions")


def matches(selector: JSON | None, labels: Mapping[str, str] | None) -> bool:
    """Whether labels fulfil every requirement. No selector matches nothing, an empty one everything."""
    return matches_object_selector(selector, labels or {})


def quoted(selector: JSON | None) -> JSON | None:
    """The selector as error messages show it: fields in the order of the type's declaration, labels sorted."""
    if selector is None:
        return None
    shown: JSON = {}
    if selector.get("matchLabels"):
        shown["matchLabels"] = dict(sorted(selector["matchLabels"].items()))
    if selector.get("matchExpressions"):
        shown["matchExpressions"] = [
            {name: e[name] for name in ("key", "operator", "values") if e.get(name) or name != "values"}
            for e in ({"key": "", "operator": "", **e} for e in selector["matchExpressions"])
        ]
    return shown


def quoted_labels(labels: Mapping[str, str] | None) -> JSON | None:
    """Labels as error messages show them: sorted, and null where there are none."""
    return dict(sorted(labels.items())) if labels else None
