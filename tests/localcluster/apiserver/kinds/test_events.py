"""Events of both groups."""

from typing import Any

from localcluster.apiserver.kinds.events import CoreEvent
from tests.localcluster.apiserver.kinds.written import CONTEXT, Written

EVENT = Written("events.k8s.io", "Event")
GOOD: dict[str, Any] = {
    "eventTime": "2026-01-01T00:00:00.000000Z",
    "regarding": {"kind": "Pod", "namespace": "n", "name": "p"},
    "reason": "Started",
    "action": "Start",
    "note": "hello",
    "type": "Normal",
    "reportingController": "example/me",
    "reportingInstance": "me-1",
}


def core(**fields: Any) -> dict[str, Any]:
    return {"metadata": {"name": "e", "namespace": "n"}, "involvedObject": {"namespace": "n"}, **fields}


def test_both_forms_of_an_event() -> None:
    created = EVENT.created(GOOD)
    stored = EVENT.kind.to_hub(created)
    assert (stored["apiVersion"], stored["message"], stored["involvedObject"]["name"]) == ("v1", "hello", "p")
    assert (stored["firstTimestamp"], stored["source"], stored["reportingComponent"]) == (None, {}, "example/me")
    shown = EVENT.kind.from_hub(stored)
    assert shown == created | {"apiVersion": "events.k8s.io/v1"}


def test_an_old_event_seen_in_the_new_form() -> None:
    old = core(message="m", source={"component": "me"}, count=2, firstTimestamp="2020-01-01T00:00:00Z")
    CoreEvent().default(old)
    shown = EVENT.kind.from_hub(old)
    assert (shown["note"], shown["deprecatedSource"], shown["deprecatedCount"]) == ("m", {"component": "me"}, 2)
    assert not shown.keys() & {"message", "source", "count", "reportingController", "action"}


def test_the_new_group_is_strict() -> None:
    assert EVENT.create_errors(GOOD) == []
    assert EVENT.create_errors(GOOD | {"deprecatedCount": 1, "series": {"count": 1}, "type": "Odd"}) == [
        'series.count: Invalid value: "": should be at least 2',
        "series.lastObservedTime: Required value",
        'type: Invalid value: "": has invalid value: Odd',
        'count: Invalid value: "": needs to be unset',
    ]


def test_an_event_with_a_time_says_who_reports_it() -> None:
    event = core(eventTime="2026-01-01T00:00:00.000000Z", reason="r" * 129)
    errors = [str(e) for e in CoreEvent().validate_create(event, CONTEXT)]
    assert errors[0] == "reportingComponent: Required value"
    assert "reportingInstance: Required value" in errors
    assert 'reason: Invalid value: "": can have at most 128 characters' in errors


def test_an_event_lives_where_its_object_lives() -> None:
    def errors(namespace: str, about: str) -> int:
        event = core(involvedObject={"namespace": about} if about else {})
        event["metadata"]["namespace"] = namespace
        return len(CoreEvent().validate_create(event, CONTEXT))

    assert errors("n", "n") == errors("default", "") == 0
    assert errors("n", "other") == errors("n", "") == 1


def test_events_do_not_change_but_for_their_series() -> None:
    series = {"series": {"count": 2, "lastObservedTime": "2026-01-01T00:00:01.000000Z"}}
    assert EVENT.update_errors(GOOD, GOOD | series) == []
    assert EVENT.update_errors(GOOD, GOOD | {"note": "other"}) == [
        'message: Invalid value: "other": field is immutable'
    ]
    [error] = EVENT.update_errors(GOOD, GOOD | {"regarding": {"namespace": "n"}})
    assert error.startswith('involvedObject: Invalid value: {"Kind":"","Namespace":"n",')


def test_selectable_fields() -> None:
    found = EVENT.kind.selectable_fields(EVENT.created(GOOD))
    assert (found["regarding.name"], found["reportingController"]) == ("p", "example/me")
    assert CoreEvent().selectable_fields(core(source={"component": "me"}))["source"] == "me"
