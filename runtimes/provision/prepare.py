"""The step `prepare`: from what the Function's spec holds to the source files in the volume."""

import base64
import binascii
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from runtimes.provision.archive import Limits, replace, unpack
from runtimes.provision.checksum import verify_checksum
from runtimes.provision.content_type import parse_content_type
from runtimes.provision.download import download
from runtimes.provision.errors import ProvisionError
from runtimes.sizes import format_size

MAX_URL_BYTES = 8192


@dataclass(frozen=True)
class Source:
    """What to prepare. `file` holds the spec's `function`; `file_name` is what a single file is to be called."""

    file: Path
    content_type: str
    checksum: str
    file_name: str
    deps_file: Path | None
    deps_name: str


@dataclass(frozen=True)
class PrepareLimits:
    """Largest download (bytes), its time (seconds), and what an archive may hold."""

    max_download_bytes: int
    download_seconds: float
    archive: Limits


def prepare(source: Source, target: Path, limits: PrepareLimits) -> None:
    """Put the source, and its dependency file if it has one, into `target`; raises ProvisionError.

    It may be run again on the same volume, as Kubernetes does with an init container that failed.
    """
    content_type = parse_content_type(source.content_type)
    _check_name(source.file_name)
    target.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".prepare-", dir=target) as scratch:
        decoded = Path(scratch, "function")
        if content_type.origin == "url":
            url = _url(source.file)
            download(url, decoded, limits.max_download_bytes, limits.download_seconds)
        elif content_type.origin == "base64":
            decoded.write_bytes(_decode(source.file.read_bytes()))
        else:
            shutil.copyfile(source.file, decoded)
        verify_checksum(decoded, source.checksum)
        size_bytes = decoded.stat().st_size
        if content_type.archive:
            unpack(decoded, content_type.archive, target, limits.archive)
            _check_archive_holds(target, source.file_name)
        else:
            replace(decoded, target / source.file_name)
    print(f"function: {format_size(size_bytes)}, {source.content_type or 'text'}", flush=True)
    if content_type.deps:
        if not (target / source.deps_name).is_file():
            raise ProvisionError(f"the content type says +deps, but the archive has no {source.deps_name} at its top")
    elif source.deps_file is not None:
        shutil.copyfile(source.deps_file, target / source.deps_name)


def _url(file: Path) -> str:
    if file.stat().st_size > MAX_URL_BYTES:
        raise ProvisionError(f"the function's URL is longer than {MAX_URL_BYTES} bytes; is it the source itself?")
    return file.read_text("utf-8", "replace").strip()


def _decode(content: bytes) -> bytes:
    try:
        return base64.b64decode(b"".join(content.split()), validate=True)
    except binascii.Error as error:
        raise ProvisionError(f"the function is not base64, though its content type says so: {error}") from None


def _check_name(name: str) -> None:
    if not name or "/" in name or "\0" in name or name in (".", ".."):
        raise ProvisionError(f"{name!r} cannot be the name of the function's file")


def _check_archive_holds(target: Path, file_name: str) -> None:
    stem = file_name.rpartition(".")[0]
    if not (target / file_name).is_file() and not (stem and (target / stem).is_dir()):
        names = sorted(entry.name + "/" * entry.is_dir() for entry in target.iterdir() if entry.name[0] != ".")
        raise ProvisionError(
            f"the archive has no {file_name} at its top, where the handler's module is looked for; "
            f"it has: {', '.join(names[:10]) or 'nothing'}"
        )
