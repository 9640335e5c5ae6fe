"""What holds a namespace, in words."""

from __future__ import annotations

from localcluster.controllers import conditions
from localcluster.controllers.discovery import Discovered
from localcluster.controllers.namespaces import Remains, with_remains
from localcluster.resource_types import CONFIG_MAPS, DEPLOYMENTS
from tests.localcluster.controllers.objects import NOW, meta


def test_remaining_objects_and_finalizers_are_counted():
    remains = Remains()
    held = [{"metadata": meta(n, finalizers=["x.example/hold"])} for n in ("a", "b")]
    remains.note(Discovered(CONFIG_MAPS, frozenset()), held)
    remains.note(Discovered(DEPLOYMENTS, frozenset()), [{"metadata": meta("d")}])
    assert not remains.is_empty
    found = with_remains(None, remains, NOW)
    content = conditions.find(found, "NamespaceContentRemaining")
    expected = (
        "Some resources are remaining: configmaps. has 2 resource instances, deployments.apps has 1 resource instances"
    )
    assert (content["status"], content["message"]) == ("True", expected)
    finalizers = conditions.find(found, "NamespaceFinalizersRemaining")
    expected = "Some content in the namespace has finalizers remaining: x.example/hold in 2 resource instances"
    assert finalizers["message"] == expected


def test_what_is_over_is_told_too():
    remains = Remains(errors=["no"])
    found = with_remains(with_remains(None, remains, NOW), Remains(), NOW)
    assert {c["status"] for c in found} == {"False"}
    assert conditions.find(found, "NamespaceContentRemaining")["reason"] == "ContentRemoved"
    assert Remains().is_empty
