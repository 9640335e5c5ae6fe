"""Calling a handler within its time: on a thread that can be interrupted, or as a task on the worker's event loop.

A call over its time is given up in two steps. First it is interrupted: `CallTimeout` is raised in its thread, or its
task is cancelled. What does not end by that within `INTERRUPT_SECONDS` (a blocking call in C, a loop that catches
everything) can only be ended together with its process, so `on_stuck` is called, which replaces the worker.
"""

import asyncio
import contextvars
import ctypes
import queue
import threading
import time
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

T = TypeVar("T")

INTERRUPT_SECONDS = 1.0


class CallTimeout(BaseException):
    """Raised inside a handler whose time is over; a BaseException, so that `except Exception` lets it pass."""


class TimedOut(Exception):
    """The call was not done at its deadline. What it was doing is being stopped."""


class _Job:
    __slots__ = ("context", "error", "finished", "function", "interrupted", "outcomes", "value")

    def __init__(self, context: contextvars.Context, function: Callable[[], Any]) -> None:
        self.context = context
        self.function = function
        self.outcomes: queue.SimpleQueue[None] = queue.SimpleQueue()
        self.value: Any = None
        self.error: BaseException | None = None
        self.finished = False
        self.interrupted = False


class _CallThread(threading.Thread):
    """Runs one job after another until it is interrupted or given None."""

    def __init__(self) -> None:
        super().__init__(name="call", daemon=True)
        self.jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()

    def run(self) -> None:
        try:
            while (job := self.jobs.get()) is not None:
                try:
                    job.value = job.context.run(job.function)
                except BaseException as error:
                    job.error = error
                # `finished` is set before `interrupted` is read, and interrupt() does it the other way round: either
                # nothing is raised here any more, or this thread ends and can do no harm to a later call.
                job.finished = True
                if job.interrupted:
                    return
                job.outcomes.put(None)
                del job
        except CallTimeout:
            pass  # was on its way when the handler returned

    def interrupt(self, job: _Job) -> None:
        job.interrupted = True
        self.jobs.put(None)
        if not job.finished and self.ident is not None:
            ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(self.ident), ctypes.py_object(CallTimeout))


class _Task:
    """An awaitable on the event loop; outcome by value, because a SystemExit would end the loop."""

    def __init__(self, awaitable: Awaitable[Any]) -> None:
        self._awaitable = awaitable
        self.ended = threading.Event()
        self.value: Any = None
        self.error: BaseException | None = None

    async def run(self) -> None:
        try:
            self.value = await self._awaitable
        except BaseException as error:
            self.error = error
        finally:
            self.ended.set()


class Calls:
    """The calls of one worker process. Made before the fork; threads and the event loop start with the first call."""

    def __init__(self, timeout_seconds: float) -> None:
        self.timeout_seconds = timeout_seconds
        self.on_stuck: Callable[[str], None] = lambda reason: None
        self._idle: deque[_CallThread] = deque()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._loop_lock = threading.Lock()

    def start(self) -> "Call":
        """Begin a call: its time runs from now. Close it."""
        return Call(self, time.monotonic() + self.timeout_seconds)

    def thread(self) -> _CallThread:
        """A thread without work."""
        try:
            return self._idle.pop()
        except IndexError:
            thread = _CallThread()
            thread.start()
            return thread

    def give_back(self, thread: _CallThread) -> None:
        """Keep a thread for the next call."""
        self._idle.append(thread)

    def loop(self) -> asyncio.AbstractEventLoop:
        """The worker's event loop, running in a thread of its own."""
        with self._loop_lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                threading.Thread(target=self._loop.run_forever, name="event-loop", daemon=True).start()
            return self._loop

    def watch(self, still_running: Callable[[], bool]) -> None:
        """Report the call as stuck if it is still running after its interruption should have worked."""

        def look() -> None:
            if still_running():
                self.on_stuck(f"a call over its {self.timeout_seconds:g} s goes on {INTERRUPT_SECONDS:g} s after that")

        timer = threading.Timer(INTERRUPT_SECONDS, look)
        timer.daemon = True
        timer.start()


class Call:
    """One call. All that it runs is run on one thread (or the loop), in one context, until one deadline."""

    def __init__(self, calls: Calls, deadline: float) -> None:
        self._calls = calls
        self._deadline = deadline
        self._context = contextvars.copy_context()
        self._thread: _CallThread | None = None

    def _seconds_left(self) -> float:
        return max(self._deadline - time.monotonic(), 0.0)

    def run(self, function: Callable[[], T]) -> T:
        """What `function()` returns or raises; TimedOut if that takes too long."""
        thread = self._thread = self._thread or self._calls.thread()
        job = _Job(self._context, function)
        thread.jobs.put(job)
        try:
            job.outcomes.get(timeout=self._seconds_left())
        except queue.Empty:
            self._thread = None
            thread.interrupt(job)
            self._calls.watch(thread.is_alive)
            raise TimedOut from None
        if job.error is not None:
            raise job.error
        return job.value  # type: ignore[no-any-return]

    def wait(self, awaitable: Awaitable[T]) -> T:
        """What `awaitable` results in or raises, run on the worker's event loop; TimedOut if that takes too long."""
        task = _Task(awaitable)
        future = self._context.run(asyncio.run_coroutine_threadsafe, task.run(), self._calls.loop())
        if not task.ended.wait(self._seconds_left()):
            future.cancel()
            self._calls.watch(lambda: not task.ended.is_set())
            raise TimedOut
        if task.error is not None:
            raise task.error
        return task.value  # type: ignore[no-any-return]

    def close(self) -> None:
        """The call is over: its thread may serve another."""
        thread, self._thread = self._thread, None
        if thread is not None:
            self._calls.give_back(thread)
