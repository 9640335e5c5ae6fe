"""`python -m runtimes.provision STEP`: the init containers of a function's pod. `--help` has examples."""

import argparse
import math
import os
import signal
import sys
from pathlib import Path

from runtimes import termination
from runtimes.provision.archive import Limits
from runtimes.provision.errors import ProvisionError
from runtimes.provision.install import install_python
from runtimes.provision.prepare import PrepareLimits, Source, prepare
from runtimes.sizes import parse_size

EPILOG = """examples:
  python -m runtimes.provision prepare --source /src/function --content-type base64+zip --checksum sha256:... \\
      --file-name hello.py --target /kubeless
  python -m runtimes.provision install --requirements /kubeless/requirements.txt --target /kubeless
"""


def _size(text: str) -> int:
    try:
        return parse_size(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value <= 86400:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds")
    return value


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m runtimes.provision",
        description="Put a function's source and its dependencies into the volume that its runtime serves from.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    steps = parser.add_subparsers(dest="step", required=True, metavar="STEP")
    volume = os.environ.get("KUBELESS_INSTALL_VOLUME", "/kubeless")

    step = steps.add_parser("prepare", help="the source: decode, download, verify, unpack")
    step.add_argument("--source", type=Path, required=True, help="file that holds the spec's function")
    step.add_argument("--content-type", default="text", help="the spec's function-content-type (default text)")
    step.add_argument("--checksum", default="", help="sha256:<hex> of the decoded function; empty: not verified")
    step.add_argument("--file-name", required=True, help="name of the source file: the handler's module and its suffix")
    step.add_argument("--deps", type=Path, help="file that holds the spec's deps")
    step.add_argument(
        "--deps-name", default="requirements.txt", help="what the dependency file is called in the volume"
    )
    step.add_argument("--target", type=Path, default=Path(volume), help="the volume (default KUBELESS_INSTALL_VOLUME)")
    step.add_argument("--max-download", type=_size, default="64Mi", help="largest download (default 64Mi)")
    step.add_argument("--download-seconds", type=_seconds, default="120", help="time for a download (default 120)")
    step.add_argument("--max-unpacked", type=_size, default="512Mi", help="most that an archive holds (default 512Mi)")
    step.add_argument("--max-files", type=int, default=20_000, help="most files in an archive (default 20000)")

    step = steps.add_parser("install", help="the dependencies of a Python function, with pip")
    deps = os.environ.get("KUBELESS_DEPS_FILE")
    step.add_argument(
        "--requirements", type=Path, default=Path(deps) if deps else None, help="default KUBELESS_DEPS_FILE"
    )
    step.add_argument("--target", type=Path, default=Path(volume), help="the volume (default KUBELESS_INSTALL_VOLUME)")
    step.add_argument("--seconds", type=_seconds, default="600", help="time for the installation (default 600)")
    return parser


def main() -> None:
    """Run one step; exits with 1, a last line that says why, and the same in the termination message, when it fails."""
    parser = _parser()
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))  # pid 1 has no default action
    try:
        if arguments.step == "prepare":
            _prepare(arguments)
        else:
            if arguments.requirements is None:
                parser.error("install: --requirements or KUBELESS_DEPS_FILE is needed")
            install_python(arguments.requirements, arguments.target, arguments.seconds)
    except ProvisionError as error:
        _fail(str(error), error.details)
    except OSError as error:
        _fail(f"{arguments.step} failed: {error.strerror or error}: {error.filename or arguments.target}")


def _prepare(arguments: argparse.Namespace) -> None:
    source = Source(
        file=arguments.source,
        content_type=arguments.content_type,
        checksum=arguments.checksum,
        file_name=arguments.file_name,
        deps_file=arguments.deps,
        deps_name=arguments.deps_name,
    )
    limits = PrepareLimits(
        max_download_bytes=arguments.max_download,
        download_seconds=arguments.download_seconds,
        archive=Limits(max_bytes=arguments.max_unpacked, max_files=arguments.max_files),
    )
    prepare(source, arguments.target, limits)


def _fail(message: str, details: str = "") -> None:
    print(message, file=sys.stderr, flush=True)
    termination.report(f"{details}\n{message}")
    sys.exit(1)


if __name__ == "__main__":
    main()
