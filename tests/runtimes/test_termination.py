"""The termination message: its end is kept, and nothing appears outside a container."""

from pathlib import Path

import pytest

from runtimes import termination


def test_the_end_of_a_long_message_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERMINATION_LOG", str(tmp_path / "log"))
    termination.report("older, and much longer than what follows" * 10)
    termination.report("ü" * 5000 + "\nthe reason\n")
    content = (tmp_path / "log").read_bytes()
    assert len(content) <= termination.MAX_MESSAGE_BYTES
    assert content.decode().endswith("ü\nthe reason")


def test_the_default_file_is_not_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TERMINATION_LOG", raising=False)
    monkeypatch.setattr(termination, "DEFAULT_PATH", str(tmp_path / "log"))
    termination.report("nobody asked")
    assert not (tmp_path / "log").exists()
    (tmp_path / "log").touch()
    termination.report("the kubelet asked")
    assert (tmp_path / "log").read_text() == "the kubelet asked"


def test_a_file_that_cannot_be_written_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERMINATION_LOG", "/proc/none/log")
    termination.report("x")
