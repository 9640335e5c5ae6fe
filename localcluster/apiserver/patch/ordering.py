"""The order of the entries of a list that was merged strategically."""

from __future__ import annotations

from typing import Any

import orjson


def identity(item: Any, merge_key: str) -> Any:
    """What makes two entries the same: the merge key's value, or, without a key, the entry itself."""
    if merge_key and isinstance(item, dict):
        item = item.get(merge_key)
    return orjson.dumps(item, option=orjson.OPT_SORT_KEYS)


def without_repeats(items: list[Any]) -> list[Any]:
    """The first of each of equal entries."""
    return list({identity(item, ""): item for item in reversed(items)}.values())[::-1]


def interleave(merged: list[Any], asked: list[Any], live: list[Any], merge_key: str) -> list[Any]:
    """The entries of `merged`: those that `asked` names in its order, the others in the order of `live`.

    An entry that is not asked for stands before the next asked one that it precedes in `live`, otherwise behind them.
    """
    wanted = _positions(asked, merge_key)
    before = _positions(live, merge_key)
    entries = [(identity(item, merge_key), item) for item in merged]
    named = sorted((e for e in entries if e[0] in wanted), key=lambda e: wanted[e[0]])
    others = sorted((e for e in entries if e[0] not in wanted), key=lambda e: before.get(e[0], len(live)))
    result = []
    waiting = 0
    for key, item in named:
        while waiting < len(others):
            other = others[waiting][0]
            if not (other in before and key in before and before[other] < before[key]):
                break
            result.append(others[waiting][1])
            waiting += 1
        result.append(item)
    return result + [item for _, item in others[waiting:]]


def _positions(items: list[Any], merge_key: str) -> dict[Any, int]:
    positions: dict[Any, int] = {}
    for index, item in enumerate(items):
        positions.setdefault(identity(item, merge_key), index)
    return positions
