"""managedFields after plain writes, and server-side apply; expectations are those recorded from a real server."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from localcluster.apiserver.encoding import typed_decoding
from localcluster.apiserver.errors import APIError
from localcluster.apiserver.patch import managed_fields
from localcluster.apiserver.patch.scale import after_scale
from localcluster.apiserver.schema import Schema, builtin

NOW = "2026-01-01T00:00:00Z"
LATER = "2026-01-02T00:00:00Z"
STATUS = frozenset({("status",)})


class Kind:
    """Applies and updates objects of one kind as the server would, without defaults."""

    def __init__(self, schema: Schema, api_version: str, kind: str, versions: dict[str, Schema] | None = None) -> None:
        self.api_version, self.kind = api_version, kind
        self.common: Any = {
            "api_version": api_version,
            "schema": schema,
            "schema_for": (versions or {}).get,
        }

    def obj(self, name: str = "a", **fields: Any) -> Any:
        return {"apiVersion": self.api_version, "kind": self.kind, "metadata": {"name": name}, **fields}

    def apply(self, live: Any, applied: Any, manager: str, *, force: bool = False, now: str = NOW, **more: Any) -> Any:
        before = copy.deepcopy(live), copy.deepcopy(applied)
        more = {"subresource": "", "group": "", "kind": self.kind, **self.common, **more}
        try:
            return managed_fields.apply(live, applied, manager=manager, force=force, now=now, **more)
        finally:
            assert before == (live, applied)

    def conflict(self, live: Any, applied: Any, manager: str) -> tuple[str, list[str]]:
        with pytest.raises(APIError) as caught:
            self.apply(live, applied, manager)
        status = caught.value.status()
        assert (status["code"], status["reason"]) == (409, "Conflict")
        assert {c["reason"] for c in status["details"]["causes"]} == {"FieldManagerConflict"}
        return status["message"], [c["field"] for c in status["details"]["causes"]]

    def update(self, live: Any, new: Any, manager: str, *, now: str = NOW, **more: Any) -> Any:
        before = copy.deepcopy(live), copy.deepcopy(new)
        result = managed_fields.after_update(
            live, new, manager=manager, now=now, **{"subresource": "", **self.common, **more}
        )  # fmt: skip
        assert before == (live, new)
        return result


CONFIG_MAP = Kind(builtin("", "v1", "ConfigMap"), "v1", "ConfigMap")
DEPLOYMENT = Kind(builtin("apps", "v1", "Deployment"), "apps/v1", "Deployment")
SERVICE = Kind(builtin("", "v1", "Service"), "v1", "Service")


def config_map(data: Any = None, **metadata: Any) -> Any:
    obj = CONFIG_MAP.obj(**({} if data is None else {"data": data}))
    obj["metadata"].update(metadata)
    return obj


def changed(live: Any, **fields: Any) -> Any:
    return {**copy.deepcopy(live), **fields}


def entry(manager: str, fields: Any, operation: str = "Apply", time: str = NOW, api_version: str = "v1") -> Any:
    made = {"manager": manager, "operation": operation, "apiVersion": api_version, "time": time}
    made |= {"fieldsType": "FieldsV1", "fieldsV1": fields}
    if not time:
        del made["time"]
    return made


def entries(obj: Any) -> Any:
    return obj["metadata"].get("managedFields")


DATA_K = {"f:data": {"f:k": {}}}


# ---- apply


def test_apply_creates_and_updates() -> None:
    one = CONFIG_MAP.apply(None, config_map({"k": "v", "m": "1"}, labels={"l": "1"}), "one")
    owned = {"f:data": {"f:k": {}, "f:m": {}}, "f:metadata": {"f:labels": {"f:l": {}}}}
    assert entries(one) == [entry("one", owned)]
    two = CONFIG_MAP.apply(one, config_map({"k": "w"}), "one", now=LATER)
    assert two["data"] == {"k": "w"}
    assert entries(two) == [entry("one", DATA_K, time=LATER)]


def test_applying_the_same_again_returns_what_is_there() -> None:
    live = CONFIG_MAP.apply(None, config_map({"k": "v"}), "one")
    assert CONFIG_MAP.apply(live, config_map({"k": "v"}), "one", now=LATER) is live


def test_what_only_the_applier_owned_goes_when_it_is_left_out() -> None:
    live = CONFIG_MAP.apply(None, config_map({"k": "v", "shared": "s", "mine": "m"}), "one")
    live = CONFIG_MAP.apply(live, config_map({"shared": "s"}), "two", now=LATER)
    # Nothing of the object changed, so the new entry has no time and comes first.
    assert [(e["manager"], e.get("time")) for e in entries(live)] == [("two", None), ("one", NOW)]
    live = CONFIG_MAP.apply(live, config_map({"k": "v"}), "one", now=LATER)
    assert live["data"] == {"k": "v", "shared": "s"}
    live = CONFIG_MAP.apply(live, config_map(), "two")
    assert live["data"] == {"k": "v"}
    assert entries(live) == [entry("one", DATA_K, time=LATER)]


def test_conflicts_between_appliers_and_force() -> None:
    live = CONFIG_MAP.apply(None, config_map({"k": "v", "l": "1"}), "one")
    message, fields = CONFIG_MAP.conflict(live, config_map({"k": "mine"}), "two")
    assert message == 'Apply failed with 1 conflict: conflict with "one": .data.k'
    assert fields == [".data.k"]
    live = CONFIG_MAP.apply(live, config_map({"k": "mine"}), "two", force=True)
    assert live["data"] == {"k": "mine", "l": "1"}
    assert entries(live) == [entry("one", {"f:data": {"f:l": {}}}), entry("two", DATA_K)]
    assert CONFIG_MAP.conflict(live, config_map({"k": "v", "l": "1"}), "one")[0].endswith('"two": .data.k')


def test_conflicts_with_updates_name_the_version() -> None:
    live = CONFIG_MAP.update(None, config_map({"k": "v", "l": "1"}), "maker")
    message, _ = CONFIG_MAP.conflict(live, config_map({"k": "mine"}), "two")
    assert message == 'Apply failed with 1 conflict: conflict with "maker" using v1: .data.k'
    message, _ = CONFIG_MAP.conflict(live, config_map({"k": "mine", "l": "2"}), "two")
    assert message == 'Apply failed with 2 conflicts: conflicts with "maker" using v1:\n- .data.k\n- .data.l'


def test_conflicts_with_two_managers() -> None:
    live = CONFIG_MAP.apply(None, config_map({"k": "v"}), "one")
    live = CONFIG_MAP.apply(live, config_map({"l": "v"}), "two")
    message, fields = CONFIG_MAP.conflict(live, config_map({"k": "x", "l": "x"}), "three")
    assert (
        message == 'Apply failed with 2 conflicts: conflicts with "one":\n- .data.k\nconflicts with "two":\n- .data.l'
    )
    assert fields == [".data.k", ".data.l"]


def test_the_same_value_is_shared() -> None:
    live = CONFIG_MAP.apply(None, config_map({"k": "v"}), "one")
    live = CONFIG_MAP.apply(live, config_map({"k": "v"}), "two")
    assert entries(live) == [entry("two", DATA_K, time=""), entry("one", DATA_K)]
    CONFIG_MAP.conflict(live, config_map({"k": "w"}), "one")


POD_TEMPLATE: dict[str, Any] = {
    "metadata": {"labels": {"a": "b"}},
    "spec": {
        "containers": [
            {
                "name": "c",
                "image": "i",
                "env": [{"name": "A", "value": "1"}],
                "ports": [{"containerPort": 80}, {"containerPort": 80, "protocol": "UDP"}],
            }
        ],
        "volumes": [{"name": "v", "emptyDir": {}}],
    },
}
DEPLOYED = DEPLOYMENT.obj(
    "d", spec={"replicas": 0, "selector": {"matchLabels": {"a": "b"}}, "template": POD_TEMPLATE}
)  # fmt: skip


def containers(obj: Any) -> Any:
    return obj["spec"]["template"]["spec"]["containers"]


def of_containers(*items: Any) -> Any:
    return DEPLOYMENT.obj("d", spec={"template": {"spec": {"containers": list(items)}}})


def test_fields_of_a_deployment_are_tracked_by_the_keys_of_its_lists() -> None:
    live = DEPLOYMENT.apply(None, DEPLOYED, "one")
    container = {
        ".": {},
        "f:env": {'k:{"name":"A"}': {".": {}, "f:name": {}, "f:value": {}}},
        "f:image": {},
        "f:name": {},
        "f:ports": {
            'k:{"containerPort":80,"protocol":"TCP"}': {".": {}, "f:containerPort": {}},
            'k:{"containerPort":80,"protocol":"UDP"}': {".": {}, "f:containerPort": {}, "f:protocol": {}},
        },
    }
    volumes = {'k:{"name":"v"}': {".": {}, "f:emptyDir": {}, "f:name": {}}}
    template = {
        "f:metadata": {"f:labels": {"f:a": {}}},
        "f:spec": {"f:containers": {'k:{"name":"c"}': container}, "f:volumes": volumes},
    }
    fields = {"f:spec": {"f:replicas": {}, "f:selector": {}, "f:template": template}}
    assert entries(live) == [entry("one", fields, api_version="apps/v1")]
    assert json.dumps(entries(live)[0]["fieldsV1"]) == json.dumps(fields)


def test_two_managers_own_entries_of_one_list() -> None:
    live = DEPLOYMENT.apply(None, DEPLOYED, "one")
    live = DEPLOYMENT.apply(live, of_containers({"name": "side", "image": "j"}), "two")
    assert [c["name"] for c in containers(live)] == ["c", "side"]
    more = {"name": "c", "env": [{"name": "B", "value": "2"}]}
    live = DEPLOYMENT.apply(live, of_containers({"name": "side", "image": "j"}, more), "two")
    assert [c["name"] for c in containers(live)] == ["side", "c"]
    assert [e["name"] for e in containers(live)[1]["env"]] == ["A", "B"]
    live = DEPLOYMENT.apply(live, of_containers({"name": "c", "image": "i", "ports": [{"containerPort": 81}]}), "one")
    assert [e["name"] for e in containers(live)[1]["env"]] == ["B"]
    assert containers(live)[1]["ports"] == [{"containerPort": 81}]
    live = DEPLOYMENT.apply(live, DEPLOYMENT.obj("d"), "two")
    assert [c["name"] for c in containers(live)] == ["c"]


def test_conflicts_inside_of_lists_show_the_keys() -> None:
    live = DEPLOYMENT.apply(None, DEPLOYED, "one")
    change = {"name": "c", "image": "other", "env": [{"name": "A", "value": "9"}], "ports": [{"containerPort": 80}]}
    applied = of_containers(change)
    applied["spec"]["replicas"] = 3
    assert DEPLOYMENT.conflict(live, applied, "two")[1] == [
        ".spec.replicas",
        '.spec.template.spec.containers[name="c"].image',
        '.spec.template.spec.containers[name="c"].env[name="A"].value',
    ]


@pytest.mark.parametrize(
    ("applied", "code", "message"),
    [
        ({"metadata": {"name": "a"}}, 400, "invalid object type: /, Kind="),
        ({"apiVersion": "v1", "kind": "Secret"}, 400, "invalid object type: /v1, Kind=Secret"),
        (config_map({}, managedFields=[{"manager": "x"}]), 400, "metadata.managedFields must be nil"),
        (
            config_map({"k": 5}),
            500,
            "failed to create typed patch object (/a; /v1, Kind=ConfigMap): .data.k: expected string, "
            "got &value.valueUnstructured{Value:5}",
        ),
        (
            {**config_map({}, namespace="n"), "dada": {}},
            500,
            "failed to create typed patch object (n/a; /v1, Kind=ConfigMap): .dada: field not declared in schema",
        ),
    ],
)
def test_what_cannot_be_applied(applied: Any, code: int, message: str) -> None:
    with pytest.raises(APIError) as caught:
        CONFIG_MAP.apply(None, applied, "one")
    assert (caught.value.code, caught.value.message) == (code, message)


def test_ports_that_differ_only_by_a_default_are_the_same() -> None:
    ports = [{"port": 80, "protocol": "TCP"}, {"port": 80}]
    with pytest.raises(APIError, match=r'spec\.ports: duplicate entries for key \[port=80,protocol="TCP"\]$'):
        SERVICE.apply(None, SERVICE.obj("s", spec={"ports": ports}), "one")
    live = SERVICE.apply(None, SERVICE.obj("s", spec={"ports": [{"port": 80}]}), "one")
    live["spec"]["ports"][0]["protocol"] = "TCP"
    live = SERVICE.apply(live, SERVICE.obj("s", spec={"ports": [{"port": 80, "name": "w"}]}), "two")
    assert live["spec"]["ports"] == [{"port": 80, "protocol": "TCP", "name": "w"}]


def test_status_is_tracked_with_its_subresource_and_nothing_else() -> None:
    live = DEPLOYMENT.apply(None, DEPLOYED, "one", ignored=STATUS)
    status = {"collisionCount": 3, "conditions": [{"type": "Custom", "status": "True"}]}
    applied = DEPLOYMENT.obj("d", spec={"replicas": 9}, status=status)
    live = DEPLOYMENT.apply(live, applied, "reporter", subresource="status", ignored=frozenset({("spec",)}))
    condition = {'k:{"type":"Custom"}': {".": {}, "f:status": {}, "f:type": {}}}
    mine = entry("reporter", {"f:status": {"f:collisionCount": {}, "f:conditions": condition}}, api_version="apps/v1")
    assert entries(live)[-1] == {**mine, "subresource": "status"}


def test_a_change_that_a_default_takes_back_is_none() -> None:
    live = DEPLOYMENT.apply(None, DEPLOYED, "one")
    again = copy.deepcopy(live)
    again["metadata"]["managedFields"][0]["time"] = LATER
    assert managed_fields.keep_times(again, live) is live
    again["spec"]["replicas"] = 1
    assert managed_fields.keep_times(again, live) is again


# ---- coming from client-side apply

LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


def client_side(data: Any) -> Any:
    last = json.dumps({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": data})
    return CONFIG_MAP.update(None, config_map(data, annotations={LAST_APPLIED: last}), "kubectl-client-side-apply")


def test_kubectl_takes_over_what_it_applied_on_the_client_side() -> None:
    live = CONFIG_MAP.apply(client_side({"k": "v", "gone": "x"}), config_map({"k": "<w>"}), "kubectl")
    assert live["data"] == {"gone": "x", "k": "<w>"}
    text = '{"apiVersion":"v1","data":{"k":"\\u003cw\\u003e"},"kind":"ConfigMap","metadata":{"name":"a"}}\n'
    assert live["metadata"]["annotations"] == {LAST_APPLIED: text}
    assert entries(live)[0] == entry("kubectl", DATA_K)
    assert entries(live)[1]["fieldsV1"]["f:data"] == {".": {}, "f:gone": {}}


def test_others_do_not_and_neither_what_was_changed_since() -> None:
    live = client_side({"k": "v", "l": "v"})
    CONFIG_MAP.conflict(live, config_map({"k": "w"}), "other")
    live = CONFIG_MAP.update(live, changed(live, data={"k": "edited", "l": "v"}), "editor")
    assert CONFIG_MAP.conflict(live, config_map({"k": "w", "l": "w"}), "kubectl")[1] == [".data.k"]


# ---- update


def test_a_create_owns_what_it_set() -> None:
    live = CONFIG_MAP.update(None, config_map({"k": "v"}, labels={"x": "1"}, uid="u", generation=1), "maker")
    fields = {"f:data": {".": {}, "f:k": {}}, "f:metadata": {"f:labels": {".": {}, "f:x": {}}}}
    assert entries(live) == [entry("maker", fields, "Update")]


def test_structs_that_are_always_there_are_nobodys() -> None:
    new = copy.deepcopy(DEPLOYED)
    typed_decoding.decode(new, builtin("apps", "v1", "Deployment"))
    spec = entries(DEPLOYMENT.update(None, new, "maker", ignored=STATUS))[0]["fieldsV1"]["f:spec"]
    assert "." not in spec
    assert "." not in spec["f:template"]["f:spec"]["f:containers"]
    assert "f:strategy" not in spec
    assert "." in spec["f:template"]["f:metadata"]["f:labels"]
    assert spec["f:template"]["f:spec"]["f:containers"]['k:{"name":"c"}']["f:resources"] == {}


def test_an_update_takes_the_fields_that_it_changes() -> None:
    live = CONFIG_MAP.apply(None, config_map({"k": "v", "l": "1"}), "one")
    live = CONFIG_MAP.update(live, changed(live, data={"k": "edited", "l": "1"}), "editor", now=LATER)
    assert entries(live) == [entry("one", {"f:data": {"f:l": {}}}), entry("editor", DATA_K, "Update", LATER)]
    live = CONFIG_MAP.update(live, changed(live, data={"k": "edited"}), "editor")
    assert entries(live) == [entry("editor", DATA_K, "Update", LATER)]


def test_no_change_keeps_times() -> None:
    live = CONFIG_MAP.update(None, config_map({"k": "v"}), "maker")
    without = copy.deepcopy(live)
    del without["metadata"]["managedFields"]
    assert CONFIG_MAP.update(live, without, "other", now=LATER) == live


def test_ignored_fields_are_not_owned() -> None:
    live = DEPLOYMENT.update(None, DEPLOYED, "maker", ignored=STATUS)
    new = changed(live, status={"collisionCount": 1})
    assert entries(DEPLOYMENT.update(live, new, "other", ignored=STATUS)) == entries(live)
    status = entries(DEPLOYMENT.update(live, new, "other", subresource="status"))[-1]
    assert (status["subresource"], status["fieldsV1"]) == ("status", {"f:status": {".": {}, "f:collisionCount": {}}})


def test_an_empty_entry_resets_managed_fields() -> None:
    live = CONFIG_MAP.apply(None, config_map({"k": "v", "m": "1"}), "one")
    live["metadata"]["uid"] = "u"
    cleared = changed(live, metadata={**live["metadata"], "managedFields": [{}]})
    live = CONFIG_MAP.update(live, cleared, "x")
    assert entries(live) is None
    # From then on plain updates are not tracked …
    live = CONFIG_MAP.update(live, changed(live, data={"k": "v", "m": "2"}), "x")
    assert entries(live) is None
    # … until something is applied.
    message, _ = CONFIG_MAP.conflict(live, config_map({"k": "z"}), "two")
    assert message == 'Apply failed with 1 conflict: conflict with "before-first-apply" using v1: .data.k'
    live = CONFIG_MAP.apply(live, config_map({"k": "z"}), "two", force=True)
    rest = {"f:data": {".": {}, "f:m": {}}}
    assert entries(live) == [entry("two", DATA_K), entry("before-first-apply", rest, "Update")]


@pytest.mark.parametrize("sent", [[], [{"manager": "x"}], [{"manager": "x", "operation": "Apply"}]])
def test_senseless_entries_are_not_taken_over(sent: Any) -> None:
    live = CONFIG_MAP.apply(None, config_map({"k": "v"}), "one")
    new = changed(live, metadata={**live["metadata"], "managedFields": sent})
    assert entries(CONFIG_MAP.update(live, new, "x")) == entries(live)


def test_a_client_may_rewrite_entries_but_not_through_a_subresource() -> None:
    live = CONFIG_MAP.apply(None, config_map({"k": "v"}), "one")
    wanted = [entry("renamed", DATA_K)]
    new = changed(live, metadata={**live["metadata"], "managedFields": wanted})
    assert entries(CONFIG_MAP.update(live, new, "x")) == wanted
    assert entries(CONFIG_MAP.update(live, new, "x", subresource="status")) == entries(live)


def test_old_updates_are_merged_beyond_ten_managers() -> None:
    live = CONFIG_MAP.update(None, config_map({"k": "0"}), "m00")
    for n in range(1, 13):
        data = {**live["data"], f"k{n}": "v"}
        live = CONFIG_MAP.update(live, changed(live, data=data), f"m{n:02}", now=f"2026-01-01T00:00:{n:02}Z")
    managers = [e["manager"] for e in entries(live)]
    assert managers == ["ancient-changes", *(f"m{n:02}" for n in range(4, 13))]
    ancient = {"f:data": {".": {}, "f:k": {}, "f:k1": {}, "f:k2": {}, "f:k3": {}}}
    assert entries(live)[0] == entry("ancient-changes", ancient, "Update", "2026-01-01T00:00:03Z")


# ---- schemas and versions


def widgets(properties: Any) -> Schema:
    return Schema({"type": "object", "properties": {"spec": {"type": "object", "properties": properties}}})


def test_the_creator_of_a_custom_resource_owns_its_structs() -> None:
    kind = Kind(widgets({"a": {"type": "string"}}), "g/v1", "Widget")
    live = kind.update(None, kind.obj(spec={"a": "x"}), "maker")
    assert entries(live)[0]["fieldsV1"] == {"f:spec": {".": {}, "f:a": {}}}


def test_free_form_maps_merge_by_key_and_their_lists_do_not() -> None:
    free = Schema({"type": "object", "x-kubernetes-preserve-unknown-fields": True})
    kind = Kind(free, "g/v1", "Widget")
    live = kind.apply(None, kind.obj(spec={"a": {"b": 1}, "l": [{"name": "x"}]}), "one")
    assert entries(live)[0]["fieldsV1"] == {"f:spec": {".": {}, "f:a": {".": {}, "f:b": {}}, "f:l": {}}}
    live = kind.apply(live, kind.obj(spec={"a": {"c": 2}}), "two")
    assert live["spec"] == {"a": {"b": 1, "c": 2}, "l": [{"name": "x"}]}
    assert kind.conflict(live, kind.obj(spec={"l": []}), "two")[1] == [".spec.l"]


def test_entries_of_other_versions_are_kept_and_those_of_versions_that_are_gone_are_not() -> None:
    schema = widgets({"a": {"type": "string"}, "b": {"type": "string"}})
    old = Kind(schema, "g/v1", "Widget")
    live = old.apply(None, old.obj(spec={"a": "x"}), "one")
    live["apiVersion"] = "g/v2"
    new = Kind(schema, "g/v2", "Widget", {"g/v1": schema})
    both = new.apply(live, new.obj(spec={"b": "y"}), "two")
    assert [e["apiVersion"] for e in entries(both)] == ["g/v1", "g/v2"]
    assert new.conflict(live, new.obj(spec={"a": "y"}), "two")[1] == [".spec.a"]
    alone = Kind(schema, "g/v2", "Widget").apply(live, new.obj(spec={"b": "y"}), "two")
    assert [e["manager"] for e in entries(alone)] == ["two"]
    # An applier is the same in every version.
    moved = new.apply(live, new.obj(spec={"b": "y"}), "one")
    assert moved["spec"] == {"b": "y"}
    assert [(e["manager"], e["apiVersion"]) for e in entries(moved)] == [("one", "g/v2")]


def test_who_owned_a_part_of_what_is_atomic_now_owns_all_of_it() -> None:
    tags = {"type": "object", "additionalProperties": {"type": "string"}}
    before = Kind(widgets({"tags": tags}), "g/v1", "Widget")
    live = before.apply(None, before.obj(spec={"tags": {"a": "1"}}), "one")
    after = Kind(widgets({"tags": {**tags, "x-kubernetes-map-type": "atomic"}}), "g/v1", "Widget")
    assert after.conflict(live, after.obj(spec={"tags": {"b": "2"}}), "two")[1] == [".spec.tags"]


# ---- scale


def scaled(live: Any, replicas: int, manager: str = "scaler") -> Any:
    new = copy.deepcopy(live)
    new["spec"]["replicas"] = replicas
    return after_scale(
        live, new, manager=manager, api_version="apps/v1", path_for=lambda version: ("spec", "replicas")
    )  # fmt: skip


def test_a_write_to_the_scale_takes_the_replicas() -> None:
    live = DEPLOYMENT.apply(None, DEPLOYED, "one")
    assert entries(scaled(live, 0)) == entries(live)
    live = scaled(live, 2)
    mine = entry("scaler", {"f:spec": {"f:replicas": {}}}, "Update", "", "apps/v1")
    assert entries(live)[-1] == {**mine, "subresource": "scale"}
    assert "f:replicas" not in entries(live)[0]["fieldsV1"]["f:spec"]
    message, _ = DEPLOYMENT.conflict(live, DEPLOYED, "one")
    conflict = 'conflict with "scaler" with subresource "scale" using apps/v1: .spec.replicas'
    assert message == f"Apply failed with 1 conflict: {conflict}"
    assert [e["manager"] for e in entries(scaled(live, 0))] == ["one"]
