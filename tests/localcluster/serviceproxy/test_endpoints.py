"""Which endpoints a Service port leads to, and in which order."""

from localcluster.serviceproxy.balancer import Balancer
from localcluster.serviceproxy.endpoints import Endpoint, Listen, Target, endpoints, listens


def piece(*entries: dict, name: str = "web", port: int = 80) -> dict:
    return {"ports": [{"name": name, "port": port, "protocol": "TCP"}], "endpoints": list(entries)}


def entry(address: str, **conditions: bool) -> dict:
    return {"addresses": [address], "conditions": conditions}


def test_ready_endpoints_of_the_port() -> None:
    slices = [
        piece(entry("127.9.0.2", ready=True), entry("127.9.0.3", ready=False)),
        piece(entry("127.9.0.4", ready=True), name="other"),
        piece(entry("127.9.0.5")),
    ]
    assert endpoints(slices, "web", "TCP") == [Endpoint("127.9.0.2", 80), Endpoint("127.9.0.5", 80)]
    assert endpoints(slices, "web", "UDP") == []
    assert endpoints([{"ports": None, "endpoints": None}], "web", "TCP") == []


def test_terminating_ones_serve_only_while_there_is_no_ready_one() -> None:
    going = entry("127.9.0.2", ready=False, serving=True, terminating=True)
    assert endpoints([piece(going)], "web", "TCP") == [Endpoint("127.9.0.2", 80)]
    assert endpoints([piece(going, entry("127.9.0.3", ready=True))], "web", "TCP") == [Endpoint("127.9.0.3", 80)]


def test_an_address_that_leaves_counts_as_terminating() -> None:
    slices = [piece(entry("127.9.0.2", ready=True), entry("127.9.0.3", ready=True))]
    assert endpoints(slices, "web", "TCP", {"127.9.0.2"}) == [Endpoint("127.9.0.3", 80)]
    assert len(endpoints(slices, "web", "TCP", {"127.9.0.2", "127.9.0.3"})) == 2


def service(**spec: object) -> dict:
    return {"metadata": {"namespace": "ns", "name": "s"}, "spec": {"ports": [{"port": 80, "name": "web"}], **spec}}


def test_where_services_listen() -> None:
    target = Target("ns", "s", "web", 0)
    assert listens(service(clusterIP="127.9.1.1"), "127.9.0.1") == [(Listen("TCP", "127.9.1.1", 80), target)]
    ports = [{"port": 80, "name": "web", "nodePort": 30080}]
    found = listens(service(clusterIP="127.9.1.1", ports=ports, type="NodePort"), "127.9.0.1")
    assert [where for where, _ in found] == [Listen("TCP", "127.9.1.1", 80), Listen("TCP", "127.9.0.1", 30080)]
    for other in ({"clusterIP": "None"}, {"clusterIP": "10.0.0.1"}, {"type": "ExternalName"}):
        assert listens(service(**other), "127.9.0.1") == []
    sticky = listens(service(clusterIP="127.9.1.1", sessionAffinity="ClientIP"), "127.9.0.1")
    assert sticky[0][1].affinity_seconds == 10800


A, B = Endpoint("127.9.0.2", 80), Endpoint("127.9.0.3", 80)


def test_round_robin_with_the_others_as_a_fallback() -> None:
    balancer = Balancer()
    balancer.endpoints = [A, B]
    assert [next(balancer.choose("x")) for _ in range(4)] == [A, B, A, B]
    assert list(balancer.choose("x")) == [A, B]
    balancer.endpoints = []
    assert list(balancer.choose("x")) == []


def test_affinity_keeps_a_client_where_it_is() -> None:
    balancer = Balancer(affinity_seconds=60)
    balancer.endpoints = [A, B]
    first = next(balancer.choose("x"))
    balancer.connected("x", first)
    assert {next(balancer.choose("x")) for _ in range(3)} == {first}
    assert next(balancer.choose("y")) != first
    balancer.endpoints = [e for e in (A, B) if e != first]
    assert next(balancer.choose("x")) != first
