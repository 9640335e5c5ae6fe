"""What may change in a pod, and its status."""

import copy
from typing import Any

import pytest

from localcluster.apiserver.kinds.pod_changes import validate_ephemeral_change, validate_resize
from tests.localcluster.apiserver.kinds.written import CONTEXT, Written

POD = Written("", "Pod")


def pod(container: dict[str, Any] | None = None, **spec: Any) -> dict[str, Any]:
    return {"spec": {"containers": [{"name": "c", "image": "i", **(container or {})}], **spec}}


def test_images_deadlines_and_more_tolerations_are_allowed() -> None:
    new = pod({"image": "j"}, activeDeadlineSeconds=5, tolerations=[{"operator": "Exists"}])
    assert POD.update_errors(pod(), new) == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (pod(), pod({"command": ["x"]})),
        (pod(), pod(nodeName="n")),
        (pod(), pod(terminationGracePeriodSeconds=1)),
    ],
)
def test_the_rest_is_not(old: dict[str, Any], new: dict[str, Any]) -> None:
    (error,) = POD.update_errors(old, new)
    assert error.startswith("spec: Forbidden: pod updates may not change fields other than `spec.containers[*].image`,")
    assert "\n+" in error


def test_containers_stay() -> None:
    more = pod(containers=[{"name": "c", "image": "i"}, {"name": "d", "image": "i"}])
    assert POD.update_errors(pod(), more) == [
        "spec.containers: Forbidden: pod updates may not add or remove containers"
    ]


def test_tolerations_only_get_more() -> None:
    old = pod(tolerations=[{"key": "a", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 3}])
    longer = pod(tolerations=[{"key": "a", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 9}])
    assert POD.update_errors(old, longer) == []
    assert POD.update_errors(old, pod()) == [
        "spec.tolerations: Forbidden: existing toleration can not be modified except its tolerationSeconds"
    ]


def test_deadlines_only_get_shorter() -> None:
    assert POD.update_errors(pod(activeDeadlineSeconds=5), pod(activeDeadlineSeconds=4)) == []
    assert POD.update_errors(pod(activeDeadlineSeconds=5), pod(activeDeadlineSeconds=6)) == [
        "spec.activeDeadlineSeconds: Invalid value: 6: must be less than or equal to previous value"
    ]


def test_a_gated_pod_may_get_a_narrower_node_selector() -> None:
    gated = {"schedulingGates": [{"name": "g"}]}
    assert POD.update_errors(pod(**gated), pod(nodeSelector={"a": "b"}, **gated)) == []
    assert POD.update_errors(pod(**gated), pod(nodeSelector={"a": "b"})) == []
    (error,) = POD.update_errors(pod(nodeSelector={"a": "b"}, **gated), pod(nodeSelector={"a": "c"}, **gated))
    assert error.endswith("only additions to spec.nodeSelector are allowed (no mutations or deletions)")


def test_gates_and_own_labels_on_create() -> None:
    constraint = {
        "maxSkew": 1, "topologyKey": "z", "whenUnsatisfiable": "DoNotSchedule", "matchLabelKeys": ["hash"],
        "labelSelector": {"matchLabels": {"a": "b"}},
    }  # fmt: skip
    new = pod(schedulingGates=[{"name": "g"}], topologySpreadConstraints=[constraint])
    new["metadata"] = {"labels": {"hash": "1"}}
    created = POD.created(new)
    assert created["status"]["conditions"][0]["reason"] == "SchedulingGated"
    selector = created["spec"]["topologySpreadConstraints"][0]["labelSelector"]
    assert selector["matchExpressions"] == [{"key": "hash", "operator": "In", "values": ["1"]}]


# ---- status


def written_status(status: dict[str, Any]) -> dict[str, Any]:
    old = POD.created(pod())
    new = {**copy.deepcopy(old), "status": status, "spec": {}}
    new["metadata"] = {**new["metadata"], "labels": {"x": "1"}, "ownerReferences": [{}]}
    POD.kind.prepare_status(new, old, CONTEXT)
    return new


def test_a_status_brings_labels_but_neither_spec_nor_owners() -> None:
    new = written_status({"phase": "Running", "qosClass": "Guaranteed"})
    assert new["spec"]["containers"]
    assert new["metadata"]["labels"] == {"x": "1"}
    assert "ownerReferences" not in new["metadata"]
    assert new["status"]["qosClass"] == "BestEffort"


def test_addresses_are_shown_in_both_forms() -> None:
    assert written_status({"podIP": "10.1.2.3"})["status"]["podIPs"] == [{"ip": "10.1.2.3"}]
    assert written_status({"podIPs": [{"ip": "10.1.2.3"}]})["status"]["podIP"] == "10.1.2.3"


def test_bad_statuses() -> None:
    assert POD.status_errors(pod(), {"podIPs": [{"ip": "x"}]}) == [
        'status.podIPs[0]: Invalid value: "x": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)'
    ]
    ended = {"containerStatuses": [{"name": "c", "state": {"terminated": {"exitCode": 0}}}]}
    running = {"containerStatuses": [{"name": "c", "state": {"running": {}}}]}
    assert POD.status_errors(pod(restartPolicy="Never"), running, ended) == [
        "status.containerStatuses[0].state: Forbidden: may not be transitioned to non-terminated state"
    ]
    assert POD.status_errors(pod(), running, ended) == []


# ---- other subresources


def put(name: str, change: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    old = POD.created(pod({"resources": {"requests": {"cpu": "1"}}}))
    new = copy.deepcopy(old)
    new["spec"].update(change)
    POD.kind.default(new)
    POD.kind.prepare_subresource(name, new, old, CONTEXT)
    return new, old


def test_only_ephemeral_containers_come_through_their_subresource() -> None:
    debugger = {"name": "debug", "image": "i", "targetContainerName": "c"}
    new, old = put("ephemeralcontainers", {"ephemeralContainers": [debugger], "nodeName": "n"})
    assert "nodeName" not in new["spec"]
    assert validate_ephemeral_change(new, old) == []
    (error,) = validate_ephemeral_change(old, new)
    assert (
        str(error) == 'spec.ephemeralContainers: Forbidden: existing ephemeral containers "debug" may not be removed\n'
    )


def test_resizing_changes_cpu_and_memory_only() -> None:
    def resized(amounts: dict[str, str]) -> list[str]:
        container = {"name": "c", "image": "other", "resources": {"requests": amounts}}
        new, old = put("resize", {"containers": [container]})
        assert new["spec"]["containers"][0]["image"] == "i"
        return [str(error) for error in validate_resize(new, old)]

    assert resized({"cpu": "2"}) == []
    assert resized({"memory": "1Gi"}) == []
    assert resized({"cpu": "1", "ephemeral-storage": "1"}) == [
        "spec: Forbidden: only cpu and memory resources are mutable"
    ]
