"""What a handler is called with: the event and the context of Kubeless's contract."""

import json
from collections.abc import Callable
from typing import Any

from runtimes.python.settings import Settings


class BadBody(Exception):
    """The request's body is not what its headers say; the message is for the caller."""


def parse_data(content_type: str, body: bytes) -> Any:
    """The event's `data`: parsed JSON when the content type is application/json, else the body as it came (bytes).

    An empty body sent as JSON is None, as with Kubeless. Raises BadBody when the JSON does not parse.
    """
    if content_type.partition(";")[0].strip().lower() != "application/json":
        return body
    if not body:
        return None
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise BadBody(f"the body is not JSON, though its Content-Type says so: {error}") from None


def make_event(data: Any, header: Callable[[str], str | None], request: Any) -> dict[str, Any]:
    """One call's event; `header` gives a request header by name, or None."""
    return {
        "data": data,
        "event-id": header("event-id"),
        "event-type": header("event-type"),
        "event-time": header("event-time"),
        "event-namespace": header("event-namespace"),
        "extensions": {"request": request},
    }


def make_context(settings: Settings) -> dict[str, Any]:
    """The context, the same for each call; a call gets a copy, because handlers change things."""
    timeout = settings.timeout_seconds
    return {
        "function-name": settings.function,
        "timeout": int(timeout) if timeout.is_integer() else timeout,
        "runtime": settings.runtime,
        "memory-limit": settings.memory_limit,
    }
