"""What a handler is called with: the event and the context of Kubeless's contract."""

from collections.abc import Callable
from typing import Any

from runtimes.python.settings import Settings


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
