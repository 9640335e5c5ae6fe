"""The errors that a Kubernetes API server answers with: Status objects, and the field errors that an invalid one lists.

Wording follows k8s.io/apimachinery (`api/errors`, `util/validation/field`), because clients print it and some parse it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

JSON = dict[str, Any]


class APIError(Exception):
    """A request that is answered with a Status of failure.

    Args:
        code: HTTP status code.
        reason: the machine-readable word, for example ``NotFound``.
        message: what a person reads.
        details: the Status' ``details`` (name, group, kind, causes, retryAfterSeconds), if any.
        headers: further HTTP headers of the answer.
    """

    def __init__(
        self, code: int, reason: str, message: str, details: JSON | None = None, headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.message = message
        self.details = details
        self.headers = headers or {}
        self.status_metadata: JSON = {}
        self.warnings: list[str] = []

    def status(self) -> JSON:
        """The Status object of the answer."""
        status: JSON = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": self.status_metadata,
            "status": "Failure",
            "message": self.message,
        }
        if self.reason:
            status["reason"] = self.reason
        if self.details is not None:
            status["details"] = self.details
        status["code"] = self.code
        return status


def qualified(group: str, name: str) -> str:
    """`deployments` of group `apps` as `deployments.apps`; of the core group as it is."""
    return f"{name}.{group}" if group else name


def _details(group: str, kind: str, name: str = "", **more: Any) -> JSON:
    details: JSON = {}
    if name:
        details["name"] = name
    if group:
        details["group"] = group
    details["kind"] = kind
    details.update(more)
    return details


def bad_request(message: str) -> APIError:
    return APIError(400, "BadRequest", message)


def unauthorized() -> APIError:
    return APIError(401, "Unauthorized", "Unauthorized")


def forbidden(group: str, plural: str, name: str, why: str) -> APIError:
    """`why` is what follows the colon, for example ``User "x" cannot get …``."""
    what = qualified(group, plural)
    message = f'{what} "{name}" is forbidden: {why}' if name else f"{what} is forbidden: {why}"
    return APIError(403, "Forbidden", message if plural else f"forbidden: {why}", _details(group, plural, name))


def not_found(group: str, plural: str, name: str) -> APIError:
    return APIError(404, "NotFound", f'{qualified(group, plural)} "{name}" not found', _details(group, plural, name))


def path_not_found() -> APIError:
    """No resource answers at this path, though its group and version are served."""
    return APIError(404, "NotFound", "the server could not find the requested resource", {})


def already_exists(group: str, plural: str, name: str) -> APIError:
    message = f'{qualified(group, plural)} "{name}" already exists'
    return APIError(409, "AlreadyExists", message, _details(group, plural, name))


def conflict(group: str, plural: str, name: str, why: str) -> APIError:
    message = f'Operation cannot be fulfilled on {qualified(group, plural)} "{name}": {why}'
    return APIError(409, "Conflict", message, _details(group, plural, name))


STALE = "the object has been modified; please apply your changes to the latest version and try again"


def gone(message: str) -> APIError:
    return APIError(410, "Expired", message)


def method_not_allowed() -> APIError:
    message = "the server does not allow this method on the requested resource"
    return APIError(405, "MethodNotAllowed", message, {})


def internal(message: str) -> APIError:
    return APIError(500, "InternalError", f"Internal error occurred: {message}", {"causes": [{"message": message}]})


# ---- field errors

REQUIRED = "FieldValueRequired"
INVALID = "FieldValueInvalid"
NOT_SUPPORTED = "FieldValueNotSupported"
DUPLICATE = "FieldValueDuplicate"
FORBIDDEN = "FieldValueForbidden"
TOO_LONG = "FieldValueTooLong"
TOO_MANY = "FieldValueTooMany"
NOT_FOUND = "FieldValueNotFound"
TYPE_INVALID = "FieldValueTypeInvalid"
INTERNAL = "InternalError"

_TITLES = {
    REQUIRED: "Required value",
    INVALID: "Invalid value",
    NOT_SUPPORTED: "Unsupported value",
    DUPLICATE: "Duplicate value",
    FORBIDDEN: "Forbidden",
    TOO_LONG: "Too long",
    TOO_MANY: "Too many",
    NOT_FOUND: "Not found",
    TYPE_INVALID: "Invalid value",
    INTERNAL: "Internal error",
}
# These titles stand without the value.
_WITHOUT_VALUE = {REQUIRED, FORBIDDEN, TOO_LONG, INTERNAL, TOO_MANY}

OMITTED = object()
"""As the value of a `FieldError`: the message does not quote any."""


MAX_QUOTED = 10_000
"""How much of a value messages quote, in characters; a value can be as large as a request, and be quoted many times."""


def shortened(text: str) -> str:
    """The beginning of a text that is quoted in a message."""
    return text if len(text) <= MAX_QUOTED else f"{text[:MAX_QUOTED]} ..."


def show(value: Any) -> str:
    """A value as field errors quote it: text in double quotes, the rest as JSON; only the beginning of a long one."""
    if isinstance(value, str):
        return json.dumps(shortened(value), ensure_ascii=False)
    return shortened(json.dumps(value, ensure_ascii=False, separators=(",", ":")))


@dataclass(frozen=True, slots=True)
class FieldError:
    """One thing wrong with one field; `path` is like ``spec.containers[0].name``."""

    reason: str
    path: str
    value: Any = None
    detail: str = ""

    def body(self) -> str:
        """The text after the path, which is also the cause's message."""
        text = _TITLES[self.reason]
        if self.reason not in _WITHOUT_VALUE and self.value is not OMITTED:
            text += f": {show(self.value)}"
        return f"{text}: {self.detail}" if self.detail else text

    def __str__(self) -> str:
        return f"{self.path}: {self.body()}"


def required(path: str, detail: str = "") -> FieldError:
    return FieldError(REQUIRED, path, None, detail)


def invalid_value(path: str, value: Any, detail: str) -> FieldError:
    return FieldError(INVALID, path, value, detail)


def not_supported(path: str, value: Any, allowed: Iterable[str]) -> FieldError:
    return FieldError(NOT_SUPPORTED, path, value, "supported values: " + ", ".join(f'"{a}"' for a in sorted(allowed)))


def duplicate(path: str, value: Any) -> FieldError:
    return FieldError(DUPLICATE, path, value)


def forbidden_field(path: str, detail: str) -> FieldError:
    return FieldError(FORBIDDEN, path, None, detail)


def too_long(path: str, max_length: int) -> FieldError:
    return FieldError(TOO_LONG, path, None, f"may not be more than {max_length} bytes")


def field_not_found(path: str, value: Any) -> FieldError:
    return FieldError(NOT_FOUND, path, value)


def invalid(group: str, kind: str, name: str, errors: Sequence[FieldError]) -> APIError:
    """422 with a cause for each field error; `kind` is the Kind, not the plural."""
    unique = list(dict.fromkeys(str(e) for e in errors))
    text = unique[0] if len(unique) == 1 else f"[{', '.join(unique)}]"
    causes = [{"reason": e.reason, "message": e.body(), "field": e.path} for e in errors]
    message = f'{qualified(group, kind)} "{name}" is invalid: {text}'
    return APIError(422, "Invalid", message, _details(group, kind, name, causes=causes))
