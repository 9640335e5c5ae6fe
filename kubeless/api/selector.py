"""LabelSelector: which objects are meant, by their labels
(https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#label-selectors)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from kubeless.api.errors import InvalidSpec
from kubeless.api.reading import Fields, described

OPERATORS = ("In", "NotIn", "Exists", "DoesNotExist")


@dataclass(frozen=True)
class Requirement:
    """One of `matchExpressions`."""

    key: str
    operator: str
    values: tuple[str, ...] = ()

    def matches(self, labels: Mapping[str, str]) -> bool:
        if self.operator == "Exists":
            return self.key in labels
        if self.operator == "DoesNotExist":
            return self.key not in labels
        within = labels.get(self.key) in self.values
        return within if self.operator == "In" else not within


@dataclass(frozen=True)
class Selector:
    """All requirements must hold. An empty selector matches everything."""

    requirements: tuple[Requirement, ...] = ()

    def matches(self, labels: Mapping[str, str]) -> bool:
        return all(requirement.matches(labels) for requirement in self.requirements)


def parse_selector(fields: Fields) -> Selector:
    """Raises InvalidSpec."""
    labels = fields.inner("matchLabels").content
    for key, value in labels.items():
        if not isinstance(value, str):
            raise InvalidSpec(f"{fields.at('matchLabels')}.{key}", f"must be text in quotes, not {described(value)}")
    expressions = fields.content.get("matchExpressions") or []
    if not isinstance(expressions, list):
        raise InvalidSpec(fields.at("matchExpressions"), f"must be a list, not {described(expressions)}")
    return Selector(
        (
            *(Requirement(key, "In", (value,)) for key, value in labels.items()),
            *(_requirement(fields.at(f"matchExpressions[{n}]"), entry) for n, entry in enumerate(expressions)),
        )
    )


def _requirement(path: str, entry: object) -> Requirement:
    fields = Fields.of(path, entry)
    operator = fields.required("operator", "operator: In")
    values = fields.content.get("values") or []
    if operator not in OPERATORS:
        raise InvalidSpec(fields.at("operator"), f'must be one of {", ".join(OPERATORS)}, not "{operator}"')
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise InvalidSpec(fields.at("values"), "must be a list of texts")
    if bool(values) != (operator in ("In", "NotIn")):
        raise InvalidSpec(fields.at("values"), f"must {'' if not values else 'not '}be given with operator: {operator}")
    return Requirement(fields.required("key", "key: app"), operator, tuple(values))
