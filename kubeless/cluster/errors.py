"""Why a request to the API server failed, as types."""

from __future__ import annotations

import json
from typing import Any


class ClusterError(Exception):
    """Anything that keeps a request from its answer; the text is fit for a log or a status."""


class Unreachable(ClusterError):
    """No answer came. Whether a write was done is not known."""


class ApiError(ClusterError):
    """The API server refused.

    Attributes:
        code: of HTTP.
        reason: the Status' word for machines, such as ``NotFound``; may be "".
        message: the Status' words for people.
        details: the Status' `details`, {} if it has none.
    """

    def __init__(self, code: int, reason: str, message: str, details: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.message = message
        self.details = details or {}

    @property
    def retry_after_seconds(self) -> float:
        """How long the server wants to be left alone; 0 if it does not say."""
        return float(self.details.get("retryAfterSeconds") or 0)

    @property
    def quota_exceeded(self) -> bool:
        """Whether a ResourceQuota is why (the server has no word of its own for it)."""
        return self.code == 403 and "exceeded quota" in self.message


class Unauthorized(ApiError):
    """401: credentials that are not, or no longer, good."""


class Forbidden(ApiError):
    """403: RBAC, a quota, or a namespace that is going away."""


class NotFound(ApiError):
    """404."""


class AlreadyExists(ApiError):
    """409 because of the name."""


class Conflict(ApiError):
    """409 because of the version, a precondition or another field manager."""


class Gone(ApiError):
    """410: the resourceVersion is too old to watch from or to continue a list from."""


class Invalid(ApiError):
    """422, 400, or what server-side apply says to unknown fields: the object is not one that the server stores."""


_BY_CODE: dict[int, type[ApiError]] = {
    400: Invalid,
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    410: Gone,
    422: Invalid,
}


def from_answer(code: int, body: bytes) -> ApiError:
    """The error for an answer of 400 or more."""
    try:
        status = json.loads(body)
    except ValueError:
        status = None
    if not isinstance(status, dict) or status.get("kind") != "Status":
        words = body.decode(errors="replace").strip()[:1000]
        status = {"message": words or f"the API server answered {code}"}
    return from_status(status, code)


def from_status(status: dict[str, Any], code: int = 500) -> ApiError:
    """The error for a Status, also one that a watch brought."""
    code = int(status.get("code") or code)
    reason = str(status.get("reason") or "")
    message = str(status.get("message") or "")
    kind = AlreadyExists if reason == "AlreadyExists" else _BY_CODE.get(code, ApiError)
    if code == 500 and message.startswith("failed to create typed patch object"):
        # The API server's answer to an applied object with unknown fields or of wrong types.
        kind = Invalid
    return kind(code, reason, message, status.get("details"))
