"""NATSTrigger: a topic whose messages call the functions that a selector matches."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kubeless.api.metadata import Metadata
from kubeless.api.reading import Fields
from kubeless.api.selector import Selector, parse_selector

KIND = "NATSTrigger"
PLURAL = "natstriggers"


@dataclass(frozen=True)
class NATSTrigger:
    """Every function in the trigger's namespace that matches gets every message."""

    metadata: Metadata
    topic: str
    function_selector: Selector


def parse(obj: Mapping[str, Any]) -> NATSTrigger:
    """Raises InvalidSpec."""
    spec = Fields.of("spec", obj.get("spec"))
    return NATSTrigger(
        metadata=Metadata.parse(KIND, obj),
        topic=spec.required("topic", "topic: orders"),
        function_selector=parse_selector(spec.inner("functionSelector")),
    )
