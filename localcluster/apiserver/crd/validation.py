"""Validation of a value against an ``openAPIV3Schema``, with the real server's wording, order and ratcheting.

The rules are those of OpenAPI v3; the wording, which alternative of an ``anyOf`` is reported, and what is checked
after a first error are those of k8s.io/kube-openapi's `validate`, because each error becomes a cause that clients see.
"""

from __future__ import annotations

import json
import math
from typing import Any

from localcluster.apiserver.crd import formats, patterns
from localcluster.apiserver.crd.correlation import Correlation
from localcluster.apiserver.crd.field_errors import (
    NO_PATH,
    QuotedError,
    go_json,
    go_number,
    invalid,
    quoted,
    too_many,
    wrong_type,
)
from localcluster.apiserver.errors import NOT_SUPPORTED, FieldError, required, too_long

JSON = dict[str, Any]


def validate(value: Any, raw: JSON, *, base: str = "", correlation: Correlation | None = None) -> list[FieldError]:
    """Every error of a value.

    Args:
        base: the field path of the value; the messages themselves name fields relative to the value.
        correlation: on an update, the old value: what is wrong but did not change is not reported
            (https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#validation-ratcheting).
    """
    return _Validator(base).check(value, raw, "", correlation).errors


class _Result:
    """Errors, and how many checks passed: an ``anyOf`` reports the alternative that passed most of them."""

    __slots__ = ("errors", "passed")

    def __init__(self, *errors: FieldError) -> None:
        self.errors: list[FieldError] = list(errors)
        self.passed = 0

    def merge(self, other: _Result) -> None:
        self.errors += other.errors
        self.passed += other.passed


def _types(raw: JSON) -> list[str]:
    if raw.get("x-kubernetes-int-or-string") is True:
        return ["integer", "string"]
    declared = raw.get("type")
    return [declared] if declared else []


def json_type(value: Any) -> str:
    """The JSON schema type of a value: 1.0 is a ``number``, as it is for Go."""
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, str):
        return "string"
    if isinstance(value, int):
        return "integer"
    if isinstance(value, float):
        return "number"
    return "array" if isinstance(value, list) else "object"


class _Validator:
    def __init__(self, base: str) -> None:
        self.base = base

    def path(self, name: str) -> str:
        name = name.removeprefix(".")
        if not self.base:
            return name or NO_PATH
        return f"{self.base}.{name}" if name else self.base

    def general(self, text: str) -> FieldError:
        return invalid(self.base, "", text)

    def check(self, value: Any, raw: JSON, path: str, correlation: Correlation | None) -> _Result:
        result = self._check(value, raw, path, correlation)
        if result.errors and correlation is not None and correlation.unchanged:
            result.errors = []
        return result

    def _check(self, value: Any, raw: JSON, path: str, correlation: Correlation | None) -> _Result:
        types = _types(raw)
        declared_format = raw.get("format") or ""
        if not formats.normal_name(declared_format):
            declared_format = ""
        if value is None:
            result = self._type(value, raw, types, declared_format, path)
            result.merge(self._enum(value, raw, path))
            return result
        result = _Result()
        if types or declared_format:
            result.merge(self._type(value, raw, types, declared_format, path))
            result.passed += 1
        result.merge(self._alternatives(value, raw, path))
        result.passed += 1
        if isinstance(value, str):
            result.merge(self._text(value, raw, path))
            result.passed += 1
            if declared_format:
                if not formats.valid(declared_format, value):
                    result.errors.append(self._mistyped(path, declared_format, value))
                result.passed += 1
        elif isinstance(value, (int, float)) and not isinstance(value, bool):
            result.merge(self._number(value, raw, types, path))
            result.passed += 1
        elif isinstance(value, list):
            result.merge(self._list(value, raw, path, correlation))
            result.passed += 1
        result.merge(self._enum(value, raw, path))
        result.passed += 1
        if isinstance(value, dict):
            result.merge(self._object(value, raw, path, correlation))
            result.passed += 1
        result.passed += 1
        return result

    # ---- one value

    def _mistyped(self, path: str, expected: str, found: str) -> FieldError:
        text = f"{path} in body must be of type {expected}: {json.dumps(found, ensure_ascii=False)}"
        return wrong_type(self.path(path), found, text)

    def _type(self, value: Any, raw: JSON, types: list[str], declared_format: str, path: str) -> _Result:
        passed = _Result()
        passed.passed = 1
        if value is None:
            if types and raw.get("nullable") is not True:
                return _Result(self._mistyped(path, ",".join(types), "null"))
            return passed
        found = json_type(value)
        integral = found == "number" and float(value).is_integer() and "integer" in types
        fits = found in types or integral or (found == "integer" and "number" in types)
        if declared_format and found not in ("string", "array") and not fits:
            return _Result(self._mistyped(path, raw["format"], {"integer": "int64", "number": "double"}.get(found, "")))
        if declared_format and found in ("string", "array") and "number" not in types and "integer" not in types:
            return passed
        return passed if fits else _Result(self._mistyped(path, ",".join(types), found))

    def _enum(self, value: Any, raw: JSON, path: str) -> _Result:
        allowed = raw.get("enum")
        if not allowed or any(_same(value, a) for a in allowed):
            return _Result()
        words = ", ".join(json.dumps(a if isinstance(a, str) else go_json(a), ensure_ascii=False) for a in allowed)
        return _Result(QuotedError(NOT_SUPPORTED, self.path(path), quoted(value), f"supported values: {words}"))

    def _text(self, value: str, raw: JSON, path: str) -> _Result:
        longest, shortest, pattern = raw.get("maxLength"), raw.get("minLength"), raw.get("pattern")
        if longest is not None and len(value) > longest:
            return _Result(too_long(self.path(path), longest))
        if shortest is not None and len(value) < shortest:
            text = f"{path} in body should be at least {shortest} chars long"
            return _Result(invalid(self.path(path), value, text))
        if pattern:
            try:
                found = patterns.compiled(pattern).search(value)
            except patterns.BadPattern as error:
                pattern, found = f"{pattern}, but pattern is invalid: {error}", None
            if found is None:
                return _Result(invalid(self.path(path), value, f"{path} in body should match '{pattern}'"))
        return _Result()

    def _number(self, value: float, raw: JSON, types: list[str], path: str) -> _Result:
        result = _Result()
        integer = types == ["integer"]
        if integer and not _fits_int64(value):
            result.errors.append(self.general(f"Checked value must be of type integer (default format) in {path}"))
        for keyword, title in (("multipleOf", "MultipleOf"), ("minimum", "Minimum"), ("maximum", "Maximum")):
            bound = raw.get(keyword)
            if bound is None:
                continue
            native = not integer or _fits_int64(bound)
            if not native:
                boundary = title if keyword == "multipleOf" else f"{title} boundary"
                text = f"{boundary} value must be of type integer (default format) in {path}"
                result.errors.append(self.general(text))
            complaint = _out_of_bounds(value, bound, keyword, raw, native)
            if complaint:
                result.errors.append(invalid(self.path(path), value, f"{path} in body should be {complaint}"))
        result.passed += 1
        return result

    # ---- lists and objects

    def _list(self, value: list[Any], raw: JSON, path: str, correlation: Correlation | None) -> _Result:
        result = _Result()
        items = raw.get("items")
        if isinstance(items, dict):
            for index, element in enumerate(value):
                below = correlation.item(index, raw) if correlation is not None else None
                result.merge(self.check(element, items, f"{path}[{index}]", below))
        fewest, most = raw.get("minItems"), raw.get("maxItems")
        if fewest is not None and len(value) < fewest:
            text = f"{path} in body should have at least {fewest} items"
            result.errors.append(invalid(self.path(path), len(value), text))
        if most is not None and len(value) > most:
            result.errors.append(too_many(self.path(path), len(value), most))
        if raw.get("uniqueItems") is True and len({go_json(v) for v in value}) < len(value):
            text = f"{path} in body shouldn't contain duplicates"
            result.errors.append(invalid(self.path(path), "", text))
        result.passed += 1
        return result

    def _object(self, value: JSON, raw: JSON, path: str, correlation: Correlation | None) -> _Result:
        fewest, most = raw.get("minProperties"), raw.get("maxProperties")
        if fewest is not None and len(value) < fewest:
            text = f"{path} in body should have at least {fewest} properties"
            return _Result(invalid(self.path(path), len(value), text))
        if most is not None and len(value) > most:
            return _Result(too_many(self.path(path), len(value), most))
        result = _Result()
        properties: JSON = raw.get("properties") or {}
        extra = raw.get("additionalProperties")
        for name in sorted(value):
            if name in properties:
                continue
            if extra is False:
                text = f"{path}.{name} in body is a forbidden property"
                result.errors.append(invalid(self.path(path), name, text))
            elif isinstance(extra, dict):
                below = self._below(correlation, name, path, raw)
                result.merge(self.check(value[name], extra, f"{path}.{name}", below))
        for name in sorted(properties):
            if name in value:
                below = self._below(correlation, name, path, raw)
                result.merge(self.check(value[name], properties[name], f"{path}.{name}" if path else name, below))
        for name in raw.get("required") or ():
            if name not in value:
                result.errors.append(required(self.path(f"{path}.{name}")))
        return result

    @staticmethod
    def _below(correlation: Correlation | None, name: str, path: str, raw: JSON) -> Correlation | None:
        # apiVersion and kind were converted before validation, so that their change cannot be seen.
        if correlation is None or (not path and name in ("apiVersion", "kind")):
            return None
        return correlation.field(name, raw)

    # ---- anyOf, oneOf, allOf, not

    def _alternatives(self, value: Any, raw: JSON, path: str) -> _Result:
        result = _Result()
        shown = json.dumps(path, ensure_ascii=False)
        if raw.get("anyOf"):
            tried = []
            for alternative in raw["anyOf"]:
                tried.append(self.check(value, alternative, path, None))
                if not tried[-1].errors:
                    break
            if tried[-1].errors:
                result.errors.append(self.general(f"{shown} must validate at least one schema (anyOf)"))
                result.merge(max(tried, key=lambda r: r.passed))
            else:
                result.merge(tried[-1])
        if raw.get("oneOf"):
            tried = [self.check(value, alternative, path, None) for alternative in raw["oneOf"]]
            valid = [r for r in tried if not r.errors]
            if len(valid) == 1:
                result.merge(valid[0])
            else:
                count = f"Found {len(valid)} valid alternatives" if valid else "Found none valid"
                result.errors.append(self.general(f"{shown} must validate one and only one schema (oneOf). {count}"))
                if not valid:
                    result.merge(max(tried, key=lambda r: r.passed))
        if raw.get("allOf"):
            tried = [self.check(value, alternative, path, None) for alternative in raw["allOf"]]
            for one in tried:
                result.merge(one)
            if any(r.errors for r in tried):
                none = ". None validated" if all(r.errors for r in tried) else ""
                result.errors.append(self.general(f"{shown} must validate all the schemas (allOf){none}"))
        if raw.get("not") is not None and not self.check(value, raw["not"], path, None).errors:
            result.errors.append(self.general(f"{shown} must not validate the schema (not)"))
        result.passed += 1
        return result


def _same(value: Any, other: Any) -> bool:
    if isinstance(value, bool) or isinstance(other, bool):
        return value is other
    return bool(value == other)


def _fits_int64(value: float) -> bool:
    return float(value).is_integer() and -(2**63) <= value < 2**63


def _out_of_bounds(value: float, bound: float, keyword: str, raw: JSON, native: bool) -> str:
    """What the value should be; empty if it is."""
    shown = str(int(bound)) if native and isinstance(value, int) else go_number(float(bound))
    if isinstance(value, int) and native:
        bound = int(bound)
    if keyword == "multipleOf":
        return "" if _multiple(value, bound) else f"a multiple of {shown}"
    if keyword == "minimum":
        if raw.get("exclusiveMinimum") is True:
            return "" if value > bound else f"greater than {shown}"
        return "" if value >= bound else f"greater than or equal to {shown}"
    if raw.get("exclusiveMaximum") is True:
        return "" if value < bound else f"less than {shown}"
    return "" if value <= bound else f"less than or equal to {shown}"


def _multiple(value: float, factor: float) -> bool:
    if factor <= 0:
        return factor == 0
    if isinstance(value, int) and isinstance(factor, int):
        return value % factor == 0
    quotient = value / factor
    return math.isclose(quotient, round(quotient), rel_tol=1e-9, abs_tol=1e-9)
