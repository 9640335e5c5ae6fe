"""Tables as a whole: every served kind has columns with descriptions, and a row fits them."""

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

import pytest

from localcluster.apiserver import tables
from localcluster.apiserver.builtin_resources import builtin_resources
from localcluster.apiserver.resources import Resource

NOW = datetime(2026, 1, 1, 1, tzinfo=UTC)
RESOURCES = {f"{r.plural}.{r.api_version}": r for r in builtin_resources()}
META = {"name": "x", "creationTimestamp": "2026-01-01T00:00:00Z"}


@pytest.mark.parametrize("name", [n for n, r in RESOURCES.items() if "list" in r.verbs])
def test_rows_fit_the_columns_even_of_empty_objects(name: str) -> None:
    resource = RESOURCES[name]
    columns = tables.columns(resource)
    assert all(column["description"] for column in columns)
    assert [c["name"] for c in columns if c["format"] == "name"] == ["Name"]
    obj = {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": META}
    assert len(tables.row(resource, obj, NOW)) == len(columns)


def row(name: str, **fields: Any) -> list[Any]:
    resource = RESOURCES[name]
    obj = {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": META, **fields}
    return tables.row(resource, obj, NOW)


def test_kinds_without_columns_of_their_own_show_when_they_were_created() -> None:
    assert row("roles.rbac.authorization.k8s.io/v1") == ["x", "2026-01-01T00:00:00Z"]


def test_services() -> None:
    ports = [{"port": 80, "nodePort": 30080, "protocol": "TCP"}, {"port": 53, "protocol": "UDP"}]
    spec = {"type": "LoadBalancer", "clusterIPs": ["10.0.0.1"], "externalIPs": ["10.9.9.9"], "ports": ports}
    status = {"loadBalancer": {"ingress": [{"hostname": "lb.example"}, {"ip": "10.7.7.7"}]}}
    assert row("services.v1", spec=spec, status=status)[1:5] == [
        "LoadBalancer", "10.0.0.1", "10.7.7.7,lb.example,10.9.9.9", "80:30080/TCP,53/UDP",
    ]  # fmt: skip
    assert row("services.v1", spec={"type": "LoadBalancer"})[3] == "<pending>"
    assert row("services.v1", spec={"type": "ExternalName", "externalName": "e.example"})[2:5] == [
        "<none>", "e.example", "<none>",
    ]  # fmt: skip


def test_endpoints() -> None:
    subsets = [{"addresses": [{"ip": f"10.0.0.{i}"} for i in range(3)], "ports": [{"port": 1}, {"port": 2}]}]
    assert row("endpoints.v1", subsets=subsets)[1] == "10.0.0.0:1,10.0.0.1:1,10.0.0.2:1 + 3 more..."
    assert row("endpoints.v1")[1] == "<none>"


def test_jobs() -> None:
    status: dict[str, Any] = {"succeeded": 1, "startTime": "2026-01-01T00:00:00Z"}
    spec = {"completions": 3, "parallelism": 1}
    assert row("jobs.batch/v1", spec=spec, status=status)[1:4] == ["Running", "1/3", "60m"]
    done = {"conditions": [{"type": "Complete", "status": "True"}], "completionTime": "2026-01-01T00:00:30Z"}
    assert row("jobs.batch/v1", spec=spec, status=status | done)[1:4] == ["Complete", "1/3", "30s"]
    assert row("jobs.batch/v1", spec={"parallelism": 2})[2] == "0/1 of 2"


def test_hosts_of_ingresses() -> None:
    rules = [{"host": f"{c}.example"} for c in "abcde"]
    assert row("ingresses.networking.k8s.io/v1", spec={"rules": rules, "tls": [{}]})[2:5] == [
        "a.example,b.example,c.example + 2 more...", "", "80, 443",
    ]  # fmt: skip
    assert row("ingresses.networking.k8s.io/v1", spec={"rules": [{}]})[2] == "*"


def test_autoscalers_of_both_versions() -> None:
    spec = {"scaleTargetRef": {"kind": "Deployment", "name": "d"}, "maxReplicas": 3, "minReplicas": 1}
    one = row("horizontalpodautoscalers.autoscaling/v1", spec=spec | {"targetCPUUtilizationPercentage": 50})
    assert one[1:6] == ["Deployment/d", "cpu: <unknown>/50%", "1", 3, 0]
    metric = {"type": "Pods", "pods": {"metric": {"name": "qps"}, "target": {"averageValue": "2k"}}}
    current = {"type": "Pods", "pods": {"metric": {"name": "qps"}, "current": {"averageValue": "1500"}}}
    two = row(
        "horizontalpodautoscalers.autoscaling/v2",
        spec=spec | {"metrics": [metric]},
        status={"currentMetrics": [current], "currentReplicas": 2},
    )
    assert two[2:6] == ["1500/2k", "1", 3, 2]


def test_events_of_both_groups_look_the_same() -> None:
    core = row(
        "events.v1",
        involvedObject={"kind": "Pod", "name": "p"}, reason="R", message=" m\n", type="Normal",
        lastTimestamp="2026-01-01T00:59:00Z", firstTimestamp="2026-01-01T00:30:00Z", count=3,
        source={"component": "me", "host": "here"},
    )  # fmt: skip
    new = row(
        "events.events.k8s.io/v1",
        regarding={"kind": "Pod", "name": "p"}, reason="R", note=" m\n", type="Normal",
        deprecatedLastTimestamp="2026-01-01T00:59:00Z", deprecatedFirstTimestamp="2026-01-01T00:30:00Z",
        deprecatedCount=3, deprecatedSource={"component": "me", "host": "here"},
    )  # fmt: skip
    assert core == ["60s", "Normal", "R", "pod/p", "", "me, here", "m", "30m", 3, "x"]
    assert new == core


def test_api_services() -> None:
    name = "apiservices.apiregistration.k8s.io/v1"
    status = {"conditions": [{"type": "Available", "status": "False", "reason": "MissingEndpoints"}]}
    remote = row(name, spec={"service": {"namespace": "n", "name": "s"}}, status=status)
    assert remote[1:3] == ["n/s", "False (MissingEndpoints)"]
    assert row(name, spec={"service": None})[1] == "Local"


def custom(columns: list[dict[str, Any]]) -> Resource:
    return cast(Resource, SimpleNamespace(crd=SimpleNamespace(printer_columns=columns), group="g", kind="K"))


def test_custom_resources() -> None:
    columns = [
        {"name": "Size", "type": "integer", "jsonPath": ".spec.size", "description": "how big"},
        {"name": "Ready", "type": "string", "jsonPath": '.status.conditions[?(@.type=="Ready")].status'},
        {"name": "Made", "type": "date", "jsonPath": ".metadata.creationTimestamp", "priority": 1},
        {"name": "Some", "type": "string", "jsonPath": ".spec.some"},
        {"name": "All", "type": "string", "jsonPath": ".spec.tags[*].name"},
        {"name": "Dotted", "type": "string", "jsonPath": r".metadata.labels.a\.b/c"},
    ]
    obj = {
        "metadata": META | {"labels": {"a.b/c": "d"}},
        "spec": {"size": 3, "some": {"y": 1, "x": True}, "tags": [{"name": "first"}, {"name": "second"}]},
        "status": {"conditions": [{"type": "Other", "status": "False"}, {"type": "Ready", "status": "True"}]},
    }
    found = tables.columns(custom(columns))
    assert [c["name"] for c in found] == ["Name", "Size", "Ready", "Made", "Some", "All", "Dotted"]
    assert (found[1]["description"], found[3]["priority"]) == ("how big", 1)
    assert tables.row(custom(columns), obj, NOW) == ["x", 3, "True", "60m", '{"x":true,"y":1}', "first", "d"]
    assert tables.row(custom(columns), {"metadata": META, "spec": {"size": "big"}}, NOW)[1:4] == [None, None, "60m"]


def test_custom_resources_without_columns_show_their_age() -> None:
    assert [c["name"] for c in tables.columns(custom([]))] == ["Name", "Age"]
    assert tables.row(custom([]), {"metadata": META}, NOW) == ["x", "60m"]
