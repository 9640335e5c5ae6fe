"""Events of the core group and of events.k8s.io: one stored object, two sets of names and two grades of strictness."""

from __future__ import annotations

import copy
from typing import Any

from localcluster.apiserver.errors import FieldError, invalid_value, required
from localcluster.apiserver.kinds import field_rules as rules
from localcluster.apiserver.kinds import formats
from localcluster.apiserver.kinds.base import JSON, Context, Kind

_RENAMED = {
    "regarding": "involvedObject",
    "note": "message",
    "reportingController": "reportingComponent",
    "deprecatedSource": "source",
    "deprecatedFirstTimestamp": "firstTimestamp",
    "deprecatedLastTimestamp": "lastTimestamp",
    "deprecatedCount": "count",
}
"""Fields of events.k8s.io/v1 by what they are called in v1."""
_BACK = {old: new for new, old in _RENAMED.items()}
_OMITTED_WHEN_EMPTY = (
    "note",
    "reportingController",
    "reportingInstance",
    "deprecatedCount",
    "action",
    "reason",
    "type",
)

_REFERENCE = {
    "Kind": "kind",
    "Namespace": "namespace",
    "Name": "name",
    "UID": "uid",
    "APIVersion": "apiVersion",
    "ResourceVersion": "resourceVersion",
    "FieldPath": "fieldPath",
}
_LIMITS = {"reportingInstance": 128, "action": 128, "reason": 128, "message": 1024}


class CoreEvent(Kind):
    """An Event of v1."""

    create_on_update = True

    def default(self, obj: JSON) -> None:
        for name in ("involvedObject", "source"):
            if obj.get(name) is None:
                obj[name] = {}
        for name in ("firstTimestamp", "lastTimestamp", "eventTime"):
            obj.setdefault(name, None)
        for name in ("reportingComponent", "reportingInstance"):
            obj.setdefault(name, "")
        if not obj.get("count"):
            obj.pop("count", None)

    def validate_create(self, new: JSON, context: Context) -> list[FieldError]:
        return validate_common(new, "reportingComponent")

    def selectable_fields(self, obj: JSON) -> dict[str, str]:
        about, source = obj.get("involvedObject") or {}, obj.get("source") or {}
        names = ("kind", "namespace", "name", "uid", "apiVersion", "resourceVersion", "fieldPath")
        return {
            **{f"involvedObject.{name}": about.get(name, "") for name in names},
            "reason": obj.get("reason", ""),
            "reportingComponent": obj.get("reportingComponent", ""),
            "source": source.get("component") or obj.get("reportingComponent", ""),
            "type": obj.get("type", ""),
        }


class Event(Kind):
    """An Event of events.k8s.io/v1."""

    create_on_update = True

    def default(self, obj: JSON) -> None:
        for name in ("regarding", "deprecatedSource"):
            if obj.get(name) is None:
                obj[name] = {}
        for name in ("eventTime", "deprecatedFirstTimestamp", "deprecatedLastTimestamp"):
            obj.setdefault(name, None)

    def to_hub(self, obj: JSON) -> JSON:
        found = {_RENAMED.get(name, name): value for name, value in copy.deepcopy(obj).items()}
        found["apiVersion"] = "v1"
        CoreEvent().default(found)
        return found

    def from_hub(self, obj: JSON) -> JSON:
        found = {_BACK.get(name, name): value for name, value in copy.deepcopy(obj).items()}
        for name in _OMITTED_WHEN_EMPTY:
            if not found.get(name):
                found.pop(name, None)
        found["apiVersion"] = "events.k8s.io/v1"
        self.default(found)
        return found

    def validate_create(self, new: JSON, context: Context) -> list[FieldError]:
        event = self.to_hub(new)
        found = validate_common(event, "reportingController")
        found += _validate_series(event)
        if not event.get("eventTime"):
            found.append(required("eventTime"))
        if event.get("type") not in ("Normal", "Warning"):
            found.append(invalid_value("type", "", f"has invalid value: {event.get('type', '')}"))
        for name in ("firstTimestamp", "lastTimestamp", "count", "source"):
            value = event.get(name)
            if name == "source":
                value = value and (value.get("component") or value.get("host"))
            if value:
                found.append(invalid_value(name, "", "needs to be unset"))
        return found

    def validate_update(self, new: JSON, old: JSON, context: Context) -> list[FieldError]:
        event, before = self.to_hub(new), self.to_hub(old)
        found = validate_common(event, "reportingController")
        if event.get("series") != before.get("series"):
            found += _validate_series(event)
        for name in (
            "involvedObject", "reason", "message", "source", "firstTimestamp", "lastTimestamp", "count", "reason",
            "type", "eventTime", "action", "related", "reportingComponent", "reportingInstance",
        ):  # fmt: skip
            path = "reportingController" if name == "reportingComponent" else name
            found += rules.immutable(path, event.get(name), before.get(name), _shown(name, event.get(name)))
        return found

    def selectable_fields(self, obj: JSON) -> dict[str, str]:
        found = CoreEvent().selectable_fields(self.to_hub(obj))
        names = {"reportingComponent": "reportingController", "source": ""}
        renamed = {names.get(k, k).replace("involvedObject.", "regarding."): v for k, v in found.items()}
        return {name: value for name, value in renamed.items() if name}


def _shown(name: str, value: Any) -> Any:
    """The value of a field as messages quote it: references and sources by their fields' Go names."""
    if name in ("involvedObject", "related") and value is not None:
        return {shown: value.get(field, "") for shown, field in _REFERENCE.items()}
    if name == "source":
        source = value or {}
        return {"Component": source.get("component", ""), "Host": source.get("host", "")}
    return value


def _validate_series(event: JSON) -> list[FieldError]:
    series = event.get("series")
    found: list[FieldError] = []
    if series is not None:
        if series.get("count", 0) < 2:
            found.append(invalid_value("series.count", "", "should be at least 2"))
        if not series.get("lastObservedTime"):
            found.append(required("series.lastObservedTime"))
    return found


def validate_common(event: JSON, controller_field: str) -> list[FieldError]:
    """The rules of both groups, for an event in its core form. Those with an eventTime must say who reports them."""
    found: list[FieldError] = []
    namespace = event["metadata"].get("namespace", "")
    about = (event.get("involvedObject") or {}).get("namespace", "")
    path = "involvedObject.namespace"
    if not event.get("eventTime"):
        if namespace not in ((about,) if about else ("", "default")):
            found.append(invalid_value(path, about, "does not match event.namespace"))
    else:
        if not about and namespace not in ("default", "kube-system"):
            found.append(invalid_value(path, about, "does not match event.namespace"))
        found += _validate_reporter(event, controller_field)
    return found


def _validate_reporter(event: JSON, controller_field: str) -> list[FieldError]:
    found: list[FieldError] = []
    controller = event.get("reportingComponent", "")
    if not controller:
        found.append(required(controller_field))
    found += formats.check(controller_field, controller, formats.qualified_name(controller))
    for name, limit in _LIMITS.items():
        value = event.get(name, "")
        if not value and name != "message":
            found.append(required(name))
        if len(value.encode()) > limit:
            found.append(invalid_value(name, "", f"can have at most {limit} characters"))
    return found


KINDS: dict[str, type[Kind]] = {"Event": Event}
