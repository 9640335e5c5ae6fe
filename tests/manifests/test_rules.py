"""The rules of the definitions, as an API server applies them: what is taken, and what is refused in which words."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from kubeless.api import InvalidSpec
from kubeless.api.function import parse
from kubeless.cluster import Cluster, Invalid

JSON = dict[str, Any]

DIGITS = "0123456789abcdef" * 4
FUNCTION: JSON = {"handler": "hello.handler", "runtime": "python3.11"}
KINDS: dict[str, tuple[str, JSON]] = {
    "Function": ("functions", FUNCTION),
    "HTTPTrigger": ("httptriggers", {"function-name": "hello"}),
    "CronJobTrigger": ("cronjobtriggers", {"function-name": "hello", "schedule": "* * * * *"}),
    "KafkaTrigger": ("kafkatriggers", {"topic": "orders"}),
    "NATSTrigger": ("natstriggers", {"topic": "orders"}),
    "KinesisTrigger": (
        "kinesistriggers",
        {"function-name": "hello", "stream": "s", "aws-region": "eu-central-1", "shard": "1", "secret": "aws"},
    ),
}

OF_KUBELESS: JSON = {
    "checksum": f"sha256:{DIGITS}",
    "deployment": {
        "metadata": {"creationTimestamp": None},
        "spec": {
            "selector": None,
            "strategy": {},
            "template": {
                "metadata": {"creationTimestamp": None},
                "spec": {"containers": [{"name": "", "resources": {}}]},
            },
        },
        "status": {},
    },
    "deps": "",
    "function": "def foo(event, context):\n    return 'hello'\n",
    "function-content-type": "text",
    "handler": "helloget.foo",
    "horizontalPodAutoscaler": {
        "metadata": {"creationTimestamp": None},
        "spec": {"maxReplicas": 0, "scaleTargetRef": {"kind": "", "name": ""}},
        "status": {"conditions": None, "currentMetrics": None, "currentReplicas": 0, "desiredReplicas": 0},
    },
    "runtime": "python2.7",
    "service": {
        "ports": [{"name": "http-function-port", "port": 8080, "protocol": "TCP", "targetPort": 8080}],
        "selector": {"created-by": "kubeless", "function": "get-python"},
        "type": "ClusterIP",
    },
    "timeout": "180",
}


async def try_create(cluster: Cluster, kind: str, spec: JSON, name: str = "hello") -> JSON:
    """Created in no more than the API server's thoughts, with unknown fields as errors, as kubectl asks for it."""
    plural, base = KINDS[kind]
    obj = {
        "apiVersion": "kubeless.io/v1beta1",
        "kind": kind,
        "metadata": {"name": name},
        "spec": {**base, **spec},
    }
    return await cluster.request(
        "POST",
        f"/apis/kubeless.io/v1beta1/namespaces/default/{plural}",
        query={"dryRun": "All", "fieldValidation": "Strict"},
        body=obj,
    )


@pytest.mark.parametrize("kind", KINDS)
async def test_the_least_is_taken(cluster: Cluster, kind: str) -> None:
    await try_create(cluster, kind, {})


async def test_what_kubeless_wrote_is_taken_as_it_is(cluster: Cluster) -> None:
    """What `kubeless function deploy --dryrun` printed."""
    created = await try_create(cluster, "Function", copy.deepcopy(OF_KUBELESS))
    assert created["spec"] == OF_KUBELESS


@pytest.mark.parametrize(
    "spec",
    [
        {"handler": "my-module_2.Foo"},
        {"function-content-type": "base64", "function": "eA=="},
        *(
            {"function-content-type": f"base64{suffix}"}
            for suffix in ("+zip", "+compressedtar", "+zip+deps", "+deps+zip")
        ),
        {"function-content-type": "url+compressedtar+deps", "function": "https://example.com/f.tar.gz"},
        {"function-content-type": "url", "function": "http://example.com/f.py\n"},
        {"function-content-type": ""},
        {"checksum": f"sha256:{DIGITS}"},
        {"checksum": ""},
        *({"timeout": timeout} for timeout in ("180", "0.5", "", 1, 3600)),
        {"deps": None, "timeout": None, "deployment": None, "service": None, "checksum": None},
        {"deployment": {"spec": {"template": {"spec": {"containers": [{"env": [{"name": "A", "value": "b"}]}]}}}}},
    ],
)
async def test_a_good_function_is_taken(cluster: Cluster, spec: JSON) -> None:
    created = await try_create(cluster, "Function", spec)
    parse(created)


@pytest.mark.parametrize(
    ("spec", "field", "words"),
    [
        (
            {"handler": "hello"},
            "spec.handler",
            '"hello" is no handler; write the module and the function with exactly one dot',
        ),
        ({"handler": "a.b.c"}, "spec.handler", "exactly one dot"),
        ({"handler": ".a"}, "spec.handler", "exactly one dot"),
        ({"handler": "../a.b"}, "spec.handler", "exactly one dot"),
        ({"handler": None}, "spec.handler", "Required value"),
        ({"function-content-type": "tarball"}, "spec.function-content-type", "it is text, base64 or url"),
        ({"function-content-type": "text+zip"}, "spec.function-content-type", "it is text, base64 or url"),
        ({"function-content-type": "base64+deps"}, "spec.function-content-type", "+deps after that"),
        ({"function-content-type": "base64+zip+compressedtar"}, "spec.function-content-type", "is no content type"),
        ({"function-content-type": "url"}, "spec", "must be a URL that starts with http:// or https://"),
        ({"function-content-type": "url", "function": "file:///etc/passwd"}, "spec", "must be a URL"),
        ({"function-content-type": "url+zip", "function": "def f(): ..."}, "spec", "must be a URL"),
        ({"checksum": "sha256:abc"}, "spec.checksum", "sha256: and 64 hexadecimal digits"),
        ({"checksum": f"md5:{DIGITS}"}, "spec.checksum", "sha256: and 64 hexadecimal digits"),
        *(
            ({"timeout": timeout}, "spec.timeout", "a number of seconds greater than 0")
            for timeout in ("0", "-1", "soon", "1m", "0.0", "1e3", 0, -1)
        ),
        ({"function": "x" * (1024 * 1024 + 1)}, "spec", "function is over 1 MiB"),
    ],
)
async def test_a_bad_function_is_refused(cluster: Cluster, spec: JSON, field: str, words: str) -> None:
    with pytest.raises(Invalid) as refused:
        await try_create(cluster, "Function", spec)
    assert f"{field}: " in refused.value.message
    assert words in refused.value.message
    # The controller, which also meets functions that were stored before these rules, refuses the same.
    with pytest.raises(InvalidSpec):
        parse({"metadata": {"name": "hello"}, "spec": {**FUNCTION, **spec}})


@pytest.mark.parametrize("name", ["1hello", "a.b", "a" * 64])
async def test_a_name_that_no_service_can_have_is_refused(cluster: Cluster, name: str) -> None:
    with pytest.raises(Invalid, match="the function's name is also its Service's"):
        await try_create(cluster, "Function", {}, name)


@pytest.mark.parametrize("kind", KINDS)
async def test_a_field_that_does_not_exist_is_refused(cluster: Cluster, kind: str) -> None:
    with pytest.raises(Invalid, match=r'unknown field "spec\.fnction"'):
        await try_create(cluster, kind, {"fnction": "x"})


@pytest.mark.parametrize(
    ("kind", "spec"),
    [
        ("HTTPTrigger", {"host-name": "hello.example.com", "path": "/hello", "tls": True, "gateway": "kong"}),
        ("HTTPTrigger", {"host-name": "*.example.com", "path": "echo", "gateway": ""}),
        ("HTTPTrigger", {"host-name": "", "path": "", "tls": False, "tls-secret": "", "cors-enable": False}),
        *(
            ("CronJobTrigger", {"schedule": schedule})
            for schedule in ("*/5 0-3 1,2 JAN mon", "@hourly", "@every 5m", "0  0 * * *")
        ),
        *(("CronJobTrigger", {"payload": payload}) for payload in ({"a": {"b": None}}, [1], "text", None)),
        ("KafkaTrigger", {"functionSelector": {"matchLabels": {"function": "hello"}}}),
        ("NATSTrigger", {"functionSelector": {"matchExpressions": [{"key": "a", "operator": "In", "values": ["b"]}]}}),
        ("NATSTrigger", {"topic": "orders.*.>"}),
        ("KinesisTrigger", {"endpoint": "http://kinesis:4567"}),
    ],
)
async def test_a_good_trigger_is_taken(cluster: Cluster, kind: str, spec: JSON) -> None:
    created = await try_create(cluster, kind, spec)
    assert created["spec"] == {**KINDS[kind][1], **spec}


@pytest.mark.parametrize(
    ("kind", "spec", "words"),
    [
        ("HTTPTrigger", {"function-name": "Hello World"}, '"Hello World" is no name of a function'),
        ("HTTPTrigger", {"host-name": "http://example.com"}, "is no host name"),
        ("HTTPTrigger", {"host-name": "example.com:80"}, "no port"),
        ("HTTPTrigger", {"path": "/a b"}, "is no path"),
        ("HTTPTrigger", {"path": "/a?b=c"}, "is no path"),
        ("HTTPTrigger", {"gateway": "apache"}, '"nginx", "traefik", "kong"'),
        ("CronJobTrigger", {"schedule": "every minute"}, "it has five fields"),
        ("CronJobTrigger", {"schedule": "* * * *"}, "it has five fields"),
        ("CronJobTrigger", {"schedule": "* * * * * *"}, "it has five fields"),
        ("CronJobTrigger", {"schedule": "@noon"}, "it has five fields"),
        ("KafkaTrigger", {"topic": "a/b"}, "is no topic of Kafka"),
        ("KafkaTrigger", {"topic": "a" * 250}, "at most 249"),
        (
            "KafkaTrigger",
            {"functionSelector": {"matchExpressions": [{"key": "a", "operator": "Is"}]}},
            '"DoesNotExist"',
        ),
        ("NATSTrigger", {"topic": "a b"}, "is no subject of NATS"),
        ("NATSTrigger", {"topic": "a..b"}, "is no subject of NATS"),
        ("KinesisTrigger", {"endpoint": "kinesis:4567"}, "starts with http:// or https://"),
        ("KinesisTrigger", {"shard": ""}, "spec.shard"),
    ],
)
async def test_a_bad_trigger_is_refused(cluster: Cluster, kind: str, spec: JSON, words: str) -> None:
    with pytest.raises(Invalid) as refused:
        await try_create(cluster, kind, spec)
    assert words in refused.value.message
