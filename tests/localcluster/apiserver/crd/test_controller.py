"""What becomes of stored CustomResourceDefinitions: names, conditions, what is served, and their end."""

from __future__ import annotations

import asyncio
import copy
from typing import Any

import pytest

from localcluster.apiserver.crd import definitions as controller
from localcluster.apiserver.crd.definition import default, initial_status, is_true
from localcluster.apiserver.crd.definitions import STORAGE, Definitions
from localcluster.apiserver.errors import APIError
from localcluster.apiserver.kinds.apiextensions import CustomResourceDefinition
from localcluster.apiserver.kinds.base import Context, User
from localcluster.apiserver.resources import Registry
from localcluster.apiserver.store import Store

JSON = dict[str, Any]


def crd(plural: str = "widgets", **spec: Any) -> JSON:
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": {"type": "object"}}}
    made: JSON = {
        "apiVersion": controller.API_VERSION,
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.g.example", "uid": plural, "generation": 1},
        "spec": {
            "group": "g.example",
            "scope": "Namespaced",
            "names": {"plural": plural, "kind": "Widget", "shortNames": ["wd"]},
            "versions": [version],
        }
        | spec,
    }
    default(made)
    made["status"] = initial_status(made["spec"])
    return made


class Cluster:
    """A store and a registry that definitions are kept in step with; without a loop, at once."""

    def __init__(self) -> None:
        self.store = Store(":memory:")
        self.registry = Registry()
        self.definitions = Definitions(self.registry, self.store)
        self.definitions.start()
        self.context = Context(User("test"), self.store, "2024-01-02T03:04:05Z")

    def get(self, plural: str = "widgets") -> JSON | None:
        return self.store.get(STORAGE, "", f"{plural}.g.example")

    def conditions(self, plural: str = "widgets") -> dict[str, tuple[str, str]]:
        found = self.get(plural)
        assert found is not None
        return {c["type"]: (c["status"], c["reason"]) for c in found["status"]["conditions"]}

    def change(self, change: Any, plural: str = "widgets") -> None:
        old = self.get(plural)
        assert old is not None
        new = copy.deepcopy(old)
        change(new)
        self.store.update(STORAGE, new, old)

    def delete(self) -> None:
        old = self.get()
        assert old is not None
        new = CustomResourceDefinition().begin_deletion(old, self.context)
        new = {**new, "metadata": {**new["metadata"], "deletionTimestamp": self.context.now}}
        self.store.update(STORAGE, new, old)


@pytest.fixture
def cluster() -> Cluster:
    return Cluster()


def test_a_new_definition_is_accepted_established_and_served(cluster: Cluster) -> None:
    cluster.store.create(STORAGE, crd())
    assert cluster.conditions() == {
        "NamesAccepted": ("True", "NoConflicts"),
        "Established": ("True", "InitialNamesAccepted"),
    }
    stored = cluster.get()
    assert stored is not None
    assert stored["status"]["acceptedNames"] == stored["spec"]["names"]
    resource = cluster.registry.find("g.example", "v1", "widgets")
    assert resource is not None
    assert (resource.kind, resource.list_kind, resource.short_names) == ("Widget", "WidgetList", ("wd",))
    assert resource.crd is not None
    assert "metadata" in resource.schema.property_names


def test_what_is_stored_is_served_from_the_start() -> None:
    store = Store(":memory:")
    store.create(STORAGE, crd())
    registry = Registry()
    Definitions(registry, store).start()
    assert registry.find("g.example", "v1", "widgets") is not None


def test_taken_names_are_refused_until_they_are_free(cluster: Cluster) -> None:
    cluster.store.create(STORAGE, crd())
    cluster.store.create(STORAGE, crd("others"))
    assert cluster.conditions("others") == {
        "NamesAccepted": ("False", "ListKindConflict"),
        "Established": ("False", "NotAccepted"),
    }
    assert cluster.registry.find("g.example", "v1", "others") is None
    first = cluster.get()
    assert first is not None
    cluster.store.delete(STORAGE, first)
    assert cluster.registry.find("g.example", "v1", "widgets") is None
    assert cluster.conditions("others")["Established"] == ("True", "InitialNamesAccepted")
    assert cluster.registry.find("g.example", "v1", "others") is not None


def test_versions_come_and_go(cluster: Cluster) -> None:
    cluster.store.create(STORAGE, crd())
    before = cluster.registry.generation

    def add(new: JSON) -> None:
        second = copy.deepcopy(new["spec"]["versions"][0]) | {"name": "v2", "storage": False, "deprecated": False}
        new["spec"]["versions"][0]["deprecated"] = True
        new["spec"]["versions"].append(second)

    cluster.change(add)
    assert cluster.registry.versions("g.example") == ["v2", "v1"]
    assert cluster.registry.generation > before
    old = cluster.registry.find("g.example", "v1", "widgets")
    new = cluster.registry.find("g.example", "v2", "widgets")
    assert old is not None and old.crd is not None and new is not None and new.crd is not None
    assert old.crd.warning == "g.example/v1 Widget is deprecated; use g.example/v2 Widget"
    assert new.crd.warning == ""
    assert (old.hub, new.hub) == ("v1", "v1")
    cluster.change(lambda crd: crd["spec"]["versions"][1].update(served=False))
    assert cluster.registry.versions("g.example") == ["v1"]


def test_a_change_of_something_else_leaves_the_resources_as_they_are(cluster: Cluster) -> None:
    cluster.store.create(STORAGE, crd())
    generation = cluster.registry.generation
    cluster.change(lambda crd: crd["metadata"].update(labels={"a": "b"}))
    assert cluster.registry.generation == generation


def test_the_end_of_a_definition_is_the_end_of_its_objects(cluster: Cluster) -> None:
    cluster.store.create(STORAGE, crd())
    cluster.store.create("g.example/widgets", {"metadata": {"name": "a", "namespace": "n"}})
    cluster.delete()
    assert cluster.store.list("g.example/widgets") == []
    assert cluster.get() is None
    assert cluster.registry.find("g.example", "v1", "widgets") is None


async def test_objects_with_finalizers_hold_their_definition(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(controller, "LOOK_AGAIN_SECONDS", 0.0)
    cluster = Cluster()
    cluster.store.create(STORAGE, crd())
    await asyncio.sleep(0)
    held = cluster.store.create(
        "g.example/widgets", {"metadata": {"name": "a", "namespace": "n", "generation": 1, "finalizers": ["x/y"]}}
    )
    cluster.delete()
    await asyncio.sleep(0)
    stored = cluster.get()
    assert stored is not None
    assert is_true(stored, "Terminating")
    assert cluster.conditions()["Terminating"] == ("True", "InstanceDeletionInProgress")
    marked = cluster.store.get("g.example/widgets", "n", "a")
    assert marked is not None and marked is not held
    assert marked["metadata"]["deletionTimestamp"]
    resource = cluster.registry.find("g.example", "v1", "widgets")
    assert resource is not None
    with pytest.raises(APIError, match="create not allowed while custom resource definition is terminating"):
        resource.behaviour.prepare_create({"metadata": {"name": "b"}}, cluster.context)
    cluster.store.delete("g.example/widgets", marked)
    for _ in range(100):
        if cluster.get() is None:
            break
        await asyncio.sleep(0.001)
    assert cluster.get() is None
