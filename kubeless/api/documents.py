"""JSON or YAML inside of a ConfigMap's text, read strictly: a key that is there twice is an error."""

from __future__ import annotations

import json
from collections.abc import Hashable
from typing import Any

import yaml

from kubeless.api.errors import InvalidSpec, Reason


def read_document(field: str, text: str) -> Any:
    """The content of `text`, None if it is blank. Raises InvalidSpec, which names `field`."""
    if not text.strip():
        return None
    try:
        # YAML parsers refuse some JSON (tabs), which old configurations are written in.
        return json.loads(text, object_pairs_hook=_pairs_once)
    except json.JSONDecodeError:
        pass
    except _RepeatedKey as error:
        raise InvalidSpec(field, str(error), Reason.INVALID_CONFIG) from None
    try:
        return yaml.load(text, Loader=_StrictLoader)  # noqa: S506 - a SafeLoader
    except yaml.YAMLError as error:
        place = f" at line {mark.line + 1}" if (mark := getattr(error, "problem_mark", None)) else ""
        what = getattr(error, "problem", None) or error
        raise InvalidSpec(field, f"is neither YAML nor JSON{place}: {what}", Reason.INVALID_CONFIG) from None
    except _RepeatedKey as error:
        raise InvalidSpec(field, str(error), Reason.INVALID_CONFIG) from None


class _RepeatedKey(Exception):
    def __init__(self, key: object) -> None:
        super().__init__(f'has the key "{key}" twice in one object; remove one of them')


def _pairs_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content: dict[str, Any] = {}
    for key, value in pairs:
        if key in content:
            raise _RepeatedKey(key)
        content[key] = value
    return content


class _StrictLoader(yaml.SafeLoader):
    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[Hashable] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if isinstance(key, Hashable):
                if key in seen and key_node.tag != "tag:yaml.org,2002:merge":
                    raise _RepeatedKey(key)
                seen.add(key)
        return super().construct_mapping(node, deep)
