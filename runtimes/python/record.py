"""What is counted and logged of one call, from its start to its one finish."""

import time

from flask import Response

from runtimes.python import log, metrics
from runtimes.python.answers import error_response
from runtimes.python.calls import TimedOut
from runtimes.python.results import BadResult


class Record:
    """One call of the function. It is counted when it starts, so that one that ends its process is counted too."""

    def __init__(self, method: str, path: str, event_id: str | None) -> None:
        self._method = method
        self._path = path
        self._event_id = event_id
        self._failed = False
        self._start = time.perf_counter()
        metrics.calls_total.labels(method).inc()
        metrics.calls_in_progress.inc()

    def failed(self, error: BaseException) -> Response:
        """The answer for a call that ended with `error`, whose traceback goes to the log and nowhere else."""
        self._failed = True
        if isinstance(error, TimedOut):
            return error_response(408, "the function did not answer within its timeout")
        if isinstance(error, BadResult):
            log.write_error(str(error))
            return error_response(500, str(error))
        log.write_traceback(error)
        return error_response(500, f"the function raised {type(error).__name__}; the traceback is in its log")

    def finish(self, status: int, note: str = "") -> None:
        """The call is over and was answered with `status`."""
        duration = time.perf_counter() - self._start
        metrics.calls_in_progress.dec()
        metrics.duration_seconds.labels(self._method).observe(duration)
        if self._failed or status >= 500:
            metrics.failures_total.labels(self._method).inc()
        log.write(log.call_line(self._method, self._path, status, duration, self._event_id, note))
