"""Archives from strangers: what is good is unpacked, what is not leaves nothing behind."""

import bz2
import gzip
import io
import itertools
import lzma
import stat
import tarfile
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runtimes.provision.archive import Limits, unpack
from runtimes.provision.errors import ProvisionError

LIMITS = Limits(max_bytes=1 << 20, max_files=50)
COMPRESSORS: dict[str, Callable[[bytes], bytes]] = {"gz": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress}
FILES = {"hello.py": b"def handler(e, c): pass\n", "pkg/__init__.py": b"", "pkg/deep/data.bin": bytes(range(256)) * 300}


def zip_of(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def tar_of(files: dict[str, bytes], *special: tarfile.TarInfo, tar_format: int = tarfile.PAX_FORMAT) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tar_format) as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
        for info in special:
            archive.addfile(info)
    return buffer.getvalue()


def member(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type = kind
    info.linkname = target
    return info


def unpacked(tmp_path: Path, content: bytes, kind: str, limits: Limits = LIMITS) -> dict[str, bytes]:
    archive = tmp_path / "archive"
    archive.write_bytes(content)
    folder = tmp_path / "folder"
    unpack(archive, kind, folder, limits)
    return contents(folder)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def refused(tmp_path: Path, content: bytes, kind: str, words: str, limits: Limits = LIMITS) -> None:
    with pytest.raises(ProvisionError, match=words) as caught:
        unpacked(tmp_path, content, kind, limits)
    assert "\n" not in str(caught.value)
    assert list((tmp_path / "folder").iterdir()) == []
    assert {path.name for path in tmp_path.iterdir()} == {"archive", "folder"}


def test_zip(tmp_path: Path) -> None:
    assert unpacked(tmp_path, zip_of(FILES), "zip") == FILES


@pytest.mark.parametrize("compressor", COMPRESSORS)
@pytest.mark.parametrize("tar_format", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT])
def test_tar(tmp_path: Path, compressor: str, tar_format: int) -> None:
    files = FILES | {"x" * 80 + "/" + "y" * 40: b"long"}
    assert unpacked(tmp_path, COMPRESSORS[compressor](tar_of(files, tar_format=tar_format)), "compressedtar") == files


def test_what_was_there_is_replaced_and_the_rest_kept(tmp_path: Path) -> None:
    unpacked(tmp_path, zip_of({"pkg/old.py": b"old", "a.py": b"1", "b": b"file"}), "zip")
    assert unpacked(tmp_path, zip_of({"pkg/new.py": b"new", "a.py": b"2", "b/c": b"folder"}), "zip") == {
        "pkg/new.py": b"new",
        "a.py": b"2",
        "b/c": b"folder",
    }


def test_only_the_owners_execution_right_is_taken_over(tmp_path: Path) -> None:
    script = tarfile.TarInfo("run")
    script.mode = 0o6755
    unpacked(tmp_path, gzip.compress(tar_of({"plain": b""}, script)), "compressedtar")
    assert stat.S_IMODE((tmp_path / "folder/run").stat().st_mode) & 0o7111 == 0o111
    assert stat.S_IMODE((tmp_path / "folder/plain").stat().st_mode) & 0o111 == 0


OUTSIDE = ["../evil.py", "/etc/evil", "a/../../evil", "a/..", "..", "/"]
UNUSABLE = ["a\\..\\evil", "a\nb", "x" * 300, "y/" * 600 + "z", "\x1b[31m"]


@pytest.mark.parametrize("name", OUTSIDE)
def test_names_that_lead_outside_are_refused(tmp_path: Path, name: str) -> None:
    refused(tmp_path, zip_of({"ok": b"", name: b"evil"}), "zip", "outside of itself")
    refused(tmp_path, gzip.compress(tar_of({"ok": b"", name: b"evil"})), "compressedtar", "outside of itself")


@pytest.mark.parametrize("name", UNUSABLE)
def test_names_that_cannot_be_used_are_refused(tmp_path: Path, name: str) -> None:
    refused(tmp_path, zip_of({name: b"x"}), "zip", "cannot be used")
    refused(tmp_path, gzip.compress(tar_of({name: b"x"})), "compressedtar", "cannot be used")


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE])
def test_links_are_refused(tmp_path: Path, kind: bytes) -> None:
    for target in ("/etc/passwd", "ok", "../../x"):
        content = gzip.compress(tar_of({"ok": b""}, member("link", kind, target)))
        refused(tmp_path, content, "compressedtar", "has a link in it, 'link'")


@pytest.mark.parametrize("kind", [tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE, tarfile.GNUTYPE_SPARSE, b"Z"])
def test_devices_and_other_kinds_are_refused(tmp_path: Path, kind: bytes) -> None:
    content = tar_of({"ok": b""}, member("device", tarfile.CHRTYPE))
    if kind != tarfile.CHRTYPE:
        header = bytearray(content)
        at = header.index(b"device")
        header[at + 156 : at + 157] = kind
        header[at + 148 : at + 156] = b" " * 8
        header[at + 148 : at + 156] = b"%06o\x00 " % sum(header[at : at + 512])
        content = bytes(header)
    refused(tmp_path, gzip.compress(content), "compressedtar", "device|broken")


def test_links_and_devices_in_a_zip_are_refused(tmp_path: Path) -> None:
    for mode, words in ((stat.S_IFLNK, "has a link in it"), (stat.S_IFCHR, "has a device in it")):
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            info = zipfile.ZipInfo("odd")
            info.create_system = 3
            info.external_attr = (mode | 0o777) << 16
            archive.writestr(info, "/etc/passwd")
        refused(tmp_path, buffer.getvalue(), "zip", words)


def test_an_encrypted_zip_is_refused(tmp_path: Path) -> None:
    content = bytearray(zip_of({"a": b"x"}))
    content[content.index(b"PK\x01\x02") + 8] |= 1
    refused(tmp_path, bytes(content), "zip", "encrypted")


@pytest.mark.parametrize("compressor", COMPRESSORS)
def test_bombs_are_stopped_at_the_limit(tmp_path: Path, compressor: str) -> None:
    zeros = bytes(4 << 20)
    refused(tmp_path, zip_of({"zeros": zeros}), "zip", "more than 1 MiB")
    refused(tmp_path, COMPRESSORS[compressor](tar_of({"zeros": zeros})), "compressedtar", "more than 1 MiB")


def test_a_zip_that_lies_about_its_size_is_stopped_too(tmp_path: Path) -> None:
    content = zip_of({"zeros": bytes(4 << 20)})
    lying = content.replace((4 << 20).to_bytes(4, "little"), (10).to_bytes(4, "little"))
    refused(tmp_path, lying, "zip", "more than 1 MiB|broken")


def test_too_many_files_are_refused(tmp_path: Path) -> None:
    files = {f"f{number}": b"" for number in range(51)}
    refused(tmp_path, zip_of(files), "zip", "more than 50 files")
    refused(tmp_path, gzip.compress(tar_of(files)), "compressedtar", "more than 50 files")


def test_a_header_that_says_to_be_huge_is_not_read_into_memory(tmp_path: Path) -> None:
    header = member("pax", tarfile.XHDTYPE)
    header.size = 200 << 20
    content = gzip.compress(header.tobuf(tarfile.USTAR_FORMAT) + bytes(200 << 20), 1)
    tracemalloc.start()
    try:
        refused(tmp_path, content, "compressedtar", "a header of more than 1 MiB", Limits(1 << 30, 50))
        assert tracemalloc.get_traced_memory()[1] < 20 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("kind", ["zip", "compressedtar"])
@pytest.mark.parametrize("files", [{"a": b"", "a/b": b""}, {"a/b": b"", "a": b""}])
def test_a_name_that_is_file_and_folder_is_refused(tmp_path: Path, kind: str, files: dict[str, bytes]) -> None:
    content = zip_of(files) if kind == "zip" else gzip.compress(tar_of(files))
    refused(tmp_path, content, kind, "twice, or as a file and as a folder")


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_name_that_comes_twice_is_refused(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a", "1")
        archive.writestr("./a", "2")
    refused(tmp_path, buffer.getvalue(), "zip", "twice")


@pytest.mark.parametrize(
    ("content", "kind", "words"),
    [
        (b"", "zip", "zip archive is broken"),
        (b"", "compressedtar", "not a compressed tar"),
        (b"not a zip", "zip", "zip archive is broken"),
        (tar_of(FILES), "compressedtar", "not a compressed tar"),
        (gzip.compress(b"no tar" * 1000), "compressedtar", "archive is broken"),
        (gzip.compress(tar_of(FILES))[:100], "compressedtar", "archive is broken"),
        (bz2.compress(tar_of(FILES))[:100], "compressedtar", "archive is broken"),
        (lzma.compress(tar_of(FILES))[:100], "compressedtar", "archive is broken"),
        (zip_of(FILES)[:-10], "zip", "archive is broken"),
        (gzip.compress(tar_of(FILES)), "zip", "archive is broken"),
    ],
    ids=itertools.count(),
)
def test_broken_archives_are_refused(tmp_path: Path, content: bytes, kind: str, words: str) -> None:
    refused(tmp_path, content, kind, words)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), kind=st.sampled_from(["zip", "compressedtar"]))
def test_a_damaged_archive_is_unpacked_or_refused_and_never_escapes(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, kind: str
) -> None:
    tmp_path = tmp_path_factory.mktemp("damaged")
    plain = bytearray(zip_of(FILES) if kind == "zip" else tar_of(FILES))
    for _ in range(data.draw(st.integers(1, 5))):
        at = data.draw(st.integers(0, len(plain) - 1))
        plain[at] = data.draw(st.integers(0, 255))
    content = bytes(plain) if kind == "zip" else gzip.compress(bytes(plain), 1)
    try:
        unpacked(tmp_path, content, kind)
    except ProvisionError as error:
        assert "\n" not in str(error)
    assert {path.name for path in tmp_path.iterdir()} == {"archive", "folder"}
