"""Services: defaults, allocation, changes of type, errors."""

import copy
from typing import Any

import pytest

from localcluster.apiserver.errors import APIError
from localcluster.apiserver.kinds import behaviour
from localcluster.apiserver.kinds.base import Context, User
from tests.localcluster.apiserver.kinds.error_tables import rows

SERVICE = behaviour("", "v1", "Service")


class Services:
    def __init__(self) -> None:
        self.objects: list[dict[str, Any]] = []

    def get(self, storage: str, namespace: str, name: str) -> None:
        return None

    def list(self, storage: str, namespace: str | None = None) -> list[dict[str, Any]]:
        assert storage == "/services"
        return self.objects


@pytest.fixture
def context() -> Context:
    return Context(User("u"), Services(), "2026-01-01T00:00:00Z", service_cidr="10.0.0.0/28", node_ports=(30000, 30003))


def create(context: Context, **spec: Any) -> dict[str, Any]:
    services = context.store.list("/services")
    assert isinstance(services, list)
    new = {"metadata": {"name": "s", "namespace": "n", "uid": f"u{len(services)}"}, "spec": copy.deepcopy(spec)}
    SERVICE.default(new)
    SERVICE.prepare_create(new, context)
    services.append(new)
    return new


def update(context: Context, old: dict[str, Any], **spec: Any) -> dict[str, Any]:
    new = {"metadata": dict(old["metadata"]), "spec": spec}
    SERVICE.default(new)
    SERVICE.prepare_update(new, old, context)
    return new


def errors(context: Context, **spec: Any) -> list[str]:
    return [str(error) for error in SERVICE.validate_create(create(context, **spec), context)]


PORTS = [{"port": 80}]


def test_addresses_are_given_once_and_end(context: Context) -> None:
    given = {create(context, ports=PORTS)["spec"]["clusterIP"] for _ in range(14)}
    assert given == {f"10.0.0.{i}" for i in range(1, 15)}
    with pytest.raises(APIError, match="range is full"):
        create(context, ports=PORTS)


def test_an_address_of_ones_own(context: Context) -> None:
    assert create(context, clusterIP="10.0.0.1", ports=PORTS)["spec"]["clusterIPs"] == ["10.0.0.1"]
    with pytest.raises(APIError, match="provided IP is already allocated"):
        create(context, clusterIP="10.0.0.1", ports=PORTS)
    with pytest.raises(APIError, match="the provided network does not match the current range"):
        create(context, clusterIP="10.9.9.9", ports=PORTS)


def test_node_ports(context: Context) -> None:
    spec = create(
        context, type="NodePort", ports=[{"port": 53, "name": "a"}, {"port": 53, "name": "b", "protocol": "UDP"}]
    )["spec"]
    first, second = (port["nodePort"] for port in spec["ports"])
    assert first == second
    assert 30000 <= first <= 30003
    with pytest.raises(APIError, match="provided port is already allocated"):
        create(context, type="NodePort", ports=[{"port": 80, "nodePort": first}])
    for _ in range(3):
        create(context, type="NodePort", ports=PORTS)
    with pytest.raises(APIError, match="range is full"):
        create(context, type="NodePort", ports=PORTS)


def test_a_balancer_without_node_ports(context: Context) -> None:
    spec = create(context, type="LoadBalancer", allocateLoadBalancerNodePorts=False, ports=PORTS)["spec"]
    assert "nodePort" not in spec["ports"][0]


def test_families(context: Context) -> None:
    assert create(context, clusterIP="None")["spec"]["ipFamilies"] == ["IPv4", "IPv6"]
    headless = create(context, clusterIP="None", selector={"a": "b"})["spec"]
    assert (headless["ipFamilies"], headless["ipFamilyPolicy"]) == (["IPv4"], "SingleStack")
    assert create(context, ipFamilyPolicy="PreferDualStack", ports=PORTS)["spec"]["ipFamilies"] == ["IPv4"]
    with pytest.raises(APIError, match="this cluster is not configured for dual-stack services"):
        create(context, ipFamilyPolicy="RequireDualStack", ports=PORTS)


def test_what_was_given_is_kept(context: Context) -> None:
    old = create(context, type="NodePort", ports=PORTS)
    new = update(context, old, type="NodePort", ports=[{"port": 80, "targetPort": 8080}])
    assert new["spec"]["clusterIP"] == old["spec"]["clusterIP"]
    assert new["spec"]["ports"][0]["nodePort"] == old["spec"]["ports"][0]["nodePort"]
    assert SERVICE.validate_update(new, old, context) == []


def test_changes_of_type(context: Context) -> None:
    old = create(context, type="LoadBalancer", externalTrafficPolicy="Local", ports=PORTS)
    assert old["spec"]["healthCheckNodePort"]
    spec = copy.deepcopy(old["spec"]) | {"type": "ClusterIP"}
    inside = update(context, old, **spec)
    assert not inside["spec"].keys() & {"externalTrafficPolicy", "healthCheckNodePort", "allocateLoadBalancerNodePorts"}
    assert inside["spec"]["ports"] == [{"port": 80, "protocol": "TCP", "targetPort": 80}]
    assert SERVICE.validate_update(inside, old, context) == []
    named = update(
        context, inside, **copy.deepcopy(inside["spec"]) | {"type": "ExternalName", "externalName": "x.example"}
    )
    assert not named["spec"].keys() & {"clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"}
    assert SERVICE.validate_update(named, inside, context) == []
    back = update(context, named, ports=PORTS)
    assert back["spec"]["clusterIP"]


@pytest.mark.parametrize("address", ["None", "10.0.0.9"])
def test_addresses_do_not_change(context: Context, address: str) -> None:
    old = create(context, clusterIP="10.0.0.5", ports=PORTS)
    new = update(context, old, **copy.deepcopy(old["spec"]) | {"clusterIP": address})
    assert f'spec.clusterIPs[0]: Invalid value: ["{address}"]: may not change once set' in [
        str(error) for error in SERVICE.validate_update(new, old, context)
    ]


@pytest.mark.parametrize(("spec", "expected"), rows("services", "errors"))
def test_errors(context: Context, spec: dict[str, Any], expected: list[str]) -> None:
    assert set(expected) <= set(errors(context, **spec))


def test_warnings(context: Context) -> None:
    headless = create(context, clusterIP="None", externalIPs=["10.1.1.1"], sessionAffinity="ClientIP")
    assert SERVICE.warnings(headless, None) == [
        "spec.externalIPs is ignored for headless services",
        "spec.SessionAffinity is ignored for headless services",
    ]
    assert SERVICE.warnings(create(context, ports=PORTS, trafficDistribution="PreferClose"), None) == [
        'spec.trafficDistribution: "PreferClose" is deprecated; use "PreferSameZone"'
    ]


def test_status_of_a_balancer(context: Context) -> None:
    old = create(context, type="LoadBalancer", ports=PORTS)
    new = {
        **copy.deepcopy(old),
        "status": {"loadBalancer": {"ingress": [{"ip": "10.1.1.1"}, {"hostname": "10.1.1.1"}]}},
    }
    SERVICE.prepare_status(new, old, context)
    assert new["status"]["loadBalancer"]["ingress"][0] == {"ip": "10.1.1.1", "ipMode": "VIP"}
    (error,) = SERVICE.validate_status(new, old, context)
    assert str(error).endswith("must be a DNS name, not an IP address")
