"""A Function's objects are made, repaired, changed with it and gone with it; other people's are left alone."""

from __future__ import annotations

import pytest

from kubeless.cluster.resources import CONFIG_MAPS, DEPLOYMENTS, FUNCTIONS, HORIZONTAL_POD_AUTOSCALERS, SERVICES
from tests.controller import controllers
from tests.controller.controllers import Controller
from tests.controller.workspace import Workspace, make_function

pytestmark = pytest.mark.usefixtures("controller")

AUTOSCALER = {
    "apiVersion": "autoscaling/v2beta1",
    "spec": {
        "minReplicas": 1,
        "maxReplicas": 3,
        "metrics": [{"type": "Resource", "resource": {"name": "cpu", "targetAverageUtilization": 70}}],
    },
}


def container(work: Workspace) -> dict[str, object]:
    found: dict[str, object] = work.get(DEPLOYMENTS)["spec"]["template"]["spec"]["containers"][0]
    return found


def env(work: Workspace) -> dict[str, str]:
    return {entry["name"]: entry.get("value", "") for entry in container(work)["env"]}  # type: ignore[attr-defined]


def test_a_function_becomes_its_objects(work: Workspace) -> None:
    work.create(make_function(deps="Markdown==3.7\n", timeout="10"))
    ready = work.wait_reason("ScaledToZero")
    assert ready["status"] == "True"
    assert work.get(CONFIG_MAPS)["data"] == {
        "handler": "code.handler",
        "code.py": make_function()["spec"]["function"],
        "requirements.txt": "Markdown==3.7\n",
    }
    service = work.get(SERVICES)["spec"]
    assert [(port["name"], port["port"], port["targetPort"]) for port in service["ports"]] == [
        ("http-function-port", 8080, 8080)
    ]
    pod = work.get(DEPLOYMENTS)["spec"]["template"]["spec"]
    assert [step["name"] for step in pod["initContainers"]] == ["prepare", "install"]
    assert pod["terminationGracePeriodSeconds"] == 18
    status = work.get(FUNCTIONS)["status"]
    assert (status["observedGeneration"], status["runtime"]) == (1, "python3.11")
    for of in (CONFIG_MAPS, SERVICES, DEPLOYMENTS):
        metadata = work.get(of)["metadata"]
        assert metadata["labels"] == {"created-by": "kubeless", "function": "hello"}
        assert metadata["ownerReferences"][0]["kind"] == "Function"


def test_children_that_somebody_edits_are_repaired(work: Workspace) -> None:
    work.create(make_function())
    work.wait_reason("ScaledToZero")
    work.patch(CONFIG_MAPS, {"data": {"code.py": "other", "handler": None}})
    work.patch(SERVICES, {"spec": {"selector": {"function": "somebody-else"}}})
    work.patch(DEPLOYMENTS, {"metadata": {"labels": {"created-by": None, "function": None}}})
    changed = work.get(DEPLOYMENTS)
    changed["spec"]["template"]["spec"]["containers"][0].update(image="other:1", env=[])
    del changed["metadata"]["resourceVersion"]  # the controller is at it already
    work._checked(work.session.put(work.url(DEPLOYMENTS, "hello"), json=changed, timeout=10))
    work.wait(
        lambda: work.get(CONFIG_MAPS)["data"]["code.py"] != "other" and "handler" in work.get(CONFIG_MAPS)["data"]
    )
    work.wait(lambda: work.get(SERVICES)["spec"]["selector"]["function"] == "hello")
    work.wait(lambda: container(work)["image"] != "other:1" and env(work)["FUNC_HANDLER"] == "handler")
    work.wait(lambda: work.get(DEPLOYMENTS)["metadata"]["labels"]["function"] == "hello")


def test_children_that_somebody_deletes_are_made_again(work: Workspace) -> None:
    work.create(make_function(horizontalPodAutoscaler=AUTOSCALER))
    work.wait(lambda: work.get(HORIZONTAL_POD_AUTOSCALERS))
    for of in (CONFIG_MAPS, SERVICES, DEPLOYMENTS, HORIZONTAL_POD_AUTOSCALERS):
        uid = work.get(of)["metadata"]["uid"]
        work.delete(of)
        work.wait(lambda of=of, uid=uid: work.get(of)["metadata"]["uid"] != uid)
    mounted = work.get(DEPLOYMENTS)["spec"]["template"]["spec"]["volumes"][-1]["configMap"]["name"]
    work.delete(CONFIG_MAPS, mounted)
    work.wait(lambda: work.get(CONFIG_MAPS, mounted)["data"]["code.py"])


def test_what_others_add_to_children_stays(work: Workspace) -> None:
    work.create(make_function())
    work.wait_reason("ScaledToZero")
    work.patch(DEPLOYMENTS, {"metadata": {"annotations": {"mine": "yes"}}})
    work.patch(FUNCTIONS, {"spec": {"timeout": "7"}})
    work.wait(lambda: env(work)["FUNC_TIMEOUT"] == "7")
    assert work.get(DEPLOYMENTS)["metadata"]["annotations"]["mine"] == "yes"


def test_a_changed_source_is_another_config_map_for_its_pods(work: Workspace) -> None:
    work.create(make_function())
    work.wait_reason("ScaledToZero")
    before = {obj["metadata"]["name"] for obj in work.list(CONFIG_MAPS)}
    work.patch(FUNCTIONS, {"spec": {"function": "def handler(event, context): return 2\n"}})
    work.wait(lambda: work.get(CONFIG_MAPS)["data"]["code.py"].endswith("return 2\n"))
    # That of the version before goes when no pod can have it any more.
    work.wait(lambda: len({obj["metadata"]["name"] for obj in work.list(CONFIG_MAPS)} & before) == 1 + ROOT_CA)
    mounted = work.get(DEPLOYMENTS)["spec"]["template"]["spec"]["volumes"][-1]["configMap"]["name"]
    assert mounted not in before
    assert work.get(CONFIG_MAPS, mounted)["data"] == work.get(CONFIG_MAPS)["data"]


ROOT_CA = 1
"""kube-root-ca.crt, which every namespace has."""


def test_an_autoscaler_of_an_old_version_becomes_one_of_v2_and_goes_with_its_field(work: Workspace) -> None:
    work.create(make_function(horizontalPodAutoscaler=AUTOSCALER, deployment={}))
    spec = work.wait(lambda: work.get(HORIZONTAL_POD_AUTOSCALERS))["spec"]
    assert spec["scaleTargetRef"] == {"apiVersion": "apps/v1", "kind": "Deployment", "name": "hello"}
    assert spec["metrics"][0]["resource"]["target"] == {"type": "Utilization", "averageUtilization": 70}
    work.patch(FUNCTIONS, {"spec": {"horizontalPodAutoscaler": None}})
    work.wait(lambda: not work.list(HORIZONTAL_POD_AUTOSCALERS))


def test_kubectl_scale_is_not_undone_unless_the_function_says_how_many(work: Workspace, controller: Controller) -> None:
    work.create(make_function(deployment={}))
    work.wait(lambda: work.get(DEPLOYMENTS))
    work.patch(DEPLOYMENTS, {"spec": {"replicas": 4}}, subresource="scale")
    work.patch(FUNCTIONS, {"spec": {"timeout": "9"}})
    work.wait(lambda: env(work)["FUNC_TIMEOUT"] == "9")
    assert work.get(DEPLOYMENTS)["spec"]["replicas"] == 4
    work.patch(FUNCTIONS, {"spec": {"deployment": {"spec": {"replicas": 2}}}})
    work.wait(lambda: work.get(DEPLOYMENTS)["spec"]["replicas"] == 2)
    work.patch(DEPLOYMENTS, {"spec": {"replicas": 5}}, subresource="scale")
    work.wait(lambda: work.get(DEPLOYMENTS)["spec"]["replicas"] == 2)


def test_an_autoscaler_takes_over_from_the_number_that_there_was(work: Workspace) -> None:
    work.create(make_function(deployment={"spec": {"replicas": 3}}))
    work.wait(lambda: work.get(DEPLOYMENTS)["spec"]["replicas"] == 3)
    seen = set()

    def handed_over() -> bool:
        deployment = work.get(DEPLOYMENTS)
        seen.add(deployment["spec"]["replicas"])
        managers = {entry["manager"] for entry in deployment["metadata"]["managedFields"]}
        return "kubeless-controller-handover" in managers and bool(work.list(HORIZONTAL_POD_AUTOSCALERS))

    work.patch(FUNCTIONS, {"spec": {"horizontalPodAutoscaler": AUTOSCALER}})
    work.wait(handed_over)
    assert seen == {3}


@pytest.mark.parametrize("of", [CONFIG_MAPS, SERVICES, DEPLOYMENTS], ids=lambda of: of.kind)
def test_an_object_of_the_name_that_is_not_ours_is_left_alone(work: Workspace, of: object) -> None:
    labels = {"app": "mine"}
    foreign = {
        CONFIG_MAPS: {"data": {"a": "b"}},
        SERVICES: {"spec": {"ports": [{"port": 99}]}},
        DEPLOYMENTS: {
            "spec": {
                "replicas": 0,
                "selector": {"matchLabels": labels},
                "template": {
                    "metadata": {"labels": labels},
                    "spec": {"containers": [{"name": "c", "image": "registry.k8s.io/pause"}]},
                },
            }
        },
    }
    before = work.create({"apiVersion": of.api_version, "kind": of.kind, "metadata": {"name": "hello"}, **foreign[of]})  # type: ignore[attr-defined,index]
    work.create(make_function())
    message = work.wait_reason("NameConflict")["message"]
    assert f"{of.kind} hello" in message  # type: ignore[attr-defined]
    live = work.get(of)  # type: ignore[arg-type]
    assert live.get("spec") == before.get("spec") and live.get("data") == before.get("data")
    assert "ownerReferences" not in live["metadata"]
    # Nothing else was made before it was known that all of it can be.
    assert [
        obj["metadata"]["name"] for other in (CONFIG_MAPS, SERVICES, DEPLOYMENTS) for obj in work.list(other)
    ].count("hello") == 1
    work.delete(of)  # type: ignore[arg-type]
    work.wait_reason("ScaledToZero", seconds=60)


def test_a_deployment_that_kubeless_made_is_taken_over(work: Workspace) -> None:
    """Its pods were selected by all the labels of the Function, and a selector cannot be changed."""
    labels = {"created-by": "kubeless", "function": "hello", "team": "a"}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "hello", "image": "kubeless/python"}]}}
    made = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "hello", "labels": labels},
        "spec": {"replicas": 0, "selector": {"matchLabels": labels}, "template": template},
    }
    uid = work.create(made)["metadata"]["uid"]
    work.create(make_function())
    work.wait_reason("ScaledToZero")
    taken = work.get(DEPLOYMENTS)
    assert taken["metadata"]["uid"] == uid and taken["metadata"]["ownerReferences"]
    assert "kubeless-python" in taken["spec"]["template"]["spec"]["containers"][0]["image"]


def test_a_function_that_is_made_again_at_once_gets_objects_of_its_own(work: Workspace) -> None:
    work.create(make_function())
    work.wait_reason("ScaledToZero")
    uid = work.get(DEPLOYMENTS)["metadata"]["uid"]
    work.delete(FUNCTIONS)
    again = work.create(make_function())
    work.wait(lambda: work.get(DEPLOYMENTS)["metadata"]["uid"] != uid)
    work.wait_reason("ScaledToZero")
    owners = work.get(DEPLOYMENTS)["metadata"]["ownerReferences"]
    assert [owner["uid"] for owner in owners] == [again["metadata"]["uid"]]


def test_nothing_is_left_of_a_deleted_function(work: Workspace) -> None:
    work.create(make_function(horizontalPodAutoscaler=AUTOSCALER))
    work.wait(lambda: work.get(HORIZONTAL_POD_AUTOSCALERS))
    work.delete(FUNCTIONS)
    work.wait(lambda: {key for key in work.versions() if key[1].startswith("hello")} == set())


def test_a_service_that_is_refused_leaves_the_version_before_whole(work: Workspace) -> None:
    work.create(make_function())
    work.wait_reason("ScaledToZero")
    before = work.get(DEPLOYMENTS)["metadata"]["generation"]
    ports = [{"name": "no name of a port!", "port": 80}]
    work.patch(FUNCTIONS, {"spec": {"service": {"ports": ports}, "timeout": "3"}})
    message = work.wait_reason("Refused")["message"]
    assert "spec.service" in message and "spec.ports[0].name" in message
    assert work.get(DEPLOYMENTS)["metadata"]["generation"] == before


def test_a_field_that_does_not_exist_is_named(work: Workspace) -> None:
    work.create(make_function(deployment={"spec": {"template": {"spec": {"containerz": []}}}}))
    message = work.wait_reason("InvalidSpec")["message"]
    assert "spec.deployment.spec.template.spec.containerz" in message


def test_a_quota_on_objects_is_named(work: Workspace) -> None:
    quota = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "few"},
        "spec": {"hard": {"services": "0"}},
    }
    work._checked(
        work.session.post(
            f"{work.cluster.url}/api/v1/namespaces/{work.namespace}/resourcequotas", json=quota, timeout=10
        )
    )
    work.create(make_function())
    assert "few" in work.wait_reason("QuotaExceeded")["message"]


def test_the_message_is_an_event_that_is_written_once(work: Workspace, controller: Controller) -> None:
    work.create(make_function(runtime="cobol85"))
    message = work.wait_reason("UnknownRuntime")["message"]

    def events() -> list[dict[str, object]]:
        url = f"{work.cluster.url}/api/v1/namespaces/{work.namespace}/events"
        return [
            event
            for event in work.session.get(url, timeout=10).json()["items"]
            if event["involvedObject"]["kind"] == "Function"
        ]

    (event,) = work.wait(events)
    assert (event["type"], event["reason"], event["message"]) == ("Warning", "UnknownRuntime", message)
    work.patch(FUNCTIONS, {"metadata": {"annotations": {"a": "b"}}})
    controllers.wait_quiet(controller, int(controller.metrics()["kubeless_controller_functions"]))
    assert [event["count"] for event in events()] == [1]


def test_an_old_runtime_is_replaced_and_that_is_said(work: Workspace) -> None:
    work.create(make_function(runtime="python3.7"))
    work.wait_reason("ScaledToZero")
    assert "python3.11 serves the function" in work.condition("RuntimeReplaced")["message"]
    assert work.get(FUNCTIONS)["status"]["runtime"] == "python3.11"


def test_nothing_is_provisioned_into_a_prebuilt_image(work: Workspace) -> None:
    image = {"spec": {"replicas": 0, "template": {"spec": {"containers": [{"image": "me/mine:1"}]}}}}
    work.create(make_function(runtime="cobol85", deployment=image))
    work.wait_reason("ScaledToZero")
    pod = work.get(DEPLOYMENTS)["spec"]["template"]["spec"]
    assert pod["containers"][0]["image"] == "me/mine:1"
    assert "initContainers" not in pod
    assert {obj["metadata"]["name"] for obj in work.list(CONFIG_MAPS)} == {"hello", "kube-root-ca.crt"}
