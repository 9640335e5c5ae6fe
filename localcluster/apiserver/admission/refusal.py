"""How a policy's refusal is worded: `pods "x" is forbidden: why`."""

from __future__ import annotations

from collections.abc import Sequence

from localcluster.apiserver.errors import APIError, forbidden
from localcluster.apiserver.kinds.base import JSON
from localcluster.apiserver.resources import Resource


def refusal(resource: Resource, obj: JSON | None, why: str | Sequence[str]) -> APIError:
    """403 about an object; several reasons are listed in brackets, as Go's aggregated errors are."""
    metadata = (obj or {}).get("metadata", {})
    # In the mutating phase there may be no name yet, and the real server shows the prefix.
    name = metadata.get("name") or metadata.get("generateName") or "Unknown"
    if not isinstance(why, str):
        unique = list(dict.fromkeys(why))
        why = unique[0] if len(unique) == 1 else f"[{', '.join(unique)}]"
    return forbidden(resource.group, resource.plural, name, why)


def is_pod(resource: Resource) -> bool:
    return not resource.group and resource.plural == "pods"
