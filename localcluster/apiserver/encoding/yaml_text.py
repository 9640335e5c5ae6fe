"""Reading YAML as Kubernetes does: what JSON can say, with the scalar types of the YAML library that the API uses.

The rules are those of https://github.com/kubernetes-sigs/yaml: yes, no, on and off are booleans, dates stay text,
numbers may be octal, and keys become text.
"""

from __future__ import annotations

import base64
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import orjson
import yaml

from localcluster.apiserver.encoding.depth import MAX_DEPTH
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
_NUMBER_STARTS = frozenset("+-.0123456789")

_Parser: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_TAGS = "tag:yaml.org,2002:"


def read(body: bytes) -> tuple[Any, list[str]]:
    """The first document of `body`, and, where keys occur twice, one text that lists them.

    Raises:
        ValueError: the text is no YAML, too deep, or mostly aliases; says why and where.
    """
    reader = _Reader()
    try:
        document = reader.document(yaml.parse(body, Loader=_Parser))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        # Go's parser counts lines from zero, its scanner from one, and zero is not mentioned.
        line = (mark.line if mark else 0) + isinstance(error, yaml.scanner.ScannerError)
        where = f"line {line}: " if line else ""
        raise ValueError(f"yaml: {where}{error.problem or error.context}") from None
    except (yaml.YAMLError, UnicodeDecodeError, ValueError) as error:
        raise ValueError(f"yaml: {error}") from None
    return document, [_PREFIX + "\n".join(reader.duplicates)] if reader.duplicates else []


@dataclass(slots=True)
class _Open:
    """A collection whose end has not come yet.

    Attributes:
        key: of the value that comes next in a mapping; `_NO_KEY` where a key comes next.
        merged: what ``<<`` brings into a mapping, the first first.
        before: how many nodes there were before it, those of aliases included.
    """

    made: dict[str, Any] | list[Any]
    anchor: str | None
    before: int
    key: Any = None
    merged: list[Any] = field(default_factory=list)


_NO_KEY = object()
_MERGE = object()


class _Reader:
    """Makes a document of the parser's events, without the tree of nodes in between.

    An alias counts as all that it stands for, and aliases may be only so much of a document: the limits are those of
    Go's YAML library, as 593 bytes can otherwise mean gigabytes.
    """

    def __init__(self) -> None:
        self.duplicates: list[str] = []
        self._open: list[_Open] = []
        self._anchors: dict[str, tuple[Any, int]] = {}
        self._nodes = 0
        self._aliased = 0

    def document(self, events: Iterable[Any]) -> Any:
        root: Any = None
        for event in events:
            if isinstance(event, yaml.DocumentEndEvent):
                break
            if isinstance(event, yaml.CollectionStartEvent):
                self._begin(event)
                continue
            if isinstance(event, yaml.ScalarEvent):
                self._nodes += 1
                value = self._scalar(event)
                if event.anchor:
                    self._anchors[event.anchor] = value, 1
            elif isinstance(event, yaml.AliasEvent):
                value = self._alias(event.anchor or "")
            elif isinstance(event, yaml.CollectionEndEvent):
                value = self._end()
            else:
                continue
            if self._open:
                self._put(value, event)
            else:
                root = value
        return self._unshared(root) if self._aliased else root

    def _begin(self, event: Any) -> None:
        self._nodes += 1
        if len(self._open) >= MAX_DEPTH:
            raise ValueError(f"exceeded max depth of {MAX_DEPTH}")
        made: dict[str, Any] | list[Any] = {} if isinstance(event, yaml.MappingStartEvent) else []
        self._open.append(_Open(made, event.anchor, self._nodes - 1, _NO_KEY))

    def _end(self) -> Any:
        ended = self._open.pop()
        value = ended.made
        if ended.merged and isinstance(value, dict):
            explicit, value = value, {}
            for merged in reversed(ended.merged):
                value.update(merged)
            value.update(explicit)
        if ended.anchor:
            self._anchors[ended.anchor] = value, self._nodes - ended.before
        return value

    def _alias(self, anchor: str) -> Any:
        if any(each.anchor == anchor for each in self._open):
            raise ValueError(f"anchor '{anchor}' value contains itself")
        if anchor not in self._anchors:
            raise ValueError(f"unknown anchor '{anchor}' referenced")
        value, size = self._anchors[anchor]
        self._nodes += size
        self._aliased += size
        if self._aliased > 100 and self._nodes > 1000 and self._aliased / self._nodes > _allowed_share(self._nodes):
            raise ValueError("document contains excessive aliasing")
        return value

    def _put(self, value: Any, event: Any) -> None:
        """Add a value to the innermost collection; in a mapping, every other one is a key."""
        parent = self._open[-1]
        if isinstance(parent.made, list):
            parent.made.append(value)
        elif parent.key is _NO_KEY:
            plain = isinstance(event, yaml.ScalarEvent) and not event.style and not event.tag
            parent.key = _MERGE if plain and event.value == "<<" else _key(value)
            if parent.key is not _MERGE and parent.key in parent.made:
                line = event.start_mark.line + 1
                self.duplicates.append(f'  line {line}: key "{parent.key}" already set in map')
        elif parent.key is _MERGE:
            merged = value if isinstance(value, list) else [value]
            if not all(isinstance(each, dict) for each in merged):
                raise ValueError("map merge requires map or sequence of maps as the value")
            parent.merged += merged
            parent.key = _NO_KEY
        else:
            parent.made[parent.key] = value
            parent.key = _NO_KEY

    @staticmethod
    def _scalar(event: Any) -> Any:
        text, tag = event.value, event.tag
        if tag is None:
            return text if event.style else _plain(text)
        if tag == _TAGS + "binary":
            return base64.b64decode(text).decode("utf-8", "replace")
        # Types that JSON does not have, and those of applications, are text as they stand.
        return _plain(text) if tag.removeprefix(_TAGS) in ("int", "float", "bool", "null") else text

    @staticmethod
    def _unshared(root: Any) -> Any:
        """The document with every alias a value of its own, so that a change of one is not one of all."""
        try:
            return orjson.loads(orjson.dumps(root))
        except (TypeError, orjson.JSONDecodeError):
            raise ValueError(f"exceeded max depth of {MAX_DEPTH}") from None


def _allowed_share(nodes: int) -> float:
    """How much of a document of so many nodes aliases may bring (``allowedAliasRatio`` of Go's library)."""
    low, high = 400_000, 4_000_000
    return 0.99 - 0.89 * (min(max(nodes, low), high) - low) / (high - low)


def _plain(text: str) -> Any:
    """What a scalar without quotes means."""
    if text in _NULLS:
        return None
    if text in _BOOLEANS:
        return _BOOLEANS[text]
    if text[0] in _NUMBER_STARTS:
        if _INTEGER.match(text):
            return _integer(text.replace("_", ""))
        if _FLOAT.match(text):
            number = float(text)
            return number if math.isfinite(number) else text
    return text


def _integer(text: str) -> int | float | str:
    sign = -1 if text.startswith("-") else 1
    digits = text.lstrip("+-").lower()
    octal = digits.startswith("0") and digits[1:].isdigit()
    number = sign * int(digits, 8 if octal else 0)
    if -(2**63) <= number < 2**64:
        return number
    return float(number) if abs(number) < 10**308 else text


def _key(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        return "null"
    if isinstance(value, dict | list):
        raise ValueError("invalid map key")
    return str(value)


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
