"""The errors of a definition's rules: those that do not compile, and those that could cost too much."""

from __future__ import annotations

from typing import Any

from localcluster.apiserver.crd import internal_form
from localcluster.apiserver.crd.cel import cost
from localcluster.apiserver.crd.cel.compilation import Rule, compile_rules
from localcluster.apiserver.crd.cel.types import Declared, declared
from localcluster.apiserver.crd.field_errors import QuotedError, child, invalid, item
from localcluster.apiserver.crd.schema_rules import SchemaPlace
from localcluster.apiserver.errors import INTERNAL, INVALID, FieldError, forbidden_field

JSON = dict[str, Any]

_WORTH_NAMING = cost.TOTAL_LIMIT // 100
_NAMED = 4


class RuleErrors:
    """The rules of one schema, node by node (`schema_rules.RuleChecker`).

    Args:
        path: of the schema's root.
        limited: each rule has to keep to the limit of its own; not for schemas that were accepted before.
    """

    def __init__(self, raw: JSON, path: str, *, limited: bool) -> None:
        self._path = path
        self._limited = limited
        self._total = 0
        self._expensive: list[tuple[int, str]] = []

    def check(self, place: SchemaPlace, uncorrelatable: str) -> list[FieldError]:
        path = child(place.path, "x-kubernetes-validations")
        known = declared(place.raw, resource_root=place.resource_root)
        if known is None:
            detail = "failed to construct type information for x-kubernetes-validations rules"
            why = "unable to convert structural schema to CEL declarations"
            return [FieldError(INTERNAL, path, None, f"internal error: {detail}: {why}")]
        errors: list[FieldError] = []
        for index, rule in enumerate(compile_rules(place.raw, known)):
            errors += self._rule(rule, item(path, index), place, known, uncorrelatable)
        return errors

    def _rule(
        self, rule: Rule, path: str, place: SchemaPlace, known: Declared, uncorrelatable: str
    ) -> list[FieldError]:
        errors: list[FieldError] = []
        times = cost.cardinality(known) if place.cardinality is None else place.cardinality
        spent = cost.multiply(rule.cost, times)
        if self._limited and spent > cost.RULE_LIMIT:
            text = cost.exceeded("estimated rule cost", spent, cost.RULE_LIMIT)
            errors.append(forbidden_field(f"{path}.rule", text))
        self._observe(f"{path}.rule", spent)
        shown = internal_form.text(internal_form.rule(rule.declared))
        if rule.error:
            errors.append(QuotedError(INVALID, f"{path}.rule", shown, rule.error))
        if rule.message_error:
            errors.append(QuotedError(INVALID, f"{path}.messageExpression", shown, rule.message_error))
        elif rule.message is not None:
            if self._limited and rule.message_cost > cost.RULE_LIMIT:
                text = cost.exceeded("estimated messageExpression cost", rule.message_cost, cost.RULE_LIMIT)
                errors.append(forbidden_field(f"{path}.messageExpression", text))
            self._observe(f"{path}.messageExpression", rule.message_cost)
        if rule.uses_old and uncorrelatable:
            detail = f"oldSelf cannot be used on the uncorrelatable portion of the schema within {uncorrelatable}"
            errors.append(invalid(f"{path}.rule", rule.declared["rule"], detail))
        elif not rule.uses_old and rule.declared.get("optionalOldSelf") is not None:
            detail = "may not be set if oldSelf is not used in rule"
            errors.append(invalid(f"{path}.optionalOldSelf", rule.declared["optionalOldSelf"], detail))
        return errors

    def _observe(self, path: str, spent: int) -> None:
        self._total += spent
        if spent >= _WORTH_NAMING:
            self._expensive.append((spent, path))

    def total(self) -> list[FieldError]:
        if self._total <= cost.TOTAL_LIMIT:
            return []
        named = sorted(self._expensive, key=lambda e: -e[0])[:_NAMED]
        detail = "contributed to estimated rule cost total exceeding cost limit for entire OpenAPIv3 schema"
        errors: list[FieldError] = [forbidden_field(path, detail) for _, path in named]
        what = "x-kubernetes-validations estimated rule cost total for entire OpenAPIv3 schema"
        total = min(self._total, cost.UNLIMITED)
        return [*errors, forbidden_field(self._path, cost.exceeded(what, total, cost.TOTAL_LIMIT))]
