"""How error messages show what somebody tried to change in an object that does not change."""

from __future__ import annotations

import difflib
import json
from typing import Any


def differences(old: Any, new: Any) -> str:
    """A unified diff of two values as indented JSON, ending in a newline."""
    before, after = (json.dumps(value, indent=2, sort_keys=True).splitlines(keepends=True) for value in (old, new))
    lines = list(difflib.unified_diff(before, after))[2:]
    return "".join(line if line.endswith("\n") else f"{line}\n" for line in lines)
