"""The subset of JSONPath that CustomResourceDefinitions may use: fields, indexes, wildcards and simple filters.

Grammar: https://kubernetes.io/docs/reference/kubectl/jsonpath/ (the relaxed form without braces).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any

Step = Callable[[Any], Iterator[Any]]
_TOKEN = re.compile(
    r"""\.(?P<field>(?:\\.|[^.\[\]\\])+)          # .name, with \. for a dot in it
      | \[(?P<index>-?\d+)\]                      # [0], [-1]
      | \[(?P<slice>-?\d*:-?\d*)\]                # [0:2]
      | (?P<all>\[\*\]|\.\*)
      | \[(?P<quote>['"])(?P<quoted>.*?)(?P=quote)\]
      | \[\?\((?P<filter>.*?)\)\]""",
    re.VERBOSE,
)
_FILTER = re.compile(r"\s*@(?P<path>[^=!<>]*?)\s*(?:(?P<operator>==|!=|<=|>=|<|>)\s*(?P<value>.+?))?\s*")


def _field(name: str) -> Step:
    def step(value: Any) -> Iterator[Any]:
        if isinstance(value, dict) and name in value:
            yield value[name]

    return step


def _index(position: int) -> Step:
    def step(value: Any) -> Iterator[Any]:
        if isinstance(value, list) and -len(value) <= position < len(value):
            yield value[position]

    return step


def _slice(text: str) -> Step:
    start, _, end = text.partition(":")

    def step(value: Any) -> Iterator[Any]:
        if isinstance(value, list):
            yield from value[int(start) if start else None : int(end) if end else None]

    return step


def _all(value: Any) -> Iterator[Any]:
    if isinstance(value, list):
        yield from value
    elif isinstance(value, dict):
        yield from value.values()


def _filter(expression: str) -> Step:
    match = _FILTER.fullmatch(expression)
    if match is None:
        raise ValueError(f"unsupported filter {expression!r}")
    path = compile_path(match["path"])
    operator = match["operator"]
    wanted = _literal(match["value"]) if operator else None

    def accepts(item: Any) -> bool:
        found = next(path(item), None)
        if operator is None or found is None:
            return found is not None
        if operator in ("==", "!="):
            return bool((found == wanted) == (operator == "=="))
        if isinstance(found, bool) or not isinstance(found, int | float) or not isinstance(wanted, int | float):
            return False
        return {"<": found < wanted, ">": found > wanted, "<=": found <= wanted, ">=": found >= wanted}[operator]

    def step(value: Any) -> Iterator[Any]:
        if isinstance(value, list):
            yield from (item for item in value if accepts(item))

    return step


def _literal(text: str) -> Any:
    if text[:1] in ("'", '"') and text[-1:] == text[:1]:
        return text[1:-1]
    try:
        return json.loads(text)
    except ValueError:
        return text


@lru_cache(maxsize=512)
def compile_path(path: str) -> Callable[[Any], Iterator[Any]]:
    """A function that yields the values at `path`, for example ``.status.conditions[?(@.type=="Ready")].status``.

    Raises:
        ValueError: the path is malformed or uses something that is not supported.
    """
    path = path.strip()
    if path.startswith("{") and path.endswith("}"):
        path = path[1:-1].strip()
    path = path.removeprefix("$")
    steps: list[Step] = []
    at = 0
    while at < len(path):
        if path[at:] == ".":
            break
        match = _TOKEN.match(path, at)
        if match is None:
            raise ValueError(f"unsupported JSON path {path!r} at {at}")
        at = match.end()
        if match["all"] or match["field"] == "*":
            steps.append(_all)
        elif match["field"] is not None:
            steps.append(_field(re.sub(r"\\(.)", r"\1", match["field"])))
        elif match["index"] is not None:
            steps.append(_index(int(match["index"])))
        elif match["slice"] is not None:
            steps.append(_slice(match["slice"]))
        elif match["quoted"] is not None:
            steps.append(_field(match["quoted"]))
        else:
            steps.append(_filter(match["filter"]))

    def find(value: Any, remaining: int = 0) -> Iterator[Any]:
        if remaining == len(steps):
            yield value
            return
        for found in steps[remaining](value):
            yield from find(found, remaining + 1)

    return find
