"""The answers that the runtime gives itself: errors, as one line of JSON."""

import json
from collections.abc import Mapping

from flask import Response


def error_response(status: int, message: str, headers: Mapping[str, str] | None = None) -> Response:
    """`{"error": message}` with a line end, so that it reads well in a terminal."""
    body = json.dumps({"error": message}) + "\n"
    return Response(body, status, dict(headers or {}), mimetype="application/json")
