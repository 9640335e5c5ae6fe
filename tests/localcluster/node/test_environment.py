"""Variables of containers."""

import base64

import pytest

from localcluster.node.environment import ConfigError, References, container_variables, expand, service_variables

POD = {
    "metadata": {"name": "p", "namespace": "ns", "uid": "u", "labels": {"a": 'x"y', "b": "2"}},
    "spec": {"nodeName": "n", "serviceAccountName": "sa", "containers": []},
}
REFERENCES = References(
    "ns",
    {"cm": {"data": {"k": "v", "other": "$(K)"}}, "gone": None},
    {"s": {"data": {"pw": base64.b64encode(b"geheim").decode()}}, "none": None},
)


def variables(container: dict) -> dict[str, str]:
    return container_variables(
        container, POD, REFERENCES, {"SVC": "1"}, pod_ip="127.9.0.1", host_ip="127.0.0.1", allocatable={"cpu": "4"}
    )


@pytest.mark.parametrize(
    ("text", "expanded"),
    [
        ("$(A)", "1"),
        ("$(B)", "$(B)"),
        ("$$(A)", "$(A)"),
        ("$$$(A)", "$1"),
        ("$A $(A", "$A $(A"),
        ("a$", "a$"),
    ],
)
def test_expansion(text: str, expanded: str) -> None:
    assert expand(text, {"A": "1"}) == expanded


def test_later_variables_see_earlier_ones_and_those_of_services() -> None:
    env = variables({"env": [{"name": "A", "value": "x$(SVC)"}, {"name": "B", "value": "$(A)$(C)"}, {"name": "C"}]})
    assert env == {"SVC": "1", "A": "x1", "B": "x1$(C)", "C": ""}


def test_values_from_fields_resources_and_objects() -> None:
    def source(name: str, **value: object) -> dict:
        return {"name": name, "valueFrom": value}

    container = {
        "resources": {"limits": {"memory": "100Mi"}, "requests": {"cpu": "250m"}},
        "envFrom": [
            {"configMapRef": {"name": "cm"}, "prefix": "P_"},
            {"secretRef": {"name": "none", "optional": True}},
        ],
        "env": [
            source("IP", fieldRef={"fieldPath": "status.podIP"}),
            source("LABEL", fieldRef={"fieldPath": "metadata.labels['b']"}),
            source("MEM", resourceFieldRef={"resource": "limits.memory", "divisor": "1Mi"}),
            source("CPU", resourceFieldRef={"resource": "requests.cpu", "divisor": "1m"}),
            source("ALL", resourceFieldRef={"resource": "limits.cpu"}),
            source("KEY", configMapKeyRef={"name": "cm", "key": "k"}),
            source("PW", secretKeyRef={"name": "s", "key": "pw"}),
            source("NOT", secretKeyRef={"name": "s", "key": "nope", "optional": True}),
        ],
    }
    assert variables(container) == {
        "SVC": "1", "P_k": "v", "P_other": "$(K)", "IP": "127.9.0.1", "LABEL": "2", "MEM": "100", "CPU": "250",
        "ALL": "4", "KEY": "v", "PW": "geheim",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ({"configMapKeyRef": {"name": "gone", "key": "k"}}, 'configmap "gone" not found'),
        ({"configMapKeyRef": {"name": "cm", "key": "x"}}, "couldn't find key x in ConfigMap ns/cm"),
        ({"secretKeyRef": {"name": "none", "key": "k"}}, 'secret "none" not found'),
        ({"secretKeyRef": {"name": "s", "key": "x"}}, "couldn't find key x in Secret ns/s"),
    ],
)
def test_what_is_missing_is_worded_as_by_a_kubelet(source: dict, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        variables({"env": [{"name": "A", "valueFrom": source}]})
    assert str(caught.value) == message


def test_service_variables() -> None:
    service = {
        "metadata": {"name": "my-db"},
        "spec": {"clusterIP": "127.9.1.1", "ports": [{"port": 80, "name": "web-a"}, {"port": 53, "protocol": "UDP"}]},
    }
    headless = {"metadata": {"name": "h"}, "spec": {"clusterIP": "None", "ports": [{"port": 1}]}}
    assert service_variables([service, headless]) == {
        "MY_DB_SERVICE_HOST": "127.9.1.1",
        "MY_DB_SERVICE_PORT": "80",
        "MY_DB_SERVICE_PORT_WEB_A": "80",
        "MY_DB_PORT": "tcp://127.9.1.1:80",
        "MY_DB_PORT_80_TCP": "tcp://127.9.1.1:80",
        "MY_DB_PORT_80_TCP_PROTO": "tcp",
        "MY_DB_PORT_80_TCP_PORT": "80",
        "MY_DB_PORT_80_TCP_ADDR": "127.9.1.1",
        "MY_DB_PORT_53_UDP": "udp://127.9.1.1:53",
        "MY_DB_PORT_53_UDP_PROTO": "udp",
        "MY_DB_PORT_53_UDP_PORT": "53",
        "MY_DB_PORT_53_UDP_ADDR": "127.9.1.1",
    }
