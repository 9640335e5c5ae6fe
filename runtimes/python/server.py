"""gunicorn, as the runtime uses it: preloaded, a drain before the stop, and workers that can be replaced while they
finish their calls."""

import errno
import faulthandler
import math
import mmap
import os
import resource
import signal
import socket
import struct
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from gunicorn.app.base import BaseApplication
from gunicorn.arbiter import Arbiter
from gunicorn.workers.gthread import TConn, ThreadWorker

from runtimes.python import metrics
from runtimes.python.app import FunctionApp
from runtimes.python.settings import Settings

KEEPALIVE_SECONDS = 75  # longer than the pools of usual proxies keep an idle connection, so that they close first
SLOW_CLIENT_SECONDS = 60  # a client that sends or takes nothing for so long is dropped
LAST_REQUESTS_SECONDS = 0.5  # how long a stopping worker waits on connections that are idle
EXIT_SECONDS = 2.0  # how long a stopping worker waits for threads that the function left running
OWN_THREADS = 2  # for /healthz and /metrics, which must answer while all calls are busy
OWN_PATHS = (b"GET /healthz ", b"GET /metrics ")
PEEK_BYTES = 4096
STUCK_PROCESS_SECONDS = 2  # how long after the timeout a process that does not run Python at all is ended

_PID = struct.Struct("=i")


class Flag:
    """A yes or no that the master sets and its workers read: one byte of shared memory."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, 1)

    def set(self) -> None:
        """Say yes, for good."""
        self._memory[0] = 1

    def is_set(self) -> bool:
        """Whether yes was said."""
        return self._memory[0] == 1


class FunctionWorker(ThreadWorker):
    """gunicorn's threaded worker; idle connections hold no thread, and a worker that is stuck asks for a successor."""

    retiring_fd = -1  # where a worker writes its pid when it retires

    def init_process(self) -> None:
        self._own_pool = ThreadPoolExecutor(OWN_THREADS)
        app: FunctionApp = self.app.wsgi()  # type: ignore[assignment]
        app.calls.on_stuck = self.retire
        super().init_process()

    def run(self) -> None:
        # Prints where each thread is when gunicorn ends a process that does not answer (SIGABRT), and on a crash.
        # Core files of functions are of no use to anybody in a pod, and may be large.
        signal.signal(signal.SIGABRT, signal.SIG_DFL)
        resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
        faulthandler.enable()
        super().run()
        # A daemon thread, so it runs for as long as others keep the process alive.
        timer = threading.Timer(EXIT_SECONDS, os._exit, (0,))
        timer.daemon = True
        timer.start()

    def retire(self, reason: str) -> None:
        """Have a new worker started, take no more connections, finish the calls, exit."""
        if self.alive:
            self.log.error("Replacing worker %s: %s", self.pid, reason)
            os.write(self.retiring_fd, _PID.pack(self.pid))
            os.kill(self.ppid, signal.SIGCHLD)
            self.handle_exit(signal.SIGTERM, None)

    def accept(self, listener: socket.socket) -> None:
        try:
            client, address = listener.accept()
        except OSError as error:
            if error.errno in (errno.EAGAIN, errno.ECONNABORTED, errno.EWOULDBLOCK):
                return
            raise
        limit = struct.pack("ll", SLOW_CLIENT_SECONDS, 0)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, limit)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, limit)
        self.nr_conns += 1
        conn = TConn(self.cfg, client, address, listener.getsockname())
        conn.timeout = time.monotonic() + self.cfg.keepalive
        self.pending_conns.append(conn)
        self.poller.register(conn.sock, 1, partial(self.on_pending_socket_readable, conn))

    def enqueue_req(self, conn: TConn) -> None:
        pool = self._own_pool if _asks_for_own_path(conn.sock) else self.tpool
        done = pool.submit(self.handle, conn)
        done.add_done_callback(lambda future: self.method_queue.defer(self.finish_request, conn, future))

    def set_accept_enabled(self, enabled: bool | None) -> None:
        if not enabled and not self.alive and self._accepting:  # type: ignore[attr-defined]
            self._accept_waiting()
        super().set_accept_enabled(enabled)

    def _accept_waiting(self) -> None:
        """Take the connections that wait already: closing the listener would reset them."""
        for listener in self.sockets:
            before = -1
            while before != self.nr_conns:
                before = self.nr_conns
                self.accept(listener)

    def _cap_keepalive(self, deadline: float) -> None:
        deadline = min(deadline, time.monotonic() + LAST_REQUESTS_SECONDS)
        for conn in (*self.keepalived_conns, *self.pending_conns):
            conn.timeout = min(conn.timeout or deadline, deadline)


def _asks_for_own_path(client: socket.socket) -> bool:
    """Whether a whole request for one of the runtime's own paths waits to be read."""
    try:
        waiting = client.recv(PEEK_BYTES, socket.MSG_PEEK | socket.MSG_DONTWAIT)
    except OSError:
        return False
    return waiting.startswith(OWN_PATHS) and b"\r\n\r\n" in waiting


class FunctionArbiter(Arbiter):
    """gunicorn's master, with a drain between SIGTERM and the stop, and successors for retiring workers."""

    # The exit codes by which gunicorn's workers stop their master; gunicorn's own, 3 and 4, are ones that a handler
    # may well exit with, and that must end no more than its worker.
    WORKER_BOOT_ERROR = 219
    APP_LOAD_ERROR = 220

    def __init__(self, app: "FunctionServer") -> None:
        self._draining = app.draining
        self._drain_seconds = app.settings.drain_seconds
        self._drain_until: float | None = None
        self._retiring: set[int] = set()
        self._retiring_fd, FunctionWorker.retiring_fd = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        super().__init__(app)

    def _wanted_workers(self) -> int:
        # A retiring worker is beside the number that was asked for.
        return int(self._get_num_workers()) + self._retiring_workers()  # type: ignore[attr-defined]

    def _want_workers(self, value: int) -> None:
        self._set_num_workers(value - self._retiring_workers())  # type: ignore[attr-defined]

    def _retiring_workers(self) -> int:
        return len(self._retiring & self.WORKERS.keys())

    num_workers = property(_wanted_workers, _want_workers)

    def manage_workers(self) -> None:
        try:
            while pid := os.read(self._retiring_fd, _PID.size):
                self._retiring.add(_PID.unpack(pid)[0])
        except BlockingIOError:
            pass
        self._retiring &= self.WORKERS.keys()
        if self._drain_until is not None and time.monotonic() >= self._drain_until:
            raise StopIteration
        super().manage_workers()

    def wait_for_signals(self, timeout: float | None = 1.0) -> list[int]:
        if self._drain_until is not None:
            timeout = min(timeout or 1.0, max(self._drain_until - time.monotonic(), 0.001))
        return super().wait_for_signals(timeout)

    def handle_term(self) -> None:
        """Serve on for a moment: until everybody knows that this pod is going, calls still come here."""
        if self._drain_until is not None:
            raise StopIteration
        self._draining.set()
        self._drain_until = time.monotonic() + self._drain_seconds

    def handle_usr2(self) -> None:
        """An upgrade in place is not for pods."""


class FunctionServer(BaseApplication):
    """The server of one function. `make_app` imports the handler; it is called once, before any worker is started."""

    def __init__(
        self, settings: Settings, make_app: Callable[[Callable[[], bool], Callable[[], None]], FunctionApp]
    ) -> None:
        self.settings = settings
        self.draining = Flag()
        self._make_app = make_app
        self._current = threading.local()
        super().__init__()

    def load_config(self) -> None:
        settings = self.settings
        # The longest that a call may still take: Kubernetes' grace period usually ends before.
        longest_seconds = math.ceil(settings.timeout_seconds) + STUCK_PROCESS_SECONDS
        options: dict[str, Any] = {
            "bind": settings.bind,
            "workers": settings.workers,
            "worker_class": FunctionWorker,
            "threads": settings.threads,
            "timeout": longest_seconds,
            "graceful_timeout": longest_seconds,
            "keepalive": KEEPALIVE_SECONDS,
            "preload_app": True,
            "control_socket_disable": True,
            "forwarded_allow_ips": "",
            "limit_request_line": 8190,
            "loglevel": "warning",
            "when_ready": self._when_ready,
            "pre_request": self._before_request,
            "child_exit": _after_child_exit,
        }
        for name, value in options.items():
            self.cfg.set(name, value)

    def load(self) -> FunctionApp:  # type: ignore[override]
        return self._make_app(self.draining.is_set, self._close_connection)

    def _when_ready(self, arbiter: Any) -> None:
        print(f"Serving {self.settings.module}.{self.settings.function} on {self.settings.bind}", flush=True)

    def _close_connection(self) -> None:
        """Have the connection of this thread's request closed after its answer."""
        self._current.request.force_close()

    def _before_request(self, worker: Any, request: Any) -> None:
        self._current.request = request
        if self.draining.is_set():
            request.force_close()  # so that the client connects anew, to a pod that stays

    def run(self) -> None:
        """Serve until SIGTERM and the drain after it; ends with SystemExit."""
        FunctionArbiter(self).run()


def _after_child_exit(arbiter: Any, worker: Any) -> None:
    metrics.forget_process(worker.pid)
