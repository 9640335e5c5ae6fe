"""Admission of writes by the default plugins, except PodSecurity and ResourceQuota."""

import pytest

from localcluster.apiserver.admission.service_account import TOKEN_PATH
from localcluster.apiserver.errors import APIError


def pod(*containers, name="p", **spec):
    containers = containers or ({"name": "c"},)
    return {"metadata": {"name": name, "namespace": "n"}, "spec": {"containers": list(containers), **spec}}


def container(name="c", requests=None, limits=None, **more):
    resources = {k: v for k, v in (("requests", requests), ("limits", limits)) if v}
    return {"name": name, "resources": resources, **more}


def refused(cluster, storage, obj, **how):
    with pytest.raises(APIError) as caught:
        cluster.admit(storage, obj, **how)
    return caught.value


# ---- namespaces


def test_nothing_is_made_in_a_namespace_that_is_not_there(cluster):
    error = refused(cluster, "/configmaps", {"metadata": {"name": "a", "namespace": "other"}})
    assert (error.code, error.message) == (404, 'namespaces "other" not found')


def test_nothing_is_made_in_a_namespace_that_goes(cluster, store):
    store.create("/namespaces", {"metadata": {"name": "going"}, "status": {"phase": "Terminating"}})
    error = refused(cluster, "apps/deployments", {"metadata": {"name": "late", "namespace": "going"}})
    assert error.message == (
        'deployments.apps "late" is forbidden: unable to create new content in namespace going because it is being '
        "terminated"
    )
    assert error.details["causes"] == [
        {
            "reason": "NamespaceTerminating",
            "message": "namespace going is being terminated",
            "field": "metadata.namespace",
        }
    ]
    changed = {"metadata": {"name": "held", "namespace": "going"}}
    cluster.admit("/configmaps", changed, changed, operation="UPDATE")


@pytest.mark.parametrize("name", ["default", "kube-system", "kube-public"])
def test_system_namespaces_stay(cluster, name):
    error = refused(cluster, "/namespaces", None, old={"metadata": {"name": name}}, operation="DELETE")
    assert error.message == f'namespaces "{name}" is forbidden: this namespace may not be deleted'
    assert error.details == {"name": name, "kind": "namespaces"}


def test_others_go(cluster):
    cluster.admit("/namespaces", None, {"metadata": {"name": "kube-node-lease"}}, operation="DELETE")


# ---- service accounts


def test_a_pod_gets_account_and_token(cluster):
    spec = cluster.admit("/pods", pod({"name": "c"}, initContainers=[{"name": "i"}]))[0]["spec"]
    assert (spec["serviceAccountName"], spec["serviceAccount"]) == ("default", "default")
    (volume,) = spec["volumes"]
    assert volume["name"].startswith("kube-api-access-")
    assert [next(iter(s)) for s in volume["projected"]["sources"]] == [
        "serviceAccountToken",
        "configMap",
        "downwardAPI",
    ]
    mount = {"name": volume["name"], "readOnly": True, "mountPath": TOKEN_PATH}
    assert spec["containers"][0]["volumeMounts"] == spec["initContainers"][0]["volumeMounts"] == [mount]


@pytest.mark.parametrize("who", ["pod", "account"])
def test_no_token_where_it_is_not_wanted(cluster, store, who):
    if who == "account":
        account = store.get("/serviceaccounts", "n", "default")
        store.update("/serviceaccounts", {**account, "automountServiceAccountToken": False}, account)
    spec = cluster.admit("/pods", pod(**({"automountServiceAccountToken": False} if who == "pod" else {})))[0]["spec"]
    assert "volumes" not in spec
    assert "volumeMounts" not in spec["containers"][0]


def test_a_pod_overrules_its_account(cluster, store):
    account = store.get("/serviceaccounts", "n", "default")
    store.update("/serviceaccounts", {**account, "automountServiceAccountToken": False}, account)
    assert cluster.admit("/pods", pod(automountServiceAccountToken=True))[0]["spec"]["volumes"]


def test_what_is_mounted_there_already_stays(cluster):
    mounts = [{"name": "mine", "mountPath": TOKEN_PATH}]
    spec = cluster.admit("/pods", pod({"name": "c", "volumeMounts": mounts}))[0]["spec"]
    assert spec["containers"][0]["volumeMounts"] == mounts
    assert "volumes" not in spec


def test_unknown_accounts(cluster):
    error = refused(cluster, "/pods", pod(serviceAccountName="nope"))
    assert error.message == (
        'pods "p" is forbidden: error looking up service account n/nope: serviceaccount "nope" not found'
    )
    generated = pod(serviceAccountName="nope")
    generated["metadata"] = {"generateName": "web-", "namespace": "n"}
    assert refused(cluster, "/pods", generated).message.startswith('pods "web-" is forbidden')


def test_pull_secrets_come_from_the_account(cluster, store):
    account = store.get("/serviceaccounts", "n", "default")
    store.update("/serviceaccounts", {**account, "imagePullSecrets": [{"name": "registry"}]}, account)
    assert cluster.admit("/pods", pod())[0]["spec"]["imagePullSecrets"] == [{"name": "registry"}]
    own = pod(imagePullSecrets=[{"name": "own"}])
    assert cluster.admit("/pods", own)[0]["spec"]["imagePullSecrets"] == [{"name": "own"}]


# ---- tolerations, priority, finalizers, classes


def test_tolerations_are_added_once(cluster):
    found = cluster.admit("/pods", pod())[0]["spec"]["tolerations"]
    assert found == [
        {"key": f"node.kubernetes.io/{k}", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}
        for k in ("not-ready", "unreachable")
    ]
    assert cluster.admit("/pods", pod(tolerations=found))[0]["spec"]["tolerations"] == found
    everything = [{"operator": "Exists"}]
    assert cluster.admit("/pods", pod(tolerations=everything))[0]["spec"]["tolerations"] == everything


def test_priority(cluster, store):
    assert cluster.admit("/pods", pod())[0]["spec"]["priority"] == 0
    store.create("scheduling.k8s.io/priorityclasses", {"metadata": {"name": "high"}, "value": 7, "globalDefault": True})
    spec = cluster.admit("/pods", pod())[0]["spec"]
    assert (spec["priorityClassName"], spec["priority"], spec["preemptionPolicy"]) == (
        "high",
        7,
        "PreemptLowerPriority",
    )
    error = refused(cluster, "/pods", pod(priorityClassName="nope"))
    assert error.message == 'pods "p" is forbidden: no PriorityClass with name nope was found'
    assert "the integer value of priority (3) must not be" in refused(cluster, "/pods", pod(priority=3)).message


def test_there_is_one_default_priority(cluster, store):
    store.create("scheduling.k8s.io/priorityclasses", {"metadata": {"name": "a"}, "globalDefault": True})
    error = refused(cluster, "scheduling.k8s.io/priorityclasses", {"metadata": {"name": "b"}, "globalDefault": True})
    assert error.message.endswith("PriorityClass a is already marked as default. Only one default can exist")


def test_claims_are_protected(cluster):
    claim = {"metadata": {"name": "c", "namespace": "n"}, "spec": {}}
    assert cluster.admit("/persistentvolumeclaims", claim)[0]["metadata"]["finalizers"] == [
        "kubernetes.io/pvc-protection"
    ]


def test_the_default_ingress_class(cluster, store):
    ingress = {"metadata": {"name": "i", "namespace": "n"}, "spec": {}}
    storage = "networking.k8s.io/ingresses"
    assert "ingressClassName" not in cluster.admit(storage, ingress)[0]["spec"]
    annotations = {"ingressclass.kubernetes.io/is-default-class": "true"}
    store.create("networking.k8s.io/ingressclasses", {"metadata": {"name": "main", "annotations": annotations}})
    assert cluster.admit(storage, ingress)[0]["spec"]["ingressClassName"] == "main"
    other = {**ingress, "spec": {"ingressClassName": "other"}}
    assert cluster.admit(storage, other)[0]["spec"]["ingressClassName"] == "other"


# ---- limit ranges


@pytest.fixture
def limited(cluster, store):
    def add(*limits):
        store.create("/limitranges", {"metadata": {"name": "l", "namespace": "n"}, "spec": {"limits": list(limits)}})
        return cluster

    return add


CONTAINER_LIMITS = {
    "type": "Container",
    "default": {"cpu": "500m", "memory": "256Mi"},
    "defaultRequest": {"cpu": "100m", "memory": "256Mi"},
    "max": {"cpu": "1"},
    "min": {"memory": "16Mi"},
    "maxLimitRequestRatio": {"cpu": "10"},
}


def test_limit_ranges_fill_in(limited):
    found = limited(CONTAINER_LIMITS).admit("/pods", pod(container(), initContainers=[container("i")]))[0]
    expected = {"limits": {"cpu": "500m", "memory": "256Mi"}, "requests": {"cpu": "100m", "memory": "256Mi"}}
    assert found["spec"]["containers"][0]["resources"] == found["spec"]["initContainers"][0]["resources"] == expected
    assert found["metadata"]["annotations"]["kubernetes.io/limit-ranger"] == (
        "LimitRanger plugin set: cpu, memory request for container c; cpu, memory limit for container c; "
        "cpu, memory request for init container i; cpu, memory limit for init container i"
    )


@pytest.mark.parametrize(
    ("requests", "limits", "why"),
    [
        (
            {"cpu": "1", "memory": "1Mi"},
            {"cpu": "2"},
            "[minimum memory usage per Container is 16Mi, but request is 1Mi, maximum cpu usage per Container is 1, "
            "but limit is 2]",
        ),
        (
            {"cpu": "50m"},
            {"cpu": "1"},
            "cpu max limit to request ratio per Container is 10, but provided ratio is 20.000000",
        ),
        ({"memory": "16Mi"}, {"memory": "8Mi"}, "minimum memory usage per Container is 16Mi, but limit is 8Mi"),
    ],
)
def test_limit_ranges_bound_containers(limited, requests, limits, why):
    error = refused(limited(CONTAINER_LIMITS), "/pods", pod(container(requests=requests, limits=limits)))
    assert error.message == f'pods "p" is forbidden: {why}'


def test_limit_ranges_bound_pods(limited):
    cluster = limited({"type": "Pod", "max": {"memory": "1Gi"}})
    two = pod(container("a", limits={"memory": "700Mi"}), container("b", limits={"memory": "700Mi"}))
    why = "maximum memory usage per Pod is 1Gi, but limit is 1400Mi"
    assert refused(cluster, "/pods", two).message == f'pods "p" is forbidden: {why}'
    assert "No limit is specified" in refused(cluster, "/pods", pod()).message


def test_limit_ranges_bound_claims(limited):
    cluster = limited({"type": "PersistentVolumeClaim", "max": {"storage": "1Gi"}})
    claim = {
        "metadata": {"name": "c", "namespace": "n"},
        "spec": {"resources": {"requests": {"storage": "2Gi"}}},
    }
    assert refused(cluster, "/persistentvolumeclaims", claim).message == (
        'persistentvolumeclaims "c" is forbidden: maximum storage usage per PersistentVolumeClaim is 1Gi, but request '
        "is 2Gi"
    )
