"""What the manifests give a cluster: kinds with columns, a controller with few rights, a locked-down namespace."""

from __future__ import annotations

import copy
import json
import re
from typing import Any

import pytest

from kubeless.cluster import Cluster, Forbidden
from kubeless.cluster.resources import DEPLOYMENTS, FUNCTIONS, NAMESPACES
from tests.localcluster.clusters import Cluster as LocalCluster
from tests.localcluster.clusters import has_kubectl
from tests.manifests.conftest import MANIFESTS

JSON = dict[str, Any]

needs_kubectl = pytest.mark.skipif(not has_kubectl(), reason="needs kubectl: https://kubernetes.io/docs/tasks/tools/")
CONTROLLER = "system:serviceaccount:kubeless:kubeless-controller"


@needs_kubectl
@pytest.mark.parametrize("overlay", ["local", "default"])
def test_kubectl_installs_an_overlay_and_again_changes_nothing(installed: LocalCluster, overlay: str) -> None:
    path = str(MANIFESTS / "overlays" / overlay)
    installed.kubectl("apply", "-k", path)
    again = installed.kubectl("apply", "-k", path).stdout.splitlines()
    assert len(again) > 10
    assert [line for line in again if not line.endswith(" unchanged")] == []


@needs_kubectl
def test_functions_are_listed_as_users_know_it(installed: LocalCluster) -> None:
    installed.kubectl("create", "namespace", "columns")
    function = {
        "apiVersion": "kubeless.io/v1beta1",
        "kind": "Function",
        "metadata": {"name": "hello"},
        "spec": {"handler": "hello.handler", "runtime": "python3.11"},
    }
    installed.kubectl("apply", "-n", "columns", "-f", "-", input=json.dumps(function))
    ready = {
        "type": "Ready",
        "status": "False",
        "reason": "HandlerFailed",
        "message": "no such module",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }
    status = json.dumps({"status": {"replicas": 2, "conditions": [ready]}})
    installed.kubectl(
        "patch", "-n", "columns", "fn", "hello", "--subresource=status", "--type=merge", f"--patch={status}"
    )
    header, row = installed.kubectl("get", "-n", "columns", "functions").stdout.splitlines()
    assert header.split() == ["NAME", "RUNTIME", "HANDLER", "READY", "REPLICAS", "AGE"]
    assert row.split()[:5] == ["hello", "python3.11", "hello.handler", "False", "2"]
    wide = installed.kubectl("get", "-n", "columns", "fn", "-o", "wide").stdout
    assert re.search(r"HandlerFailed +no such module", wide)
    assert "function.kubeless.io/hello" in installed.kubectl("get", "-n", "columns", "kubeless").stdout


async def allowed(
    cluster: Cluster, verb: str, resource: str, namespace: str = "", name: str = "", user: str = CONTROLLER
) -> bool:
    resource, _, group = resource.partition(".")
    resource, _, subresource = resource.partition("/")
    attributes = {"verb": verb, "resource": resource, "group": group, "namespace": namespace, "name": name}
    review = await cluster.request(
        "POST",
        "/apis/authorization.k8s.io/v1/subjectaccessreviews",
        body={
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SubjectAccessReview",
            "spec": {"user": user, "resourceAttributes": {**attributes, "subresource": subresource}},
        },
    )
    return bool(review["status"]["allowed"])


@pytest.mark.parametrize(
    ("verb", "resource", "namespace", "name", "expected"),
    [
        ("watch", "functions.kubeless.io", "", "", True),
        ("patch", "functions/status.kubeless.io", "demo", "hello", True),
        ("patch", "functions.kubeless.io", "demo", "hello", False),
        ("delete", "functions.kubeless.io", "demo", "hello", False),
        ("patch", "deployments.apps", "demo", "hello", True),
        ("delete", "deployments.apps", "demo", "hello", False),
        ("create", "services", "demo", "", True),
        ("delete", "horizontalpodautoscalers.autoscaling", "demo", "hello", True),
        ("list", "pods", "", "", True),
        ("create", "pods", "demo", "", False),
        ("get", "pods/log", "demo", "hello", False),
        ("get", "secrets", "demo", "", False),
        ("list", "secrets", "", "", False),
        ("create", "events", "demo", "", True),
        ("create", "leases.coordination.k8s.io", "kubeless", "", True),
        ("update", "leases.coordination.k8s.io", "kubeless", "kubeless-controller", True),
        ("update", "leases.coordination.k8s.io", "kubeless", "another", False),
        ("update", "leases.coordination.k8s.io", "demo", "kubeless-controller", False),
        ("impersonate", "users", "", "", False),
        ("create", "clusterroles.rbac.authorization.k8s.io", "", "", False),
    ],
)
async def test_what_the_controller_may_do(
    cluster: Cluster, verb: str, resource: str, namespace: str, name: str, expected: bool
) -> None:
    assert await allowed(cluster, verb, resource, namespace, name) is expected


async def test_who_may_edit_a_namespace_may_edit_its_functions(cluster: Cluster) -> None:
    for role in ("edit", "view"):
        binding = {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "RoleBinding",
            "metadata": {"name": role},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
            "subjects": [{"kind": "User", "name": role, "apiGroup": "rbac.authorization.k8s.io"}],
        }
        path = "/apis/rbac.authorization.k8s.io/v1/namespaces/default/rolebindings"
        await cluster.request("POST", path, body=binding)
    assert await allowed(cluster, "create", "functions.kubeless.io", "default", user="edit")
    assert await allowed(cluster, "list", "functions.kubeless.io", "default", user="view")
    assert not await allowed(cluster, "create", "functions.kubeless.io", "default", user="view")
    assert not await allowed(cluster, "patch", "functions/status.kubeless.io", "default", user="edit")


async def test_the_namespace_takes_restricted_pods_only(cluster: Cluster) -> None:
    namespace = await cluster.get(NAMESPACES, "kubeless")
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    template = (await cluster.get(DEPLOYMENTS, "kubeless-controller", "kubeless"))["spec"]["template"]
    pod: JSON = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": template["spec"]}

    async def admit(pod: JSON) -> None:
        await cluster.request("POST", "/api/v1/namespaces/kubeless/pods", query={"dryRun": "All"}, body=pod)

    await admit(pod)
    loose = copy.deepcopy(pod)
    loose["spec"]["containers"][0]["securityContext"]["allowPrivilegeEscalation"] = True
    with pytest.raises(Forbidden, match='violates PodSecurity "restricted'):
        await admit(loose)


async def test_the_controller_s_pod_is_locked_down(cluster: Cluster) -> None:
    """Beyond what `restricted` asks for."""
    pod = (await cluster.get(DEPLOYMENTS, "kubeless-controller", "kubeless"))["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert pod["securityContext"]["runAsUser"] == 1000
    assert container["resources"]["limits"]["memory"]
    assert [mount["mountPath"] for mount in container["volumeMounts"]] == ["/tmp"]


async def test_the_status_is_written_by_itself(cluster: Cluster) -> None:
    """A change of the status alone is none of the spec, which is what `observedGeneration` is about."""
    obj: JSON = {
        "apiVersion": "kubeless.io/v1beta1",
        "kind": "Function",
        "metadata": {"name": "with-status", "namespace": "default"},
        "spec": {"handler": "hello.handler", "runtime": "python3.11"},
        "status": {"replicas": 9},
    }
    created = await cluster.create(obj)
    assert "status" not in created
    ready = {
        "type": "Ready",
        "status": "True",
        "reason": "Served",
        "message": "",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }
    status = {
        "observedGeneration": 1,
        "replicas": 1,
        "readyReplicas": 1,
        "runtime": "python3.11",
        "conditions": [ready],
    }
    written = await cluster.patch_status(FUNCTIONS, "with-status", "default", status)
    assert written["status"] == status
    assert written["metadata"]["generation"] == 1
