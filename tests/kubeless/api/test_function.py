"""Functions: what is read of them, what is defaulted, and the words for what cannot be served."""

from __future__ import annotations

from typing import Any

import pytest

from kubeless.api import InvalidSpec, Reason
from kubeless.api.function import MAX_SOURCE_BYTES, ContentType, Handler, parse

DIGITS = "0123456789abcdef" * 4


def function(**spec: Any) -> dict[str, Any]:
    fields = {name.replace("_", "-"): value for name, value in spec.items()}
    return {
        "apiVersion": "kubeless.io/v1beta1",
        "kind": "Function",
        "metadata": {"name": "hello", "namespace": "demo", "uid": "u1", "generation": 3, "labels": {"team": "a"}},
        "spec": {"handler": "hello.handler", "runtime": "python3.11", **fields},
    }


def test_what_is_not_set_has_defaults() -> None:
    parsed = parse(function())
    assert parsed.handler == Handler("hello", "handler")
    assert (parsed.content_type, parsed.timeout, parsed.checksum) == (ContentType("text", "text"), "180", "")
    assert (parsed.deployment, parsed.service, parsed.horizontal_pod_autoscaler) == ({}, {}, {})
    assert not parsed.needs_install
    assert parsed.prebuilt_image == ""


def test_metadata_is_read_and_referred_to() -> None:
    parsed = parse(function())
    assert (parsed.name, parsed.namespace, parsed.labels) == ("hello", "demo", {"team": "a"})
    assert parsed.metadata.generation == 3
    owner = parsed.metadata.owner_reference()
    assert (owner["apiVersion"], owner["kind"], owner["uid"]) == ("kubeless.io/v1beta1", "Function", "u1")
    assert owner["controller"] is True


def test_what_kubeless_wrote_for_nothing_is_nothing() -> None:
    """`kubeless function deploy --dryrun` wrote every field of every type."""
    parsed = parse(
        function(
            deps="",
            checksum="",
            deployment={
                "metadata": {"creationTimestamp": None},
                "spec": {
                    "selector": None,
                    "strategy": {},
                    "template": {"spec": {"containers": [{"name": "", "resources": {}}]}},
                },
                "status": {},
            },
            horizontalPodAutoscaler={
                "metadata": {"creationTimestamp": None},
                "spec": {"maxReplicas": 0, "scaleTargetRef": {"kind": "", "name": ""}},
                "status": {"conditions": None, "currentReplicas": 0},
            },
        )
    )
    assert parsed.horizontal_pod_autoscaler == {}
    assert parsed.deployment == {
        "metadata": {},
        "spec": {"strategy": {}, "template": {"spec": {"containers": [{"name": "", "resources": {}}]}}},
    }


def test_the_author_s_object_stays_as_it_is() -> None:
    written = function(deployment={"spec": {"replicas": None}, "status": {}})
    parse(written)
    assert written["spec"]["deployment"] == {"spec": {"replicas": None}, "status": {}}


def test_an_image_of_the_first_container_is_prebuilt() -> None:
    containers = [{"image": "registry.example.com/hello:1"}, {"name": "sidecar", "image": "other"}]
    parsed = parse(function(deployment={"spec": {"template": {"spec": {"containers": containers}}}}))
    assert parsed.prebuilt_image == "registry.example.com/hello:1"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("base64", ("base64", "", False)),
        ("base64+zip", ("base64", "zip", False)),
        ("base64+compressedtar+deps", ("base64", "compressedtar", True)),
        ("base64+deps+zip", ("base64", "zip", True)),
        ("", ("text", "", False)),
    ],
)
def test_content_types(text: str, expected: tuple[str, str, bool]) -> None:
    parsed = parse(function(function="aGVsbG8=", function_content_type=text))
    found = parsed.content_type
    assert (found.origin, found.archive, found.brings_deps) == expected
    assert parsed.needs_install == expected[2]


@pytest.mark.parametrize(("written", "seconds"), [("180", 180.0), (30, 30.0), ("0.5", 0.5), ("", 180.0), (2.5, 2.5)])
def test_timeouts(written: Any, seconds: float) -> None:
    assert parse(function(timeout=written)).timeout_seconds == seconds


def test_the_checksum_is_in_lower_case() -> None:
    assert parse(function(checksum=f"sha256:{DIGITS.upper()}")).checksum == f"sha256:{DIGITS}"


@pytest.mark.parametrize(
    ("spec", "field", "reason", "words"),
    [
        ({"handler": "hello"}, "spec.handler", Reason.INVALID_HANDLER, "has no dot"),
        ({"handler": "a.b.c"}, "spec.handler", Reason.INVALID_HANDLER, "has 2 dots"),
        ({"handler": "a b.c"}, "spec.handler", Reason.INVALID_HANDLER, "characters"),
        ({"handler": "../etc/x.c"}, "spec.handler", Reason.INVALID_HANDLER, "dots"),
        ({"handler": ""}, "spec.handler", Reason.INVALID_SPEC, "is missing; for example handler: hello.handler"),
        ({"runtime": ""}, "spec.runtime", Reason.INVALID_SPEC, "is missing"),
        ({"runtime": 3}, "spec.runtime", Reason.INVALID_SPEC, "must be text in quotes, not the number 3"),
        ({"function_content_type": "gzip"}, "spec.function-content-type", Reason.INVALID_CONTENT_TYPE, "text, base64"),
        (
            {"function_content_type": "text+zip"},
            "spec.function-content-type",
            Reason.INVALID_CONTENT_TYPE,
            "base64+zip",
        ),
        (
            {"function_content_type": "url+deps"},
            "spec.function-content-type",
            Reason.INVALID_CONTENT_TYPE,
            "only an archive",
        ),
        (
            {"function_content_type": "base64+zip+zip"},
            "spec.function-content-type",
            Reason.INVALID_CONTENT_TYPE,
            "known",
        ),
        ({"function_content_type": "url", "function": "x"}, "spec.function", Reason.INVALID_URL, "http://"),
        ({"function_content_type": "url", "function": "file:///x"}, "spec.function", Reason.INVALID_URL, "http://"),
        ({"checksum": "md5:12"}, "spec.checksum", Reason.INVALID_CHECKSUM, "sha256sum FILE"),
        ({"timeout": "0"}, "spec.timeout", Reason.INVALID_TIMEOUT, "greater than 0"),
        ({"timeout": "-3"}, "spec.timeout", Reason.INVALID_TIMEOUT, "greater than 0"),
        ({"timeout": "1m"}, "spec.timeout", Reason.INVALID_TIMEOUT, "number of seconds"),
        ({"timeout": True}, "spec.timeout", Reason.INVALID_SPEC, "not true"),
        ({"function": "x" * (MAX_SOURCE_BYTES + 1)}, "spec.function", Reason.SOURCE_TOO_LARGE, "1 MiB"),
        ({"service": []}, "spec.service", Reason.INVALID_SPEC, "must be an object, not a list"),
        (
            {"deployment": {"spec": {"template": {"spec": {"containers": {}}}}}},
            "spec.deployment.spec.template.spec.containers",
            Reason.INVALID_SPEC,
            "must be a list of containers",
        ),
        ({"deployment": {"spec": {"template": 1}}}, "spec.deployment.spec.template", Reason.INVALID_SPEC, "object"),
    ],
)
def test_what_cannot_be_served_is_said(spec: dict[str, Any], field: str, reason: Reason, words: str) -> None:
    with pytest.raises(InvalidSpec) as refused:
        parse(function(**spec))
    assert (refused.value.field, refused.value.reason) == (field, reason)
    assert words in refused.value.message
    assert str(refused.value) == f"{field}: {refused.value.message}"
