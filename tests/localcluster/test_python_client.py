"""The official Python client works on the local cluster as it does on any Kubernetes."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from kubernetes import client, config, dynamic, utils, watch
from kubernetes.client.exceptions import ApiException
from kubernetes.leaderelection import electionconfig, leaderelection
from kubernetes.leaderelection.resourcelock.configmaplock import ConfigMapLock
from kubernetes.stream import portforward, stream

from tests.localcluster.clusters import Cluster, eventually


@pytest.fixture(scope="module")
def api(cluster: Cluster) -> Iterator[client.ApiClient]:
    with config.new_client_from_config(str(cluster.kubeconfig)) as made:
        yield made


@pytest.fixture
def core(api: client.ApiClient) -> client.CoreV1Api:
    return client.CoreV1Api(api)


def config_map(name: str, **data: str) -> client.V1ConfigMap:
    return client.V1ConfigMap(metadata=client.V1ObjectMeta(name=name), data=data)


def pod(name: str, *command: str, image: str = "busybox") -> dict:
    container = {"name": "main", "image": image, "command": list(command)}
    return {"metadata": {"name": name}, "spec": {"terminationGracePeriodSeconds": 1, "containers": [container]}}


@pytest.fixture
def shell(core: client.CoreV1Api, namespace: str) -> str:
    """The name of a running pod."""
    core.create_namespaced_pod(namespace, pod("shell", "sleep", "infinity"))
    eventually(lambda: core.read_namespaced_pod("shell", namespace).status.phase == "Running")
    return "shell"


def test_create_read_update_delete(core, namespace):
    made = core.create_namespaced_config_map(namespace, config_map("a", x="1"))
    assert made.metadata.uid
    read = core.read_namespaced_config_map("a", namespace)
    assert read.data == {"x": "1"}
    read.data["x"] = "2"
    replaced = core.replace_namespaced_config_map("a", namespace, read)
    with pytest.raises(ApiException) as stale:
        core.replace_namespaced_config_map("a", namespace, read)
    assert (stale.value.status, stale.value.reason) == (409, "Conflict")
    patched = core.patch_namespaced_config_map("a", namespace, {"data": {"y": "3"}})
    assert patched.data == {"x": "2", "y": "3"}
    assert int(patched.metadata.resource_version) > int(replaced.metadata.resource_version)
    core.delete_namespaced_config_map("a", namespace)
    with pytest.raises(ApiException) as missing:
        core.read_namespaced_config_map("a", namespace)
    assert missing.value.status == 404


def test_typed_models_of_workloads(api, namespace):
    apps = client.AppsV1Api(api)
    labels = {"app": "web"}
    template = client.V1PodTemplateSpec(
        metadata=client.V1ObjectMeta(labels=labels),
        spec=client.V1PodSpec(
            termination_grace_period_seconds=1,
            containers=[client.V1Container(name="main", image="localcluster/pause")],
        ),
    )
    spec = client.V1DeploymentSpec(replicas=1, selector=client.V1LabelSelector(match_labels=labels), template=template)
    apps.create_namespaced_deployment(
        namespace, client.V1Deployment(metadata=client.V1ObjectMeta(name="web"), spec=spec)
    )
    eventually(lambda: apps.read_namespaced_deployment("web", namespace).status.ready_replicas == 1)
    apps.patch_namespaced_deployment_scale("web", namespace, {"spec": {"replicas": 2}})
    eventually(lambda: apps.read_namespaced_deployment_status("web", namespace).status.available_replicas == 2)
    assert apps.read_namespaced_deployment_scale("web", namespace).status.replicas == 2


def test_watch_resumes_and_ends(core, namespace):
    version = core.list_namespaced_config_map(namespace).metadata.resource_version
    for name in "abc":
        core.create_namespaced_config_map(namespace, config_map(name))
    watcher = watch.Watch()
    seen = []
    for event in watcher.stream(core.list_namespaced_config_map, namespace, resource_version=version):
        seen.append((event["type"], event["object"].metadata.name))
        if len(seen) == 2:
            watcher.stop()
    assert seen == [("ADDED", "a"), ("ADDED", "b")]
    core.delete_namespaced_config_map("a", namespace)
    rest, last = [], watcher.resource_version
    for event in watcher.stream(core.list_namespaced_config_map, namespace, resource_version=last, timeout_seconds=5):
        rest.append((event["type"], event["object"].metadata.name))
        if len(rest) == 2:
            watcher.stop()
    assert rest == [("ADDED", "c"), ("DELETED", "a")]


def test_a_watch_from_a_version_that_is_gone(core, namespace):
    with pytest.raises(ApiException) as gone:
        list(watch.Watch().stream(core.list_namespaced_config_map, namespace, resource_version="1", timeout_seconds=3))
    assert gone.value.status == 410


def test_pages(core, namespace):
    for number in range(7):
        core.create_namespaced_config_map(namespace, config_map(f"m{number}"))
    found, token = [], None
    while True:
        page = core.list_namespaced_config_map(namespace, limit=3, _continue=token)
        assert len(page.items) <= 3
        found += [item.metadata.name for item in page.items]
        token = page.metadata._continue
        if not token:
            break
    assert found == ["kube-root-ca.crt", *(f"m{n}" for n in range(7))]


def test_selectors_and_deletion_of_a_collection(core, namespace):
    for name, tier in (("a", "x"), ("b", "x"), ("c", "y")):
        body = config_map(name)
        body.metadata.labels = {"tier": tier}
        core.create_namespaced_config_map(namespace, body)
    core.delete_collection_namespaced_config_map(namespace, label_selector="tier=x")
    left = core.list_namespaced_config_map(namespace, label_selector="tier").items
    assert [item.metadata.name for item in left] == ["c"]


def test_dynamic_client(api, cluster, namespace, tmp_path):
    dyn = dynamic.DynamicClient(api)
    maps = dyn.resources.get(api_version="v1", kind="ConfigMap")
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"x": "1", "y": "1"}}
    applied = maps.server_side_apply(body=body, namespace=namespace, field_manager="one")
    assert applied.data.to_dict() == {"x": "1", "y": "1"}
    del body["data"]["y"]
    assert maps.server_side_apply(body=body, namespace=namespace, field_manager="one").data.to_dict() == {"x": "1"}
    body["data"]["x"] = "2"
    with pytest.raises(dynamic.exceptions.ConflictError) as conflict:
        maps.server_side_apply(body=body, namespace=namespace, field_manager="two")
    assert 'conflict with "one"' in str(conflict.value.summary())
    forced = maps.server_side_apply(body=body, namespace=namespace, field_manager="two", force_conflicts=True)
    assert [entry.manager for entry in forced.metadata.managedFields] == ["two"]
    merge = "application/merge-patch+json"
    assert maps.patch(body={"data": {"x": None}}, name="a", namespace=namespace, content_type=merge).data is None
    assert dyn.resources.search(kind="Deployment", group="apps")
    assert [item.metadata.name for item in maps.get(namespace=namespace, field_selector="metadata.name=a").items] == [
        "a"
    ]


def test_create_from_yaml(api, core, namespace, tmp_path: Path):
    file = tmp_path / "objects.yaml"
    file.write_text(
        f"""
apiVersion: v1
kind: ConfigMap
metadata: {{name: from-file, namespace: {namespace}}}
data: {{a: b}}
---
apiVersion: v1
kind: Service
metadata: {{name: web, namespace: {namespace}}}
spec: {{selector: {{app: web}}, ports: [{{port: 80}}]}}
"""
    )
    made = utils.create_from_yaml(api, str(file))
    assert [obj[0].metadata.name for obj in made] == ["from-file", "web"]
    assert core.read_namespaced_service("web", namespace).spec.cluster_ip.startswith("127.")
    with pytest.raises(utils.FailToCreateError) as failure:
        utils.create_from_yaml(api, str(file))
    assert [error.status for error in failure.value.api_exceptions] == [409, 409]


def test_custom_objects(api, namespace):
    group = f"{uuid.uuid4().hex[:8]}.example.com"
    extensions, custom = client.ApiextensionsV1Api(api), client.CustomObjectsApi(api)
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    names = {"plural": "things", "kind": "Thing"}
    definition = {
        "metadata": {"name": f"things.{group}"},
        "spec": {"group": group, "scope": "Namespaced", "names": names, "versions": [version]},
    }
    extensions.create_custom_resource_definition(definition)
    try:
        body = {"apiVersion": f"{group}/v1", "kind": "Thing", "metadata": {"name": "a"}, "spec": {"x": 1}}

        def create() -> dict | None:
            try:
                return custom.create_namespaced_custom_object(group, "v1", namespace, "things", body)
            except ApiException as error:
                assert error.status == 404
                return None

        made = eventually(create, 10, "the kind is served")
        assert made["spec"] == {"x": 1}
        listed = custom.list_namespaced_custom_object(group, "v1", namespace, "things")
        assert [item["metadata"]["name"] for item in listed["items"]] == ["a"]
    finally:
        extensions.delete_custom_resource_definition(f"things.{group}")


def test_leader_election(core, cluster, namespace, monkeypatch):
    monkeypatch.setattr(client.Configuration, "_default", None)
    config.load_kube_config(str(cluster.kubeconfig))
    led: list[str] = []

    def candidate(name: str) -> None:
        chosen = electionconfig.Config(
            ConfigMapLock("lock", namespace, name),
            lease_duration=3,
            renew_deadline=2,
            retry_period=1.1,
            onstarted_leading=lambda: None,
            onstopped_leading=lambda: None,
        )
        if leaderelection.LeaderElection(chosen).acquire():
            led.append(name)  # and it renews nothing: it might as well be dead

    first = threading.Thread(target=candidate, args=("one",), daemon=True)
    first.start()
    first.join(10)
    second = threading.Thread(target=candidate, args=("two",), daemon=True)
    second.start()
    time.sleep(1.2)  # it has tried once
    assert led == ["one"]
    second.join(15)
    assert led == ["one", "two"]


def test_exec(core, namespace, shell):
    text = stream(
        core.connect_get_namespaced_pod_exec,
        shell,
        namespace,
        command=["sh", "-c", "echo out; echo err >&2"],
        stdout=True,
        stderr=True,
        stdin=False,
        tty=False,
    )
    assert sorted(text.split()) == ["err", "out"]


def test_exec_with_input_and_exit_code(core, namespace, shell):
    session = stream(
        core.connect_get_namespaced_pod_exec,
        shell,
        namespace,
        command=["sh", "-c", "read line; echo got $line; exit 3"],
        stdout=True,
        stderr=True,
        stdin=True,
        tty=False,
        _preload_content=False,
    )
    session.write_stdin("hello\n")
    session.run_forever(timeout=10)
    assert session.read_stdout() == "got hello\n"
    assert session.returncode == 3


def test_port_forward(core, namespace):
    entry = pod("echo", image="localcluster/echo")
    core.create_namespaced_pod(namespace, entry)
    eventually(lambda: core.read_namespaced_pod("echo", namespace).status.phase == "Running")
    eventually(lambda: "listening on" in core.read_namespaced_pod_log("echo", namespace))
    forward = portforward(core.connect_get_namespaced_pod_portforward, "echo", namespace, ports="8080")
    connection = forward.socket(8080)
    connection.setblocking(True)
    connection.sendall(b"GET /through HTTP/1.1\r\nHost: x\r\n\r\n")
    answer = b""
    while b'"/through"' not in answer:
        data = connection.recv(4096)
        assert data, answer
        answer += data
    connection.close()
    assert forward.error(8080) is None


def test_logs_as_a_stream(core, namespace):
    core.create_namespaced_pod(namespace, pod("talk", "sh", "-c", "while :; do echo tick; sleep 0.1; done"))
    eventually(lambda: core.read_namespaced_pod("talk", namespace).status.phase == "Running")
    lines = []
    for line in watch.Watch().stream(core.read_namespaced_pod_log, "talk", namespace):
        lines.append(line)
        if len(lines) == 3:
            break
    assert lines == ["tick", "tick", "tick"]


def test_access_reviews_and_version(api):
    spec = client.V1SelfSubjectAccessReviewSpec(
        resource_attributes=client.V1ResourceAttributes(verb="create", resource="pods", namespace="default")
    )
    review = client.V1SelfSubjectAccessReview(spec=spec)
    assert client.AuthorizationV1Api(api).create_self_subject_access_review(review).status.allowed
    assert int(client.VersionApi(api).get_code().minor) >= 27
    metrics = client.CustomObjectsApi(api).list_cluster_custom_object("metrics.k8s.io", "v1beta1", "nodes")
    assert metrics["kind"] == "NodeMetricsList"
