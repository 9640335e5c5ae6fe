"""What counts against a ResourceQuota."""

from __future__ import annotations

from localcluster.controllers import pod_resources, quota
from tests.localcluster.controllers.objects import meta, pod


def a_quota(**spec):
    return {"metadata": meta("q"), "spec": spec}


def texts(used):
    return {name: str(amount) for name, amount in used.items()}


def test_pods_and_what_they_ask_for():
    big = pod("a", requests={"cpu": "600m", "memory": "1Gi"})
    big["spec"]["containers"][0]["resources"]["limits"] = {"memory": "2Gi"}
    members = [big, pod("b", requests={"cpu": "0.5"}), pod("c", "Succeeded", requests={"cpu": "9"})]
    names = ["pods", "cpu", "requests.cpu", "requests.memory", "limits.memory", "limits.cpu"]
    assert texts(quota.pod_usage(a_quota(), members, names)) == {
        "pods": "2",
        "cpu": "1100m",
        "requests.cpu": "1100m",
        "requests.memory": "1Gi",
        "limits.memory": "2Gi",
        "limits.cpu": "0",
    }


def test_init_containers_raise_the_need_and_sidecars_add_to_it():
    one = pod(requests={"cpu": "100m"})
    one["spec"]["initContainers"] = [
        {"name": "s", "restartPolicy": "Always", "resources": {"requests": {"cpu": "50m"}}},
        {"name": "i", "resources": {"requests": {"cpu": "1"}}},
    ]
    assert str(pod_resources.of_pod(one, "requests")["cpu"]) == "1050m"


def test_scopes():
    terminating = a_quota(scopes=["Terminating"])
    assert not quota.in_scopes(terminating, pod())
    assert quota.in_scopes(terminating, pod(spec={"activeDeadlineSeconds": 5}))
    assert quota.in_scopes(a_quota(scopes=["BestEffort"]), pod())
    assert not quota.in_scopes(a_quota(scopes=["BestEffort"]), pod(requests={"cpu": "1"}))
    expression = {"scopeName": "PriorityClass", "operator": "In", "values": ["high"]}
    selective = a_quota(scopeSelector={"matchExpressions": [expression]})
    assert quota.in_scopes(selective, pod(spec={"priorityClassName": "high"}))
    assert not quota.in_scopes(selective, pod())


def test_services_and_their_ports():
    found = [
        {"spec": {"type": "NodePort", "ports": [{"port": 1, "nodePort": 30001}, {"port": 2, "nodePort": 30002}]}},
        {"spec": {"type": "ClusterIP", "ports": [{"port": 1}]}},
        {"spec": {"type": "LoadBalancer", "ports": [{"port": 1, "nodePort": 30003}]}},
    ]
    used = texts(quota.service_usage(found))
    assert (used["services"], used["services.nodeports"], used["services.loadbalancers"]) == ("3", "3", "1")


def test_claims():
    def claim(size, storage_class):
        return {"spec": {"storageClassName": storage_class, "resources": {"requests": {"storage": size}}}}

    names = ["persistentvolumeclaims", "requests.storage", "fast.storageclass.storage.k8s.io/requests.storage"]
    used = texts(quota.claim_usage([claim("1Gi", "fast"), claim("2Gi", "slow")], names))
    assert list(used.values()) == ["2", "3Gi", "1Gi"]


def test_names_are_sorted_into_kinds():
    assert quota.kind_of("count/deployments.apps") == "objects"
    assert quota.kind_of("secrets") == "objects"
    assert quota.kind_of("count/pods") == "pods"
    assert quota.kind_of("services.nodeports") == "services"
    assert quota.kind_of("requests.storage") == "claims"
    assert quota.kind_of("requests.example.com/gpu") == "pods"
