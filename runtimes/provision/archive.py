"""Unpacking an archive that nobody vouches for: only plain files and folders, only inside, only so much.

Refused are absolute names and `..`, links, devices, encrypted members, and more bytes or files than the limits. Sizes
are counted as they are written: what the archive says of itself is not believed.
"""

import bz2
import errno
import gzip
import io
import lzma
import os
import shutil
import stat
import struct
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

from runtimes.provision.errors import ProvisionError
from runtimes.sizes import format_size

CHUNK_BYTES = 64 * 1024
MAX_HEADER_BYTES = 1 << 20  # a tar header with long names; a single read of more is an attack
MAX_NAME_BYTES = 1024
BROKEN = (
    zipfile.BadZipFile,
    tarfile.TarError,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    EOFError,
    NotImplementedError,
    OSError,
    OverflowError,
    ValueError,
)
VOLUME_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EIO)


@dataclass(frozen=True)
class Limits:
    """How much an archive may hold when unpacked."""

    max_bytes: int
    max_files: int


@dataclass
class _Member:
    name: str
    is_folder: bool
    executable: bool
    open: Callable[[], IO[bytes]]


def unpack(archive: Path, kind: str, folder: Path, limits: Limits) -> None:
    """Unpack `archive` (`kind` zip or compressedtar) into `folder`; raises ProvisionError.

    What is unpacked replaces what is there under the same name at the top. Nothing is replaced when it fails.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".unpack-", dir=folder) as scratch:
        stage = Path(scratch, "stage")
        stage.mkdir()
        try:
            if kind == "zip":
                _unpack_zip(archive, stage, limits)
            else:
                _unpack_tar(archive, Path(scratch, "tar"), stage, limits)
        except BROKEN as error:
            if isinstance(error, OSError) and error.errno in VOLUME_ERRORS:
                raise  # the volume's fault
            raise ProvisionError(f"the function's {kind} archive is broken: {error or type(error).__name__}") from None
        for entry in sorted(stage.iterdir()):
            replace(entry, folder / entry.name)


def replace(new: Path, old: Path) -> None:
    """Put `new` in the place of `old`, file or folder."""
    if old.is_dir() and not old.is_symlink():
        shutil.rmtree(old)
    else:
        old.unlink(missing_ok=True)
    new.rename(old)


def _unpack_zip(archive: Path, stage: Path, limits: Limits) -> None:
    with zipfile.ZipFile(archive) as content:
        _write(stage, _zip_members(content), limits)


def _zip_members(content: zipfile.ZipFile) -> Iterator[_Member]:
    for info in content.infolist():
        mode = info.external_attr >> 16
        if stat.S_ISLNK(mode):
            raise ProvisionError(
                f"the archive has a link in it, {info.filename!r}; only files and folders are unpacked"
            )
        if stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise ProvisionError(
                f"the archive has a device in it, {info.filename!r}; only files and folders are unpacked"
            )
        if info.flag_bits & 1:
            raise ProvisionError(f"the archive is encrypted ({info.filename!r})")

        def open_member(info: zipfile.ZipInfo = info) -> IO[bytes]:
            try:
                return content.open(info)
            except (NotImplementedError, RuntimeError) as error:
                raise ProvisionError(f"{info.filename!r} in the archive cannot be unpacked: {error}") from None

        yield _Member(info.filename, info.is_dir(), bool(mode & 0o100), open_member)


def _unpack_tar(archive: Path, plain: Path, stage: Path, limits: Limits) -> None:
    _decompress(archive, plain, limits)
    with _SmallReads(plain) as file, tarfile.open(fileobj=cast(IO[bytes], file), mode="r:") as content:
        _write(stage, _tar_members(content, file), limits)


class _SmallReads(io.FileIO):
    """A file that refuses the one large read by which tarfile takes in a header, however large it says to be."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, "rb")

    def read(self, size: int | None = -1) -> Any:
        if size is None or size < 0 or size > MAX_HEADER_BYTES:
            raise ProvisionError(f"the archive has a header of more than {format_size(MAX_HEADER_BYTES)}")
        return super().read(size)


def _tar_members(content: tarfile.TarFile, file: _SmallReads) -> Iterator[_Member]:
    while (info := content.next()) is not None:
        content.members.clear()  # type: ignore[attr-defined]  # it would remember each, and this one has its own limit
        if info.issym() or info.islnk():
            raise ProvisionError(f"the archive has a link in it, {info.name!r}; only files and folders are unpacked")
        if info.issparse() or not (info.isreg() or info.isdir()):
            raise ProvisionError(
                f"the archive has a device or a sparse file in it, {info.name!r}; only files and folders are unpacked"
            )

        def open_member(info: tarfile.TarInfo = info) -> IO[bytes]:
            member = content.extractfile(info)
            assert member is not None, "a plain file"
            return member

        yield _Member(info.name, info.isdir(), bool(info.mode & 0o100), open_member)


def _decompress(archive: Path, plain: Path, limits: Limits) -> None:
    """Write the tar inside `archive` to `plain`. Its headers and padding are allowed for beside the limit of bytes."""
    allowed_bytes = limits.max_bytes + limits.max_files * 4 * tarfile.BLOCKSIZE + tarfile.RECORDSIZE
    with archive.open("rb") as file:
        magic = file.peek(6)[:6] if isinstance(file, io.BufferedReader) else b""
        source: IO[bytes]
        if magic.startswith(b"\x1f\x8b"):
            source = cast(IO[bytes], gzip.GzipFile(fileobj=file))
        elif magic.startswith(b"BZh"):
            source = cast(IO[bytes], bz2.BZ2File(file))
        elif magic.startswith(b"\xfd7zXZ\x00"):
            source = lzma.LZMAFile(file)  # noqa: SIM115 - holds nothing but `file`
        else:
            raise ProvisionError("the function is not a compressed tar: it is neither gzip, bzip2 nor xz")
        with plain.open("wb") as target:
            written = 0
            while chunk := source.read(CHUNK_BYTES):
                written += len(chunk)
                if written > allowed_bytes:
                    raise _too_large(limits)
                target.write(chunk)


def _write(stage: Path, members: Iterator[_Member], limits: Limits) -> None:
    written = files = 0
    for member in members:
        files += 1
        if files > limits.max_files:
            raise ProvisionError(f"the archive holds more than {limits.max_files} files")
        target = stage / _safe_name(member.name)
        try:
            if member.is_folder:
                target.mkdir(parents=True, exist_ok=True)
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            with member.open() as source, _create(target, member.executable) as file:
                while chunk := source.read(CHUNK_BYTES):
                    written += len(chunk)
                    if written > limits.max_bytes:
                        raise _too_large(limits)
                    file.write(chunk)
        except (FileExistsError, NotADirectoryError, IsADirectoryError):
            raise ProvisionError(f"the archive has {member.name!r} twice, or as a file and as a folder") from None


def _create(target: Path, executable: bool) -> IO[bytes]:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    return os.fdopen(os.open(target, flags, 0o755 if executable else 0o644), "wb")


def _safe_name(name: str) -> Path:
    """`name` as a path below the folder that is unpacked into; raises ProvisionError for one that is not below it."""
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if name.startswith("/") or ".." in parts or "\0" in name:
        raise ProvisionError(f"the archive has a file outside of itself, {name[:100]!r}; names may not have ..")
    if (
        not name.isprintable()
        or "\\" in name
        or len(os.fsencode(name)) > MAX_NAME_BYTES
        or any(len(os.fsencode(p)) > 255 for p in parts)
    ):
        raise ProvisionError(f"the archive has a file whose name cannot be used, {name[:100]!r}")
    return Path(*parts)


def _too_large(limits: Limits) -> ProvisionError:
    return ProvisionError(f"the archive unpacks to more than {format_size(limits.max_bytes)}")
