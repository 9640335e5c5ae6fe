"""Fields of objects as they come from the API server: typed, defaulted, with errors that name the field."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kubeless.api.errors import InvalidSpec

JSON = dict[str, Any]


@dataclass(frozen=True)
class Fields:
    """The fields of one object at `path`; an absent field, null and (for text) "" are the same.

    Every method raises InvalidSpec for a value of another type than its own.
    """

    path: str
    content: Mapping[str, Any]

    @classmethod
    def of(cls, path: str, value: Any) -> Fields:
        if value is None:
            value = {}
        if not isinstance(value, Mapping):
            raise InvalidSpec(path, f"must be an object, not {described(value)}")
        return cls(path, value)

    def at(self, name: str) -> str:
        return f"{self.path}.{name}" if self.path else name

    def text(self, name: str, default: str = "") -> str:
        value = self.content.get(name)
        if value is None or value == "":
            return default
        if not isinstance(value, str):
            raise InvalidSpec(self.at(name), f"must be text in quotes, not {described(value)}")
        return value

    def required(self, name: str, example: str) -> str:
        value = self.text(name)
        if not value:
            raise InvalidSpec(self.at(name), f"is missing; for example {example}")
        return value

    def flag(self, name: str, default: bool = False) -> bool:
        value = self.content.get(name)
        if value is None:
            return default
        if not isinstance(value, bool):
            raise InvalidSpec(self.at(name), f"must be true or false, not {described(value)}")
        return value

    def object(self, name: str) -> JSON:
        """A copy without nulls, which old tools wrote for what is not set; {} if there is none."""
        inner = Fields.of(self.at(name), self.content.get(name))
        cleaned: JSON = without_nulls(inner.content)
        return cleaned

    def inner(self, name: str) -> Fields:
        return Fields.of(self.at(name), self.content.get(name))


def without_nulls(value: Any) -> Any:
    """A copy of JSON in which no object has a null."""
    if isinstance(value, Mapping):
        return {key: without_nulls(content) for key, content in value.items() if content is not None}
    if isinstance(value, list):
        return [without_nulls(item) for item in value]
    return value


def described(value: Any) -> str:
    """A value of a wrong type in words."""
    if isinstance(value, Mapping):
        return "an object"
    if isinstance(value, list):
        return "a list"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return f"the number {value}"
    if value is None:
        return "nothing"
    return f'the text "{value}"'
