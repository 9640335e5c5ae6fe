"""Logs in CRI format: written from FIFOs, rotated, read back."""

import asyncio
import os
from datetime import UTC, datetime, timedelta

import pytest

from localcluster.node.container_log import Collector, LogFile, cri_lines, last_words, read_log, render, rotated
from localcluster.node.provider import LogOptions


async def text_of(path, writer=None, **options) -> bytes:
    return b"".join([chunk async for chunk in read_log(path, LogOptions(**options), writer)])


def written(path, *lines: bytes) -> LogFile:
    log = LogFile(path, 10**6, 5)
    for line in lines:
        log.write("stdout", line)
    return log


def test_long_lines_are_split() -> None:
    entries = cri_lines(b"a" * 20_000, "stderr", b"T").split(b"\n")
    assert [e[:11] for e in entries] == [b"T stderr P ", b"T stderr F ", b""]
    assert render(b"2026-01-01T00:00:00.000000000Z stderr P abc\n", LogOptions()) == b"abc"


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, b"one\ntwo\nthree\n"),
        ({"tail_lines": 2}, b"two\nthree\n"),
        ({"tail_lines": 0}, b""),
        ({"tail_lines": 99}, b"one\ntwo\nthree\n"),
        ({"limit_bytes": 5}, b"one\nt"),
        ({"stream": "Stderr"}, b""),
        ({"since": datetime.now(UTC) + timedelta(hours=1)}, b""),
        ({"since": datetime.now(UTC) - timedelta(hours=1)}, b"one\ntwo\nthree\n"),
    ],
)
async def test_options(tmp_path, options, expected) -> None:
    written(tmp_path / "0.log", b"one", b"two\nthree").close()
    assert await text_of(tmp_path / "0.log", **options) == expected


async def test_timestamps(tmp_path) -> None:
    written(tmp_path / "0.log", b"one").close()
    when, _, rest = (await text_of(tmp_path / "0.log", timestamps=True)).partition(b" ")
    assert rest == b"one\n"
    assert abs(datetime.fromisoformat(when.decode()) - datetime.now(UTC)) < timedelta(minutes=1)


async def test_following_goes_on_over_a_rotation_until_the_end(tmp_path) -> None:
    log = LogFile(tmp_path / "0.log", 3000, 3)
    log.write("stdout", b"first")
    following = asyncio.create_task(text_of(tmp_path / "0.log", log, follow=True))
    for number in range(200):
        log.write("stdout", b"line %d" % number)
        await asyncio.sleep(0)
    log.write("stdout", b"last")
    log.close()
    text = await asyncio.wait_for(following, 5)
    assert text.endswith(b"line 199\nlast\n")
    assert len(rotated(tmp_path / "0.log")) == 2


async def test_old_files_go_and_tail_reaches_over_files(tmp_path) -> None:
    log = LogFile(tmp_path / "0.log", 1000, 3)
    for number in range(100):
        log.write("stdout", b"line %d" % number)
    log.close()
    assert len(rotated(tmp_path / "0.log")) == 2
    assert (await text_of(tmp_path / "0.log", tail_lines=25)).split(b"\n")[0] == b"line 75"


async def test_what_a_program_writes_is_logged_line_by_line(tmp_path) -> None:
    log = LogFile(tmp_path / "0.log", 10**6, 5)
    collector = Collector(tmp_path, log)
    collector.open(fresh=True)
    out, err = collector.child_ends()
    os.write(out, b"half")
    await asyncio.sleep(0.01)
    os.write(out, b" line\nrest")
    os.write(err, b"oops\n")
    await asyncio.sleep(0.01)
    os.close(out)
    os.close(err)
    collector.close()
    assert await text_of(tmp_path / "0.log", stream="Stdout") == b"half line\nrest"
    assert await text_of(tmp_path / "0.log", stream="Stderr") == b"oops\n"


async def test_a_later_node_reads_what_was_written_meanwhile(tmp_path) -> None:
    first = Collector(tmp_path, LogFile(tmp_path / "0.log", 10**6, 5))
    first.open(fresh=True)
    out, err = first.child_ends()
    first.abandon()
    os.write(out, b"nobody listens\n")
    second = Collector(tmp_path, LogFile(tmp_path / "0.log", 10**6, 5))
    second.open(fresh=False)
    second.close()
    os.close(out)
    os.close(err)
    assert await text_of(tmp_path / "0.log") == b"nobody listens\n"


def test_last_words(tmp_path) -> None:
    written(tmp_path / "0.log", *(b"line %d" % n for n in range(100))).close()
    words = last_words(tmp_path / "0.log")
    assert words.startswith("line 20\n")
    assert words.endswith("line 99\n")
    assert last_words(tmp_path / "nope.log") == ""
