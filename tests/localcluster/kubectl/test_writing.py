"""kubectl apply (both kinds), create, edit, patch, replace, delete, diff, label, annotate, set, scale, wait, -k."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml

from tests.localcluster.kubectl.commands import Kubectl, config_map, deployment, pod

LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


def data(kubectl: Kubectl, name: str = "a") -> dict[str, str]:
    return kubectl.get("configmap", name).get("data", {})


def paused(name: str, replicas: int = 0) -> dict:
    """A Deployment that starts nothing."""
    return deployment(name, replicas)


# ---- apply, client-side


def test_apply_creates_changes_and_removes(kubectl):
    assert kubectl.apply(config_map("a", x="1", y="1")) == "configmap/a created\n"
    assert kubectl.apply(config_map("a", x="1", y="1")) == "configmap/a unchanged\n"
    kubectl("patch", "configmap", "a", "--patch", '{"data": {"other": "kept"}}')
    assert kubectl.apply(config_map("a", x="2")) == "configmap/a configured\n"
    assert data(kubectl) == {"x": "2", "other": "kept"}
    written = json.loads(kubectl.get("configmap", "a")["metadata"]["annotations"][LAST_APPLIED])
    assert written["data"] == {"x": "2"}


def test_apply_merges_lists_by_their_keys(kubectl):
    web = paused("web")
    containers = web["spec"]["template"]["spec"]["containers"]
    containers[0]["env"] = [{"name": "A", "value": "1"}, {"name": "B", "value": "1"}]
    kubectl.apply(web)
    kubectl("set", "env", "deployment/web", "C=1")
    containers[0]["env"] = [{"name": "A", "value": "2"}]
    kubectl.apply(web)
    env = kubectl.get("deployment", "web")["spec"]["template"]["spec"]["containers"][0]["env"]
    assert sorted((e["name"], e["value"]) for e in env) == [("A", "2"), ("C", "1")]


def test_apply_of_a_folder_and_pruning(kubectl):
    for name in ("a", "b"):
        entry = config_map(name)
        entry["metadata"]["labels"] = {"set": "s"}
        kubectl.write(f"objects/{name}.yaml", entry)
    folder = kubectl.folder / "objects"
    assert kubectl("apply", f"--filename={folder}") == "configmap/a created\nconfigmap/b created\n"
    (folder / "b.yaml").unlink()
    options = ("--prune", "--selector=set=s", "--prune-allowlist=core/v1/ConfigMap")
    assert kubectl("apply", f"--filename={folder}", *options) == "configmap/a unchanged\nconfigmap/b pruned\n"


def test_last_applied(kubectl):
    path = kubectl.write("a.yaml", config_map("a", x="1"))
    kubectl("create", f"--filename={path}", "--save-config")
    assert yaml.safe_load(kubectl("apply", "view-last-applied", "configmap/a"))["data"] == {"x": "1"}
    path = kubectl.write("a.yaml", config_map("a", x="2"))
    assert kubectl("apply", "set-last-applied", f"--filename={path}") == "configmap/a configured\n"
    assert yaml.safe_load(kubectl("apply", "view-last-applied", "configmap/a"))["data"] == {"x": "2"}


@pytest.mark.parametrize(("mode", "text"), [("client", "created (dry run)"), ("server", "created (server dry run)")])
def test_dry_run(kubectl, mode, text):
    assert kubectl.apply(config_map("a"), check=True) and kubectl("delete", "configmap", "a")
    path = kubectl.write("a.yaml", config_map("a"))
    assert kubectl("apply", f"--filename={path}", f"--dry-run={mode}") == f"configmap/a {text}\n"
    assert "NotFound" in kubectl.fails("get", "configmap", "a")


def test_unknown_fields_are_refused(kubectl):
    wrong = paused("web")
    wrong["spec"]["replica"] = 1
    message = kubectl.fails("apply", f"--filename={kubectl.write('a.yaml', wrong)}")
    assert 'strict decoding error: unknown field "spec.replica"' in message
    done = kubectl.run("apply", f"--filename={kubectl.folder / 'a.yaml'}", "--validate=warn")
    assert 'Warning: unknown field "spec.replica"' in done.stderr
    assert done.stdout == "deployment.apps/web created\n"


# ---- apply, server-side


def test_server_side_apply_and_its_conflicts(kubectl):
    path = kubectl.write("a.yaml", config_map("a", x="1"))
    assert kubectl("apply", "--server-side", f"--filename={path}") == "configmap/a serverside-applied\n"
    version = kubectl.value(".metadata.resourceVersion", "configmap", "a")
    kubectl("apply", "--server-side", f"--filename={path}")
    assert kubectl.value(".metadata.resourceVersion", "configmap", "a") == version

    path = kubectl.write("a.yaml", config_map("a", x="2"))
    message = kubectl.fails("apply", "--server-side", "--field-manager=other", f"--filename={path}")
    assert 'Apply failed with 1 conflict: conflict with "kubectl": .data.x' in message
    kubectl("apply", "--server-side", "--field-manager=other", "--force-conflicts", f"--filename={path}")
    managers = kubectl.get("configmap", "a", "--show-managed-fields")["metadata"]["managedFields"]
    assert [(m["manager"], m["operation"]) for m in managers] == [("other", "Apply")]


def test_server_side_apply_removes_what_is_applied_no_more(kubectl):
    for entries in ({"x": "1", "y": "1"}, {"x": "1"}):
        kubectl("apply", "--server-side", f"--filename={kubectl.write('a.yaml', config_map('a', **entries))}")
    assert data(kubectl) == {"x": "1"}


def test_client_side_becomes_server_side(kubectl):
    kubectl.apply(config_map("a", x="1", y="1"))
    path = kubectl.write("a.yaml", config_map("a", x="2"))
    kubectl("apply", "--server-side", f"--filename={path}")
    assert data(kubectl) == {"x": "2"}


# ---- create


TYPED = [
    ("configmap", ("c", "--from-literal=a=1"), "configmap/c"),
    ("secret", ("generic", "s", "--from-literal=a=1"), "secret/s"),
    ("deployment", ("d", "--image=none", "--replicas=0"), "deployment.apps/d"),
    ("service", ("clusterip", "s", "--tcp=80:8080"), "service/s"),
    ("service", ("nodeport", "n", "--tcp=80"), "service/n"),
    ("service", ("externalname", "e", "--external-name=example.com"), "service/e"),
    ("serviceaccount", ("me",), "serviceaccount/me"),
    ("role", ("r", "--verb=get,list", "--resource=pods,deployments.apps"), "role.rbac.authorization.k8s.io/r"),
    ("rolebinding", ("b", "--clusterrole=view", "--user=x"), "rolebinding.rbac.authorization.k8s.io/b"),
    ("ingress", ("i", "--rule=example.com/*=web:80"), "ingress.networking.k8s.io/i"),
    ("quota", ("q", "--hard=pods=9"), "resourcequota/q"),
    ("poddisruptionbudget", ("p", "--selector=a=b", "--min-available=1"), "poddisruptionbudget.policy/p"),
    ("cronjob", ("cj", "--image=none", "--schedule=0 0 1 1 *"), "cronjob.batch/cj"),
]


@pytest.mark.parametrize(("kind", "arguments", "name"), TYPED, ids=[name for _, _, name in TYPED])
def test_create_of_a_kind(kubectl, kind, arguments, name):
    assert kubectl("create", kind, *arguments) == f"{name} created\n"
    assert kubectl("get", name, "--output=name") == f"{name}\n"
    assert "already exists" in kubectl.fails("create", kind, *arguments)


def test_create_makes_what_it_was_told(kubectl):
    kubectl("create", "cronjob", "nightly", "--image=busybox", "--schedule=0 3 * * *", "--", "echo", "hi")
    kubectl("create", "job", "now", "--from=cronjob/nightly")
    kubectl("wait", "job/now", "--for=condition=Complete", "--timeout=30s")
    assert kubectl("logs", "job/now") == "hi\n"
    kubectl("create", "configmap", "files", f"--from-file=it={kubectl.write('x.yaml', 1)}")
    assert data(kubectl, "files") == {"it": "1\n...\n"}


def test_create_refuses_what_is_there_and_generates_names(kubectl):
    path = kubectl.write("a.yaml", config_map("a"))
    kubectl("create", f"--filename={path}")
    message = f'Error from server (AlreadyExists): error when creating "{path}": configmaps "a" already exists\n'
    assert kubectl.fails("create", f"--filename={path}") == message
    generated = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"generateName": "made-"}}
    path = kubectl.write("b.yaml", generated)
    assert re.fullmatch(r"configmap/made-[a-z0-9]{5} created\n", kubectl("create", f"--filename={path}"))


# ---- edit


@pytest.fixture
def editor(kubectl, monkeypatch):
    """Make EDITOR a script of `sed` with an expression."""

    def choose(expression: str) -> None:
        script = kubectl.folder / "editor"
        script.write_text(f"#!/bin/sh\nexec sed -i '{expression}' \"$1\"\n")
        script.chmod(0o700)
        monkeypatch.setenv("EDITOR", str(script))
        monkeypatch.setenv("TMPDIR", str(kubectl.folder))

    return choose


def test_edit(kubectl, editor):
    kubectl.apply(config_map("a", x="before"))
    editor("s/x: before/x: after/")
    assert kubectl("edit", "configmap", "a") == "configmap/a edited\n"
    assert data(kubectl) == {"x": "after"}
    done = kubectl.run("edit", "configmap", "a")
    assert done.stderr == "Edit cancelled, no changes made.\n"


def test_an_edit_that_is_refused_is_kept(kubectl, editor):
    kubectl.apply(paused("web"))
    editor("s/replicas: 0/replicas: -1/")
    message = kubectl.fails("edit", "deployment", "web")
    assert message.startswith('error: deployments.apps "web" is invalid\n')
    kept = Path(re.search(r"A copy of your changes has been stored to \"(\S+)\"", message)[1])
    assert kept.is_relative_to(kubectl.folder)
    text = kept.read_text()
    assert '# deployments.apps "web" was not valid:\n# * spec.replicas: Invalid value: -1: must be greater' in text
    assert kubectl.value(".spec.replicas", "deployment", "web") == "0"


def test_edit_of_a_subresource(kubectl, editor):
    held = {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "p"}}
    kubectl.apply({**held, "spec": {"selector": {"matchLabels": {"a": "b"}}, "minAvailable": 1}})
    kubectl("wait", "pdb/p", "--for=jsonpath={.status.observedGeneration}=1", "--timeout=10s")
    editor("s/minAvailable: 1/minAvailable: 2/")
    kubectl("edit", "pdb", "p", "--subresource=status")
    assert kubectl.value(".spec.minAvailable", "pdb", "p") == "1"


# ---- patch, replace, delete


@pytest.mark.parametrize(
    ("kind", "patch", "expected"),
    [
        ("strategic", {"spec": {"template": {"spec": {"containers": [{"name": "main", "image": "new"}]}}}}, "new"),
        ("merge", {"spec": {"template": {"spec": {"containers": [{"name": "main", "image": "new"}]}}}}, "new"),
        ("json", [{"op": "replace", "path": "/spec/template/spec/containers/0/image", "value": "new"}], "new"),
    ],
)
def test_patch(kubectl, kind, patch, expected):
    kubectl.apply(paused("web"))
    arguments = ("patch", "deployment", "web", f"--type={kind}", f"--patch={json.dumps(patch)}")
    assert kubectl(*arguments) == "deployment.apps/web patched\n"
    assert kubectl(*arguments) == "deployment.apps/web patched (no change)\n"
    assert kubectl.value(".spec.template.spec.containers[0].image", "deployment", "web") == expected


def test_patch_of_subresources_and_errors(kubectl):
    kubectl.apply(paused("web"))
    kubectl("patch", "deployment", "web", "--subresource=scale", "--type=merge", '--patch={"spec": {"replicas": 2}}')
    assert kubectl.value(".spec.replicas", "deployment", "web") == "2"
    message = kubectl.fails("patch", "deployment", "web", '--patch={"spec": {"selector": {"matchLabels": {"a": "b"}}}}')
    assert "field is immutable" in message
    assert "NotFound" in kubectl.fails("patch", "deployment", "none", "--patch={}")


def test_replace(kubectl):
    kubectl.apply(config_map("a", x="1", y="1"))
    path = kubectl.write("a.yaml", config_map("a", x="2"))
    assert kubectl("replace", f"--filename={path}") == "configmap/a replaced\n"
    assert data(kubectl) == {"x": "2"}
    uid = kubectl.value(".metadata.uid", "configmap", "a")
    assert kubectl("replace", "--force", f"--filename={path}").splitlines()[-1] == "configmap/a replaced"
    assert kubectl.value(".metadata.uid", "configmap", "a") != uid
    stale = kubectl.get("configmap", "a")
    kubectl("label", "configmap", "a", "new=label")
    message = kubectl.fails("replace", f"--filename={kubectl.write('a.yaml', stale)}")
    assert "the object has been modified; please apply your changes to the latest version and try again" in message


def test_delete(kubectl):
    entries = [config_map(name) for name in "abcd"]
    for entry in entries[:2]:
        entry["metadata"]["labels"] = {"tier": "x"}
    kubectl.apply(*entries)
    assert kubectl("delete", "configmap", "--selector=tier=x").splitlines() == [
        'configmap "a" deleted',
        'configmap "b" deleted',
    ]
    assert kubectl("delete", f"--filename={kubectl.write('c.yaml', entries[2])}") == 'configmap "c" deleted\n'
    assert "NotFound" in kubectl.fails("delete", "configmap", "c")
    assert kubectl("delete", "configmap", "c", "--ignore-not-found") == ""
    assert 'configmap "d" deleted' in kubectl("delete", "configmap", "--all")


def test_delete_waits_forces_and_cascades(kubectl):
    kubectl.apply(deployment("web"), pod("stubborn", "sh", "-c", "trap '' TERM; while :; do sleep 1; done"))
    kubectl("rollout", "status", "deployment/web", "--timeout=30s")
    kubectl("wait", "pod/stubborn", "--for=condition=Ready", "--timeout=30s")
    kubectl("delete", "pod", "stubborn", "--force", "--grace-period=0")
    assert "NotFound" in kubectl.fails("get", "pod", "stubborn")
    kubectl("delete", "deployment", "web", "--cascade=orphan")
    owner = kubectl.get("replicasets")["items"][0]["metadata"]
    assert "ownerReferences" not in owner
    kubectl("delete", "replicaset", owner["name"], "--cascade=foreground")
    assert kubectl.get("pods")["items"] == []


def test_delete_waits_for_finalizers(kubectl):
    held = config_map("held")
    held["metadata"]["finalizers"] = ["example.com/wait"]
    kubectl.apply(held)
    assert "timed out waiting" in kubectl.fails("delete", "configmap", "held", "--timeout=1s")
    kubectl("patch", "configmap", "held", "--type=json", '--patch=[{"op": "remove", "path": "/metadata/finalizers"}]')
    kubectl("wait", "configmap/held", "--for=delete", "--timeout=10s")


# ---- diff, label, annotate, scale, autoscale, set, expose, wait


@pytest.mark.parametrize("how", [(), ("--server-side",)], ids=["client-side", "server-side"])
def test_diff(kubectl, how):
    path = kubectl.write("a.yaml", config_map("a", x="1"))
    kubectl("apply", *how, f"--filename={path}")
    assert kubectl("diff", *how, f"--filename={path}") == ""
    path = kubectl.write("a.yaml", config_map("a", x="2"))
    done = kubectl.run("diff", *how, f"--filename={path}", check=False)
    assert done.returncode == 1
    assert '-  x: "1"\n+  x: "2"\n' in done.stdout


def test_label_and_annotate(kubectl):
    kubectl.apply(config_map("a"))
    assert kubectl("label", "configmap", "a", "x=1") == "configmap/a labeled\n"
    assert kubectl("label", "configmap", "a", "x=1") == "configmap/a not labeled\n"
    assert "'x' already has a value (1), and --overwrite is false" in kubectl.fails("label", "configmap", "a", "x=2")
    kubectl("label", "--overwrite", "configmap", "a", "x=2")
    assert "x=2" in kubectl("label", "configmap", "a", "--list")
    assert kubectl("label", "configmap", "a", "x-") == "configmap/a unlabeled\n"
    assert kubectl("annotate", "configmap", "a", "note=some text") == "configmap/a annotated\n"
    assert kubectl.get("configmap", "a")["metadata"]["annotations"]["note"] == "some text"
    assert 'invalid label value: "x=no spaces"' in kubectl.fails("label", "configmap", "a", "x=no spaces")


def test_scale_and_autoscale(kubectl):
    kubectl.apply(deployment("web"))
    assert kubectl("scale", "deployment/web", "--replicas=3", "--timeout=30s") == "deployment.apps/web scaled\n"
    message = kubectl.fails("scale", "deployment/web", "--current-replicas=1", "--replicas=2")
    assert "Expected replicas to be 1, was 3" in message
    kubectl("scale", "deployment", "--all", "--replicas=0")
    assert kubectl.value(".spec.replicas", "deployment", "web") == "0"
    done = kubectl("autoscale", "deployment", "web", "--min=1", "--max=4", "--cpu-percent=70")
    assert done == "horizontalpodautoscaler.autoscaling/web autoscaled\n"
    spec = kubectl.get("hpa", "web")["spec"]
    assert (spec["minReplicas"], spec["maxReplicas"]) == (1, 4)
    assert spec["metrics"][0]["resource"]["target"]["averageUtilization"] == 70


def test_set(kubectl):
    kubectl.apply(paused("web"))
    assert kubectl("set", "image", "deployment/web", "main=new:2") == "deployment.apps/web image updated\n"
    assert kubectl("set", "env", "deployment/web", "A=1", "B=2") == "deployment.apps/web env updated\n"
    assert "A=1\nB=2" in kubectl("set", "env", "deployment/web", "--list")
    kubectl("set", "env", "deployment/web", "B-")
    kubectl("set", "resources", "deployment/web", "--limits=cpu=200m,memory=64Mi", "--requests=cpu=100m")
    kubectl("set", "serviceaccount", "deployment/web", "default")
    container = kubectl.get("deployment", "web")["spec"]["template"]["spec"]["containers"][0]
    assert container["image"] == "new:2"
    assert container["env"] == [{"name": "A", "value": "1"}]
    assert container["resources"]["limits"] == {"cpu": "200m", "memory": "64Mi"}
    kubectl("create", "service", "clusterip", "web", "--tcp=80")
    kubectl("set", "selector", "service/web", "app=other")
    assert kubectl.get("service", "web")["spec"]["selector"] == {"app": "other"}
    kubectl("create", "rolebinding", "b", "--clusterrole=view", "--user=one")
    kubectl("set", "subject", "rolebinding/b", "--user=two")
    assert [s["name"] for s in kubectl.get("rolebinding", "b")["subjects"]] == ["one", "two"]


def test_expose(kubectl):
    kubectl.apply(paused("web"))
    assert kubectl("expose", "deployment", "web", "--port=80", "--target-port=8080") == "service/web exposed\n"
    spec = kubectl.get("service", "web")["spec"]
    assert spec["selector"] == {"app": "web"}
    assert spec["ports"] == [{"port": 80, "protocol": "TCP", "targetPort": 8080}]


def test_wait(kubectl):
    kubectl.apply(pod("one"))
    assert kubectl("wait", "pod/one", "--for=condition=Ready", "--timeout=30s") == "pod/one condition met\n"
    kubectl("wait", "pod", "--all", "--for=jsonpath={.status.phase}=Running", "--timeout=10s")
    message = "error: timed out waiting for the condition on pods/one\n"
    assert kubectl.fails("wait", "pod/one", "--for=condition=Ready=False", "--timeout=1s") == message
    with kubectl.following("wait", "configmap/late", "--for=create", "--timeout=20s") as waiting:
        kubectl.apply(config_map("late"))
        waiting.prints("configmap/late condition met")
    with kubectl.following("wait", "pod/one", "--for=delete", "--timeout=20s") as waiting:
        kubectl("delete", "pod", "one")
        waiting.prints("pod/one condition met")


# ---- kustomize


def test_kustomize(kubectl):
    kubectl.write("base/cm.yaml", config_map("a", x="1"))
    kubectl.write("base/kustomization.yaml", {"resources": ["cm.yaml"]})
    kubectl.write(
        "overlay/kustomization.yaml",
        {
            "resources": ["../base"],
            "namePrefix": "test-",
            "labels": [{"pairs": {"made": "by-kustomize"}}],
            "configMapGenerator": [{"name": "made", "literals": ["k=v"]}],
        },
    )
    folder = str(kubectl.folder / "overlay")
    printed = list(yaml.safe_load_all(kubectl("kustomize", folder)))
    assert printed[0]["metadata"] == {"name": "test-a", "labels": {"made": "by-kustomize"}}
    applied = kubectl("apply", "--kustomize", folder)
    assert re.fullmatch(r"configmap/test-a created\nconfigmap/test-made-\w{10} created\n", applied)
    assert kubectl("diff", "--kustomize", folder) == ""
    assert kubectl("delete", "--kustomize", folder).count("deleted") == 2
