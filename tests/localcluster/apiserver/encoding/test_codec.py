"""Decoding of bodies and of built-in kinds: recorded words, canonical values, what is left out and what is added."""

from __future__ import annotations

import json
from typing import Any

import pytest

from localcluster.apiserver.encoding import codec, json_text, typed_decoding, yaml_text
from localcluster.apiserver.encoding.go_scalars import canonical_base64, canonical_time
from localcluster.apiserver.errors import APIError
from localcluster.apiserver.schema import builtin

CONFIG_MAP = ("", "v1", "ConfigMap")
DEPLOYMENT = ("apps", "v1", "Deployment")
POD = ("", "v1", "Pod")


def conform(obj: Any, gvk: tuple[str, str, str], mode: str = "Strict", duplicates: tuple[str, ...] = ()) -> list[str]:
    api_version = f"{gvk[0]}/{gvk[1]}" if gvk[0] else gvk[1]
    return codec.conform(
        obj, builtin(*gvk), api_version, gvk[2], field_validation=mode, duplicates=list(duplicates)
    )  # fmt: skip


def refused(obj: Any, gvk: tuple[str, str, str]) -> str:
    with pytest.raises(APIError) as caught:
        conform(obj, gvk)
    assert caught.value.code == 400
    return caught.value.message


def deployment(**spec: Any) -> Any:
    return {"spec": {"selector": {"matchLabels": {"a": "b"}}, "template": {}, **spec}}


@pytest.mark.parametrize(
    ("obj", "gvk", "problem"),
    [
        (
            {"metadata": {"name": "a", "labels": {"k": 1}}},
            CONFIG_MAP,
            "json: cannot unmarshal number into Go struct field ObjectMeta.metadata.labels of type string",
        ),
        (
            {"data": {"k": {"nested": True}}},
            CONFIG_MAP,
            "json: cannot unmarshal object into Go struct field ConfigMap.data of type string",
        ),
        (
            {"data": [1]},
            CONFIG_MAP,
            "json: cannot unmarshal array into Go struct field ConfigMap.data of type map[string]string",
        ),
        (
            deployment(replicas="two"),
            DEPLOYMENT,
            "json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32",
        ),
        (
            {"spec": {"containers": [{"name": "c", "ports": [{"containerPort": 1.5}]}]}},
            POD,
            "json: cannot unmarshal number 1.5 into Go struct field "
            "ContainerPort.spec.containers.ports.containerPort of type int32",
        ),
        (
            {"spec": "x"},
            POD,
            "json: cannot unmarshal string into Go struct field Pod.spec of type v1.PodSpec",
        ),
        ({"data": {"b": "not base64!"}}, ("", "v1", "Secret"), "illegal base64 data at input byte 3"),
        (
            {"spec": {"renewTime": "yesterday"}},
            ("coordination.k8s.io", "v1", "Lease"),
            'parsing time "yesterday" as "2006-01-02T15:04:05.000000Z07:00": cannot parse "yesterday" as "2006"',
        ),
        (
            {"spec": {"containers": [{"resources": {"limits": {"cpu": "abc"}}}]}},
            POD,
            "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'",
        ),
    ],
)
def test_wrong_types_are_worded_as_gos_decoder_does(obj: Any, gvk: tuple[str, str, str], problem: str) -> None:
    assert refused(obj, gvk) == f'{gvk[2]} in version "v1" cannot be handled as a {gvk[2]}: {problem}'


def test_the_converter_of_strategic_patches_has_words_of_its_own() -> None:
    def words(obj: Any) -> str:
        with pytest.raises(ValueError) as caught:
            typed_decoding.decode(obj, builtin(*DEPLOYMENT), unstructured=True)
        return str(caught.value)

    assert words(deployment(replicas="two")) == "unrecognized type: int32"
    containers = {"spec": {"containers": {"name": "c"}}}
    assert words(deployment(template=containers)) == "cannot restore slice from map"


def test_unknown_fields() -> None:
    container = {"name": "c", "imagePolicy": "Never"}

    def obj() -> Any:
        template = {"spec": {"containers": [dict(container)]}}
        return {"metadata": {"lables": {"x": "1"}}, "spec": {"replica": 2, "template": template}}

    unknown = ["metadata.lables", "spec.replica", "spec.template.spec.containers[0].imagePolicy"]
    texts = [f'unknown field "{path}"' for path in unknown]
    assert refused(obj(), DEPLOYMENT).endswith("strict decoding error: " + ", ".join(texts))
    warned = obj()
    assert conform(warned, DEPLOYMENT, "Warn") == texts
    assert warned["metadata"] == {}
    assert "replica" not in warned["spec"]
    assert conform(obj(), DEPLOYMENT, "Ignore") == []


def test_duplicate_fields_of_a_body() -> None:
    body = b'{"data":{"k":"v"},"metadata":{"name":"a"},"data":{"k":"w"}}'
    obj, duplicates = codec.decode(body, "application/json", strict=True)
    assert obj["data"] == {"k": "w"}
    assert duplicates == ['duplicate field "data"']
    assert codec.decode(body, "application/json")[1] == []
    assert conform(obj, CONFIG_MAP, "Warn", tuple(duplicates)) == duplicates


def test_duplicate_keys_of_yaml_name_the_line() -> None:
    body = b"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata:\n  k: v\n  k: w\n"
    obj, duplicates = codec.decode(body, "application/yaml", strict=True)
    assert obj["data"] == {"k": "w"}
    assert duplicates == ['yaml: unmarshal errors:\n  line 6: key "k" already set in map']
    assert conform(dict(obj), CONFIG_MAP, "Warn", tuple(duplicates)) == ['line 6: key "k" already set in map']


def test_values_become_what_go_would_write() -> None:
    pod: Any = {
        "metadata": {"name": "p", "labels": {}, "annotations": {"a": None}, "creationTimestamp": None},
        "spec": {
            "hostNetwork": False,
            "priority": 0,
            "nodeName": "",
            "volumes": [],
            "containers": [
                {
                    "name": "c",
                    "env": [{"name": "A", "value": ""}, None],
                    "resources": {"limits": {"cpu": 0.5, "memory": "1024Mi"}},
                    "securityContext": {"runAsUser": 0, "privileged": False},
                }
            ],
        },
        "status": {"conditions": [{"type": "Ready", "status": "True"}], "startTime": "2026-01-01T01:00:00+01:00"},
    }
    assert conform(pod, POD) == []
    assert pod == {
        "metadata": {"name": "p", "annotations": {"a": ""}},
        "spec": {
            "priority": 0,
            "containers": [
                {
                    "name": "c",
                    "env": [{"name": "A"}, {"name": ""}],
                    "resources": {"limits": {"cpu": "500m", "memory": "1Gi"}},
                    "securityContext": {"runAsUser": 0, "privileged": False},
                }
            ],
        },
        "status": {
            "conditions": [{"type": "Ready", "status": "True", "lastProbeTime": None, "lastTransitionTime": None}],
            "startTime": "2026-01-01T00:00:00Z",
        },
    }


def test_structs_are_written_even_if_nobody_set_them() -> None:
    obj = deployment(template={"spec": {"containers": [{"name": "c"}]}})
    conform(obj, DEPLOYMENT)
    assert obj["metadata"] == obj["status"] == obj["spec"]["strategy"] == {}
    assert obj["spec"]["template"] == {"metadata": {}, "spec": {"containers": [{"name": "c", "resources": {}}]}}
    service: Any = {}
    typed_decoding.complete(service, builtin("", "v1", "Service"))
    assert service["status"] == {"loadBalancer": {}}


def test_reading_twice_changes_nothing() -> None:
    obj = deployment(replicas=0, template={"spec": {"containers": [{"name": "c", "args": []}]}})
    conform(obj, DEPLOYMENT)
    once = json.dumps(obj)
    conform(obj, DEPLOYMENT)
    assert json.dumps(obj) == once


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b'{"metadata": ', 'unexpected end of JSON input ({"metadata": )'),
        (b"", "unexpected end of JSON input (<empty>)"),
        (
            b"[]",
            "json: cannot unmarshal array into Go value of type struct { APIVersion string "
            '"json:\\"apiVersion,omitempty\\""; Kind string "json:\\"kind,omitempty\\"" } (5b5d)',
        ),
        (
            b"{" + b" " * 40 + b"x",
            f"invalid character 'x' looking for beginning of object key string ({{{' ' * 29} ...)",
        ),
    ],
)
def test_malformed_bodies(body: bytes, problem: str) -> None:
    with pytest.raises(APIError) as caught:
        codec.decode(body, "application/json", kind="ConfigMap")
    prefix = (
        "the object provided is unrecognized (must be of type ConfigMap): couldn't get version/kind; json parse error: "
    )
    assert caught.value.message == prefix + problem


def test_null_is_an_empty_object() -> None:
    assert codec.decode(b"null", "application/json") == ({}, [])


@pytest.mark.parametrize(
    ("decode", "body", "message"),
    [
        (codec.decode_json_patch, b"[{", "error decoding patch: unexpected end of JSON input"),
        (
            codec.decode_json_patch,
            b'{"a": 1}',
            "error decoding patch: json: cannot unmarshal object into Go value of type []handlers.jsonPatchOp",
        ),
        (
            codec.decode_merge_patch,
            b"[]",
            "error decoding patch: json: cannot unmarshal array into Go value of type map[string]interface {}",
        ),
        (codec.decode_strategic_patch, b'{"spec":', "unexpected end of JSON input"),
    ],
)
def test_malformed_patches(decode: Any, body: bytes, message: str) -> None:
    with pytest.raises(APIError) as caught:
        decode(body)
    assert (caught.value.code, caught.value.message) == (400, message)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('{"a":1,}', "invalid character '}' looking for beginning of object key string"),
        ('{"a" 1}', "invalid character '1' after object key"),
        ('{"a":1 "b"}', "invalid character '\"' after object key:value pair"),
        ("[1 2]", "invalid character '2' after array element"),
        ("nul", "unexpected end of JSON input"),
        ("nope", "invalid character 'o' in literal null (expecting 'u')"),
        ("01", "invalid character '1' after top-level value"),
        ("1.x", "invalid character 'x' after decimal point in numeric literal"),
        ('"\\x"', "invalid character 'x' in string escape code"),
        ('"a\nb"', "invalid character '\\n' in string literal"),
        ("'a'", "invalid character '\\'' looking for beginning of value"),
        ('{"a": [true, -1.5e+3, "\\u00e4"]}', None),
    ],
)
def test_json_syntax(text: str, problem: str | None) -> None:
    assert json_text.syntax_error(text) == problem


def test_paths_of_duplicates() -> None:
    body = b'{"spec": {"ports": [{"a": 1}, {"a": 1, "a": 2}]}, "spec2": {}}'
    assert json_text.duplicate_fields(body, json.loads(body)) == ["spec.ports[1].a"]


def test_yaml_scalars_mean_what_they_mean_to_kubernetes() -> None:
    body = b"""
    mode: 0644
    yes: on
    date: 2001-01-01
    clock: 12:30:45
    float: 1e3
    text: '1'
    tagged: !!str 1
    none: ~
    empty:
    base: &base {a: 1}
    merged: {<<: *base, b: 2}
    80: http
    """
    assert yaml_text.read(body)[0] == {
        "mode": 0o644,
        "true": True,
        "date": "2001-01-01",
        "clock": "12:30:45",
        "float": 1000.0,
        "text": "1",
        "tagged": "1",
        "none": None,
        "empty": None,
        "base": {"a": 1},
        "merged": {"a": 1, "b": 2},
        "80": "http",
    }


def test_malformed_yaml_of_an_apply_patch() -> None:
    with pytest.raises(APIError) as caught:
        codec.decode_apply_patch(b"a: [")
    assert caught.value.code == 400
    assert caught.value.message.startswith("error decoding YAML: error converting YAML to JSON: yaml: line 1: ")


@pytest.mark.parametrize(
    ("text", "offset"), [("a", 0), ("ab=", 3), ("ab=c", 2), ("abc=d", 4), ("abcd=", 4), ("ab!=", 2), ("YWJj\nYW=x", 7)]
)
def test_illegal_base64(text: str, offset: int) -> None:
    with pytest.raises(ValueError, match=f"input byte {offset}$"):
        canonical_base64(text)


def test_base64_loses_its_line_breaks() -> None:
    assert canonical_base64("YWJj\nYWI=\n") == "YWJjYWI="


@pytest.mark.parametrize(
    ("text", "micro", "problem"),
    [
        ("2020-13-01T00:00:00Z", False, "month out of range"),
        ("2020-02-30T00:00:00Z", False, "day out of range"),
        ("2020-01-01", False, 'as "2006-01-02T15:04:05Z07:00": cannot parse "" as "T"'),
        ("2020-01-01T00:00:00", False, 'cannot parse "" as "Z07:00"'),
        ("2020-01-01T00:00:00Zx", False, 'extra text: "x"'),
        ("2020-01-01T00:00:00Z", True, 'cannot parse "Z" as ".000000"'),
    ],
)
def test_times_that_are_none(text: str, micro: bool, problem: str) -> None:
    with pytest.raises(ValueError) as caught:
        canonical_time(text, micro)
    assert str(caught.value).startswith(f'parsing time "{text}"')
    assert str(caught.value).endswith(problem)


def test_times_become_utc() -> None:
    assert canonical_time("2020-01-01T00:30:00.5-01:00") == "2020-01-01T01:30:00Z"
    assert canonical_time("2020-01-01T00:30:00.123456+01:00", micro=True) == "2019-12-31T23:30:00.123456Z"


def test_aliases_that_mean_gigabytes_are_refused() -> None:
    lines = [b"a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [b"a%d: &a%d [%s]" % (n, n, b", ".join([b"*a%d" % (n - 1)] * 9)) for n in range(1, 10)]
    with pytest.raises(ValueError, match="document contains excessive aliasing"):
        yaml_text.read(b"\n".join(lines))


def test_aliases_are_values_of_their_own() -> None:
    document, _ = yaml_text.read(b"a: &x {k: [v]}\nb: *x\nc: {<<: *x, l: w}\nd: {k: own, <<: [*x, {m: w}]}")
    assert document == {
        "a": {"k": ["v"]},
        "b": {"k": ["v"]},
        "c": {"k": ["v"], "l": "w"},
        "d": {"k": "own", "m": "w"},
    }
    document["a"]["k"].append("more")
    assert document["b"] == {"k": ["v"]}
    assert document["c"]["k"] == ["v"]


NESTED_BY_ALIASES = b"- &a0 x\n" + b"".join(
    b"- &a%d %s*a%d%s\n" % (number, b"[" * 30, number - 1, b"]" * 30) for number in range(1, 10)
)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"a: &x [*x]", "yaml: anchor 'x' value contains itself"),
        (b"a: *x", "yaml: unknown anchor 'x' referenced"),
        (b"{[a]: b}", "yaml: invalid map key"),
        (b"a: {<<: b}", "yaml: map merge requires map or sequence of maps as the value"),
        (b"[" * 100_000, "yaml: exceeded max depth of 200"),
        (b"- " * 100_000, "yaml: exceeded max depth of 200"),
        (b"{a: " * 100_000, "yaml: exceeded max depth of 200"),
        (NESTED_BY_ALIASES, "yaml: exceeded max depth of 200"),
    ],
)
def test_yaml_that_goes_too_far(body: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}"):
        yaml_text.read(body)


def test_tags_and_numbers_beyond_a_word() -> None:
    body = b"a: !!str 5\nb: !!int '5'\nc: !own x\nd: 12345678901234567890123\ne: 1e999\nf: !!binary aGk=\ng: !!map {}"
    assert yaml_text.read(body)[0] == {
        "a": "5", "b": 5, "c": "x", "d": 1.2345678901234568e22, "e": "1e999", "f": "hi", "g": {}
    }  # fmt: skip


@pytest.mark.parametrize("depth", [201, 300, 1000, 5000, 500_000])
@pytest.mark.parametrize(("opening", "closing"), [(b"[", b"]"), (b'{"a":', b"}")])
def test_json_that_is_nested_too_deep(depth: int, opening: bytes, closing: bytes) -> None:
    with pytest.raises(ValueError, match="exceeded max depth"):
        codec.parse(opening * depth + b"1" + closing * depth)


def test_json_that_is_nested_deep() -> None:
    assert codec.parse(b"[" * 200 + b"]" * 200)
    assert len(codec.parse(b"[" + b"{}," * 1000 + b"{}]")) == 1001
