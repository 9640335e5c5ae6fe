"""The graph of owners."""

from __future__ import annotations

import pytest

from localcluster.controllers.garbage.graph import FOREGROUND, ORPHAN, Graph
from localcluster.resource_types import CONFIG_MAPS


class Watched:
    def __init__(self):
        self.checks, self.orphans = [], []
        self.graph = Graph(self.checks.append, self.orphans.append)

    def put(self, name, owners=(), blocks=False, **meta):
        references = [
            {"apiVersion": "v1", "kind": "ConfigMap", "name": o, "uid": o, "blockOwnerDeletion": blocks} for o in owners
        ]
        obj = {"metadata": {"name": name, "namespace": "ns", "uid": name, "ownerReferences": references, **meta}}
        self.graph.put(CONFIG_MAPS, obj)

    def checked(self):
        found = set(self.checks)
        self.checks.clear()
        return found


@pytest.fixture
def watched():
    return Watched()


def test_nothing_is_checked_while_the_owner_is_there(watched):
    watched.put("owner")
    watched.put("child", ["owner"])
    assert watched.checked() == set()


def test_dependents_are_checked_when_the_owner_goes(watched):
    watched.put("owner")
    watched.put("one", ["owner"])
    watched.put("two", ["owner"])
    watched.graph.remove("owner")
    assert watched.checked() == {"one", "two"}
    assert "owner" in watched.graph.gone


def test_an_owner_that_nobody_has_seen_is_looked_for(watched):
    watched.put("child", ["ghost"])
    assert watched.checked() == {"child"}
    watched.graph.remove("child")
    assert watched.graph.nodes == {}


def test_a_foreground_deletion_checks_owner_and_dependents(watched):
    watched.put("owner")
    watched.put("child", ["owner"], blocks=True)
    watched.put("loose", ["owner"])
    watched.put("owner", deletionTimestamp="now", finalizers=[FOREGROUND])
    assert watched.checked() == {"owner", "child", "loose"}
    owner = watched.graph.nodes["owner"]
    assert [node.name for node in watched.graph.blocking(owner)] == ["child"]
    watched.graph.remove("child")
    assert watched.checked() == {"owner"}
    assert watched.graph.blocking(owner) == []


def test_an_orphaning_deletion_is_told_apart(watched):
    watched.put("owner")
    watched.put("owner", deletionTimestamp="now", finalizers=[ORPHAN])
    assert watched.orphans == ["owner"]
    assert watched.checked() == set()


def test_a_dependent_let_go_is_no_dependent(watched):
    watched.put("owner")
    watched.put("child", ["owner"])
    watched.put("child", [])
    assert watched.graph.nodes["owner"].dependents == set()


def test_the_memory_of_gone_owners_is_bounded(watched):
    for n in range(700):
        watched.graph.remember_gone(str(n))
    assert len(watched.graph.gone) == 500
