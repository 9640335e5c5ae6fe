"""The reader of documents itself: it must be able to fail."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e import console


def test_here_documents_are_parts_of_their_command(tmp_path: Path) -> None:
    document = tmp_path / "README.md"
    document.write_text("```console\n$ cat > a <<'END'\n$ one\nEND\n$ cat a\n```\n")
    assert [step.command for step in console.read(document)] == ["cat > a <<'END'\n$ one\nEND", "cat a"]
    console.run(document, tmp_path, {})
    assert (tmp_path / "a").read_text() == "$ one\n"


def test_commands_are_read_with_what_they_print(tmp_path: Path) -> None:
    document = tmp_path / "README.md"
    document.write_text("# x\n```console\n$ echo a \\\n>   b\na b\n$ true\n```\n```sh\n$ not this\n```\n")
    assert console.read(document) == [
        console.Step("echo a \\\n  b", ("a b",), 3),
        console.Step("true", (), 6),
    ]


@pytest.mark.parametrize(
    ("shown", "printed"),
    [
        (["a 5s"], ["a   17s"]),
        (["pod/hello-5f6d8b9c7d-abcde gone"], ["pod/hello-78d9f5b6c4-xyz12 gone"]),
        (["first", "...", "last"], ["first", "2", "3", "last"]),
        (["first", "...", "last"], ["first", "last"]),
        (["wrote ...function.yaml"], ["wrote /somewhere/function.yaml"]),
    ],
)
def test_what_varies_is_left_out_of_account(shown: list[str], printed: list[str]) -> None:
    assert console.matches(shown, printed)


@pytest.mark.parametrize(
    ("shown", "printed"),
    [(["True"], ["False"]), (["a"], ["a", "b"]), (["a", "b"], ["a"]), (["a...c"], ["ab"])],
)
def test_what_is_different_is_found(shown: list[str], printed: list[str]) -> None:
    assert not console.matches(shown, printed)


def test_a_document_that_is_wrong_fails(tmp_path: Path) -> None:
    document = tmp_path / "README.md"
    document.write_text("```console\n$ NAME=you\n$ echo hello $NAME\nhello me\n```\n")
    with pytest.raises(AssertionError, match=r"README\.md:3"):
        console.run(document, tmp_path, {})
    document.write_text("```console\n$ false\n```\n")
    with pytest.raises(AssertionError, match="failed with 1"):
        console.run(document, tmp_path, {})
