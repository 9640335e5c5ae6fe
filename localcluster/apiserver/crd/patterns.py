"""Regular expressions as Go (RE2) understands them: patterns of schemas and what is wrong with a bad one."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

# What RE2's C++ messages are called in Go's regexp/syntax.
_GO_WORDS = {
    "missing ]": "missing closing ]",
    "missing )": "missing closing )",
    "no argument for repetition operator": "missing argument to repetition operator",
    "trailing \\": "trailing backslash at end of expression",
    "bad repetition operator": "invalid nested repetition operator",
    "invalid named capture group": "invalid named capture",
    "invalid repetition size": "invalid repeat count",
    "invalid perl operator": "invalid or unsupported Perl syntax",
    "invalid UTF-8": "invalid UTF-8",
}


class BadPattern(ValueError):
    """A pattern that does not parse; the text is that of Go's regexp.Compile."""


@lru_cache(maxsize=512)
def compiled(pattern: str) -> Any:
    """The compiled pattern; its `search` looks anywhere in a text. BadPattern if it does not parse.

    RE2 takes time linear in the text whatever the pattern, which Python's own engine does not: patterns come from
    users.
    """
    import re2

    options = re2.Options()
    options.log_errors = False
    try:
        return re2.compile(pattern, options=options)
    except re2.error as error:
        raise BadPattern(_in_go_words(error)) from None


def _in_go_words(error: Exception) -> str:
    said = error.args[0] if error.args else b""
    text = said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)
    code, separator, argument = text.partition(": ")
    word = _GO_WORDS.get(code, code)
    if code == "trailing \\":
        return f"error parsing regexp: {word}: ``"
    return f"error parsing regexp: {word}: `{argument}`" if separator else f"error parsing regexp: {word}"
