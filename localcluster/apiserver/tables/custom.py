"""Tables of custom resources, by the additionalPrinterColumns of their definition."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from localcluster.apiserver.tables import cells
from localcluster.apiserver.tables.cells import JSON
from localcluster.apiserver.tables.columns import NAME, definition, of_field
from localcluster.apiserver.tables.json_path import compile_path

_AGE = of_field("Age", "meta.ObjectMeta.creationTimestamp", "date")
_LEAST = -(2**63)


def definitions(printer_columns: Sequence[JSON]) -> list[JSON]:
    """The column definitions; a definition without printer columns shows name and age."""
    if not printer_columns:
        return [definition(NAME), definition(_AGE)]
    return [
        definition(NAME),
        *(
            {
                "name": column["name"],
                "type": column["type"],
                "format": column.get("format", ""),
                "description": column.get("description", ""),
                "priority": column.get("priority", 0),
            }
            for column in printer_columns
        ),
    ]


def row(printer_columns: Sequence[JSON], obj: JSON, now: datetime) -> list[Any]:
    if not printer_columns:
        return [cells.name(obj), cells.age(obj, now)]
    return [cells.name(obj), *(_cell(column, obj, now) for column in printer_columns)]


def _cell(column: JSON, obj: JSON, now: datetime) -> Any:
    try:
        value = next(compile_path(column["jsonPath"])(obj), None)
    except ValueError:
        return None
    if value is None:
        return None
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    match column["type"]:
        case "string":
            return _text(value)
        case "integer" if is_number:
            return _integer(value)
        case "number" if is_number:
            return value if math.isfinite(value) else None
        case "boolean" if isinstance(value, bool):
            return value
        case "date" if isinstance(value, str):
            return "<invalid>" if cells.parse_time(value) is None else cells.since(value, now)
    return None


def _integer(value: float) -> int | None:
    """A number as Go's int64 holds it: what does not fit is the least one."""
    if not math.isfinite(value):
        return None
    whole = int(value)
    return whole if _LEAST <= whole <= -_LEAST - 1 else _LEAST


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e21:
        value = int(value)
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
