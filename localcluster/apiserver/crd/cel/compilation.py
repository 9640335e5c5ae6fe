"""From the text of a rule to a program, its cost and what is wrong with it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from localcluster.apiserver.crd.cel import estimation
from localcluster.apiserver.crd.cel.checker import Checked, check, objects_in
from localcluster.apiserver.crd.cel.library import Program, SyntaxFailure, parse
from localcluster.apiserver.crd.cel.rewriting import rewritten
from localcluster.apiserver.crd.cel.types import BOOL, STRING, Declared, Type, optional
from localcluster.apiserver.crd.field_paths import FieldPathError, resolve

JSON = dict[str, Any]


@dataclass(slots=True)
class Rule:
    """One of x-kubernetes-validations.

    Attributes:
        declared: as it stands in the schema.
        error, message_error: what is wrong with `rule` and with `messageExpression`; empty if nothing is.
        cost, message_cost: the most that evaluating them costs.
        uses_old: it mentions oldSelf.
        field_path: where its errors point, relative to the value.
    """

    declared: JSON
    error: str = ""
    message_error: str = ""
    cost: int = 0
    message_cost: int = 0
    uses_old: bool = False
    field_path: str = ""
    program: Program | None = None
    message: Program | None = None

    @property
    def optional_old(self) -> bool:
        return self.declared.get("optionalOldSelf") is True


def compile_rules(raw: JSON, self_type: Declared) -> list[Rule]:
    """The rules of one node of a schema."""
    return [_compile(rule, raw, self_type) for rule in raw.get("x-kubernetes-validations") or ()]


def _compile(declared: JSON, raw: JSON, self_type: Declared) -> Rule:
    rule = Rule(declared)
    text = declared.get("rule") or ""
    if not text.strip():
        return rule
    old = optional(self_type.type) if rule.optional_old else self_type.type
    variables = {"self": self_type.type, "oldSelf": old}
    checked, error = _checked(text, variables, self_type)
    if checked is None:
        rule.error = f"compilation failed: {error}"
        return rule
    if checked.result != BOOL:
        rule.error = "cel expression must evaluate to a bool"
        return rule
    rule.uses_old = "oldSelf" in checked.variables
    rule.cost = estimation.estimate(checked, self_type)
    rule.program = Program(rewritten(checked, optional_old=rule.optional_old))
    if declared.get("fieldPath"):
        try:
            rule.field_path, _ = resolve(declared["fieldPath"], raw)
        except FieldPathError:
            rule.field_path = ""
    if declared.get("messageExpression"):
        _compile_message(rule, declared["messageExpression"], variables, self_type)
    return rule


def _compile_message(rule: Rule, text: str, variables: dict[str, Type], self_type: Declared) -> None:
    checked, error = _checked(text, variables, self_type)
    if checked is None:
        rule.message_error = f"messageExpression compilation failed: {error}"
    elif checked.result != STRING:
        rule.message_error = "messageExpression must evaluate to a string"
    else:
        rule.message_cost = estimation.estimate(checked, self_type)
        rule.message = Program(rewritten(checked, optional_old=rule.optional_old))


def _checked(text: str, variables: dict[str, Type], self_type: Declared) -> tuple[Checked | None, str]:
    try:
        parsed = parse(text)
    except SyntaxFailure as failure:
        return None, str(failure)
    checked = check(parsed, variables, objects_in(self_type))
    return (None, "\n".join(checked.errors)) if checked.errors else (checked, "")
