"""The flask application: what each path and method is answered with, and one call of the function from end to end."""

import inspect
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException

from runtimes.python import log, metrics
from runtimes.python.answers import error_response
from runtimes.python.body import BadBody, parse_data, read_body
from runtimes.python.calls import Call, Calls
from runtimes.python.events import make_context, make_event
from runtimes.python.handler import Handler
from runtimes.python.record import Record
from runtimes.python.request import FunctionRequest
from runtimes.python.results import as_flask, make_result
from runtimes.python.settings import Settings
from runtimes.python.streaming import stream

ALLOWED = ", ".join((*metrics.METHODS, "OPTIONS"))


class FunctionApp(Flask):
    """Serves one handler. `calls` is where its calls run.

    `draining()` says whether the pod is about to stop, `close_connection()` has the connection of the current
    request closed after its answer: what follows on it cannot be trusted to be a request.
    """

    request_class = FunctionRequest

    def __init__(
        self,
        settings: Settings,
        handler: Handler,
        draining: Callable[[], bool],
        close_connection: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__("function", static_folder=None, template_folder=None, root_path=str(settings.source))
        self.config["MAX_FORM_MEMORY_SIZE"] = settings.max_body_bytes
        self.json.sort_keys = False  # type: ignore[attr-defined]
        self.settings = settings
        self.calls = Calls(settings.timeout_seconds)
        self._handler = handler
        self._is_async = inspect.iscoroutinefunction(handler)
        self._context = make_context(settings)
        self._draining = draining
        self._close_connection = close_connection
        # Before routing, which would redirect `//` and knows no "any method".
        self.before_request(self._serve)

    def _serve(self) -> Response:
        method = request.method
        if method in ("GET", "HEAD"):
            if request.path == "/healthz":
                return Response("draining", 503) if self._draining() else Response("OK", mimetype="text/plain")
            if request.path == "/metrics":
                body, content_type = metrics.exposition(request.headers.get("Accept", ""))
                return Response(body, content_type=content_type)
        path = request.environ.get("RAW_URI", request.path).partition("?")[0]
        event_id = request.headers.get("event-id")
        start = time.perf_counter()
        try:
            data = self._accept(method)
        except _Refusal as refusal:
            response = refusal.response
            log.write(log.call_line(method, path, response.status_code, time.perf_counter() - start, event_id))
            return response
        return self._call(data, Record(method, path, event_id), method == "HEAD")

    def _accept(self, method: str) -> Any:
        """The event's data; raises _Refusal for a request that is no call."""
        if method == "OPTIONS":
            raise _Refusal(Response(status=204, headers={"Allow": ALLOWED}))
        if method not in metrics.METHODS:
            raise _Refusal(error_response(405, f"the function is not called with {method}", {"Allow": ALLOWED}))
        try:
            read_body(request.environ, self.settings.max_body_bytes)
            body = request.get_data()  # kept by the request, so that a handler can have both data and form
        except BadBody as error:
            self._close_connection()
            raise _Refusal(error_response(error.status, str(error))) from None
        try:
            return parse_data(request.headers.get("Content-Type", ""), body)
        except BadBody as error:
            raise _Refusal(error_response(error.status, str(error))) from None

    def _call(self, data: Any, record: Record, head: bool) -> Response:
        call = self.calls.start()
        try:
            result = make_result(self._invoke(call, data))
            if result.chunks is not None:
                return stream(result, call, record, head)
            response = result.response
        except HTTPException as error:  # flask.abort(): an answer that the function chose
            response = as_flask(error.get_response())
        except BaseException as error:
            response = record.failed(error)
        call.close()
        record.finish(response.status_code)
        return response

    def _invoke(self, call: Call, data: Any) -> Any:
        event = make_event(data, request.headers.get, request._get_current_object())  # type: ignore[attr-defined]
        context = dict(self._context)
        if self._is_async:
            return call.wait(self._handler(event, context))
        value = call.run(partial(self._handler, event, context))
        return call.wait(value) if inspect.isawaitable(value) else value


class _Refusal(Exception):
    """A request that does not reach the function, and its answer."""

    def __init__(self, response: Response) -> None:
        super().__init__(response.status)
        self.response = response
