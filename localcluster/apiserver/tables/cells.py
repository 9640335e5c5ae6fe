"""How ages, labels, selectors and containers are written in the cells of tables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from localcluster.apiserver.selectors import format_selector

JSON = dict[str, Any]
NONE = "<none>"
UNKNOWN = "<unknown>"
UNSET = "<unset>"


def human_duration(duration: timedelta) -> str:
    """A duration in at most two units, the coarser the longer: ``119s``, ``9m5s``, ``7h59m``, ``47h``, ``2y3d``.

    The steps are those of k8s.io/apimachinery's ``duration.HumanDuration``, which every kubectl user knows.
    """
    total = duration.total_seconds()
    seconds = int(total)
    if seconds < 0:
        return "<invalid>" if seconds < -1 else "0s"
    if seconds < 120:
        return f"{seconds}s"
    minutes, hours = seconds // 60, seconds // 3600
    days = hours // 24
    if minutes < 10:
        return _two_units(minutes, "m", seconds % 60, "s")
    if minutes < 180:
        return f"{minutes}m"
    if hours < 8:
        return _two_units(hours, "h", minutes % 60, "m")
    if hours < 48:
        return f"{hours}h"
    if hours < 24 * 8:
        return _two_units(days, "d", hours % 24, "h")
    if hours < 24 * 365 * 2:
        return f"{days}d"
    if hours < 24 * 365 * 8:
        return _two_units(days // 365, "y", days % 365, "d")
    return f"{days // 365}y"


def _two_units(large: int, large_unit: str, small: int, small_unit: str) -> str:
    return f"{large}{large_unit}{small}{small_unit}" if small else f"{large}{large_unit}"


def parse_time(text: str) -> datetime | None:
    """An RFC 3339 time; None if it is none."""
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError:
        return None
    return parsed if parsed.tzinfo is not None else None


def since(text: str | None, now: datetime) -> str:
    """How long ago an RFC 3339 time was; ``<unknown>`` where there is none."""
    then = parse_time(text) if text else None
    return UNKNOWN if then is None else human_duration(now - then)


def age(obj: JSON, now: datetime) -> str:
    return since(obj["metadata"].get("creationTimestamp"), now)


def name(obj: JSON) -> str:
    return str(obj["metadata"].get("name", ""))


def labels(found: Mapping[str, str] | None) -> str:
    return ",".join(f"{k}={v}" for k, v in sorted(found.items())) if found else NONE


def selector(found: JSON | None) -> str:
    return format_selector(found) or NONE


def containers(pod_spec: JSON | None) -> tuple[str, str]:
    """The names and the images of a pod template's containers."""
    found = (pod_spec or {}).get("containers") or []
    return ",".join(c.get("name", "") for c in found), ",".join(c.get("image", "") for c in found)


def template_spec(obj: JSON) -> JSON:
    """The pod spec in ``spec.template``."""
    found: JSON = ((obj.get("spec") or {}).get("template") or {}).get("spec") or {}
    return found


def some(items: Sequence[str], count: int, empty: str, limit: int = 3) -> str:
    """The first items of a longer list, and how many more there are."""
    if not items:
        return empty
    shown = ",".join(items[:limit])
    return f"{shown} + {count - limit} more..." if count > limit else shown


def condition_status(conditions: Iterable[JSON] | None, type: str) -> str:
    """The status of the first condition of a type; empty if there is none."""
    return next((str(c.get("status", "")) for c in conditions or () if c.get("type") == type), "")


ACCESS_MODES = {"ReadWriteOnce": "RWO", "ReadOnlyMany": "ROX", "ReadWriteMany": "RWX", "ReadWriteOncePod": "RWOP"}


def access_modes(modes: Iterable[str] | None) -> str:
    found = set(modes or ())
    return ",".join(short for mode, short in ACCESS_MODES.items() if mode in found)
