"""Reading YAML as Kubernetes does: what JSON can say, with the scalar types of the YAML library that the API uses.

The rules are those of https://github.com/kubernetes-sigs/yaml: yes, no, on and off are booleans, dates stay text,
numbers may be octal, and keys become text.
"""

from __future__ import annotations

import re
from typing import Any

import yaml

from localcluster.apiserver.errors import bad_request

_PREFIX = "yaml: unmarshal errors:\n"
_INTEGER = re.compile(r"[-+]?(?:0[xX][0-9a-fA-F_]+|0[bB][01_]+|0[oO]?[0-7_]*|[1-9][0-9_]*)$")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?$")
_BOOLEANS = {
    word: meaning
    for meaning, words in ((True, ("y", "yes", "on", "true")), (False, ("n", "no", "off", "false")))
    for each in words
    for word in (each, each.capitalize(), each.upper())
}
_NULLS = {"", "~", "null", "Null", "NULL"}

_Base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Loader(_Base):  # type: ignore[misc]
    """Leaves it to `_plain` what a scalar without quotes means."""

    duplicates: list[str]

    def __init__(self, stream: bytes) -> None:
        super().__init__(stream)
        self.duplicates = []


_PLAIN_TAG = "tag:plain"
_MERGE_TAG = "tag:yaml.org,2002:merge"
_Loader.yaml_implicit_resolvers = {
    "<": [(_MERGE_TAG, re.compile(r"^<<$"))],
    None: [(_PLAIN_TAG, re.compile(""))],
}


def _plain(loader: Any, node: Any) -> Any:
    text = node.value
    if text in _NULLS:
        return None
    if text in _BOOLEANS:
        return _BOOLEANS[text]
    if _INTEGER.match(text):
        return _integer(text.replace("_", ""))
    if _FLOAT.match(text):
        return float(text)
    return text


def _integer(text: str) -> int:
    sign = -1 if text.startswith("-") else 1
    digits = text.lstrip("+-").lower()
    if digits.startswith("0") and digits[1:].isdigit():
        return sign * int(digits, 8)
    return sign * int(digits, 0)


def _mapping(loader: Any, node: Any) -> dict[str, Any]:
    seen: set[Any] = set()
    for key_node, _ in node.value:
        if key_node.tag == _MERGE_TAG:
            continue
        key = _key(loader.construct_object(key_node, deep=True))
        if key in seen:
            loader.duplicates.append(f'  line {key_node.start_mark.line + 1}: key "{key}" already set in map')
        seen.add(key)
    loader.flatten_mapping(node)
    return {
        _key(loader.construct_object(key, deep=True)): loader.construct_object(value, deep=True)
        for key, value in node.value
    }


def _key(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        return "null"
    return str(value)


def _sequence(loader: Any, node: Any) -> list[Any]:
    return [loader.construct_object(item, deep=True) for item in node.value]


_Loader.add_constructor(_PLAIN_TAG, _plain)
_Loader.add_constructor("tag:yaml.org,2002:map", _mapping)
_Loader.add_constructor("tag:yaml.org,2002:seq", _sequence)


def read(body: bytes) -> tuple[Any, list[str]]:
    """The first document of `body`, and, where keys occur twice, one text that lists them.

    Raises:
        ValueError: the text is no YAML; says why and where.
    """
    try:
        loader = _Loader(body)
        try:
            document = loader.get_data() if loader.check_data() else None
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        # Go's parser counts lines from zero, its scanner from one, and zero is not mentioned.
        line = (mark.line if mark else 0) + isinstance(error, yaml.scanner.ScannerError)
        where = f"line {line}: " if line else ""
        raise ValueError(f"yaml: {where}{error.problem or error.context}") from None
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError, ValueError) as error:
        raise ValueError(f"yaml: {error}") from None
    return document, [_PREFIX + "\n".join(loader.duplicates)] if loader.duplicates else []


def warnings(problem: str) -> list[str]:
    """The single warnings of a text that `read` returned; any other text is one warning."""
    if not problem.startswith(_PREFIX):
        return [problem]
    return [line.strip() for line in problem.removeprefix(_PREFIX).split("\n")]


def read_patch(body: bytes) -> tuple[Any, list[str]]:
    """The document of an apply patch. Raises APIError 400 if it is no YAML."""
    try:
        return read(body)
    except ValueError as error:
        raise bad_request(f"error decoding YAML: error converting YAML to JSON: {error}") from None
