"""Ingresses, IngressClasses, NetworkPolicies and EndpointSlices."""

from typing import Any

import pytest

from tests.localcluster.apiserver.kinds.written import CONTEXT, Written

INGRESS = Written("networking.k8s.io", "Ingress")
CLASS = Written("networking.k8s.io", "IngressClass")
POLICY = Written("networking.k8s.io", "NetworkPolicy")
SLICE = Written("discovery.k8s.io", "EndpointSlice")
SERVICE = {"service": {"name": "s", "port": {"number": 80}}}


def ingress(path: dict[str, Any], host: str = "h.example") -> dict[str, Any]:
    rule = {"host": host, "http": {"paths": [{"pathType": "Prefix", "path": "/", "backend": SERVICE, **path}]}}
    return {"spec": {"rules": [rule]}}


@pytest.mark.parametrize(
    ("path", "errors"),
    [
        ({}, []),
        ({"path": ""}, ['path: Invalid value: "": must be an absolute path']),
        ({"path": "/a/../b"}, ["path: Invalid value: \"/a/../b\": must not contain '/../'"]),
        ({"path": "/a/.."}, ["path: Invalid value: \"/a/..\": cannot end with '/..'"]),
        ({"pathType": "ImplementationSpecific", "path": ""}, []),
        (
            {"pathType": "X"},
            ['pathType: Unsupported value: "X": supported values: "Exact", "ImplementationSpecific", "Prefix"'],
        ),
        (
            {"backend": {"service": {"name": "s"}}},
            ["backend: Required value: port name or number is required"],
        ),
        (
            {"backend": {"resource": {"kind": "K"}}},
            ["backend.resource.name: Required value"],
        ),
    ],
)
def test_paths_of_ingresses(path: dict[str, Any], errors: list[str]) -> None:
    assert INGRESS.create_errors(ingress(path)) == [f"spec.rules[0].http.paths[0].{e}" for e in errors]


def test_an_ingress_needs_something() -> None:
    assert INGRESS.create_errors({}) == [
        "spec: Invalid value: null: either `defaultBackend` or `rules` must be specified"
    ]


def test_wildcard_hosts() -> None:
    assert INGRESS.create_errors(ingress({}, "*.example.com")) == []
    assert "a wildcard DNS-1123 subdomain must start with '*.'" in INGRESS.create_errors(ingress({}, "a.*.com"))[0]


def test_the_two_ways_to_name_a_class_must_agree() -> None:
    obj = ingress({})
    obj["spec"]["ingressClassName"] = "a"
    obj["metadata"] = {"annotations": {"kubernetes.io/ingress.class": "b"}}
    [error] = INGRESS.create_errors(obj)
    assert error.endswith("must match `ingressClassName` when both are specified")
    del obj["spec"]["ingressClassName"]
    assert "is deprecated" in INGRESS.kind.warnings(obj, None)[0]


def test_addresses_of_ingresses() -> None:
    status = {"loadBalancer": {"ingress": [{"ip": "x"}, {"hostname": "10.0.0.1"}]}}
    errors = INGRESS.status_errors(ingress({}), status)
    assert "must be a valid IP address" in errors[0]
    assert errors[1].endswith("must be a DNS name, not an IP address")


def test_the_controller_of_a_class_is_fixed() -> None:
    spec = {"controller": "example.com/c"}
    assert CLASS.create_errors({"spec": spec}) == []
    assert CLASS.update_errors({"spec": spec}, {"spec": {"controller": "example.com/d"}}) == [
        'spec.controller: Invalid value: "example.com/d": field is immutable'
    ]
    assert CLASS.create_errors({}) == ["spec.controller: Required value"]


def test_policy_types_follow_from_the_rules() -> None:
    assert POLICY.created({"spec": {"egress": [{}]}})["spec"]["policyTypes"] == ["Ingress", "Egress"]
    created = POLICY.created({"spec": {"ingress": [{"ports": [{"port": 80}]}]}})
    assert created["spec"]["ingress"][0]["ports"] == [{"port": 80, "protocol": "TCP"}]


@pytest.mark.parametrize(
    ("rule", "error"),
    [
        ({"from": [{}]}, "from[0]: Required value: must specify a peer"),
        (
            {"from": [{"ipBlock": {"cidr": "10.0.0.0/8"}, "podSelector": {}}]},
            "from[0]: Forbidden: may not specify both ipBlock and another peer",
        ),
        (
            {"from": [{"ipBlock": {"cidr": "10.0.0.0/8", "except": ["11.0.0.0/16"]}}]},
            'from[0].ipBlock.except[0]: Invalid value: "11.0.0.0/16": must be a strict subset of `cidr`',
        ),
        (
            {"ports": [{"port": 80, "endPort": 79}]},
            "ports[0].endPort: Invalid value: 79: must be greater than or equal to `port`",
        ),
        (
            {"ports": [{"port": "web", "endPort": 79}]},
            "ports[0].endPort: Invalid value: 79: may not be specified when `port` is non-numeric",
        ),
    ],
)
def test_rules_of_policies(rule: dict[str, Any], error: str) -> None:
    assert POLICY.create_errors({"spec": {"ingress": [rule]}}) == [f"spec.ingress[0].{error}"]


def slice_of(*addresses: str, type: str = "IPv4") -> dict[str, Any]:
    return {"addressType": type, "endpoints": [{"addresses": [address]} for address in addresses]}


def test_pods_of_this_cluster_have_loopback_addresses() -> None:
    assert CONTEXT.pod_cidr == "127.65.0.0/17"
    assert SLICE.create_errors(slice_of("127.65.3.4", "10.0.0.1")) == []
    [error] = SLICE.create_errors(slice_of("127.65.128.1"))
    assert error.endswith("may not be in the loopback range (127.0.0.0/8, ::1/128)")


@pytest.mark.parametrize(
    ("address", "type", "why"),
    [
        ("0.0.0.0", "IPv4", "may not be unspecified (0.0.0.0 or ::)"),
        ("169.254.1.1", "IPv4", "may not be in the link-local range (169.254.0.0/16, fe80::/10)"),
        ("224.0.0.5", "IPv4", "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)"),
        ("fd00::1", "IPv4", "must be an IPv4 address"),
        ("::1", "IPv6", "may not be in the loopback range (127.0.0.0/8, ::1/128)"),
        ("host", "FQDN", "should be a domain with at least two segments separated by dots"),
    ],
)
def test_addresses_that_no_endpoint_has(address: str, type: str, why: str) -> None:
    [error] = SLICE.create_errors(slice_of(address, type=type))
    assert error == f'endpoints[0].addresses[0]: Invalid value: "{address}": {why}'


def test_slices_are_filled_in() -> None:
    created = SLICE.created(slice_of("10.0.0.1") | {"ports": [{"port": 80}]})
    assert created["endpoints"] == [{"addresses": ["10.0.0.1"], "conditions": {}}]
    assert created["ports"] == [{"name": "", "port": 80, "protocol": "TCP"}]
    assert SLICE.created({"addressType": "IPv4", "endpoints": [], "ports": []})["endpoints"] is None


def test_the_address_type_is_fixed() -> None:
    assert SLICE.update_errors(slice_of(), slice_of(type="IPv6")) == [
        'addressType: Invalid value: "IPv6": field is immutable'
    ]


def test_port_names_are_unique() -> None:
    obj = slice_of() | {"ports": [{"name": "a", "port": 1}, {"name": "a", "port": 2}]}
    assert SLICE.create_errors(obj) == ['ports[1].name: Duplicate value: "a"']
