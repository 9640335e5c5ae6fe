"""Endpoints and EndpointSlices of Services."""

from __future__ import annotations

from localcluster.controllers import endpoint_addresses, endpoints, endpointslices
from tests.localcluster.controllers.objects import ago, meta, pod

NODES = {"n": {"metadata": {"name": "n", "labels": {"topology.kubernetes.io/zone": "z"}}}}


def service(**spec):
    ports = [{"name": "web", "port": 80, "targetPort": 8080, "protocol": "TCP"}]
    base = {"selector": {"a": "b"}, "ports": ports, "ipFamilies": ["IPv4"], "clusterIP": "127.1.2.3"}
    return {"metadata": meta("s", labels={"x": "1"}), "spec": base | spec}


def backend(name="p", ip="10.0.0.1", **more):
    return pod(name, node="n", status={"podIP": ip, "podIPs": [{"ip": ip}]}, **more)


def only(groups):
    ((_, entries),) = groups.values()
    return entries


def slices_of(a_service, *members):
    return endpointslices.wanted_endpoints(a_service, members, NODES, "IPv4")


def test_an_endpoint_says_where_and_whether_it_is_ready():
    (found,) = only(slices_of(service(), backend()))
    assert found["addresses"] == ["10.0.0.1"]
    assert found["conditions"] == {"ready": True, "serving": True, "terminating": False}
    assert (found["nodeName"], found["zone"], found["targetRef"]["name"]) == ("n", "z", "p")


def test_a_terminating_pod_serves_but_is_not_ready():
    (found,) = only(slices_of(service(), backend(deletionTimestamp=ago(1))))
    assert found["conditions"] == {"ready": False, "serving": True, "terminating": True}
    (found,) = only(slices_of(service(publishNotReadyAddresses=True), backend(ready=False)))
    assert found["conditions"] == {"ready": True, "serving": False, "terminating": False}


def test_pods_without_address_or_node_and_finished_ones_are_left_out():
    nowhere = backend()
    nowhere["spec"]["nodeName"] = "gone"
    assert slices_of(service(), pod(node="n"), backend(phase="Succeeded"), nowhere) == {}
    assert len(only(slices_of(service(publishNotReadyAddresses=True), nowhere))) == 1


def test_named_ports_group_pods():
    named = service(ports=[{"name": "web", "port": 80, "targetPort": "http"}])
    one, other, none = backend("a"), backend("b", "10.0.0.2"), backend("c", "10.0.0.3")
    one["spec"]["containers"][0]["ports"] = [{"name": "http", "containerPort": 1}]
    other["spec"]["containers"][0]["ports"] = [{"name": "http", "containerPort": 2}]
    groups = slices_of(named, one, other, none)
    assert sorted([p["port"] for p in ports] for ports, _ in groups.values()) == [[], [1], [2]]


def test_ports_stand_in_the_order_of_the_real_controller():
    # As recorded from Kubernetes 1.36: slices by the one hash, Endpoints by the other.
    def ports(*numbers):
        return [{"name": name, "port": 1, "targetPort": number} for name, number in numbers]

    found = endpoint_addresses.ports(service(ports=ports(("web", 8080), ("named", 9000))), backend())
    assert [p["name"] for p in found] == ["named", "web"]
    two = service(ports=ports(("admin", 9000), ("http", 8080)))
    found = endpoint_addresses.ports(two, backend(), endpoint_addresses.subset_port_rank)
    assert [p["name"] for p in found] == ["http", "admin"]


def test_host_names_are_of_the_services_own_subdomain():
    member = backend(spec={"hostname": "h", "subdomain": "s"})
    assert only(slices_of(service(), member))[0]["hostname"] == "h"
    stranger = backend(spec={"hostname": "h", "subdomain": "other"})
    assert "hostname" not in only(slices_of(service(), stranger))[0]


def test_a_service_without_endpoints_has_one_empty_slice():
    create, update, delete = endpointslices.plan(service(clusterIP="None"), {}, "IPv4", [], ago(0))
    assert (update, delete) == ([], [])
    (made,) = create
    assert made["endpoints"] == []
    assert made["metadata"]["labels"] == {
        "x": "1",
        endpointslices.MANAGED_BY: endpointslices.MANAGER,
        endpointslices.SERVICE_NAME: "s",
        "service.kubernetes.io/headless": "",
    }


def stored(made, name="s-1"):
    return {**made, "metadata": meta(name, **{k: made["metadata"][k] for k in ("labels", "annotations")})}


def test_nothing_changed_writes_nothing():
    groups = slices_of(service(), backend())
    (made,), _, _ = endpointslices.plan(service(), groups, "IPv4", [], ago(0))
    assert endpointslices.plan(service(), groups, "IPv4", [stored(made)], ago(0)) == ([], [], [])


def test_many_endpoints_are_spread_and_a_change_touches_one_slice():
    members = [backend(f"p{n:03}", f"10.0.1.{n}") for n in range(150)]
    web = service()
    create, _, _ = endpointslices.plan(web, slices_of(web, *members), "IPv4", [], ago(0))
    assert [len(s["endpoints"]) for s in create] == [100, 50]
    present = [stored(s, f"s-{i}") for i, s in enumerate(create)]
    _, update, delete = endpointslices.plan(web, slices_of(web, *members[1:]), "IPv4", present, ago(0))
    assert len(update) == 1
    assert delete == []
    _, update, delete = endpointslices.plan(web, slices_of(web, *members[:100]), "IPv4", present, ago(0))
    assert (len(update), len(delete)) == (0, 1)


def test_other_ports_reuse_the_slice():
    web = service()
    (made,), _, _ = endpointslices.plan(web, slices_of(web, backend()), "IPv4", [], ago(0))
    moved = service(ports=[{"name": "web", "port": 80, "targetPort": 9090}])
    create, update, delete = endpointslices.plan(moved, slices_of(moved, backend()), "IPv4", [stored(made)], ago(0))
    assert (create, delete) == ([], [])
    assert update[0]["ports"][0]["port"] == 9090


def test_subsets_tell_ready_from_not_ready():
    found = endpoints.subsets(
        service(), [backend("b", "10.0.0.2"), backend("a"), backend("c", "10.0.0.3", ready=False)]
    )
    (subset,) = found
    assert [a["ip"] for a in subset["addresses"]] == ["10.0.0.1", "10.0.0.2"]
    assert [a["ip"] for a in subset["notReadyAddresses"]] == ["10.0.0.3"]
    assert subset["ports"] == [{"name": "web", "port": 8080, "protocol": "TCP"}]
    assert endpoints.subsets(service(), [backend(deletionTimestamp=ago(1))]) == []


def test_services_that_get_no_endpoints():
    assert not endpoint_addresses.has_endpoints(service(selector=None))
    assert not endpoint_addresses.has_endpoints(service(type="ExternalName"))
