"""What rights restricted by resourceNames let through, asked over HTTP as somebody else."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import requests

from tests.localcluster.clusters import Cluster

NAMESPACE = "test-rights"
USER = "reader-of-one"


@pytest.fixture(scope="module")
def ask(control_plane: Cluster) -> Iterator[Callable[..., requests.Response]]:
    """Requests about the Secrets of a namespace by a user who may list and watch only the one named `allowed`."""
    session, url = control_plane.session(), control_plane.url
    core, rbac = f"{url}/api/v1/namespaces", f"{url}/apis/rbac.authorization.k8s.io/v1/namespaces/{NAMESPACE}"
    session.post(core, json={"metadata": {"name": NAMESPACE}}, timeout=10).raise_for_status()
    for name in ("allowed", "other"):
        session.post(f"{core}/{NAMESPACE}/secrets", json={"metadata": {"name": name}}, timeout=10).raise_for_status()
    rule = {
        "verbs": ["list", "watch", "deletecollection"],
        "apiGroups": [""],
        "resources": ["secrets"],
        "resourceNames": ["allowed"],
    }
    group = "rbac.authorization.k8s.io"
    binding = {
        "roleRef": {"apiGroup": group, "kind": "Role", "name": "one"},
        "subjects": [{"apiGroup": group, "kind": "User", "name": USER}],
    }
    for plural, body in (("roles", {"rules": [rule]}), ("rolebindings", binding)):
        named = {"metadata": {"name": "one"}, **body}
        session.post(f"{rbac}/{plural}", json=named, timeout=10).raise_for_status()

    def send(method: str = "GET", **query: str) -> requests.Response:
        return session.request(
            method,
            f"{core}/{NAMESPACE}/secrets",
            params=query,
            headers={"Impersonate-User": USER},
            timeout=10,
        )

    yield send
    session.delete(f"{core}/{NAMESPACE}", timeout=10)


@pytest.mark.parametrize("selector", ["metadata.name=allowed", "metadata.name==allowed"])
def test_one_name_may_be_listed_by_a_field_selector(ask, selector):
    answer = ask(fieldSelector=selector)
    assert [item["metadata"]["name"] for item in answer.json()["items"]] == ["allowed"]


@pytest.mark.parametrize(
    "selector",
    [
        "",
        "metadata.name!=zzz",
        "metadata.name=other",
        r"metadata.namespace!=zzz\,metadata.name=allowed",
        r"metadata.namespace!=zzz\,metadata.name==allowed",
    ],
)
@pytest.mark.parametrize("watch", ["", "true"])
def test_nothing_else_may_be_read(ask, selector, watch):
    answer = ask(fieldSelector=selector, watch=watch, timeoutSeconds="1")
    assert answer.status_code == 403, answer.text


def test_rights_to_delete_a_collection_are_not_restricted_by_name(ask):
    assert ask("DELETE", fieldSelector="metadata.name=allowed").status_code == 403
