"""CronJobTrigger: a schedule by which a function is called."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kubeless.api.metadata import Metadata
from kubeless.api.reading import Fields

KIND = "CronJobTrigger"
PLURAL = "cronjobtriggers"


@dataclass(frozen=True)
class CronJobTrigger:
    """`schedule` is cron's five fields, in the controllers' time zone; `payload` any JSON, None for none."""

    metadata: Metadata
    schedule: str
    function_name: str
    payload: Any


def parse(obj: Mapping[str, Any]) -> CronJobTrigger:
    """Raises InvalidSpec."""
    spec = Fields.of("spec", obj.get("spec"))
    return CronJobTrigger(
        metadata=Metadata.parse(KIND, obj),
        schedule=spec.required("schedule", 'schedule: "*/5 * * * *" for every five minutes').strip(),
        function_name=spec.required("function-name", "function-name: hello"),
        payload=spec.content.get("payload"),
    )
