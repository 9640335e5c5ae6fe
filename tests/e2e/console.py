"""Runs what a document shows: blocks marked `console`, commands after `$ `, what they print below."""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

BLOCK = re.compile(r"^```console\n(.*?)^```", re.MULTILINE | re.DOTALL)
HERE_DOCUMENT = re.compile(r"<<'(\w+)'$")

_VARYING = (
    (re.compile(r"\b127(\.\d{1,3}){3}\b"), "IP"),
    (re.compile(r"-[a-z0-9]{8,10}-[a-z0-9]{5}\b"), "-POD"),
    (re.compile(r"\b(\d+[smhd]){1,2}\b"), "AGE"),
    (re.compile(r"\b\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(\.\d+)?( ?[+-]\d{4}|Z)?"), "TIME"),
    (re.compile(r"\b\d+(\.\d+)?ms\b"), "DURATION"),
    (re.compile(r"[ \t]+"), " "),
)
"""What is different each time, and what stands for it."""


@dataclass(frozen=True)
class Step:
    """A command, the lines that it should print, and where the document says so."""

    command: str
    output: tuple[str, ...]
    line: int


def read(document: Path) -> list[Step]:
    """The steps of all `console` blocks; a backslash at the end, and a here-document, go on in the next lines."""
    text = document.read_text()
    steps: list[Step] = []
    for block in BLOCK.finditer(text):
        first = text[: block.start(1)].count("\n") + 1
        lines = block.group(1).splitlines()
        number = 0
        while number < len(lines):
            assert lines[number].startswith("$ "), f"{document}:{first + number}: expected a command after `$ `"
            start, command = number, lines[number][2:]
            while command.endswith("\\"):
                number += 1
                command += "\n" + lines[number].removeprefix("> ")
            number += 1
            if here := HERE_DOCUMENT.search(command):
                end = lines.index(here.group(1), number) + 1
                command = "\n".join([command, *lines[number:end]])
                number = end
            output = []
            while number < len(lines) and not lines[number].startswith("$ "):
                output.append(lines[number])
                number += 1
            steps.append(Step(command, tuple(output), first + start))
    return steps


def run(document: Path, folder: Path, env: Mapping[str, str], seconds: float = 120) -> None:
    """All steps of a document in one shell, in `folder`; fails the test at the first that prints something else.

    A command that fails must be shown with what it prints then. Output is not looked at where none is shown.
    """
    steps = read(document)
    assert steps, f"{document} shows no commands"
    with (
        tempfile.TemporaryDirectory() as home,
        subprocess.Popen(
            ["bash", "--noprofile", "--norc"],
            cwd=folder,
            env={**os.environ, **env, "CURL_HOME": home},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as shell,
    ):
        # A reader's curl prints to a terminal, and so shows no progress.
        Path(home, ".curlrc").write_text("silent\nshow-error\n")
        try:
            for step in steps:
                printed, status = _run(shell, step.command, seconds)
                at = f"{document.name}:{step.line}: $ {step.command}"
                if step.output:
                    expected = "\n".join(step.output)
                    assert matches(step.output, printed.splitlines()), f"{at}\nshown:\n{expected}\nprinted:\n{printed}"
                else:
                    assert status == 0, f"{at}\nfailed with {status}:\n{printed}"
        finally:
            shell.kill()


def _run(shell: subprocess.Popen[str], command: str, seconds: float) -> tuple[str, int]:
    assert shell.stdin is not None and shell.stdout is not None
    end = f"END-{uuid.uuid4().hex}"
    # `timeout` cannot run what is no program, such as an assignment; a test's own limit ends those.
    shell.stdin.write(f"{command}\nprintf '\\n{end} %s\\n' $?\n")
    shell.stdin.flush()
    printed = []
    for line in shell.stdout:
        if line.startswith(end):
            return "".join(printed).removesuffix("\n"), int(line.split()[1])
        printed.append(line)
    raise AssertionError(f"the shell ended in: {command}")


def matches(shown: tuple[str, ...] | list[str], printed: list[str]) -> bool:
    """Whether output is as shown: `...` stands for any text, and on a line of its own for any lines."""
    pattern = "".join(
        "(?:.*\n)*" if line.strip() == "..." else re.escape(_plain(line)).replace(re.escape("..."), ".*") + "\n"
        for line in shown
    )
    text = "".join(_plain(line) + "\n" for line in printed)
    return re.fullmatch(pattern, text) is not None


def _plain(line: str) -> str:
    for varying, name in _VARYING:
        line = varying.sub(name, line)
    return line.strip()
