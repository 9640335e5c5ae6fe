"""A streamed body: chunks that the handler yields, each within the call's time."""

import errno
import inspect
from collections.abc import AsyncIterator, Iterator
from functools import partial
from typing import Any

from flask import Response

from runtimes.python.calls import Call, TimedOut
from runtimes.python.record import Record
from runtimes.python.results import BadResult, Chunks, Result

_END: Any = object()


class Stream(Iterator[bytes]):
    """The body of a response, for WSGI. Its close() ends the call.

    An error after the status was sent can only be told by closing the connection before the body's end; raised as
    EPIPE, gunicorn does just that.
    """

    def __init__(self, chunks: Chunks, call: Call, record: Record) -> None:
        self._chunks = chunks
        self._call = call
        self._record = record
        self._ready: bytes | None = None
        self._status = 200
        self._note = "streamed"
        self._exhausted = False
        self._closed = False

    def begin(self, status: int) -> None:
        """Wait for the first chunk, so that what fails before it gets an answer of its own."""
        self._status = status
        self._ready = self._pull()

    def __next__(self) -> bytes:
        if self._exhausted:
            raise StopIteration
        if self._ready is not None:
            chunk, self._ready = self._ready, None
            return chunk
        try:
            following = self._pull()
        except BaseException as error:
            self._record.failed(error)
            self._note = "timed out while streaming" if isinstance(error, TimedOut) else "failed while streaming"
            raise BrokenPipeError(errno.EPIPE, self._note) from None
        if following is None:
            raise StopIteration
        return following

    def _pull(self) -> bytes | None:
        """The next chunk that is not empty (an empty one would end a chunked body), or None at the end."""
        while True:
            try:
                chunk = self._advance()
            except BaseException:
                self._exhausted = True
                raise
            if chunk is _END:
                self._exhausted = True
                return None
            if isinstance(chunk, str):
                chunk = chunk.encode()
            if not isinstance(chunk, bytes | bytearray | memoryview):
                raise BadResult(f"the function's stream yielded a {type(chunk).__name__}; yield str or bytes")
            if chunk:
                return bytes(chunk)

    def _advance(self) -> Any:
        if isinstance(self._chunks, AsyncIterator):
            return self._call.wait(anext(self._chunks, _END))
        return self._call.run(partial(next, self._chunks, _END))

    def close(self) -> None:
        """End the call, and the handler's generator if it has more to say than the client wanted to hear."""
        if self._closed:
            return
        self._closed = True
        if not self._exhausted:
            self._note = "broken off by the client"
            try:
                self._stop()
            except BaseException as error:
                self._record.failed(error)
        self._call.close()
        self._record.finish(self._status, self._note)

    def _stop(self) -> None:
        if inspect.isasyncgen(self._chunks):
            self._call.wait(self._chunks.aclose())
        elif callable(close := getattr(self._chunks, "close", None)):
            self._call.run(close)


def stream(result: Result, call: Call, record: Record, head: bool) -> Response:
    """The response whose body is the chunks of `result`; raises what the handler raises before its first chunk."""
    assert result.chunks is not None
    body = Stream(result.chunks, call, record)
    response = result.response
    body.begin(response.status_code)
    if head:
        body.close()
        response.response = []
    else:
        response.response = body
    return response
