"""What a handler may return, and the HTTP response that it becomes."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from flask import Response, current_app
from werkzeug.datastructures import Headers
from werkzeug.wrappers import Response as BaseResponse

READ_BYTES = 64 * 1024

Chunks = Iterator[Any] | AsyncIterator[Any]


class BadResult(Exception):
    """The handler returned something that is no answer; the message says what would be one."""


@dataclass
class Result:
    """A response, and the chunks that are to be its body if that is streamed."""

    response: Response
    chunks: Chunks | None = None


def make_result(value: Any) -> Result:
    """The response for a handler's return value; raises BadResult or TypeError for what cannot be one.

    str and bytes are the body (text/html, as with Kubeless and flask); dict, list, numbers and booleans are JSON;
    None is an empty body; iterators and files are streamed; `(body, status)`, `(body, headers)` and
    `(body, status, headers)` add to any of them; a flask or werkzeug response stays as it is.
    """
    if isinstance(value, tuple):
        return _with_extras(value)
    if isinstance(value, Response):
        return _from_response(value)
    if value is None:
        return Result(Response(b""))
    if isinstance(value, str | bytes):
        return Result(Response(value))
    if isinstance(value, bytearray | memoryview):
        return Result(Response(bytes(value)))
    if isinstance(value, dict | list | bool | int | float):
        return Result(Response(current_app.json.dumps(value), mimetype="application/json"))
    if callable(getattr(value, "read", None)):
        return Result(Response(mimetype="application/octet-stream"), iter(partial(value.read, READ_BYTES), b""))
    if isinstance(value, Iterator | AsyncIterator):
        return Result(Response(), value)
    if hasattr(value, "get_app_iter"):  # a werkzeug response that is not flask's
        return _from_response(as_flask(value))
    raise BadResult(
        f"the function returned a {type(value).__name__}; it may return str, bytes, dict, list, None, a number, "
        "(body, status, headers), a flask Response or a generator"
    )


def as_flask(response: BaseResponse) -> Response:
    """The same response, as flask's class."""
    return Response.force_type(response)  # type: ignore[return-value]  # a class method that answers with its class


def _from_response(response: Response) -> Result:
    if response.is_streamed:
        return Result(response, iter(response.response))
    return Result(response)


def _with_extras(value: tuple[Any, ...]) -> Result:
    match value:
        case (body, status, headers):
            pass
        case (body, dict() | list() | Headers() as headers):
            status = None
        case (body, status):
            headers = None
        case _:
            raise BadResult(f"the function returned a tuple of {len(value)}; (body, status, headers) has up to three")
    if isinstance(body, tuple):
        raise BadResult("the function returned a tuple whose body is a tuple; for JSON return a list")
    result = make_result(body)
    if status is not None:
        if isinstance(status, bool) or not isinstance(status, int | str) or not _is_status(str(status)):
            raise BadResult(f"the function returned the status {status!r}; it must be a number from 200 to 599")
        result.response.status = str(status) if isinstance(status, str) and " " in status else status_line(int(status))
    if headers is not None:
        try:
            _set_headers(result.response.headers, Headers(headers))
        except (TypeError, ValueError) as error:
            raise BadResult(f"the function returned headers that cannot be sent: {error}") from None
    return result


def _set_headers(target: Headers, given: Headers) -> None:
    """Each of `given`, repeated ones too, in the place of what `target` has under that name."""
    given.remove("Content-Length")  # it is known better here
    for name in given.keys():  # noqa: SIM118 - iterating headers gives pairs
        target.remove(name)
    for name, value in given:
        target.add(name, value)


def _is_status(status: str) -> bool:
    number = status.partition(" ")[0]
    return number.isascii() and number.isdigit() and 200 <= int(number) <= 599


def status_line(number: int) -> str:
    """`404 NOT FOUND` for 404."""
    return Response(status=number).status
