"""What is wrong with an object that a user wrote: the field, words for its author, a reason for machines."""

from __future__ import annotations

from enum import StrEnum


class Reason(StrEnum):
    """Reasons of conditions and Events for a spec that cannot be served."""

    INVALID_SPEC = "InvalidSpec"
    INVALID_HANDLER = "InvalidHandler"
    INVALID_CONTENT_TYPE = "InvalidContentType"
    INVALID_CHECKSUM = "InvalidChecksum"
    INVALID_TIMEOUT = "InvalidTimeout"
    INVALID_URL = "InvalidURL"
    INVALID_AUTOSCALER = "InvalidAutoscaler"
    INVALID_CONFIG = "InvalidConfig"
    UNKNOWN_RUNTIME = "UnknownRuntime"
    UNSUPPORTED_RUNTIME = "UnsupportedRuntime"
    SOURCE_TOO_LARGE = "SourceTooLarge"


class InvalidSpec(Exception):
    """A spec that cannot be served as it is.

    Attributes:
        field: path of the field as its author wrote it, such as ``spec.handler`` or ``runtime-images[0].ID``.
        message: what is wrong and what to write instead, for somebody who sees it for the first time.
        reason: for the condition and the Event.
    """

    def __init__(self, field: str, message: str, reason: Reason = Reason.INVALID_SPEC) -> None:
        super().__init__(f"{field}: {message}")
        self.field = field
        self.message = message
        self.reason = reason
