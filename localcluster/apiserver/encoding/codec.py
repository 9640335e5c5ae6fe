"""Decoding what clients send: bodies, patches, and objects of built-in kinds with what Go's decoder says of them."""

from __future__ import annotations

import json
from typing import Any

import orjson

from localcluster.apiserver.encoding import json_text, typed_decoding, yaml_text
from localcluster.apiserver.encoding.depth import EXCEEDED, is_too_deep, may_be_too_deep
from localcluster.apiserver.errors import APIError, bad_request
from localcluster.apiserver.schema import Schema

JSON = dict[str, Any]

_SHOWN_OF_BODY = 30
_META_TYPE = r'struct { APIVersion string "json:\"apiVersion,omitempty\""; Kind string "json:\"kind,omitempty\"" }'


def decode(body: bytes, content_type: str, *, strict: bool = False, kind: str = "") -> tuple[JSON, list[str]]:
    """The object that a body holds; ``null`` is an empty one.

    Args:
        content_type: ``application/json``, ``application/yaml`` or ``application/apply-patch+yaml``.
        strict: look for keys that occur twice; otherwise the second value is empty.
        kind: what the path expects, for messages.

    Returns:
        The object and what strict decoding finds wrong with it, for `conform`'s `duplicates`.

    Raises:
        APIError: 400 if the body is no JSON or YAML, or no object.
    """
    duplicates: list[str] = []
    if "yaml" in content_type:
        try:
            parsed, duplicates = yaml_text.read(body)
        except ValueError as error:
            raise unrecognized(kind, f"couldn't get version/kind; json parse error: {error}", body) from None
    else:
        try:
            parsed = parse(body)
        except ValueError as error:
            raise unrecognized(kind, f"couldn't get version/kind; json parse error: {error}", body) from None
    if parsed is None:
        return {}, []
    if not isinstance(parsed, dict):
        problem = f"json: cannot unmarshal {typed_decoding.json_type(parsed)} into Go value of type {_META_TYPE}"
        raise unrecognized(kind, f"couldn't get version/kind; json parse error: {problem}", body)
    if strict and "yaml" not in content_type:
        duplicates = [f'duplicate field "{path}"' for path in json_text.duplicate_fields(body, parsed)]
    return parsed, duplicates if strict else []


def decode_json_patch(body: bytes) -> list[Any]:
    """The operations of a JSON patch. Raises APIError 400."""
    try:
        parsed = parse(body)
        if parsed is not None and not isinstance(parsed, list):
            found = typed_decoding.json_type(parsed)
            raise ValueError(f"json: cannot unmarshal {found} into Go value of type []handlers.jsonPatchOp")
    except ValueError as error:
        raise bad_request(f"error decoding patch: {error}") from None
    return parsed or []


def decode_merge_patch(body: bytes, *, strict: bool = False) -> tuple[JSON, list[str]]:
    """The document of a merge patch and its duplicate fields, like `decode`. Raises APIError 400."""
    try:
        return _patch_object(body, strict)
    except ValueError as error:
        raise bad_request(f"error decoding patch: {error}") from None


def decode_strategic_patch(body: bytes, *, strict: bool = False) -> tuple[JSON, list[str]]:
    """The document of a strategic merge patch and its duplicate fields, like `decode`. Raises APIError 400."""
    try:
        return _patch_object(body, strict)
    except ValueError as error:
        raise bad_request(str(error)) from None


def decode_apply_patch(body: bytes, *, field_validation: str = "Strict") -> tuple[JSON, list[str]]:
    """The object of a server-side apply, and warnings about keys that occur twice. Raises APIError 400."""
    parsed, duplicates = yaml_text.read_patch(body)
    if parsed is None:
        parsed = {}
    if not isinstance(parsed, dict):
        found = typed_decoding.json_type(parsed)
        problem = f"json: cannot unmarshal {found} into Go value of type map[string]interface {{}}"
        raise bad_request(f"error decoding YAML: error unmarshaling JSON: while decoding JSON: {problem}")
    if duplicates and field_validation == "Strict":
        raise bad_request(f"error strict decoding YAML: error converting YAML to JSON: {duplicates[0]}")
    if field_validation == "Ignore":
        return parsed, []
    return parsed, [line for problem in duplicates for line in yaml_text.warnings(problem)]


def _patch_object(body: bytes, strict: bool) -> tuple[JSON, list[str]]:
    parsed = parse(body)
    if parsed is None:
        return {}, []
    if not isinstance(parsed, dict):
        found = typed_decoding.json_type(parsed)
        raise ValueError(f"json: cannot unmarshal {found} into Go value of type map[string]interface {{}}")
    if not strict:
        return parsed, []
    return parsed, [f'duplicate field "{path}"' for path in json_text.duplicate_fields(body, parsed)]


def parse(body: bytes) -> Any:
    """JSON as Go takes it. Raises ValueError with Go's words."""
    try:
        parsed = orjson.loads(body)
    except orjson.JSONDecodeError:
        parsed = _repaired(body)
    if may_be_too_deep(body) and is_too_deep(parsed):
        raise ValueError(EXCEEDED)
    return parsed


def _repaired(body: bytes) -> Any:
    """What Go takes and orjson does not: invalid UTF-8 and lone surrogates become U+FFFD."""
    text = body.decode("utf-8", "replace")
    problem = json_text.syntax_error(text)
    if problem is not None:
        raise ValueError(problem) from None
    try:
        repaired = json.dumps(json.loads(text), ensure_ascii=False).encode("utf-16", "surrogatepass")
        return orjson.loads(repaired.decode("utf-16", "replace").encode())
    except RecursionError:
        raise ValueError(EXCEEDED) from None
    except orjson.JSONDecodeError:
        raise ValueError("json: cannot unmarshal number into Go value of type float64") from None


def unrecognized(kind: str, problem: str, body: bytes) -> APIError:
    """400 for a body of which not even the kind can be told; quotes its beginning, what is no object in hexadecimal."""
    if not body:
        shown = "<empty>"
    elif body.startswith(b"{"):
        shown = body[:_SHOWN_OF_BODY].decode("utf-8", "replace")
    else:
        shown = body[:_SHOWN_OF_BODY].hex()
    if len(body) > _SHOWN_OF_BODY:
        shown += " ..."
    return bad_request(f"the object provided is unrecognized (must be of type {kind}): {problem} ({shown})")


def undecodable(api_version: str, kind: str, problem: str) -> APIError:
    """400 for an object that does not have the kind's types (or, in strict decoding, fields)."""
    version = api_version.rpartition("/")[2]
    return bad_request(f'{kind} in version "{version}" cannot be handled as a {kind}: {problem}')


def strict_warnings(problems: list[str], field_validation: str) -> list[str]:
    """What to do about duplicate and unknown fields.

    Args:
        problems: such as ``unknown field "spec.x"``.
        field_validation: ``Strict``, ``Warn`` or ``Ignore``.

    Returns:
        The warnings to send.

    Raises:
        ValueError: in strict validation; the words follow "cannot be handled as a …: ".
    """
    if not problems or field_validation == "Ignore":
        return []
    if field_validation == "Strict":
        raise ValueError(f"strict decoding error: {', '.join(problems)}")
    return [warning for problem in problems for warning in yaml_text.warnings(problem)]


def decode_as(
    obj: JSON, schema: Schema, *, field_validation: str, duplicates: list[str], unstructured: bool = False
) -> list[str]:
    """Make `obj` what Go's decoder would read, in place; returns warnings.

    Wrong types are refused, unknown fields and nulls go, quantities, times and base64 become canonical.

    Args:
        unstructured: word errors like the converter that reads the outcome of a strategic merge patch.

    Raises:
        ValueError: a type does not fit, or there is an unknown or duplicate field in strict validation; the message
            is Go's, without "cannot be handled as".
    """
    unknown = typed_decoding.decode(obj, schema, unstructured=unstructured)
    if not unknown and not duplicates:
        return []
    return strict_warnings(duplicates + [f'unknown field "{path}"' for path in unknown], field_validation)


def conform(
    obj: JSON, schema: Schema, api_version: str, kind: str, *, field_validation: str, duplicates: list[str]
) -> list[str]:
    """`decode_as` for the body of a create or update: refuses with APIError 400."""
    try:
        return decode_as(obj, schema, field_validation=field_validation, duplicates=duplicates)
    except ValueError as error:
        raise undecodable(api_version, kind, str(error)) from None
