"""Revisions of Deployments."""

from __future__ import annotations

import copy

from localcluster.controllers.deployment import revisions
from tests.localcluster.controllers.objects import deployment, replica_set

REVISION, HISTORY = revisions.REVISION, revisions.REVISION_HISTORY


def test_the_replica_set_of_a_template_is_named_and_labelled_by_its_hash():
    web = deployment(3, minReadySeconds=7)
    web["metadata"]["annotations"] = {"note": "x", "kubectl.kubernetes.io/last-applied-configuration": "{}"}
    made = revisions.make_replica_set(web, 2, 1, 4)
    hashed = made["metadata"]["labels"]["pod-template-hash"]
    assert made["metadata"]["name"] == f"web-{hashed}"
    assert made["spec"]["selector"]["matchLabels"] == {"app": "web", "pod-template-hash": hashed}
    assert made["spec"]["template"]["metadata"]["labels"]["pod-template-hash"] == hashed
    assert made["metadata"]["annotations"] == {
        "note": "x",
        REVISION: "4",
        revisions.DESIRED_REPLICAS: "3",
        revisions.MAX_REPLICAS: "4",
    }
    assert made["spec"]["minReadySeconds"] == 7
    assert "pod-template-hash" not in web["spec"]["template"]["metadata"]["labels"]
    assert revisions.find_new(web, [made | {"metadata": made["metadata"] | {"creationTimestamp": ""}}]) is not None


def test_another_template_or_a_collision_gives_another_name():
    web = deployment()
    other = copy.deepcopy(web)
    other["spec"]["template"]["spec"]["containers"][0]["image"] = "i:2"
    collided = web | {"status": {"collisionCount": 1}}
    names = {revisions.make_replica_set(d, 1, 0, 1)["metadata"]["name"] for d in (web, other, collided)}
    assert len(names) == 3


def test_going_back_renumbers_and_keeps_the_former_number():
    old = replica_set("i", 0, annotations={REVISION: "1", "note": "old"})
    web = deployment()
    web["metadata"]["annotations"] = {REVISION: "2", "note": "new"}
    assert revisions.new_annotations(web, old, 3) == {REVISION: "3", HISTORY: "1", "note": "new"}
    again = replica_set("i", 0, annotations={REVISION: "3", HISTORY: "1"})
    assert revisions.new_annotations(deployment(), again, 5)[HISTORY] == "1,3"


def test_a_number_that_is_high_enough_stays():
    rs = replica_set("i", 0, annotations={REVISION: "3"})
    assert revisions.new_annotations(deployment(), rs, 3) == {REVISION: "3"}


def test_the_oldest_beyond_the_history_limit_are_cleaned_up():
    old = [replica_set(f"r{n}", 0, age=100 - n, annotations={REVISION: str(n)}) for n in (3, 1, 2)]
    found = revisions.to_clean_up(deployment(revisionHistoryLimit=1), old)
    assert [rs["metadata"]["name"] for rs in found] == ["r1", "r2"]
    old[1]["status"]["replicas"] = 1
    found = revisions.to_clean_up(deployment(revisionHistoryLimit=1), old)
    assert [rs["metadata"]["name"] for rs in found] == ["r2"]
