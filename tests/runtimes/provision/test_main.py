"""The provisioner as the init containers start it: a process, its arguments, its exit code and its last words."""

import base64
import gzip
import hashlib
import itertools
import os
import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import WebServer
from .test_archive import tar_of, zip_of

SOURCE = b"def handler(event, context):\n    return 'hello'\n"
FILES = {"hello.py": SOURCE, "helper.py": b"", "requirements.txt": b"# none\n"}
ARCHIVES = {"zip": zip_of(FILES), "compressedtar": gzip.compress(tar_of(FILES))}


class Provisioner:
    """Runs steps against one volume."""

    def __init__(self, folder: Path) -> None:
        self.volume = folder / "volume"
        self.source = folder / "function"
        self.termination_log = folder / "termination"
        self.output = ""

    def run(self, *arguments: str, **env: str) -> int:
        self.termination_log.write_bytes(b"")
        result = subprocess.run(
            [sys.executable, "-m", "runtimes.provision", *arguments],
            env={
                **os.environ,
                "KUBELESS_INSTALL_VOLUME": str(self.volume),
                "TERMINATION_LOG": str(self.termination_log),
                **env,
            },
            capture_output=True,
            text=True,
            timeout=100,
        )
        self.output = result.stdout + result.stderr
        assert "Traceback" not in self.output
        return result.returncode

    def prepare(self, function: bytes | str, content_type: str = "text", *more: str) -> int:
        self.source.write_bytes(function if isinstance(function, bytes) else function.encode())
        arguments = ["--source", str(self.source), "--content-type", content_type, "--file-name", "hello.py", *more]
        return self.run("prepare", *arguments)

    def install(self, requirements: str, *more: str, **env: str) -> int:
        self.volume.mkdir(exist_ok=True)
        (self.volume / "requirements.txt").write_text(requirements)
        return self.run("install", *more, **{"KUBELESS_DEPS_FILE": str(self.volume / "requirements.txt"), **env})

    def files(self) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in self.volume.iterdir() if path.is_file()}

    @property
    def message(self) -> str:
        return self.termination_log.read_text()


@pytest.fixture
def provisioner(tmp_path: Path) -> Provisioner:
    return Provisioner(tmp_path)


def checksum(content: bytes) -> str:
    return "sha256:" + hashlib.sha256(content).hexdigest()


def test_text(provisioner: Provisioner) -> None:
    assert provisioner.prepare(SOURCE, "text", "--checksum", checksum(SOURCE)) == 0, provisioner.output
    assert provisioner.files() == {"hello.py": SOURCE}
    assert list(provisioner.volume.iterdir()) == [provisioner.volume / "hello.py"]
    assert provisioner.message == ""


def test_text_is_not_touched_by_any_shell(provisioner: Provisioner) -> None:
    source = "'; touch /tmp/pwned; echo '\n$(touch /tmp/pwned) `touch /tmp/pwned` ${HOME} \\n\r\n\tü"
    assert provisioner.prepare(source) == 0
    assert provisioner.files()["hello.py"] == source.encode()


def test_base64_may_be_wrapped(provisioner: Provisioner) -> None:
    assert provisioner.prepare(base64.encodebytes(SOURCE * 9), "base64", "--checksum", checksum(SOURCE * 9)) == 0
    assert provisioner.files() == {"hello.py": SOURCE * 9}


@pytest.mark.parametrize("kind", ARCHIVES)
@pytest.mark.parametrize("origin", ["base64", "url"])
@pytest.mark.parametrize("deps", ["", "+deps"])
def test_archives(provisioner: Provisioner, web: WebServer, kind: str, origin: str, deps: str) -> None:
    content = ARCHIVES[kind]
    function = base64.b64encode(content).decode() if origin == "base64" else web.serve("/archive", content) + "\n"
    assert provisioner.prepare(function, f"{origin}+{kind}{deps}", "--checksum", checksum(content)) == 0
    assert provisioner.files() == FILES


def test_url(provisioner: Provisioner, web: WebServer) -> None:
    assert provisioner.prepare(web.serve("/f.py", SOURCE), "url", "--checksum", "") == 0
    assert provisioner.files() == {"hello.py": SOURCE}


def test_deps_come_from_the_spec_unless_the_archive_brings_them(provisioner: Provisioner, tmp_path: Path) -> None:
    deps = tmp_path / "deps"
    deps.write_text("requests\n")
    function = base64.b64encode(ARCHIVES["zip"])
    assert provisioner.prepare(function, "base64+zip", "--deps", str(deps)) == 0
    assert provisioner.files()["requirements.txt"] == b"requests\n"
    assert provisioner.prepare(function, "base64+zip+deps", "--deps", str(deps)) == 0
    assert provisioner.files()["requirements.txt"] == FILES["requirements.txt"]


def test_it_can_be_run_again_on_the_same_volume(provisioner: Provisioner) -> None:
    for source in (SOURCE, SOURCE + b"# changed\n"):
        assert provisioner.prepare(source) == 0
        assert provisioner.files() == {"hello.py": source}


@pytest.mark.parametrize(
    ("function", "content_type", "more", "message"),
    [
        ("x", "text", ["--checksum", "md5:1"], "the checksum 'md5:1' is not of the form sha256:"),
        (
            "x",
            "text",
            ["--checksum", "sha256:" + "0" * 64],
            f"the function's checksum is {checksum(b'x')}, but the spec",
        ),
        ("not base64!", "base64", [], "the function is not base64, though its content type says so"),
        ("YQ", "base64", [], "the function is not base64"),
        ("x", "json", [], "function-content-type 'json' is unknown"),
        ("file:///etc/passwd", "url", [], "the function's URL must begin with http:// or https://"),
        ("x" * 10_000, "url", [], "the function's URL is longer than"),
        (base64.b64encode(b"x"), "base64+zip", [], "the function's zip archive is broken"),
        (
            base64.b64encode(zip_of({"a/hello.py": SOURCE})),
            "base64+zip",
            [],
            "the archive has no hello.py at its top, where the handler's module is looked for; it has: a/",
        ),
        (
            base64.b64encode(zip_of({"hello.py": SOURCE})),
            "base64+zip+deps",
            [],
            "the content type says +deps, but the archive has no requirements.txt at its top",
        ),
        (
            base64.b64encode(zip_of({"hello.py": bytes(3000)})),
            "base64+zip",
            ["--max-unpacked", "2Ki"],
            "the archive unpacks to more than 2 KiB",
        ),
        ("x", "text", ["--file-name", "../hello.py"], "'../hello.py' cannot be the name of the function's file"),
    ],
    ids=itertools.count(),
)
def test_what_cannot_be_prepared_ends_in_one_clear_line(
    provisioner: Provisioner, function: bytes | str, content_type: str, more: list[str], message: str
) -> None:
    assert provisioner.prepare(function, content_type, *more) == 1
    assert provisioner.message.startswith(message)
    assert "\n" not in provisioner.message
    assert provisioner.output.splitlines()[-1] == provisioner.message
    assert not [name for name in os.listdir(provisioner.volume.parent) if name.startswith(".")]


def test_a_source_that_is_not_mounted_is_named(provisioner: Provisioner) -> None:
    assert provisioner.run("prepare", "--source", "/none/function", "--file-name", "hello.py") == 1
    assert provisioner.message == "prepare failed: No such file or directory: /none/function"


@pytest.mark.parametrize("requirements", ["", "# nothing\n\n   \n"])
def test_no_dependencies_take_no_time(provisioner: Provisioner, requirements: str) -> None:
    assert provisioner.install(requirements, PIP_NO_INDEX="1") == 0
    assert "no dependencies" in provisioner.output


def wheel(folder: Path, name: str, version: str) -> Path:
    """A wheel as small as they get."""
    folder.mkdir(exist_ok=True)
    info = f"{name}-{version}.dist-info"
    file = folder / f"{name}-{version}-py3-none-any.whl"
    file.write_bytes(
        zip_of(
            {
                f"{name}.py": f"VERSION = {version!r}\n".encode(),
                f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n".encode(),
                f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
                f"{info}/RECORD": b"",
            }
        )
    )
    return file


def test_dependencies_are_installed_into_the_volume_and_replaced(provisioner: Provisioner, tmp_path: Path) -> None:
    wheels = tmp_path / "wheels"
    env = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(wheels)}
    wheel(wheels, "smallest", "1.0")
    wheel(wheels, "other", "1.0")
    packages = provisioner.volume / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}" / "site-packages"
    assert provisioner.install("smallest==1.0\nother\n", **env) == 0, provisioner.output
    assert (packages / "smallest.py").read_text() == "VERSION = '1.0'\n"
    wheel(wheels, "smallest", "2.0")
    assert provisioner.install("smallest\n", **env) == 0, provisioner.output
    assert (packages / "smallest.py").read_text() == "VERSION = '2.0'\n"
    assert not (packages / "other.py").exists()
    assert [entry.name for entry in packages.parent.iterdir()] == ["site-packages"]


def test_a_module_of_the_function_does_not_get_in_pips_way(provisioner: Provisioner, tmp_path: Path) -> None:
    wheel(tmp_path / "wheels", "smallest", "1.0")
    provisioner.volume.mkdir()
    (provisioner.volume / "pip.py").write_text("raise SystemExit('the function was run')")
    (provisioner.volume / "logging.py").write_text("raise SystemExit('the function was run')")
    env = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(tmp_path / "wheels")}
    assert provisioner.install("smallest\n", **env) == 0, provisioner.output


def test_pips_last_lines_are_in_the_message_and_the_reason_is_the_last(
    provisioner: Provisioner, tmp_path: Path
) -> None:
    wheel(tmp_path / "wheels", "smallest", "1.0")
    env = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(tmp_path / "wheels")}
    assert provisioner.install("smallest\n", **env) == 0
    assert provisioner.install("smallest\nno-such-package==1.0\n", **env) == 1
    *details, summary = provisioner.message.splitlines()
    assert summary == (
        "the dependencies could not be installed: No matching distribution found for no-such-package==1.0"
    )
    assert any("Could not find a version that satisfies" in line for line in details)
    assert provisioner.output.splitlines()[-1] == summary
    assert len(list((provisioner.volume / "lib").glob("*/site-packages/smallest.py"))) == 1, "the old ones stay"


@pytest.mark.parametrize(
    ("requirements", "words"),
    [("==1.0 what is this\n", "Invalid requirement"), ("-r /none/such.txt\n", "/none/such.txt"), ("\x00\n", "")],
)
def test_a_file_that_is_no_list_of_requirements_is_told(
    provisioner: Provisioner, requirements: str, words: str
) -> None:
    assert provisioner.install(requirements, PIP_NO_INDEX="1") == 1
    assert words in provisioner.message
    assert provisioner.message.splitlines()[-1].startswith("the dependencies could not be installed: ")


def test_an_installation_is_ended_at_its_limit_with_all_it_started(provisioner: Provisioner, tmp_path: Path) -> None:
    package = tmp_path / "slow"
    package.mkdir()
    (package / "pyproject.toml").write_text(
        "[build-system]\nrequires = []\nbuild-backend = 'backend'\nbackend-path = ['.']\n"
    )
    (package / "backend.py").write_text(
        "import os, time\n"
        f"open({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid()))\n"
        "def get_requires_for_build_wheel(c=None): time.sleep(60)\n"
    )
    assert provisioner.install(f"{package}\n", "--seconds", "3", PIP_NO_INDEX="1") == 1
    assert provisioner.message.splitlines()[-1] == "installing the dependencies took longer than 3 s"
    pid = int((tmp_path / "pid").read_text())
    status = Path(f"/proc/{pid}/stat")
    assert not status.exists() or ") Z " in status.read_text()


def test_help_and_bad_arguments(provisioner: Provisioner) -> None:
    assert provisioner.run("--help") == 0
    assert "python -m runtimes.provision prepare --source" in provisioner.output
    assert provisioner.run("prepare", "--file-name", "a", "--source", "b", "--max-unpacked", "lots") == 2
    assert "'lots' is not a size" in provisioner.output
    assert provisioner.run("install", KUBELESS_DEPS_FILE="") == 2
