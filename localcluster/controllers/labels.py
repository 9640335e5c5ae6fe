"""LabelSelectors (matchLabels and matchExpressions) applied to labels, and written as selector text."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

JSON = dict[str, Any]


def matches(selector: JSON | None, labels: Mapping[str, str] | None) -> bool:
    """Whether the LabelSelector selects the labels: an empty one selects all, none at all selects nothing."""
    if selector is None:
        return False
    labels = labels or {}
    if any(labels.get(key) != value for key, value in (selector.get("matchLabels") or {}).items()):
        return False
    return all(requirement_holds(e, labels) for e in selector.get("matchExpressions") or [])


def requirement_holds(expression: JSON, labels: Mapping[str, str]) -> bool:
    """One matchExpression; Gt and Lt are of node selectors."""
    key, operator, values = expression["key"], expression["operator"], expression.get("values") or []
    if operator == "In":
        return labels.get(key) in values
    if operator == "NotIn":
        return key not in labels or labels[key] not in values
    if operator == "Exists":
        return key in labels
    if operator == "DoesNotExist":
        return key not in labels
    if operator in ("Gt", "Lt"):
        try:
            left, right = int(labels[key]), int(values[0])
        except (KeyError, ValueError, IndexError):
            return False
        return left > right if operator == "Gt" else left < right
    return False


def selects_map(selector: Mapping[str, str], labels: Mapping[str, str] | None) -> bool:
    """A Service's selector: every entry must be among the labels."""
    labels = labels or {}
    return all(labels.get(key) == value for key, value in selector.items())


def is_empty(selector: JSON | None) -> bool:
    return not selector or not (selector.get("matchLabels") or selector.get("matchExpressions"))


def as_text(selector: JSON | None) -> str:
    """The selector in the form of the ``labelSelector`` parameter, in the order of its keys."""
    if not selector:
        return ""
    parts = [(key, f"{key}={value}") for key, value in (selector.get("matchLabels") or {}).items()]
    for e in selector.get("matchExpressions") or []:
        key, values = e["key"], ",".join(sorted(e.get("values") or []))
        text = {
            "In": f"{key} in ({values})",
            "NotIn": f"{key} notin ({values})",
            "Exists": key,
            "DoesNotExist": f"!{key}",
        }[e["operator"]]
        parts.append((key, text))
    return ",".join(text for _, text in sorted(parts))


_REQUIREMENT = re.compile(
    r"\s*(?:(?P<set>[^\s,=!()]+)\s+(?P<word>in|notin)\s*\((?P<values>[^)]*)\)"
    r"|!\s*(?P<absent>[^\s,=!()]+)"
    r"|(?P<key>[^\s,=!()]+)\s*(?:(?P<operator>==|=|!=)\s*(?P<value>[^\s,=!()]*))?)\s*(?:,|$)"
)


def parse(text: str) -> JSON:
    """The LabelSelector of selector text, as scale subresources give it. ValueError if it is none."""
    selector: JSON = {"matchLabels": {}, "matchExpressions": []}
    at = 0
    text = text.strip()
    while at < len(text):
        match = _REQUIREMENT.match(text, at)
        if match is None or match.end() == at:
            raise ValueError(f"not a label selector: {text!r}")
        at = match.end()
        expressions = selector["matchExpressions"]
        if match["set"]:
            values = [value.strip() for value in match["values"].split(",")]
            operator = "In" if match["word"] == "in" else "NotIn"
            expressions.append({"key": match["set"], "operator": operator, "values": values})
        elif match["absent"]:
            expressions.append({"key": match["absent"], "operator": "DoesNotExist"})
        elif match["operator"] == "!=":
            expressions.append({"key": match["key"], "operator": "NotIn", "values": [match["value"]]})
        elif match["operator"]:
            selector["matchLabels"][match["key"]] = match["value"]
        else:
            expressions.append({"key": match["key"], "operator": "Exists"})
    return selector
