"""Label and field selectors: parsed with the real server's error texts, matched against labels and fields."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from localcluster.apiserver.errors import APIError, bad_request, show
from localcluster.apiserver.kinds.metadata import label_value, qualified_name

JSON = dict[str, Any]
Matcher = Callable[[Mapping[str, str]], bool]

_TOKEN = re.compile(r"\s*(?:(==|!=|=|!|,|\(|\)|<|>)|([^\s=!,()<>]+))")


class _Parser:
    """The grammar of k8s.io/apimachinery `labels.Parse`: comma-separated requirements."""

    def __init__(self, text: str) -> None:
        self.tokens: list[str] = []
        end = 0
        text = text.rstrip()
        for match in _TOKEN.finditer(text):
            self.tokens.append(match[1] or match[2])
            end = match.end()
        self.rest = text[end:]
        self.at = 0

    def peek(self) -> str:
        return self.tokens[self.at] if self.at < len(self.tokens) else ""

    def next(self) -> str:
        token = self.peek()
        self.at += 1
        return token

    def is_word(self, token: str) -> bool:
        return bool(token) and token not in ("=", "==", "!=", "!", ",", "(", ")", "<", ">")

    def parse(self) -> list[Matcher]:
        found: list[Matcher] = []
        if not self.tokens:
            return found
        while True:
            token = self.peek()
            if not (self.is_word(token) or token == "!"):
                raise bad_request(f"found '{token}', expected: !, identifier, or 'end of string'")
            found.append(self.requirement())
            token = self.next()
            if token == "":
                return found
            if token != ",":
                raise bad_request(f"found '{token}', expected: ',' or 'end of string'")
            after = self.peek()
            if not (self.is_word(after) or after == "!"):
                raise bad_request(f"found '{after}', expected: identifier after ','")

    def requirement(self) -> Matcher:
        absent = self.peek() == "!"
        if absent:
            self.next()
        key = self.next()
        if not self.is_word(key):
            raise _unparsed(f"found '{key}', expected: identifier")
        problems = qualified_name(key)
        if problems:
            raise _unparsed(f"<nil>: Invalid value: {show(key)}: {'; '.join(problems)}")
        operator = self.peek()
        if absent or operator in ("", ","):
            return (lambda labels: key not in labels) if absent else (lambda labels: key in labels)
        self.next()
        if operator in ("in", "notin"):
            values = self.value_list()
            return _membership(key, values, operator == "in")
        if operator in ("=", "==", "!="):
            value = self.single_value()
            return _membership(key, [value], operator != "!=")
        if operator in ("<", ">"):
            value = self.single_value()
            if not re.fullmatch(r"[+-]?\d+", value):
                raise _unparsed(
                    f"values[0]: Invalid value: {show(value)}: for 'Gt', 'Lt' operators, the value must be an integer"
                )
            return _comparison(key, int(value), operator == ">")
        raise _unparsed(f"found '{operator}', expected: in, notin, =, ==, !=, <, or >")

    def single_value(self) -> str:
        if self.peek() in ("", ","):
            return _checked("")
        return _checked(self.next())

    def value_list(self) -> list[str]:
        token = self.next()
        if token != "(":
            raise _unparsed(f"found '{token}' expected: '('")
        values: list[str] = []
        expect_value = True
        while True:
            token = self.next()
            if token == ")":
                if expect_value:
                    values.append("")
                return [_checked(v) for v in values]
            if token == ",":
                if expect_value:
                    values.append("")
                expect_value = True
            elif self.is_word(token) and expect_value:
                values.append(token)
                expect_value = False
            else:
                raise _unparsed(f"found '{token}', expected: ',' or ')'")


def _unparsed(message: str) -> APIError:
    return bad_request(f"unable to parse requirement: {message}")


def _checked(value: str) -> str:
    problems = label_value(value)
    if problems:
        raise _unparsed(f"values[0][<nil>]: Invalid value: {show(value)}: {'; '.join(problems)}")
    return value


def _membership(key: str, values: list[str], wanted: bool) -> Matcher:
    allowed = frozenset(values)
    if wanted:
        return lambda labels: labels.get(key) in allowed
    return lambda labels: labels.get(key) not in allowed


def _comparison(key: str, limit: int, greater: bool) -> Matcher:
    def compare(labels: Mapping[str, str]) -> bool:
        value = labels.get(key, "")
        if not re.fullmatch(r"[+-]?\d+", value):
            return False
        return int(value) > limit if greater else int(value) < limit

    return compare


def label_selector(text: str) -> Matcher | None:
    """A matcher for labels, None for the empty selector. Raises APIError 400."""
    requirements = _Parser(text).parse()
    if not requirements:
        return None
    if len(requirements) == 1:
        return requirements[0]
    return lambda labels: all(matches(labels) for matches in requirements)


def matches_object_selector(selector: JSON | None, labels: Mapping[str, str]) -> bool:
    """A LabelSelector object (matchLabels, matchExpressions); None matches nothing, an empty one everything."""
    if selector is None:
        return False
    for key, value in (selector.get("matchLabels") or {}).items():
        if labels.get(key) != value:
            return False
    for expression in selector.get("matchExpressions") or []:
        key, operator, values = expression["key"], expression["operator"], expression.get("values") or []
        present = key in labels
        matched = {
            "In": present and labels[key] in values,
            "NotIn": not present or labels[key] not in values,
            "Exists": present,
            "DoesNotExist": not present,
        }.get(operator, False)
        if not matched:
            return False
    return True


def format_selector(selector: JSON | None) -> str:
    """A LabelSelector object as text, requirements ordered by their keys; empty if it selects all or nothing."""
    if not selector:
        return ""
    parts = [(k, f"{k}={v}") for k, v in (selector.get("matchLabels") or {}).items()]
    for expression in selector.get("matchExpressions") or []:
        key, values = expression["key"], ",".join(sorted(expression.get("values") or []))
        text = {
            "In": f"{key} in ({values})",
            "NotIn": f"{key} notin ({values})",
            "Exists": key,
            "DoesNotExist": f"!{key}",
        }[expression["operator"]]
        parts.append((key, text))
    return ",".join(text for _, text in sorted(parts, key=lambda part: part[0]))


_ESCAPABLE = "\\,="


class FieldTerm(NamedTuple):
    """One requirement of a field selector: the field has the value, or has not (`wanted` is false)."""

    field: str
    wanted: bool
    value: str


def field_terms(text: str) -> list[FieldTerm]:
    """The requirements of a field selector; ``\\``, ``,`` and ``=`` of a value are escaped by ``\\``.

    Raises APIError 400.
    """
    found = []
    for part in _split_terms(text):
        if not part:
            continue
        match = _FIELD_TERM.match(part)
        if match is None:
            raise bad_request(f"invalid selector: '{text}'; can't understand '{part}'")
        field, operator = match.groups()
        found.append(FieldTerm(field, operator != "!=", _unescaped(part[match.end() :])))
    return found


_FIELD_TERM = re.compile(r"(.*?)(!=|==|=)", re.S)


def _split_terms(text: str) -> Iterator[str]:
    """The parts between commas that no backslash precedes; a backslash may itself be escaped."""
    start, escaped = 0, False
    for position, char in enumerate(text):
        if escaped:
            escaped = False
        elif char == "\\":
            escaped = True
        elif char == ",":
            yield text[start:position]
            start = position + 1
    yield text[start:]


def _unescaped(value: str) -> str:
    found: list[str] = []
    rest = iter(value)
    for char in rest:
        if char == "\\":
            following = next(rest, "")
            if not following or following not in _ESCAPABLE:
                raise bad_request(f"invalid field selector: invalid escape sequence: \\{following}")
            found.append(following)
        elif char in ",=":
            raise bad_request(f"invalid field selector: unescaped character in value: {ord(char)}")
        else:
            found.append(char)
    return "".join(found)


def exact_field(text: str, field: str) -> str:
    """The value that a field selector requires of `field` by ``=`` or ``==``; empty if it requires none.

    A selector that cannot be parsed requires nothing here; whoever lists by it refuses it.
    """
    try:
        terms = field_terms(text)
    except APIError:
        return ""
    return next((term.value for term in terms if term.field == field and term.wanted), "")


def field_selector(text: str, known: Callable[[str], str | None]) -> Matcher | None:
    """A matcher for a flat dict of fields, None for the empty selector.

    `known` answers None for a field that may be named, else what is wrong with it. Raises APIError 400.
    """
    terms = field_terms(text)
    for term in terms:
        problem = known(term.field)
        if problem:
            raise bad_request(problem)
    if not terms:
        return None
    return lambda fields: all((fields.get(name, "") == value) is wanted for name, wanted, value in terms)
