"""Bodies in protobuf: what is read from them is what the same object in JSON would have been."""

from __future__ import annotations

import json
import struct
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from localcluster.apiserver import schema
from localcluster.apiserver.builtin_resources import builtin_resources
from localcluster.apiserver.encoding import codec, protobuf, wire_format
from localcluster.apiserver.errors import APIError
from tests.localcluster.clusters import Cluster


def number(value: int) -> bytes:
    value &= 2**64 - 1
    groups = [value & 0x7F]
    while value := value >> 7:
        groups.append(value & 0x7F)
    return bytes([group | 0x80 for group in groups[:-1]] + groups[-1:])


def message(*fields: tuple[int, Any]) -> bytes:
    """Fields by number: integers as varints, floats as doubles, texts and bytes with their length."""
    encoded = b""
    for field, value in fields:
        if isinstance(value, int):
            encoded += number(field << 3) + number(value)
        elif isinstance(value, float):
            encoded += number(field << 3 | 1) + struct.pack("<d", value)
        else:
            data = value.encode() if isinstance(value, str) else value
            encoded += number(field << 3 | 2) + number(len(data)) + data
    return encoded


def body(api_version: str, kind: str, *fields: tuple[int, Any]) -> bytes:
    envelope = message((1, message((1, api_version), (2, kind))), (2, message(*fields)), (3, ""), (4, ""))
    return protobuf.MAGIC + envelope


def read(api_version: str, kind: str, *fields: tuple[int, Any]) -> Any:
    """What the verbs get: decoded, and made what Go's types would be."""
    obj = protobuf.decode(body(api_version, kind, *fields), api_version, kind)
    assert (obj.pop("apiVersion"), obj.pop("kind")) == (api_version, kind)
    group, _, version = api_version.rpartition("/")
    types = schema.builtin(group, version, kind)
    codec.conform(obj, types, api_version, kind, field_validation="Strict", duplicates=[])
    return obj


def entry(key: str, value: Any) -> bytes:
    return message((1, key), (2, value))


NAMED = message((1, "a"), (2, ""), (3, ""), (4, ""), (5, ""), (6, ""), (7, 0), (8, b""))
"""ObjectMeta as Go writes it: everything that is no pointer, even if nobody set it."""


def test_zero_values_that_go_leaves_out_are_left_out() -> None:
    assert read("v1", "ConfigMap", (1, NAMED)) == {"metadata": {"name": "a"}}


def test_zero_values_of_pointers_are_kept() -> None:
    spec = message((1, 0), (2, b""), (3, message((1, NAMED), (2, message((3, ""), (11, 0))))), (7, 0), (9, 0))
    found = read("apps/v1", "Deployment", (1, NAMED), (2, spec))["spec"]
    assert (found["replicas"], found["progressDeadlineSeconds"]) == (0, 0)
    assert "paused" not in found
    assert "hostNetwork" not in found["template"]["spec"]


def test_maps_of_texts_and_of_bytes() -> None:
    data = (2, entry("k", "v")), (2, entry("empty", "")), (2, message((1, "missing"))), (3, entry("b", b"\x00\xff"))
    assert read("v1", "ConfigMap", (1, NAMED), *data) == {
        "metadata": {"name": "a"},
        "data": {"k": "v", "empty": "", "missing": ""},
        "binaryData": {"b": "AP8="},
    }


def test_fields_of_inlined_structs_are_in_the_object_around_them() -> None:
    probe = message((1, message((2, message((1, "/live"), (2, message((1, 1), (2, 0), (3, "http"))))))), (2, 5))
    secret = message((6, message((1, "s"), (3, 0o400))))
    container = message((1, "c"), (10, probe))
    pod = message((1, message((1, "v"), (2, secret))), (2, container))
    found = read("v1", "Pod", (1, NAMED), (2, pod))["spec"]
    assert found["volumes"] == [{"name": "v", "secret": {"secretName": "s", "defaultMode": 0o400}}]
    probed = {"httpGet": {"path": "/live", "port": "http"}, "initialDelaySeconds": 5}
    assert found["containers"][0]["livenessProbe"] == probed


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        (message((1, 0), (2, 8080), (3, "")), 8080),
        (message((1, 0), (2, -1), (3, "")), -1),
        (message((1, 1), (2, 0), (3, "http")), "http"),
        (b"", 0),
    ],
)
def test_int_or_string(sent: bytes, expected: int | str) -> None:
    port = message((1, ""), (2, "TCP"), (3, 80), (4, sent), (5, 0))
    assert read("v1", "Service", (2, message((1, port))))["spec"]["ports"] == [
        {"protocol": "TCP", "port": 80, "targetPort": expected}
    ]


def test_quantities() -> None:
    hard = (1, entry("cpu", message((1, "500m")))), (1, entry("pods", message((1, "0")))), (1, message((1, "none")))
    found = read("v1", "ResourceQuota", (2, message(*hard)))
    assert found["spec"]["hard"] == {"cpu": "500m", "pods": "0", "none": "0"}


def test_times() -> None:
    renewed = message((4, message((1, 1_000_000_000), (2, 123_456_789))), (5, 0))
    found = read("coordination.k8s.io/v1", "Lease", (1, message((1, "a"), (8, message((1, -1))))), (2, renewed))
    assert found["metadata"]["creationTimestamp"] == "1969-12-31T23:59:59Z"
    assert found["spec"]["renewTime"] == "2001-09-09T01:46:40.123456Z"
    assert found["spec"]["leaseTransitions"] == 0


def test_lists_inside_of_maps_are_messages_with_items() -> None:
    extra = (5, entry("scopes", message((1, "x"), (1, "y")))), (5, entry("none", b""))
    found = read("authorization.k8s.io/v1", "SubjectAccessReview", (2, message((3, "u"), *extra)))
    assert found["spec"]["extra"] == {"scopes": ["x", "y"], "none": []}


@pytest.mark.parametrize("groups", [[(4, 1), (4, -2)], [(4, number(1) + number(-2))]], ids=["each", "packed"])
def test_repeated_numbers(groups: list[tuple[int, Any]]) -> None:
    found = read("v1", "Pod", (2, message((14, message(*groups)))))
    assert found["spec"]["securityContext"]["supplementalGroups"] == [1, -2]


def test_raw_json() -> None:
    owned = message((1, "m"), (7, message((1, b'{"f:data":{}}'))))
    revision = read(
        "apps/v1", "ControllerRevision", (1, message((1, "a"), (17, owned))), (2, message((1, b"[1]"))), (3, 7)
    )
    assert revision["data"] == [1]
    assert revision["metadata"]["managedFields"] == [{"manager": "m", "fieldsV1": {"f:data": {}}}]
    assert revision["revision"] == 7


def test_definitions_of_custom_resources() -> None:
    text = message((5, "string"), (7, ""))
    properties = (
        (29, entry("tags", message((5, "array"), (24, message((1, text)))))),
        (29, entry("labels", message((5, "object"), (30, message((1, 0), (2, text)))))),
        (29, entry("share", message((5, "number"), (9, 0.5), (11, 2.0), (8, message((1, b'"x"')))))),
        (30, message((1, 1))),
    )
    version = message((1, "v1"), (2, 1), (3, 1), (4, message((1, message((5, "object"), *properties)))))
    found = read("apiextensions.k8s.io/v1", "CustomResourceDefinition", (2, message((1, "example.com"), (7, version))))
    assert found["spec"]["versions"][0]["schema"]["openAPIV3Schema"] == {
        "type": "object",
        "properties": {
            "tags": {"type": "array", "items": {"type": "string"}},
            "labels": {"type": "object", "additionalProperties": {"type": "string"}},
            "share": {"type": "number", "maximum": 0.5, "minimum": 2, "default": "x"},
        },
        "additionalProperties": True,
    }


def test_fields_of_later_releases_are_skipped() -> None:
    group = number(99 << 3 | 3) + message((1, "inside")) + number(99 << 3 | 4)
    fixed = number(98 << 3 | 5) + b"1234"
    later = protobuf.MAGIC + message(
        (1, message((1, "v1"), (2, "Namespace"))), (2, message((1, NAMED)) + group + fixed)
    )
    assert protobuf.decode(later, "v1", "Namespace")["metadata"]["name"] == "a"


def test_delete_options_of_any_group() -> None:
    found = protobuf.decode(body("apps/v1", "DeleteOptions", (1, 0), (4, "Foreground")), "v1", "DeleteOptions")
    assert found["gracePeriodSeconds"] == 0
    assert found["propagationPolicy"] == "Foreground"


def test_the_path_says_what_the_body_does_not() -> None:
    untold = protobuf.MAGIC + message((2, message((1, NAMED))))
    assert protobuf.decode(untold, "v1", "Namespace")["kind"] == "Namespace"


REFUSED = 'Pod in version "v1" cannot be handled as a Namespace: '
UNRECOGNIZED = "the object provided is unrecognized (must be of type Namespace): "


@pytest.mark.parametrize(
    ("sent", "problem"),
    [
        (b"", UNRECOGNIZED + "empty data (<empty>)"),
        (protobuf.MAGIC, UNRECOGNIZED + "empty body (6b387300)"),
        (
            b"{}",
            UNRECOGNIZED
            + "provided data does not appear to be a protobuf message, expected prefix [107 56 115 0] ({})",
        ),
        (protobuf.MAGIC + b"\x0a\x05", UNRECOGNIZED + "unexpected EOF (6b3873000a05)"),
        (body("v1", "Pod", (1, b"\x0a\x05")), REFUSED + "unexpected EOF"),
        (body("v1", "Pod", (1, b"\xff" * 10)), REFUSED + "proto: integer overflow"),
        (body("v1", "Pod", (1, 5)), REFUSED + "proto: wrong wireType = 0 for field Metadata"),
        (body("v1", "Pod", (1, b"\x00")), REFUSED + "proto: ObjectMeta: illegal tag 0 (wire type 0)"),
        (body("v1", "Pod", (1, b"\x0c")), REFUSED + "proto: ObjectMeta: wiretype end group for non-group"),
        (
            body("v1", "Cloud"),
            'Cloud in version "v1" cannot be handled as a Namespace: no kind "Cloud" is registered for version "v1" '
            'in scheme "pkg/api/legacyscheme/scheme.go:30"',
        ),
    ],
)
def test_what_is_refused(sent: bytes, problem: str) -> None:
    with pytest.raises(APIError) as caught:
        protobuf.decode(sent, "v1", "Namespace")
    assert (caught.value.code, caught.value.message) == (400, problem)


def test_any_cut_is_an_error_or_an_object() -> None:
    whole = body("v1", "ConfigMap", (1, NAMED), (2, entry("k", "v")), (3, entry("b", b"\x00")))
    for end in range(len(whole)):
        try:
            assert isinstance(protobuf.decode(whole[:end], "v1", "ConfigMap"), dict)
        except APIError as error:
            assert error.code == 400


def test_signed_numbers() -> None:
    assert wire_format.signed(2**64 - 1) == -1
    assert wire_format.signed(2**64 - 5, 32) == -5
    assert wire_format.signed(2**31 - 1, 32) == 2**31 - 1


# ---- the table of field numbers


def served() -> Iterator[schema.Schema]:
    """Every definition with fields that an object of a served kind can contain."""
    extra = ("autoscaling", "Scale"), ("authentication.k8s.io", "TokenRequest"), ("policy", "Eviction"), ("", "Binding")
    kinds = [(r.group, r.version, r.kind) for r in builtin_resources()] + [(g, "v1", kind) for g, kind in extra]
    waiting: list[schema.Schema | None] = [schema.builtin(*kind) for kind in kinds]
    waiting.append(schema.builtin("", "v1", "DeleteOptions"))
    seen = set()
    while waiting:
        found = waiting.pop()
        while found is not None and not found.name:
            found = found.items or found.values
        if found is None or found.name in seen or not found.property_names:
            continue
        seen.add(found.name)
        yield found
        waiting += [found.field(name) for name in found.property_names]


def names(numbers: dict[str, Any]) -> Iterator[str]:
    for named in numbers.values():
        yield from [named] if isinstance(named, str) else names(named)


def test_every_field_of_a_served_kind_has_one_number() -> None:
    table = protobuf._numbers()
    for found in served():
        told = set(found.property_names)
        if found.raw.get("x-kubernetes-group-version-kind"):
            told -= {"apiVersion", "kind"}
        assert sorted(names(table[found.name])) == sorted(told), found.name


# ---- the real client


CREATED = [
    "namespace N",
    "configmap N --from-literal=a=b",
    "secret generic N --from-literal=a=b",
    "deployment N --image=x --port=80 --replicas=0",
    "service nodeport N --tcp=80:http",
    "job N --image=x",
    "cronjob N --image=x --schedule=@daily",
    "role N --verb=get,list --resource=pods,deployments.apps",
    "rolebinding N --clusterrole=view --serviceaccount=default:default",
    "clusterrole N --verb=get --non-resource-url=/x",
    "clusterrolebinding N --clusterrole=view --user=u",
    "quota N --hard=cpu=1,memory=1.5Gi --scopes=NotBestEffort",
    "poddisruptionbudget N --selector=a=b --min-available=50%",
    "priorityclass N --value=-5 --preemption-policy=Never",
    "ingress N --rule=a.b/x*=svc:80,tls=t",
    "serviceaccount N",
]


@pytest.mark.parametrize("command", CREATED, ids=[command.split()[0] for command in CREATED])
def test_kubectl_create_means_the_same_in_both_encodings(control_plane: Cluster, command: str) -> None:
    found = []
    for encoding in ("protobuf", "json"):
        name = f"pb-{uuid.uuid4().hex[:8]}"
        arguments = ["create", *command.replace("N", name, 1).split(), "--dry-run=server", "-o", "json"]
        if encoding == "json":
            arguments[-3] = "--dry-run=client"
            text = control_plane.kubectl(*arguments).stdout
            arguments = ["create", "--dry-run=server", "-o", "json", "-f", "-"]
            done = control_plane.kubectl(*arguments, input=text)
        else:
            done = control_plane.kubectl(*arguments)
        found.append(_comparable(json.loads(done.stdout.replace(name, "NAME"))))
    assert found[0] == found[1]


def _comparable(value: Any) -> Any:
    """Without what differs between any two objects, and without the nulls that kubectl prints for its own types."""
    drawn = ("uid", "controller-uid", "batch.kubernetes.io/controller-uid", "clusterIP", "clusterIPs", "nodePort")
    if isinstance(value, dict):
        gone = {*drawn, "creationTimestamp", "resourceVersion"}
        return {key: _comparable(item) for key, item in value.items() if item is not None and key not in gone}
    return [_comparable(item) for item in value] if isinstance(value, list) else value
