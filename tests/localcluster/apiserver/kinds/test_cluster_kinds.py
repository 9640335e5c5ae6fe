"""Namespaces, Nodes, claims, volumes, Endpoints and ReplicationControllers."""

from typing import Any

import pytest

from tests.localcluster.apiserver.kinds.error_tables import rows
from tests.localcluster.apiserver.kinds.written import Written

NAMESPACE, NODE = Written("", "Namespace"), Written("", "Node")
CLAIM, VOLUME = Written("", "PersistentVolumeClaim"), Written("", "PersistentVolume")
ENDPOINTS, CONTROLLER = Written("", "Endpoints"), Written("", "ReplicationController")


def test_namespaces() -> None:
    made = NAMESPACE.created({"metadata": {"name": "x"}, "spec": {"finalizers": ["x.example/a"]}})
    assert made["metadata"]["labels"] == {"kubernetes.io/metadata.name": "x"}
    assert made["spec"]["finalizers"] == ["x.example/a", "kubernetes"]
    assert made["status"] == {"phase": "Active"}
    new, _ = NAMESPACE.updated({"metadata": {"name": "x"}}, {"spec": {"finalizers": []}})
    assert new["spec"]["finalizers"] == ["kubernetes"]
    assert NAMESPACE.status_errors({}, {"phase": "Terminating"}) == [
        "status.Phase: Invalid value: \"Terminating\": may only be 'Active' if `deletionTimestamp` is empty"
    ]


def test_nodes_keep_the_status_that_they_register_with() -> None:
    made = NODE.created({"status": {"capacity": {"cpu": "2"}}})
    assert made["status"]["allocatable"] == {"cpu": "2"}
    assert made["status"]["nodeInfo"]["osImage"] == ""


def test_what_does_not_change_in_a_node() -> None:
    old = {"spec": {"podCIDR": "10.0.0.0/24", "providerID": "a"}}
    assert NODE.update_errors(old, {"spec": {"podCIDR": "10.1.0.0/24", "providerID": "b"}}) == [
        'spec.podCIDRs: Forbidden: node updates may not change podCIDR except from "" to valid',
        'spec.providerID: Forbidden: node updates may not change providerID except from "" to valid',
    ]


def test_taints() -> None:
    taint = {"key": "a", "effect": "NoSchedule"}
    assert NODE.create_errors({"spec": {"taints": [taint, {"key": "b"}]}}) == [
        "metadata.taints[1].effect: Required value"
    ]
    (error,) = NODE.create_errors({"spec": {"taints": [taint, taint]}})
    assert error.endswith("taints must be unique by key and effect pair")


# ---- storage


def claim(**spec: Any) -> dict[str, Any]:
    return {"spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "2Gi"}}, **spec}}


def test_claims() -> None:
    assert CLAIM.create_errors(claim()) == []
    assert CLAIM.create_errors({"spec": {}}) == [
        "spec.accessModes: Required value: at least 1 access mode is required",
        "spec.resources[storage]: Required value",
    ]
    assert CLAIM.create_errors(claim(accessModes=["ReadWriteOnce", "ReadWriteOncePod"])) == [
        "spec.accessModes: Forbidden: may not use ReadWriteOncePod with other access modes"
    ]
    source = {"kind": "VolumeSnapshot", "name": "s", "apiGroup": "snapshot.storage.k8s.io"}
    assert CLAIM.created(claim(dataSource=source))["spec"]["dataSourceRef"] == source


def test_claims_stay_but_for_their_volume() -> None:
    assert CLAIM.update_errors(claim(), claim(volumeName="v")) == []
    (error,) = CLAIM.update_errors(claim(), claim(accessModes=["ReadOnlyMany"]))
    assert error.startswith("spec: Forbidden: spec is immutable after creation except resources.requests and")


def volume(**spec: Any) -> dict[str, Any]:
    return {
        "spec": {"accessModes": ["ReadWriteOnce"], "capacity": {"storage": "1Gi"}, "hostPath": {"path": "/a"}, **spec}
    }


@pytest.mark.parametrize(("spec", "expected"), rows("volumes", "volumes"))
def test_volumes(spec: dict[str, Any], expected: list[str]) -> None:
    assert VOLUME.create_errors(volume(**spec)) == expected


# ---- Endpoints and ReplicationControllers


def test_endpoints() -> None:
    def errors(address: str, **subset: Any) -> list[str]:
        return ENDPOINTS.create_errors({"subsets": [{"addresses": [{"ip": address}], **subset}]})

    assert errors("127.65.0.9", ports=[{"port": 80}]) == []
    (error,) = errors("127.0.0.1")
    assert error.endswith('.ip: Invalid value: "127.0.0.1": may not be in the loopback range (127.0.0.0/8, ::1/128)')
    assert errors("10.1.2.3", ports=[{"port": 0}]) == [
        "subsets[0].ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive"
    ]
    assert ENDPOINTS.create_errors({"subsets": [{}]}) == [
        "subsets[0]: Required value: must specify `addresses` or `notReadyAddresses`"
    ]


def test_replication_controllers() -> None:
    template = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
    made = CONTROLLER.created({"spec": {"template": template}})
    assert made["spec"]["selector"] == made["metadata"]["labels"] == {"a": "b"}
    assert CONTROLLER.create_errors({"spec": {"template": template}}) == []
    assert CONTROLLER.create_errors({"spec": {"selector": {"a": "c"}, "template": template}}) == [
        'spec.template.metadata.labels: Invalid value: {"a":"b"}: `selector` does not match template `labels`'
    ]
    assert CONTROLLER.create_errors({"spec": {}}) == ["spec.selector: Required value", "spec.template: Required value"]
