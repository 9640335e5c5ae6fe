"""What keeps a request to the Kubernetes API from its answer: no answer at all, or a Status of failure, by its kind."""

from __future__ import annotations

from typing import Any

import orjson

JSON = dict[str, Any]


class ClientError(Exception):
    """Anything that keeps a request from its answer."""


class Unreachable(ClientError):
    """No answer came: whether a write was done is not known."""


class ApiStatusError(ClientError):
    """The server refused; `reason` is the Status' machine-readable word, for example ``NotFound``."""

    def __init__(self, code: int, reason: str, message: str, details: JSON | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.message = message
        self.details = dict(details or {})

    @property
    def retry_after_seconds(self) -> float:
        """How long the server asks to be left alone; 0 if it says nothing about it."""
        return float(self.details.get("retryAfterSeconds") or 0)

    def has_cause(self, reason: str) -> bool:
        return any(cause.get("reason") == reason for cause in self.details.get("causes") or [])


class NotFound(ApiStatusError):
    """404."""


class AlreadyExists(ApiStatusError):
    """409 because of the name."""


class Conflict(ApiStatusError):
    """409 because of the version, a precondition or another field manager."""


class Forbidden(ApiStatusError):
    """403."""


class Gone(ApiStatusError):
    """410: the resourceVersion is too old to watch or to continue a list from."""


def status_error(code: int, body: bytes, retry_after: str = "") -> ApiStatusError:
    """The typed error for an answer of failure; `retry_after` is the header of that name, in seconds."""
    try:
        status = orjson.loads(body)
    except orjson.JSONDecodeError:
        status = None
    if not isinstance(status, dict) or status.get("kind") != "Status":
        status = {"code": code, "message": body.decode(errors="replace").strip()}
    error = error_of(status, code)
    if retry_after.isdigit():
        error.details.setdefault("retryAfterSeconds", int(retry_after))
    return error


def error_of(status: JSON, code: int) -> ApiStatusError:
    """The typed error for a Status object."""
    reason = str(status.get("reason", ""))
    kind: type[ApiStatusError] = ApiStatusError
    if reason == "AlreadyExists":
        kind = AlreadyExists
    else:
        kind = {403: Forbidden, 404: NotFound, 409: Conflict, 410: Gone}.get(code, ApiStatusError)
    return kind(code, reason, str(status.get("message", "")), status.get("details"))
