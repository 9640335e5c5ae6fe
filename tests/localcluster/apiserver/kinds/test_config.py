"""ConfigMaps, Secrets and ServiceAccounts."""

import base64
from typing import Any

import pytest

from tests.localcluster.apiserver.kinds.written import Written

MAP, SECRET = Written("", "ConfigMap"), Written("", "Secret")
FROZEN = "Forbidden: field is immutable when `immutable` is set"


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def test_text_is_folded_into_data() -> None:
    made = SECRET.created({"stringData": {"a": "hello"}, "data": {"a": encoded("x"), "b": encoded("y")}})
    assert made["data"] == {"a": encoded("hello"), "b": encoded("y")}
    assert made["type"] == "Opaque"
    assert "stringData" not in made


def test_sizes() -> None:
    assert MAP.create_errors({"data": {"k": "x" * 1048576}}) == []
    assert MAP.create_errors({"data": {"k": "x" * 1048577}}) == [": Too long: may not be more than 1048576 bytes"]
    assert SECRET.create_errors({"data": {"k": encoded("x" * 1048577)}}) == [
        "data: Too long: may not be more than 1048576 bytes"
    ]


@pytest.mark.parametrize(
    ("kind", "data", "expected"),
    [
        ("kubernetes.io/tls", {}, ["data[tls.crt]: Required value", "data[tls.key]: Required value"]),
        ("kubernetes.io/basic-auth", {}, ["data[username]: Required value", "data[password]: Required value"]),
        ("kubernetes.io/basic-auth", {"password": "x"}, []),
        ("kubernetes.io/ssh-auth", {"ssh-privatekey": ""}, ["data[ssh-privatekey]: Required value"]),
        ("kubernetes.io/dockerconfigjson", {}, ["data[.dockerconfigjson]: Required value"]),
        ("kubernetes.io/dockerconfigjson", {".dockerconfigjson": '{"auths":{}}'}, []),
        (
            "kubernetes.io/service-account-token",
            {},
            ["metadata.annotations[kubernetes.io/service-account.name]: Required value"],
        ),
        ("example.com/any", {}, []),
    ],
)
def test_types_of_secrets(kind: str, data: dict[str, str], expected: list[str]) -> None:
    assert SECRET.create_errors({"type": kind, "data": {k: encoded(v) for k, v in data.items()}}) == expected


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "unexpected end of JSON input"),
        ("no", "invalid character 'o' in literal null (expecting 'u')"),
        ("x", "invalid character 'x' looking for beginning of value"),
        ("{x", "invalid character 'x' looking for beginning of object key string"),
        ("{} x", "invalid character 'x' after top-level value"),
        ('{"a" 1}', "invalid character '1' after object key"),
        ('{"a":1 2}', "invalid character '2' after object key:value pair"),
        ("[]", "json: cannot unmarshal array into Go value of type map[string]interface {}"),
    ],
)
def test_what_is_wrong_with_the_json_of_a_secret(text: str, problem: str) -> None:
    (error,) = SECRET.create_errors({"type": "kubernetes.io/dockercfg", "data": {".dockercfg": encoded(text)}})
    assert error == f'data[.dockercfg]: Invalid value: "<secret contents redacted>": {problem}'


def test_the_type_stays() -> None:
    assert SECRET.update_errors({"type": "a"}, {"type": "b"}) == ['type: Invalid value: "b": field is immutable']


@pytest.mark.parametrize(
    ("new", "expected"),
    [
        ({"immutable": True, "data": {"k": "v"}}, []),
        ({"immutable": True, "data": {"k": "w"}}, [f"data: {FROZEN}"]),
        ({"data": {"k": "v"}, "binaryData": {"b": ""}}, [f"immutable: {FROZEN}", f"binaryData: {FROZEN}"]),
    ],
)
def test_frozen(new: dict[str, Any], expected: list[str]) -> None:
    assert MAP.update_errors({"immutable": True, "data": {"k": "v"}}, new) == expected
