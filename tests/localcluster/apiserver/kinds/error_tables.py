"""Tables of objects and of the errors that they give, kept as YAML beside the tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

Row = tuple[dict[str, Any], list[str]]


def rows(file: str, table: str) -> list[Row]:
    """What is given, and the errors that it must give at least."""
    tables = yaml.safe_load((Path(__file__).parent / f"errors_{file}.yaml").read_text())
    return [(row["given"], row["errors"] if "errors" in row else [row["error"]]) for row in tables[table]]
