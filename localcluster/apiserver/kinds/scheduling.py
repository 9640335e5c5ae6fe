"""PriorityClasses: defaults and rules."""

from __future__ import annotations

from localcluster.apiserver.errors import FieldError, forbidden_field
from localcluster.apiserver.kinds import field_rules as rules
from localcluster.apiserver.kinds.base import JSON, Context, Kind

HIGHEST_USER_PRIORITY = 1_000_000_000
SYSTEM_PRIORITIES = {"system-node-critical": 2_000_001_000, "system-cluster-critical": 2_000_000_000}
"""The classes that every cluster has, by name (https://kubernetes.io/docs/concepts/scheduling-eviction/)."""


class PriorityClass(Kind):
    counts_generations = True

    def default(self, obj: JSON) -> None:
        obj.setdefault("value", 0)
        obj.setdefault("preemptionPolicy", "PreemptLowerPriority")
        if not obj.get("globalDefault"):
            obj.pop("globalDefault", None)

    def validate_create(self, new: JSON, context: Context) -> list[FieldError]:
        name, value = new["metadata"].get("name", ""), new["value"]
        if name.startswith("system-"):
            problem = self._system_problem(name, value, bool(new.get("globalDefault")))
            if not problem:
                return []
            detail = "priority class names with 'system-' prefix are reserved for system use only. error: " + problem
            return [forbidden_field("metadata.name", detail)]
        if value > HIGHEST_USER_PRIORITY:
            detail = f"maximum allowed value of a user defined priority is {HIGHEST_USER_PRIORITY}"
            return [forbidden_field("value", detail)]
        return []

    @staticmethod
    def _system_problem(name: str, value: int, is_default: bool) -> str:
        if name not in SYSTEM_PRIORITIES:
            return f"{name} is not a known system priority class"
        if value != SYSTEM_PRIORITIES[name]:
            return f"value of {name} PriorityClass must be {SYSTEM_PRIORITIES[name]}"
        return f"globalDefault of {name} PriorityClass must be false" if is_default else ""

    def validate_update(self, new: JSON, old: JSON, context: Context) -> list[FieldError]:
        found: list[FieldError] = []
        if new["value"] != old["value"]:
            found.append(forbidden_field("value", "may not be changed in an update."))
        return found + rules.immutable("preemptionPolicy", new["preemptionPolicy"], old["preemptionPolicy"])


KINDS: dict[str, type[Kind]] = {"PriorityClass": PriorityClass}
