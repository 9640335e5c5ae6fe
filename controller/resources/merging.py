"""Merging parts of Deployments, by the keys of Kubernetes' strategic merge where it matters to functions."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

JSON = dict[str, Any]

_MERGED_LISTS = {
    "env": "name",
    "volumes": "name",
    "volumeMounts": "mountPath",
    "ports": "containerPort",
    "imagePullSecrets": "name",
    "initContainers": "name",
    "hostAliases": "ip",
}
"""Lists whose items are told apart by a key; all other ones are replaced."""
_REPLACED_ITEMS = ("env", "volumes", "volumeMounts", "ports")
"""Of these an item with the same key is another one, not a part: a volume has one source."""
_PROBES = ("livenessProbe", "readinessProbe", "startupProbe")
_PROBE_ACTIONS = ("httpGet", "exec", "tcpSocket", "grpc")
_TEXTS_THAT_MAY_BE_EMPTY = ("env", "annotations", "labels", "args", "command", "nodeSelector", "matchLabels")


def merged(under: Mapping[str, Any], over: Mapping[str, Any]) -> JSON:
    """`under` with all that `over` says. Neither is changed.

    The first containers are the function's, whatever their names are; the other ones are merged by name.
    """
    result = dict(under)
    for name, value in over.items():
        result[name] = _one(name, under.get(name), value)
    return result


def _one(name: str, under: Any, over: Any) -> Any:
    if name == "containers" and isinstance(under, list) and isinstance(over, list):
        return _containers(under, over)
    if name in _MERGED_LISTS and isinstance(under, list) and isinstance(over, list):
        return _items(under, over, _MERGED_LISTS[name], replaced=name in _REPLACED_ITEMS)
    if isinstance(under, Mapping) and isinstance(over, Mapping):
        if name in _PROBES and any(action in over for action in _PROBE_ACTIONS):
            under = {key: value for key, value in under.items() if key not in _PROBE_ACTIONS}
        if name == "strategy" and over.get("type", "RollingUpdate") != "RollingUpdate":
            return copy.deepcopy(over)
        return merged(under, over)
    return copy.deepcopy(over)


def _containers(under: list[Any], over: list[Any]) -> list[Any]:
    if not under or not over:
        return copy.deepcopy(under or over)
    first = merged(under[0], over[0])
    return [first, *_items(under[1:], over[1:], "name", replaced=False)]


def _items(under: list[Any], over: list[Any], key: str, *, replaced: bool) -> list[Any]:
    result = list(under)
    places = {item[key]: place for place, item in enumerate(under) if isinstance(item, Mapping) and key in item}
    for item in over:
        place = places.get(item.get(key)) if isinstance(item, Mapping) else None
        if place is None:
            result.append(copy.deepcopy(item))
        else:
            result[place] = copy.deepcopy(item) if replaced else merged(result[place], item)
    return result


def without_blanks(value: Any, name: str = "") -> Any:
    """A copy without the empty texts that tools wrote as Go's zero value; env, labels and the like keep theirs."""
    if name in _TEXTS_THAT_MAY_BE_EMPTY:
        return copy.deepcopy(value)
    if isinstance(value, Mapping):
        return {key: without_blanks(content, key) for key, content in value.items() if content != ""}
    if isinstance(value, list):
        return [without_blanks(item) for item in value]
    return value
