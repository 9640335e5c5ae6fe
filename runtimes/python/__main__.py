"""`python -m runtimes.python`: serve the function that the environment names. `--help` says what is read from it."""

import argparse
import atexit
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from typing import TYPE_CHECKING, NoReturn, TextIO

from runtimes import termination
from runtimes.python.handler import HandlerError, add_import_paths, load_handler
from runtimes.python.settings import Settings, SettingsError, read_settings

if TYPE_CHECKING:
    pass

HELP = """Serve the handler MOD_NAME.FUNC_HANDLER over HTTP. Everything is set by the environment:

  MOD_NAME, FUNC_HANDLER   the handler's module and function (required)
  FUNC_SOURCE_DIR          the folder of the source (default KUBELESS_INSTALL_VOLUME, else /kubeless)
  FUNC_TIMEOUT             seconds that a call may take (default 180)
  FUNC_RUNTIME, FUNC_MEMORY_LIMIT   passed to the handler in its context
  FUNC_HOST, FUNC_PORT     where to listen (default 0.0.0.0, 8080)
  FUNC_WORKERS             processes (default 1)
  FUNC_THREADS             calls at a time in each process (default 64)
  FUNC_MAX_BODY            largest request body, such as 100Mi (default)
  FUNC_DRAIN_SECONDS       how long to serve on after SIGTERM (default 3)
  TERMINATION_LOG          file for the reason of a failed start (default /dev/termination-log)

example:
  MOD_NAME=hello FUNC_HANDLER=handler FUNC_SOURCE_DIR=examples/hello python -m runtimes.python
"""


def main() -> None:
    """Import the handler and serve it; exits with 1 and a last line that says why when that cannot be."""
    parser = argparse.ArgumentParser(
        prog="python -m runtimes.python", description=HELP, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.parse_args()
    for output in (sys.stdout, sys.stderr):
        _write_by_lines(output)
    try:
        settings = read_settings(os.environ)
    except SettingsError as error:
        _fail(str(error))
    _keep_metrics_in_a_folder()
    # Only now, because prometheus-client looks for its folder when it is imported.
    from runtimes.python import metrics
    from runtimes.python.app import FunctionApp
    from runtimes.python.server import FunctionServer

    def make_app(draining: Callable[[], bool], close_connection: Callable[[], None]) -> FunctionApp:
        app = FunctionApp(settings, _load(settings), draining, close_connection)
        metrics.prepare()
        return app

    server = FunctionServer(settings, make_app)
    server.wsgi()
    server.run()


def _load(settings: Settings) -> "Callable[..., object]":
    add_import_paths(settings.source)
    try:
        return load_handler(settings.source, settings.module, settings.function)
    except HandlerError as error:
        _fail(str(error), error.details)


def _fail(message: str, details: str = "") -> NoReturn:
    if details:
        print(details.rstrip(), file=sys.stderr)
    print(message, file=sys.stderr)
    termination.report(message)
    sys.exit(1)


def _keep_metrics_in_a_folder() -> None:
    folder = tempfile.mkdtemp(prefix="metrics-")
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder
    atexit.register(_remove, folder, os.getpid())


def _remove(folder: str, owner_pid: int) -> None:
    if os.getpid() == owner_pid:  # not at the exit of a worker, which inherits this
        shutil.rmtree(folder, ignore_errors=True)


def _write_by_lines(output: TextIO) -> None:
    """What a handler prints is in the log at once, and not lost with a worker."""
    reconfigure = getattr(output, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(line_buffering=True, errors="backslashreplace")


if __name__ == "__main__":
    main()
