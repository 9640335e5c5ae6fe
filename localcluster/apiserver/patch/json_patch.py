"""JSON patches (RFC 6902), with the two liberties of the library that Kubernetes uses.

`replace` of a map key that does not exist adds it, and any operation that cannot be done is the same 422 without a
cause (recorded in patch-json/failing-operations).
"""

from __future__ import annotations

import copy
from typing import Any

import orjson

from localcluster.apiserver.encoding.depth import is_too_deep
from localcluster.apiserver.errors import APIError
from localcluster.apiserver.patch.wording import unprocessable

MAX_OPERATIONS = 10_000
"""https://github.com/kubernetes/kubernetes/blob/v1.36.2/staging/src/k8s.io/apiserver/pkg/endpoints/handlers/patch.go"""
MAX_COPIED_BYTES = 3 * 1024 * 1024
"""How much the copies of one patch may add, as JSON; ``JSONPatchMaxCopyBytes`` of the real server."""


class _Impossible(Exception):
    """An operation cannot be done."""


def apply(doc: Any, patch: list[Any]) -> Any:
    """`doc` after all operations of `patch`; neither is changed.

    Raises:
        APIError: 422 if an operation is unknown or cannot be done, if the copies are larger than `MAX_COPIED_BYTES`, or
            if the outcome is nested too deep;
            413 if there are more than `MAX_OPERATIONS`.
    """
    if len(patch) > MAX_OPERATIONS:
        message = f"The allowed maximum operations in a JSON patch is {MAX_OPERATIONS}, got {len(patch)}"
        raise APIError(413, "RequestEntityTooLarge", message, {})
    if not patch:
        return doc
    root = [orjson.loads(orjson.dumps(doc))]
    copied = 0
    try:
        for operation in patch:
            copied += _operate(root, operation)
            if copied > MAX_COPIED_BYTES:
                raise _Impossible
        if is_too_deep(root[0]):
            raise _Impossible
    except (_Impossible, orjson.JSONEncodeError):
        raise unprocessable() from None
    return root[0]


def _operate(root: list[Any], operation: Any) -> int:
    """Do one operation; the answer is how many bytes it copied."""
    if not isinstance(operation, dict):
        raise _Impossible
    op = operation.get("op")
    path = _parse(operation.get("path"))
    if op == "add":
        _add(root, path, _value(operation))
    elif op == "remove":
        _remove(root, path)
    elif op == "replace":
        _replace(root, path, _value(operation))
    elif op == "move":
        source = _parse(operation.get("from"))
        if len(source) < len(path) and path[: len(source)] == source:
            raise _Impossible
        _add(root, path, _remove(root, source))
    elif op == "copy":
        text = orjson.dumps(_find(root, _parse(operation.get("from"))))
        _add(root, path, orjson.loads(text))
        return len(text)
    elif op == "test":
        _test(root, path, operation.get("value"))
    else:
        raise _Impossible
    return 0


def _value(operation: dict[str, Any]) -> Any:
    if "value" not in operation:
        raise _Impossible
    return copy.deepcopy(operation["value"])


def _parse(pointer: Any) -> list[str]:
    """The reference tokens of a JSON pointer (RFC 6901), behind a first one for the document itself."""
    if not isinstance(pointer, str) or (pointer and not pointer.startswith("/")):
        raise _Impossible
    return ["0", *(token.replace("~1", "/").replace("~0", "~") for token in pointer.split("/")[1:])]


def _index(token: str, limit: int) -> int:
    """Negative indices count from the end, as the library allows."""
    try:
        index = int(token)
    except ValueError:
        raise _Impossible from None
    if index < 0:
        index += limit
    if not 0 <= index < limit:
        raise _Impossible
    return index


def _parent(root: list[Any], path: list[str]) -> tuple[Any, str]:
    return _find(root, path[:-1]), path[-1]


def _find(root: list[Any], path: list[str]) -> Any:
    node: Any = root
    for token in path:
        if isinstance(node, list):
            node = node[_index(token, len(node))]
        elif isinstance(node, dict) and token in node:
            node = node[token]
        else:
            raise _Impossible
    return node


def _add(root: list[Any], path: list[str], value: Any) -> None:
    parent, last = _parent(root, path)
    if parent is root:
        root[0] = value
    elif isinstance(parent, dict):
        parent[last] = value
    elif isinstance(parent, list):
        parent.insert(len(parent) if last == "-" else _index(last, len(parent) + 1), value)
    else:
        raise _Impossible


def _replace(root: list[Any], path: list[str], value: Any) -> None:
    parent, last = _parent(root, path)
    if isinstance(parent, list):
        parent[_index(last, len(parent))] = value
    elif isinstance(parent, dict):
        parent[last] = value
    else:
        raise _Impossible


def _remove(root: list[Any], path: list[str]) -> Any:
    parent, last = _parent(root, path)
    if parent is root:
        raise _Impossible
    if isinstance(parent, list):
        return parent.pop(_index(last, len(parent)))
    if isinstance(parent, dict) and last in parent:
        return parent.pop(last)
    raise _Impossible


def _test(root: list[Any], path: list[str], expected: Any) -> None:
    try:
        found = _find(root, path)
    except _Impossible:
        # A missing map key equals null.
        parent, last = _parent(root, path)
        if expected is None and isinstance(parent, dict) and last not in parent:
            return
        raise
    if not _equal(found, expected):
        raise _Impossible


def _equal(left: Any, right: Any) -> bool:
    """Equality of JSON: true is not 1."""
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(_equal(v, right[k]) for k, v in left.items())
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(_equal, left, right))
    return isinstance(left, bool) == isinstance(right, bool) and bool(left == right)
