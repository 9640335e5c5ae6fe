"""A call's log line is one line, whatever the caller sends."""

from hypothesis import given
from hypothesis import strategies as st

from runtimes.python.log import call_line


@given(path=st.text(), event_id=st.none() | st.text())
def test_a_call_is_one_line_of_plain_words(path: str, event_id: str | None) -> None:
    line = call_line("GET", "/" + path, 200, 0.0123, event_id)
    assert line.endswith("\n") and line.isascii() and line[:-1].isprintable()
    words = line.split(" ")
    assert words[1] == "GET" and words[3:5] == ["200", "12.3ms" if event_id else "12.3ms\n"]
    assert len(words) == (6 if event_id else 5)
    assert len(line) < 10 * 1200
