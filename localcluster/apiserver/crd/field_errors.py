"""Field paths and the ways in which the real server quotes values in the errors of custom resources."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from localcluster.apiserver.errors import DUPLICATE, INVALID, NOT_SUPPORTED, TOO_MANY, TYPE_INVALID, FieldError

NO_PATH = "<nil>"
"""How an error without a field is printed."""


def child(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def item(path: str, index: int) -> str:
    return f"{path}[{index}]"


def key(path: str, name: str) -> str:
    return f"{path}[{name}]"


_TITLES = {DUPLICATE: "Duplicate value", TOO_MANY: "Too many", NOT_SUPPORTED: "Unsupported value"}


@dataclass(frozen=True, slots=True)
class QuotedError(FieldError):
    """An error whose `value` is the text that is printed, already in the form in which Go prints it."""

    def body(self) -> str:
        title = _TITLES.get(self.reason, "Invalid value")
        return f"{title}: {self.value}" + (f": {self.detail}" if self.detail else "")


def go_number(value: float) -> str:
    """A float as Go's ``%v`` prints it: the shortest digits, with an exponent below 1e-4 and from 1e6 on."""
    if math.isinf(value) or math.isnan(value):
        return {math.inf: "+Inf", -math.inf: "-Inf"}.get(value, "NaN")
    if value == 0:
        return "0"
    sign, digits, exponent = Decimal(repr(value)).as_tuple()
    text = "".join(map(str, digits)).rstrip("0") or "0"
    power = len(digits) + int(exponent) - 1
    if -4 <= power < 6:
        plain = format(Decimal(repr(value)), "f")
        return plain.rstrip("0").rstrip(".") if "." in plain else plain
    fraction = f".{text[1:]}" if len(text) > 1 else ""
    return f"{'-' if sign else ''}{text[0]}{fraction}e{'-' if power < 0 else '+'}{abs(power):02d}"


def go_json(value: Any) -> str:
    """JSON as Go's encoder writes it: keys sorted, no spaces, ``<``, ``>`` and ``&`` escaped."""
    text = json.dumps(_plain_numbers(value), ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    return html_safe(text)


def html_safe(text: str) -> str:
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def _plain_numbers(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e21:
        return int(value)
    if isinstance(value, dict):
        return {k: _plain_numbers(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_plain_numbers(v) for v in value]
    return value


def quoted(value: Any) -> str:
    """A value as field errors quote it: text in double quotes, floats as ``%v``, objects and lists as JSON."""
    if isinstance(value, bool) or value is None:
        return json.dumps(value)
    if isinstance(value, float):
        return go_number(value)
    if isinstance(value, (dict, list)):
        return go_json(value)
    return json.dumps(value, ensure_ascii=False)


def invalid(path: str, value: Any, detail: str) -> FieldError:
    return QuotedError(INVALID, path or NO_PATH, quoted(value), detail)


def wrong_type(path: str, value: Any, detail: str) -> FieldError:
    return QuotedError(TYPE_INVALID, path or NO_PATH, quoted(value), detail)


def duplicate(path: str, value: Any) -> FieldError:
    return QuotedError(DUPLICATE, path or NO_PATH, quoted(value))


def too_many(path: str, actual: int, maximum: int) -> FieldError:
    noun = "item" if maximum == 1 else "items"
    return QuotedError(TOO_MANY, path or NO_PATH, str(actual), f"must have at most {maximum} {noun}")
