"""Evaluating the rules of a schema on an object: `Rules`.

https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#validation-rules
"""

from __future__ import annotations

import base64
import binascii
from typing import Any

from localcluster.apiserver.crd.cel.compilation import Rule, compile_rules
from localcluster.apiserver.crd.cel.library import EvaluationFailure, Program
from localcluster.apiserver.crd.cel.types import declared
from localcluster.apiserver.crd.correlation import old_item, same_json
from localcluster.apiserver.crd.field_errors import NO_PATH, child, duplicate, invalid, item, key
from localcluster.apiserver.crd.nodes import children, has_rules, values_schema
from localcluster.apiserver.errors import INVALID, OMITTED, FieldError, forbidden_field, required

JSON = dict[str, Any]

MAX_MESSAGE_BYTES = 5 * 1024


class _Node:
    """A node of the schema with rules, or with rules below it."""

    __slots__ = ("converts", "items", "properties", "raw", "rules", "unordered", "values")

    def __init__(self, raw: JSON, *, resource_root: bool = False) -> None:
        self.raw = raw
        known = declared(raw, resource_root=resource_root) if raw.get("x-kubernetes-validations") else None
        self.rules = compile_rules(raw, known) if known is not None else []
        self.converts = _converts(raw)
        self.unordered = any(r.uses_old for r in self.rules) and _has_unordered(raw)
        self.properties = {n: _Node(r) for n, r in (raw.get("properties") or {}).items() if has_rules(r)}
        values, items = values_schema(raw), raw.get("items")
        self.values = _Node(values) if values is not None and has_rules(values) else None
        self.items = _Node(items) if isinstance(items, dict) and has_rules(items) else None


class Rules:
    """The compiled rules of a version's schema."""

    def __init__(self, raw: JSON) -> None:
        self._root = _Node(raw, resource_root=True)

    def validate(self, new: JSON, old: JSON | None) -> list[FieldError]:
        """The errors of an object that is otherwise valid; `old` is what it replaces."""
        errors: list[FieldError] = []
        self._visit(self._root, new, old, "", False, errors)
        return errors

    def _visit(self, node: _Node, value: Any, old: Any, path: str, settled: bool, errors: list[FieldError]) -> None:
        """`settled`: an ancestor is as it was, though what belongs to this value in it cannot be told."""
        if value is None:
            return
        if node.rules:
            errors += self._evaluate(node, value, old, path, settled)
        if isinstance(value, dict):
            correlates = node.raw.get("x-kubernetes-map-type") != "atomic"
            before = old if isinstance(old, dict) and correlates else {}
            beyond = settled or (old is not None and not correlates and same_json(value, old))
            for name in sorted(value):
                below = node.properties.get(name)
                if below is not None:
                    self._visit(below, value[name], before.get(name), child(path, name), beyond, errors)
                elif node.values is not None and name not in (node.raw.get("properties") or ()):
                    self._visit(node.values, value[name], before.get(name), key(path, name), beyond, errors)
        elif isinstance(value, list) and node.items is not None:
            for index, element in enumerate(value):
                previous = old_item(value, old, index, node.raw)
                beyond = settled or (previous is None and old is not None and same_json(value, old))
                self._visit(node.items, element, previous, item(path, index), beyond, errors)

    def _evaluate(self, node: _Node, value: Any, old: Any, path: str, settled: bool) -> list[FieldError]:
        errors: list[FieldError] = []
        kind = str(node.raw.get("type") or "")
        unchanged = settled or (old is not None and same_json(value, old))
        variables: JSON = {"self": converted(value, node.raw) if node.converts else value}
        if old is not None:
            variables["oldSelf"] = converted(old, node.raw) if node.converts else old
        for rule in node.rules:
            if rule.error:
                errors.append(invalid(path, kind, f"rule compile error: {rule.error}"))
                continue
            if rule.program is None or (rule.uses_old and old is None and not rule.optional_old):
                continue
            known = variables
            if node.unordered and rule.uses_old:
                known = {n: in_order(v, node.raw) for n, v in variables.items()}
            if rule.optional_old:
                known = {**known, "oldSelf": [known["oldSelf"]] if old is not None else []}
            try:
                if rule.program.evaluate(known) is True:
                    continue
            except EvaluationFailure as failure:
                errors.append(invalid(path, kind, _failure(rule, str(failure))))
                continue
            if unchanged and not rule.uses_old:
                continue
            where = child(path, rule.field_path) if rule.field_path else path
            shown = OMITTED if kind in ("object", "array") else value
            errors.append(_broken(rule, where, shown, _message(rule, known)))
        return errors


def _failure(rule: Rule, said: str) -> str:
    text = _name(rule)
    if said.startswith("no such overload"):
        words = "call arguments did not match a supported operator, function or macro signature for rule"
        return f"'{said}': {words}: {text}"
    return f"{said} evaluating rule: {text}"


def _name(rule: Rule) -> str:
    return str(rule.declared.get("message") or rule.declared["rule"]).strip()


def _message(rule: Rule, variables: JSON) -> str:
    computed = _computed(rule.message, variables) if rule.message is not None else ""
    if computed:
        return computed
    if rule.declared.get("message"):
        return str(rule.declared["message"]).strip()
    return f"failed rule: {_name(rule)}"


def _computed(program: Program, variables: JSON) -> str:
    """What a messageExpression says; empty where that cannot be used."""
    try:
        text = program.evaluate(variables)
    except EvaluationFailure:
        return ""
    text = text.strip() if isinstance(text, str) else ""
    return "" if "\n" in text or len(text.encode()) > MAX_MESSAGE_BYTES else text


def _broken(rule: Rule, path: str, value: Any, detail: str) -> FieldError:
    path = path or NO_PATH
    match rule.declared.get("reason"):
        case "FieldValueForbidden":
            return forbidden_field(path, detail)
        case "FieldValueRequired":
            return required(path, detail)
        case "FieldValueDuplicate" if value is not OMITTED:
            return duplicate(path, value)
        case "FieldValueDuplicate":
            return FieldError("FieldValueDuplicate", path, OMITTED)
    return FieldError(INVALID, path, OMITTED, detail) if value is OMITTED else invalid(path, value, detail)


# ---- values


def _converts(raw: JSON) -> bool:
    """Whether JSON values of the schema are not the ones that rules see."""
    if raw.get("type") == "number" or (raw.get("type") == "string" and raw.get("format") == "byte"):
        return True
    below = [*(raw.get("properties") or {}).values(), values_schema(raw), raw.get("items")]
    return any(_converts(r) for r in below if isinstance(r, dict))


def converted(value: Any, raw: JSON | None) -> Any:
    """A value with numbers as floats and base64 text as bytes where the schema says so."""
    if raw is None:
        return value
    if isinstance(value, dict):
        properties, values = raw.get("properties") or {}, values_schema(raw)
        return {k: converted(v, properties.get(k, values)) for k, v in value.items()}
    if isinstance(value, list):
        return [converted(v, raw.get("items")) for v in value]
    if raw.get("type") == "number" and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if raw.get("format") == "byte" and raw.get("type") == "string" and isinstance(value, str):
        try:
            return base64.b64decode(value, validate=True)
        except binascii.Error:
            return value.encode()
    return value


_UNORDERED = ("set", "map")


def _has_unordered(raw: JSON) -> bool:
    return raw.get("x-kubernetes-list-type") in _UNORDERED or any(_has_unordered(r) for r in children(raw))


def in_order(value: Any, raw: JSON | None) -> Any:
    """A value with sets and maps that are lists sorted, because they are equal in whatever order they stand."""
    if raw is None:
        return value
    if isinstance(value, dict):
        properties, values = raw.get("properties") or {}, values_schema(raw)
        return {k: in_order(v, properties.get(k, values)) for k, v in value.items()}
    if isinstance(value, list):
        elements = [in_order(v, raw.get("items")) for v in value]
        kind, keys = raw.get("x-kubernetes-list-type"), raw.get("x-kubernetes-list-map-keys") or ()
        if kind == "set":
            return sorted(elements, key=repr)
        if kind == "map":
            return sorted(elements, key=lambda e: [repr(e.get(k)) for k in keys] if isinstance(e, dict) else [])
        return elements
    return value
