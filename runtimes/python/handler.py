"""Loading the handler: from a folder, a module's name and a function's name to something that can be called."""

import importlib.util
import inspect
import os
import site
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

Handler = Callable[[dict[str, Any], dict[str, Any]], Any]

MAX_NAMES_SHOWN = 10


class HandlerError(Exception):
    """The handler cannot be used. The message is one line for the author; `details` is the traceback, if any."""

    def __init__(self, message: str, details: str = "") -> None:
        super().__init__(message)
        self.details = details


def dependencies_folder(source: Path) -> Path:
    """Where the provisioner puts dependencies: as with Kubeless, under the source, for this version of Python."""
    return source / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"


def add_import_paths(source: Path) -> None:
    """Let the source and its dependencies (with their .pth files) be imported, before what the image brings."""
    before = list(sys.path)
    site.addsitedir(str(dependencies_folder(source)))
    added = [entry for entry in sys.path if entry not in before]
    sys.path[:] = [str(source), *added, *(entry for entry in before if entry != str(source))]


def load_handler(source: Path, module_name: str, function_name: str) -> Handler:
    """Import `module_name` from the folder `source` and return its `function_name`; raises HandlerError.

    The module is loaded by its file, as Kubeless did, so `my-function.py` and `test.py` are good names.
    """
    module = _import_module(source, module_name)
    try:
        handler = getattr(module, function_name)
    except AttributeError:
        functions = [name for name, value in vars(module).items() if inspect.isroutine(value) and name[0] != "_"]
        raise HandlerError(
            f"module {module_name!r} has no function {function_name!r}; it has: {_some(functions)}"
        ) from None
    if not callable(handler):
        raise HandlerError(f"{module_name}.{function_name} is a {type(handler).__name__}, not a function")
    _check_parameters(handler, f"{module_name}.{function_name}")
    return handler  # type: ignore[no-any-return]


def _import_module(source: Path, name: str) -> ModuleType:
    file = source / f"{name}.py"
    package = source / name / "__init__.py"
    if not file.is_file() and package.is_file():
        file = package
    if not file.is_file():
        raise HandlerError(f"module {name!r} not found: the source has no {name}.py; it has: {_listing(source)}")
    # A name that somebody else has, such as `test` or `queue`, must not take that module's place for everybody.
    taken = name in sys.modules or name in sys.stdlib_module_names
    import_name = f"function_{name}" if taken else name
    spec = importlib.util.spec_from_file_location(import_name, file)
    if spec is None or spec.loader is None:
        raise HandlerError(f"{file.name} cannot be imported")
    module = importlib.util.module_from_spec(spec)
    sys.modules[import_name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException as error:  # sys.exit() at import as well
        sys.modules.pop(import_name, None)
        raise HandlerError(_import_failure(name, source, error), _own_traceback(error, source)) from None
    return module


def _import_failure(name: str, source: Path, error: BaseException) -> str:
    what = " ".join(traceback.format_exception_only(error)[-1].split())
    if isinstance(error, SyntaxError) and error.filename:
        return f"{_relative(error.filename, source)} line {error.lineno}: {what}"
    if isinstance(error, SystemExit):
        what = f"it called sys.exit({error.code!r})"
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if _inside(frame.filename, source)]
    where = f" at {_relative(frames[-1].filename, source)} line {frames[-1].lineno}" if frames else ""
    hint = ""
    if isinstance(error, ModuleNotFoundError) and error.name:
        hint = (
            f"; add the package of {error.name.partition('.')[0]!r} to the function's deps, or its file to the source"
        )
    return f"importing {name!r} failed{where}: {what}{hint}"


def _own_traceback(error: BaseException, source: Path) -> str:
    """The traceback from the first line of the function's own files on: the importing above them tells nothing."""
    step = error.__traceback__
    while step is not None and not _inside(step.tb_frame.f_code.co_filename, source):
        step = step.tb_next
    return "".join(traceback.format_exception(type(error), error, step))


def _check_parameters(handler: Handler, name: str) -> None:
    try:
        signature = inspect.signature(handler)
    except (TypeError, ValueError):
        return  # written in C, and without a signature
    try:
        signature.bind(None, None)
    except TypeError:
        raise HandlerError(f"{name} takes {signature}; a handler takes (event, context)") from None


def _inside(filename: str, source: Path) -> bool:
    return filename.startswith(str(source) + os.sep)


def _relative(filename: str, source: Path) -> str:
    return filename.removeprefix(str(source) + os.sep)


def _listing(source: Path) -> str:
    try:
        entries = sorted(source.iterdir())
    except OSError as error:
        return f"nothing ({error.strerror}: {source})"
    return _some(
        [entry.name + "/" * entry.is_dir() for entry in entries if entry.name[0] != "." and entry.name != "lib"]
    )


def _some(names: list[str]) -> str:
    if not names:
        return "none"
    more = len(names) - MAX_NAMES_SHOWN
    return ", ".join(names[:MAX_NAMES_SHOWN]) + (f" and {more} more" if more > 0 else "")
