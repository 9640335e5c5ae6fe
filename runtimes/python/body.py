"""The body of a request: read within its limit, and the event's data made of it."""

import io
import json
from typing import Any

from runtimes.sizes import format_size

READ_BYTES = 64 * 1024


class BadBody(Exception):
    """The body is too large, not whole, or not what its headers say; `status` is the answer, the message its text."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def read_body(environ: dict[str, Any], limit_bytes: int) -> None:
    """Take in the whole body of a WSGI request, which is then read from memory; raises BadBody.

    werkzeug's own limit is not used: it cuts a chunked body off where the limit is, and takes one that ended too
    early for whole.
    """
    source = environ["wsgi.input"]
    length_text = environ.get("CONTENT_LENGTH", "")
    length = int(length_text) if length_text.isdigit() else None
    too_large = BadBody(413, f"the body is larger than {format_size(limit_bytes)} (FUNC_MAX_BODY)")
    if length is not None and length > limit_bytes:
        raise too_large
    body = bytearray()
    try:
        while chunk := source.read(READ_BYTES):
            body += chunk
            if len(body) > limit_bytes:
                raise too_large
    except BadBody:
        raise
    except Exception:  # the server's, of its own types: bad chunks, a connection that was lost
        raise BadBody(400, "the body could not be read to its end") from None
    if length is not None and len(body) < length:
        raise BadBody(400, f"the body ended after {len(body)} of {length} bytes")
    environ["wsgi.input"] = io.BytesIO(body)


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
        raise BadBody(400, f"the body is not JSON, though its Content-Type says so: {error}") from None
