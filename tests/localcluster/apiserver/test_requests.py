"""Which verb and object a path means."""

import pytest

from localcluster.apiserver.requests import RequestInfo, parse


@pytest.mark.parametrize(
    ("method", "path", "watch", "verb", "group", "namespace", "resource", "name", "subresource"),
    [
        ("GET", "/api/v1/pods", False, "list", "", "", "pods", "", ""),
        ("GET", "/api/v1/namespaces/n/pods", True, "watch", "", "n", "pods", "", ""),
        ("GET", "/api/v1/watch/namespaces/n/pods/p", False, "watch", "", "n", "pods", "p", ""),
        ("GET", "/api/v1/namespaces/n/pods/p", False, "get", "", "n", "pods", "p", ""),
        ("GET", "/api/v1/namespaces/n/pods/p/log", True, "get", "", "n", "pods", "p", "log"),
        ("POST", "/apis/apps/v1/namespaces/n/deployments", False, "create", "apps", "n", "deployments", "", ""),
        (
            "DELETE",
            "/apis/apps/v1/namespaces/n/deployments",
            False,
            "deletecollection",
            "apps",
            "n",
            "deployments",
            "",
            "",
        ),
        (
            "PATCH",
            "/apis/apps/v1/namespaces/n/deployments/d/scale",
            False,
            "patch",
            "apps",
            "n",
            "deployments",
            "d",
            "scale",
        ),
        ("GET", "/api/v1/namespaces", False, "list", "", "", "namespaces", "", ""),
        ("GET", "/api/v1/namespaces/n", False, "get", "", "n", "namespaces", "n", ""),
        ("PUT", "/api/v1/namespaces/n/finalize", False, "update", "", "n", "namespaces", "n", "finalize"),
        ("PATCH", "/api/v1/namespaces/n/status", False, "patch", "", "n", "namespaces", "n", "status"),
        (
            "GET",
            "/api/v1/namespaces/n/services/s:80/proxy/a/b/",
            False,
            "get",
            "",
            "n",
            "services",
            "s:80",
            "proxy",
        ),
        ("POST", "/api/v1/namespaces/n/services/s/proxy/x", False, "create", "", "n", "services", "s", "proxy"),
    ],
)
def test_resource_paths(method, path, watch, verb, group, namespace, resource, name, subresource):
    info = parse(method, path, watch)
    assert info.is_resource
    assert (info.verb, info.group, info.namespace, info.resource) == (verb, group, namespace, resource)
    assert (info.name, info.subresource) == (name, subresource)


@pytest.mark.parametrize(
    "path", ["/", "/api", "/api/v1", "/apis", "/apis/apps", "/apis/apps/v1", "/healthz", "/openapi/v3"]
)
def test_other_paths_are_no_resources(path):
    assert parse("GET", path, False) == RequestInfo(path, "get")
