"""kubectl get in all its forms, describe, events, explain and what it finds out about the API."""

from __future__ import annotations

import json
import re
from datetime import datetime

import pytest
import yaml

from tests.localcluster.kubectl.commands import Kubectl, config_map, deployment, pod


@pytest.fixture
def objects(kubectl: Kubectl) -> Kubectl:
    """Two ConfigMaps, `a` (tier=front) and `b` (tier=back)."""
    for name, tier in (("b", "back"), ("a", "front")):
        entry = config_map(name, key=f"value of {name}", other="2")
        entry["metadata"]["labels"] = {"tier": tier}
        kubectl.apply(entry)
    return kubectl


def rows(text: str) -> list[list[str]]:
    return [re.split(r" {2,}", line.strip()) for line in text.splitlines()]


def test_table(objects):
    table = rows(objects("get", "configmaps", "--field-selector=metadata.name!=kube-root-ca.crt"))
    assert table[0] == ["NAME", "DATA", "AGE"]
    assert [row[:2] for row in table[1:]] == [["a", "2"], ["b", "2"]]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (("--selector=tier=back",), "configmap/b\n"),
        (("--selector=tier in (front, back),tier!=back",), "configmap/a\n"),
        (("--field-selector=metadata.name=a",), "configmap/a\n"),
        (("--selector=tier", "--sort-by=.metadata.labels.tier"), "configmap/b\nconfigmap/a\n"),
        (("--selector=tier", "--chunk-size=1"), "configmap/a\nconfigmap/b\n"),
        (("a", "b", "nothing", "--ignore-not-found"), "configmap/a\nconfigmap/b\n"),
    ],
)
def test_which_objects(objects, options, expected):
    assert objects("get", "configmaps", "--output=name", *options) == expected


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        ("jsonpath={.data.key}", "value of a"),
        ("jsonpath-as-json={.metadata.labels}", '[\n    {\n        "tier": "front"\n    }\n]\n'),
        ("go-template={{range $k, $v := .data}}{{$k}} {{end}}", "key other "),
        ("custom-columns=N:.metadata.name,T:.metadata.labels.tier,X:.none", "N     T       X\na     front   <none>\n"),
        ("name", "configmap/a\n"),
    ],
)
def test_output_of_one(objects, output, expected):
    assert objects("get", "configmap", "a", f"--output={output}") == expected


def test_json_and_yaml_are_the_same_object(objects):
    as_yaml = yaml.safe_load(objects("get", "configmap", "a", "--output=yaml"))
    assert as_yaml == objects.get("configmap", "a")
    assert list(as_yaml) == ["apiVersion", "data", "kind", "metadata"]
    assert "managedFields" not in as_yaml["metadata"]
    shown = objects("get", "configmap", "a", "--output=yaml", "--show-managed-fields")
    assert yaml.safe_load(shown)["metadata"]["managedFields"][0]["manager"] == "kubectl-client-side-apply"


def test_lists_are_of_kind_list(objects):
    found = objects.get("configmap,serviceaccount", "--selector=tier")
    assert (found["kind"], found["apiVersion"]) == ("List", "v1")
    assert [item["metadata"]["name"] for item in found["items"]] == ["a", "b"]


def test_columns_of_labels_and_names(objects):
    assert rows(objects("get", "configmap", "a", "--show-labels"))[1][-1] == "tier=front"
    assert rows(objects("get", "configmap", "a", "--label-columns=tier"))[0][-1] == "TIER"
    assert rows(objects("get", "configmap", "a", "--show-kind", "--no-headers"))[0][0] == "configmap/a"
    everywhere = rows(objects("get", "configmap", "--all-namespaces", "--selector=tier=front"))
    assert everywhere[0][0] == "NAMESPACE"
    assert [objects.namespace, "a"] in [row[:2] for row in everywhere]


def test_from_file_and_printed_here(objects):
    path = objects.write("a.yaml", config_map("a"))
    assert rows(objects("get", f"--filename={path}"))[1][0] == "a"
    assert rows(objects("get", "configmap", "a", "--server-print=false"))[0] == ["NAME", "AGE"]


def test_wide_pods_and_all(kubectl):
    kubectl.apply(deployment("web"))
    kubectl("rollout", "status", "deployment/web", "--timeout=30s")
    table = rows(kubectl("get", "pods", "--output=wide"))
    assert table[0] == ["NAME", "READY", "STATUS", "RESTARTS", "AGE", "IP", "NODE", "NOMINATED NODE", "READINESS GATES"]
    assert table[1][1:4] == ["1/1", "Running", "0"]
    assert table[1][5].startswith("127.")
    wide = rows(kubectl("get", "deployment", "--output=wide"))
    headers = ["NAME", "READY", "UP-TO-DATE", "AVAILABLE", "AGE", "CONTAINERS", "IMAGES", "SELECTOR"]
    assert wide[0] == headers
    assert wide[1][5:] == ["main", "localcluster/pause", "app=web"]
    everything = kubectl("get", "all", "--output=name").split()
    assert [re.sub(r"-[a-z0-9-]+$", "", name) for name in everything] == [
        "pod/web",
        "deployment.apps/web",
        "replicaset.apps/web",
    ]


def test_subresource(kubectl):
    kubectl.apply(deployment("web", 3, image="no/such"))
    assert kubectl.get("deployment", "web", "--subresource=scale")["spec"]["replicas"] == 3
    assert "replicas" in kubectl.get("deployment", "web", "--subresource=status")["status"]


def test_watch_shows_changes(objects):
    with objects.following("get", "configmap", "a", "--watch", "--output-watch-events") as watch:
        watch.prints("ADDED")
        objects("annotate", "configmap", "a", "x=y")
        watch.prints("MODIFIED")
        objects("delete", "configmap", "a")
        watch.prints("DELETED")
    with objects.following("get", "configmaps", "--watch-only", "--output=name") as watch:
        number = 0
        while "configmap/new" not in watch.text:  # nothing says when the watch has begun
            number += 1
            objects.apply(config_map(f"new{number}"))
    assert "configmap/b" not in watch.text


def test_watch_as_json_and_with_timeout(objects):
    done = objects.run("get", "configmaps", "-w", "--output=json", "--request-timeout=1s", check=False)
    decoder, documents, text = json.JSONDecoder(), [], done.stdout.strip()
    while text:
        document, end = decoder.raw_decode(text)
        documents.append(document["metadata"]["name"])
        text = text[end:].strip()
    assert {"a", "b"} <= set(documents)


def test_raw(kubectl):
    assert kubectl("get", "--raw=/readyz") == "ok"
    assert json.loads(kubectl("get", "--raw=/version"))["major"] == "1"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("get", "configmap", "none"), 'Error from server (NotFound): configmaps "none" not found\n'),
        (("get", "nonsense"), 'error: the server doesn\'t have a resource type "nonsense"\n'),
        (("get", "configmaps", "--selector=a=b=c"), "found '=', expected: ',' or 'end of string'"),
        (
            ("get", "configmaps", "--field-selector=data.x=y"),
            'Error from server (BadRequest): Unable to find "/v1, Resource=configmaps" that match label selector "",'
            ' field selector "data.x=y": "data.x" is not a known field selector: only "metadata.name", '
            '"metadata.namespace"\n',
        ),
    ],
)
def test_what_cannot_be_got(kubectl, arguments, message):
    assert message in kubectl.fails(*arguments)


def test_nothing_found(kubectl):
    done = kubectl.run("get", "pods")
    assert (done.stdout, done.stderr) == ("", f"No resources found in {kubectl.namespace} namespace.\n")


# ---- describe


def test_describe_workloads(kubectl):
    service = {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": 8080}]}
    web = deployment("web", 2, image="localcluster/echo")
    web["spec"]["template"]["spec"]["containers"][0]["env"] = [{"name": "PORT", "value": "8080"}]
    kubectl.apply(web, {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"}, "spec": service})
    kubectl("rollout", "status", "deployment/web", "--timeout=30s")

    text = kubectl("describe", "deployment", "web")
    assert re.search(r"Replicas: +2 desired \| 2 updated \| 2 total \| 2 available \| 0 unavailable", text)
    assert re.search(r"Available +True +MinimumReplicasAvailable", text)
    assert re.search(r"Normal +ScalingReplicaSet .* Scaled up replica set web-\w+ from 0 to 2", text)

    text = kubectl("describe", "pods", "--selector=app=web")
    assert text.count("Name:  ") >= 2
    assert re.search(r"Status: +Running", text)
    assert re.search(r"State: +Running", text)
    assert re.search(r"PORT: +8080", text)
    assert re.search(r"Controlled By: +ReplicaSet/web-", text)
    for reason in ("Scheduled", "Pulled", "Created", "Started"):
        assert re.search(rf"Normal +{reason} ", text), reason

    text = kubectl("describe", "service", "web")
    assert re.search(r"Type: +ClusterIP", text)
    assert len(re.search(r"Endpoints: +(\S+)", text)[1].split(",")) == 2


def test_describe_a_pod_that_cannot_start(kubectl):
    kubectl.apply(pod("broken", "run", image="example.com/none:1"))
    kubectl("wait", "pod/broken", "--for=jsonpath={.status.containerStatuses[0].state.waiting.reason}", "--timeout=30s")
    text = kubectl("describe", "pod", "broken")
    assert re.search(r"Reason: +(ErrImagePull|ImagePullBackOff)", text)
    assert 'image "example.com/none:1" is not known to this node' in text


@pytest.mark.parametrize("kind", ["namespace", "configmap/kube-root-ca.crt", "serviceaccount/default", "node"])
def test_describe_other_kinds(kubectl, kind):
    name = kubectl.namespace if kind == "namespace" else ""
    text = kubectl("describe", kind, *([name] if name else []))
    assert re.search(r"^Name: +\S+", text)


# ---- events


def test_events(kubectl):
    kubectl.apply(pod("one", "true", restartPolicy="Never"), pod("two"))
    kubectl("wait", "pod/two", "--for=condition=Ready", "--timeout=30s")
    kubectl("wait", "pod/one", "--for=jsonpath={.status.phase}=Succeeded", "--timeout=30s")
    table = rows(kubectl("events", "--for=pod/one"))
    assert table[0] == ["LAST SEEN", "TYPE", "REASON", "OBJECT", "MESSAGE"]
    assert {row[2] for row in table[1:]} == {"Scheduled", "Pulled", "Created", "Started"}
    assert {row[3] for row in table[1:]} == {"Pod/one"}
    assert kubectl.run("events", "--types=Warning").stderr.startswith("No events found")
    names = {e["involvedObject"]["name"] for e in kubectl.get("events")["items"]}
    assert names == {"one", "two"}
    with kubectl.following("events", "--for=pod/two", "--watch") as watch:
        watch.prints("Started")
        kubectl("delete", "pod", "two", "--wait=false")
        watch.prints("Killing")


# ---- what there is


def test_explain(kubectl):
    text = kubectl("explain", "deployment.spec.strategy.rollingUpdate.maxSurge")
    assert "GROUP:      apps\nKIND:       Deployment\nVERSION:    v1\n" in text
    assert "FIELD: maxSurge <IntOrString>" in text
    assert "tolerations\t<[]Toleration>" in kubectl("explain", "pod.spec", "--recursive")
    assert 'field "nothing" does not exist' in kubectl.fails("explain", "pod.nothing")


def test_api_resources(kubectl):
    table = rows(kubectl("api-resources", "--api-group=apps", "--output=wide"))
    assert table[0] == ["NAME", "SHORTNAMES", "APIVERSION", "NAMESPACED", "KIND", "VERBS", "CATEGORIES"]
    verbs = "create,delete,deletecollection,get,list,patch,update,watch"
    assert ["deployments", "deploy", "apps/v1", "true", "Deployment", verbs, "all"] in table
    cluster_wide = kubectl("api-resources", "--namespaced=false", "--output=name").split()
    assert {"nodes", "namespaces", "clusterroles.rbac.authorization.k8s.io"} <= set(cluster_wide)
    assert "pods" not in cluster_wide
    assert {"v1", "apps/v1", "batch/v1", "autoscaling/v1", "autoscaling/v2"} <= set(kubectl("api-versions").split())


def test_cluster_info_and_version(kubectl):
    text = re.sub(r"\x1b\[[0-9;]*m", "", kubectl("cluster-info"))
    assert f"Kubernetes control plane is running at {kubectl.cluster.url}\n" in text
    folder = kubectl.folder / "dump"
    kubectl("cluster-info", "dump", f"--output-directory={folder}")
    assert json.loads((folder / "nodes.json").read_text())["items"]
    version = json.loads(kubectl("version", "--output=json"))["serverVersion"]
    assert int(version["minor"]) >= 27
    assert datetime.fromisoformat(version["buildDate"])
