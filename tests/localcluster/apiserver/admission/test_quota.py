"""ResourceQuota: what is refused, what counts, and the status."""

import asyncio

import pytest

from localcluster.apiserver.admission.pod_resources import pod_total
from localcluster.apiserver.admission.quota_status import QuotaStatus
from localcluster.apiserver.admission.quota_usage import in_scope, storage_of, usage_of
from localcluster.apiserver.errors import APIError


def pod(name, requests=None, limits=None, **more):
    resources = {k: v for k, v in (("requests", requests), ("limits", limits)) if v}
    meta = {"name": name, "namespace": "n"}
    return {"metadata": meta, "spec": {"containers": [{"name": "c", "resources": resources}], **more}}


def secret(name):
    return {"metadata": {"name": name, "namespace": "n"}}


def quota(hard, **spec):
    return {"metadata": {"name": "q", "namespace": "n"}, "spec": {"hard": hard, **spec}}


@pytest.fixture
def bound(cluster, store):
    def add(hard, **spec):
        store.create("/resourcequotas", quota(hard, **spec))
        return cluster

    return add


def why_not(cluster, storage, obj, **how):
    with pytest.raises(APIError) as caught:
        cluster.admit(storage, obj, **how)
    assert caught.value.code == 403
    return caught.value.message.partition("is forbidden: ")[2]


def test_counts(bound):
    cluster = bound({"count/secrets": "1"})
    cluster.create("/secrets", secret("a"))
    assert why_not(cluster, "/secrets", secret("b")) == (
        "exceeded quota: q, requested: count/secrets=1, used: count/secrets=1, limited: count/secrets=1"
    )
    cluster.create("/configmaps", secret("not a secret"))


def test_counts_of_other_groups(bound):
    cluster = bound({"count/deployments.apps": "0"})
    assert "count/deployments.apps=1" in why_not(cluster, "apps/deployments", {**secret("d"), "spec": {}})


def test_node_ports(bound):
    cluster = bound({"services": "1", "services.nodeports": "0"})
    service = {**secret("s"), "spec": {"type": "NodePort", "ports": [{"port": 80}]}}
    assert why_not(cluster, "/services", service) == (
        "exceeded quota: q, requested: services.nodeports=1, used: services.nodeports=0, limited: services.nodeports=0"
    )
    plain = cluster.create("/services", {**service, "spec": {"type": "ClusterIP", "ports": [{"port": 80}]}})
    assert "services.nodeports" in why_not(cluster, "/services", service, old=plain, operation="UPDATE")


HARD = {"requests.cpu": "1", "limits.memory": "1Gi", "pods": "2"}


def test_compute_must_be_given(bound):
    assert why_not(bound(HARD), "/pods", pod("a")) == (
        "failed quota: q: must specify limits.memory for: c; requests.cpu for: c"
    )


def test_compute_is_added_up(bound):
    cluster = bound(HARD)
    cluster.create("/pods", pod("a", {"cpu": "600m"}, {"memory": "600Mi"}))
    assert why_not(cluster, "/pods", pod("b", {"cpu": "600m"}, {"memory": "600Mi"})) == (
        "exceeded quota: q, requested: limits.memory=600Mi,requests.cpu=600m, used: limits.memory=600Mi,"
        "requests.cpu=600m, limited: limits.memory=1Gi,requests.cpu=1"
    )
    cluster.admit("/pods", pod("b", {"cpu": "400m"}, {"memory": "400Mi"}))


def test_finished_pods_count_as_objects_only():
    done = {**pod("a", {"cpu": "1"}), "status": {"phase": "Succeeded"}}
    assert {k: str(v) for k, v in usage_of("/pods", done).items()} == {"count/pods": "1"}


@pytest.mark.parametrize(
    ("name", "storage"),
    [
        ("count/deployments.apps", "apps/deployments"),
        ("count/widgets.x.example", "x.example/widgets"),
        ("secrets", "/secrets"),
        ("services.nodeports", "/services"),
        ("requests.storage", "/persistentvolumeclaims"),
        ("fast.storageclass.storage.k8s.io/requests.storage", "/persistentvolumeclaims"),
        ("requests.nvidia.com/gpu", "/pods"),
    ],
)
def test_what_a_name_counts(name, storage):
    assert storage_of(name) == storage


@pytest.mark.parametrize(
    ("scope", "spec", "expected"),
    [
        ("BestEffort", {}, True),
        ("NotBestEffort", {}, False),
        ("Terminating", {"activeDeadlineSeconds": 0}, True),
        ("NotTerminating", {}, True),
        ("CrossNamespacePodAffinity", {}, False),
    ],
)
def test_scopes(scope, spec, expected):
    assert in_scope(quota({}, scopes=[scope]), "/pods", pod("p", **spec)) is expected


def test_priority_scope():
    selector = {"matchExpressions": [{"scopeName": "PriorityClass", "operator": "In", "values": ["high"]}]}
    scoped = quota({}, scopeSelector=selector)
    assert in_scope(scoped, "/pods", pod("p", priorityClassName="high"))
    assert not in_scope(scoped, "/pods", pod("p"))
    assert not in_scope(scoped, "/secrets", secret("s"))


def test_the_largest_init_container_counts_where_it_is_more():
    spec = {
        "containers": [{"resources": {"requests": {"cpu": "1"}}}],
        "initContainers": [
            {"restartPolicy": "Always", "resources": {"requests": {"cpu": "500m"}}},
            {"resources": {"requests": {"cpu": "2"}}},
        ],
    }
    assert str(pod_total(spec, "requests")["cpu"]) == "2500m"


async def test_status_follows(cluster, store):
    status = QuotaStatus(store)
    store.create("/resourcequotas", quota({"count/secrets": "2", "requests.cpu": "1"}))

    async def used():
        await asyncio.sleep(0)
        return store.get("/resourcequotas", "n", "q")["status"]["used"]

    assert await used() == {"count/secrets": "0", "requests.cpu": "0"}
    stored = cluster.create("/secrets", secret("a"))
    cluster.create("/pods", pod("p", {"cpu": "600m"}))
    assert await used() == {"count/secrets": "1", "requests.cpu": "600m"}
    store.delete("/secrets", stored)
    assert await used() == {"count/secrets": "0", "requests.cpu": "600m"}
    version = store.version
    await used()
    assert store.version == version
    status.stop()


async def test_status_follows_the_end_of_pods_and_custom_resources(store):
    status = QuotaStatus(store)
    store.create("/resourcequotas", quota({"pods": "2", "requests.cpu": "1", "count/things.e.example": "1"}))

    async def used():
        await asyncio.sleep(0)
        return store.get("/resourcequotas", "n", "q")["status"]["used"]

    running = store.create("/pods", pod("p", {"cpu": "600m"}))
    store.create("e.example/things", {"metadata": {"name": "t", "namespace": "n"}})
    assert await used() == {"pods": "1", "requests.cpu": "600m", "count/things.e.example": "1"}
    store.update("/pods", {**running, "metadata": {**running["metadata"]}, "status": {"phase": "Failed"}}, running)
    assert await used() == {"pods": "0", "requests.cpu": "0", "count/things.e.example": "1"}
    status.stop()


def test_status_catches_up_at_the_start(store):
    store.create("/resourcequotas", quota({"count/secrets": "2"}))
    store.create("/secrets", secret("a"))
    QuotaStatus(store).stop()
    assert store.get("/resourcequotas", "n", "q")["status"] == {
        "hard": {"count/secrets": "2"},
        "used": {"count/secrets": "1"},
    }
