"""kubectl on the cluster itself: nodes, rights, tokens, custom resources, namespaces."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterator

import pytest

from tests.localcluster.kubectl.commands import Kubectl, deployment, pod


@pytest.fixture
def node(kubectl: Kubectl) -> Iterator[str]:
    """The name of the node, which takes pods again after the test."""
    name = kubectl("get", "nodes", "--output=jsonpath={.items[0].metadata.name}")
    yield name
    kubectl("uncordon", name)


# ---- nodes


def test_cordon(kubectl, node):
    assert kubectl("cordon", node) == f"node/{node} cordoned\n"
    assert "Ready,SchedulingDisabled" in kubectl("get", "node", node)
    kubectl.apply(pod("late"))
    kubectl("wait", "pod/late", "--for=jsonpath={.status.conditions[0].reason}=Unschedulable", "--timeout=10s")
    text = kubectl("describe", "pod", "late")
    assert re.search(r"Warning +FailedScheduling .*0/1 nodes are available: 1 node\(s\) were unschedulable", text)
    assert kubectl("uncordon", node) == f"node/{node} uncordoned\n"
    kubectl("wait", "pod/late", "--for=condition=Ready", "--timeout=30s")


def test_drain_keeps_to_budgets(kubectl, node):
    kubectl.apply(deployment("web", 1), pod("alone"))
    kubectl("create", "poddisruptionbudget", "web", "--selector=app=web", "--min-available=1")
    kubectl("rollout", "status", "deployment/web", "--timeout=30s")
    kubectl("wait", "pod/alone", "--for=condition=Ready", "--timeout=30s")
    kubectl("wait", "pdb/web", "--for=jsonpath={.status.currentHealthy}=1", "--timeout=10s")
    # Only this test's pods: the node runs those of others too.
    chosen = ("--pod-selector=app in (web, alone)", "--timeout=2s")
    message = kubectl.fails("drain", node, *chosen)
    assert "cannot delete Pods that declare no controller (use --force to override)" in message
    message = kubectl.fails("drain", node, "--force", *chosen)
    assert "Cannot evict pod as it would violate the pod's disruption budget." in message
    assert "NotFound" in kubectl.fails("get", "pod", "alone")
    kubectl("delete", "pdb", "web")
    assert f"node/{node} drained\n" in kubectl("drain", node, "--pod-selector=app=web", "--timeout=20s")


def test_taint(kubectl, node):
    key = f"test-{uuid.uuid4().hex[:6]}"
    assert kubectl("taint", "node", node, f"{key}=v:NoSchedule") == f"node/{node} tainted\n"
    try:
        kubectl.apply(pod("out"), pod("in", tolerations=[{"key": key, "operator": "Exists", "effect": "NoSchedule"}]))
        kubectl("wait", "pod/in", "--for=condition=Ready", "--timeout=30s")
        kubectl("wait", "pod/out", "--for=jsonpath={.status.conditions[0].reason}=Unschedulable", "--timeout=10s")
    finally:
        assert kubectl("taint", "node", node, f"{key}-") == f"node/{node} untainted\n"
    kubectl("wait", "pod/out", "--for=condition=Ready", "--timeout=30s")


# ---- rights


def test_auth(kubectl):
    assert kubectl("auth", "can-i", "create", "pods") == "yes\n"
    kubectl("create", "serviceaccount", "viewer")
    kubectl("create", "rolebinding", "viewer", "--clusterrole=view", f"--serviceaccount={kubectl.namespace}:viewer")
    as_viewer = f"--as=system:serviceaccount:{kubectl.namespace}:viewer"
    assert kubectl("auth", "can-i", "list", "pods", as_viewer) == "yes\n"
    done = kubectl.run("auth", "can-i", "delete", "pods", as_viewer, check=False)
    assert (done.returncode, done.stdout) == (1, "no\n")
    assert kubectl("auth", "can-i", "--list", as_viewer).startswith("Resources ")
    user = f"system:serviceaccount:{kubectl.namespace}:viewer"
    assert kubectl.fails("delete", "pod", "x", as_viewer) == (
        f'Error from server (Forbidden): pods "x" is forbidden: User "{user}" cannot delete resource "pods" in API '
        f'group "" in the namespace "{kubectl.namespace}"\n'
    )
    assert json.loads(kubectl("auth", "whoami", as_viewer, "--output=json"))["status"]["userInfo"]["username"] == user


def test_a_token_of_a_service_account(kubectl):
    kubectl("create", "serviceaccount", "robot")
    kubectl("create", "role", "reader", "--verb=get,list", "--resource=configmaps")
    kubectl("create", "rolebinding", "robot", "--role=reader", f"--serviceaccount={kubectl.namespace}:robot")
    token = kubectl("create", "token", "robot", "--duration=1h").strip()
    # The administrator's certificate would come first.
    bare = kubectl.folder / "kubeconfig"
    config = json.loads(kubectl.cluster.kubeconfig.read_text())
    config["users"][0]["user"] = {"token": token}
    bare.write_text(json.dumps(config))
    assert "kube-root-ca.crt" in kubectl(f"--kubeconfig={bare}", "get", "configmaps")
    message = kubectl.fails(f"--kubeconfig={bare}", "get", "secrets")
    user = f"system:serviceaccount:{kubectl.namespace}:robot"
    assert message == (
        f'Error from server (Forbidden): secrets is forbidden: User "{user}" cannot list resource "secrets" '
        f'in API group "" in the namespace "{kubectl.namespace}"\n'
    )


def test_auth_reconcile(kubectl):
    role = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "Role",
        "metadata": {"name": "reader", "namespace": kubectl.namespace},
        "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}],
    }
    path = kubectl.write("role.yaml", role)
    assert "role.rbac.authorization.k8s.io/reader reconciled" in kubectl("auth", "reconcile", f"--filename={path}")
    role["rules"][0]["verbs"] = ["list"]
    kubectl("auth", "reconcile", f"--filename={kubectl.write('role.yaml', role)}")
    verbs = {v for rule in kubectl.get("role", "reader")["rules"] for v in rule["verbs"]}
    assert verbs == {"get", "list"}


# ---- custom resources


@pytest.fixture
def group(kubectl: Kubectl) -> Iterator[str]:
    """An API group of the test's own with a kind Widget."""
    name = f"{uuid.uuid4().hex[:8]}.example.com"
    definition = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"widgets.{name}"},
        "spec": {
            "group": name,
            "scope": "Namespaced",
            "names": {"plural": "widgets", "kind": "Widget", "shortNames": ["wd"], "categories": ["all"]},
            "versions": [
                {
                    "name": "v1",
                    "served": True,
                    "storage": True,
                    "subresources": {
                        "status": {},
                        "scale": {"specReplicasPath": ".spec.size", "statusReplicasPath": ".status.size"},
                    },
                    "additionalPrinterColumns": [{"name": "Size", "type": "integer", "jsonPath": ".spec.size"}],
                    "schema": {
                        "openAPIV3Schema": {
                            "type": "object",
                            "properties": {
                                "spec": {
                                    "type": "object",
                                    "description": "What is wanted.",
                                    "required": ["size"],
                                    "properties": {
                                        "size": {"type": "integer", "minimum": 1, "description": "How big."}
                                    },
                                    "x-kubernetes-validations": [{"rule": "self.size < 10", "message": "too big"}],
                                },
                                "status": {"type": "object", "properties": {"size": {"type": "integer"}}},
                            },
                        }
                    },
                }
            ],
        },
    }
    kubectl.apply(definition)
    kubectl("wait", f"crd/widgets.{name}", "--for=condition=Established", "--timeout=10s")
    yield name
    kubectl("delete", "crd", f"widgets.{name}")


def widget(group: str, size: object) -> dict:
    return {"apiVersion": f"{group}/v1", "kind": "Widget", "metadata": {"name": "w"}, "spec": {"size": size}}


def test_custom_resources(kubectl, group):
    assert kubectl.apply(widget(group, 3)) == f"widget.{group}/w created\n"
    table = [line.split() for line in kubectl("get", f"widgets.{group}").splitlines()]
    assert [row[:2] for row in table] == [["NAME", "SIZE"], ["w", "3"]]
    assert "Size:  3" in kubectl("describe", f"widgets.{group}", "w")
    text = kubectl("explain", "widgets.spec", f"--api-version={group}/v1")
    assert "What is wanted." in text
    assert "size\t<integer> -required-\n    How big." in text
    assert kubectl("scale", f"widgets.{group}/w", "--replicas=5") == f"widget.{group}/w scaled\n"
    kubectl("patch", f"widgets.{group}/w", "--type=merge", '--patch={"spec": {"size": 6}}')
    assert kubectl.value(".spec.size", f"widgets.{group}/w") == "6"
    message = kubectl.fails("apply", f"--filename={kubectl.write('w.yaml', widget(group, 12))}")
    assert message == 'The Widget "w" is invalid: spec: Invalid value: too big\n'
    message = kubectl.fails("apply", f"--filename={kubectl.write('w.yaml', widget(group, 0))}")
    assert "spec.size: Invalid value: 0: spec.size in body should be greater than or equal to 1" in message


def test_an_unknown_kind(kubectl):
    path = kubectl.write("x.yaml", {"apiVersion": "none.example.com/v1", "kind": "None", "metadata": {"name": "x"}})
    assert kubectl.fails("apply", f"--filename={path}") == (
        f'error: resource mapping not found for name: "x" namespace: "" from "{path}": no matches for kind "None" in '
        'version "none.example.com/v1"\nensure CRDs are installed first\n'
    )


# ---- namespaces


def pvc(spec: dict) -> dict:
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "claim"}, "spec": spec}


def test_a_namespace_and_all_that_is_in_it(kubectl):
    name = f"{kubectl.namespace}-b"
    assert kubectl("create", "namespace", name) == f"namespace/{name} created\n"
    kubectl("--namespace", name, "wait", "serviceaccount/default", "--for=create", "--timeout=10s")
    kubectl("--namespace", name, "run", "p", "--image=localcluster/pause", "--grace-period=1")
    kubectl("--namespace", name, "create", "deployment", "d", "--image=localcluster/pause")
    claim = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    kubectl("--namespace", name, "apply", f"--filename={kubectl.write('claim.yaml', pvc(claim))}")
    assert kubectl("delete", "namespace", name, timeout=60) == f'namespace "{name}" deleted\n'
    assert "NotFound" in kubectl.fails("get", "namespace", name)
    assert "not found" in kubectl.fails("--namespace", name, "create", "configmap", "late")
