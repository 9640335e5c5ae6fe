"""The managers of an object's fields: entries of metadata.managedFields, decoded, capped and encoded again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from localcluster.apiserver.patch.fieldsets import FieldSet, canonical, union

JSON = dict[str, Any]

MAX_UPDATE_MANAGERS = 10
"""Beyond so many managers that updated, the oldest become one (k8s.io/apimachinery `DefaultMaxUpdateManagers`)."""
ANCIENT_CHANGES = "ancient-changes"
BEFORE_FIRST_APPLY = "before-first-apply"

APPLY = "Apply"
UPDATE = "Update"


@dataclass(frozen=True, slots=True, order=True)
class Manager:
    """Who manages fields; an applier is the same in every version, so its `api_version` is empty."""

    name: str
    operation: str
    api_version: str = ""
    subresource: str = ""

    def describe(self) -> str:
        """As conflicts name it."""
        text = f'"{self.name}"'
        if self.subresource:
            text += f' with subresource "{self.subresource}"'
        return f"{text} using {self.api_version}" if self.operation == UPDATE else text


@dataclass(frozen=True, slots=True)
class Managed:
    """What a manager manages, in terms of which version, and since when (RFC 3339; empty if unknown)."""

    fields: FieldSet
    api_version: str
    time: str = ""


Managers = dict[Manager, Managed]


def decode(entries: Any) -> Managers:
    """The managers of an object. ValueError if an entry makes no sense."""
    managers: Managers = {}
    for entry in entries or ():
        operation, api_version = entry.get("operation"), entry.get("apiVersion", "")
        if operation not in (APPLY, UPDATE):
            raise ValueError("operation must be `Apply` or `Update`")
        if not api_version:
            raise ValueError("apiVersion must not be empty")
        if entry.get("fieldsType") != "FieldsV1":
            raise ValueError("missing fieldsType in managed fields entry" if not entry.get("fieldsType") else "")
        manager = Manager(
            entry.get("manager", ""),
            operation,
            api_version if operation == UPDATE else "",
            entry.get("subresource", ""),
        )
        managers[manager] = Managed(entry.get("fieldsV1") or {}, api_version, entry.get("time") or "")
    return managers


def encode(managers: Managers) -> list[JSON]:
    """The entries in the order in which they are stored: appliers first, then by time and name."""

    def order(item: tuple[Manager, Managed]) -> tuple[str, ...]:
        manager, managed = item
        return manager.operation, managed.time, manager.name, managed.api_version, manager.subresource

    entries = []
    for manager, managed in sorted(managers.items(), key=order):
        if not managed.fields:
            continue
        entry: JSON = {"manager": manager.name, "operation": manager.operation, "apiVersion": managed.api_version}
        if managed.time:
            entry["time"] = managed.time
        entry["fieldsType"] = "FieldsV1"
        entry["fieldsV1"] = canonical(managed.fields)
        if manager.subresource:
            entry["subresource"] = manager.subresource
        entries.append(entry)
    return entries


def capped(managers: Managers) -> Managers:
    """At most `MAX_UPDATE_MANAGERS` that updated: the oldest of each version are merged into one."""
    updaters = sorted((m for m in managers if m.operation == UPDATE), key=lambda m: (managers[m].time, m))
    surplus = len(updaters) - MAX_UPDATE_MANAGERS
    if surplus <= 0:
        return managers
    result = dict(managers)
    first_of_version: dict[str, Manager] = {}
    for manager in updaters:
        if surplus <= 0:
            break
        managed = result[manager]
        bucket = Manager(ANCIENT_CHANGES, UPDATE, managed.api_version)
        first = first_of_version.setdefault(managed.api_version, manager)
        if first is manager:
            continue
        if bucket not in result:
            result[bucket] = result.pop(first)
        fields = union(managed.fields, result[bucket].fields)
        if manager != bucket:
            del result[manager]
        result[bucket] = Managed(fields, managed.api_version, managed.time)
        surplus -= 1
    return result
