"""What a client sees that speaks plain HTTP: identity, rights, limits, watches that end, and a pod's own access."""

from __future__ import annotations

import base64
import json
import time
import uuid
from collections.abc import Iterator

import pytest
import requests

from tests.localcluster.clusters import Cluster, eventually

CONFIG_MAPS = "/api/v1/namespaces/{}/configmaps"


@pytest.fixture
def session(cluster: Cluster) -> Iterator[requests.Session]:
    with cluster.session() as opened:
        yield opened


@pytest.fixture
def maps(cluster: Cluster, namespace: str) -> str:
    """The URL of the test's ConfigMaps."""
    return cluster.url + CONFIG_MAPS.format(namespace)


def anonymous(cluster: Cluster) -> requests.Session:
    session = requests.Session()
    session.trust_env = False
    session.verify = str(cluster.data_dir / "pki" / "ca.crt")
    return session


def bearer(cluster: Cluster, token: str) -> requests.Session:
    session = anonymous(cluster)
    session.headers["Authorization"] = f"Bearer {token}"
    return session


def events(response: requests.Response) -> Iterator[dict]:
    for line in response.iter_lines(chunk_size=1):
        yield json.loads(line)


# ---- who you are


@pytest.mark.parametrize("path", ["/healthz", "/livez", "/readyz", "/version"])
def test_anonymous_may_ask_how_it_is(cluster, path):
    assert anonymous(cluster).get(cluster.url + path, timeout=5).status_code == 200


@pytest.mark.parametrize("path", ["/api", "/apis/apps/v1", "/api/v1/pods", "/openapi/v2", "/metrics", "/none"])
def test_anonymous_is_refused_the_rest(cluster, path):
    response = anonymous(cluster).get(cluster.url + path, timeout=5)
    assert response.status_code == 403
    assert response.json()["reason"] == "Forbidden"
    assert 'User "system:anonymous" cannot' in response.json()["message"]


@pytest.mark.parametrize("token", ["nonsense", "a.b.c", "eyJhbGciOiJub25lIn0.e30.", ""])
def test_a_wrong_token_is_no_anonymous(cluster, token):
    response = bearer(cluster, token).get(f"{cluster.url}/version", timeout=5)
    # An empty token is none at all: that is anonymous.
    assert response.status_code == (401 if token else 200)
    if token:
        expected = {"status": "Failure", "message": "Unauthorized", "reason": "Unauthorized", "code": 401}
        assert expected.items() <= response.json().items()


def token_of(cluster: Cluster, session: requests.Session, namespace: str, name: str, **spec: object) -> str:
    url = f"{cluster.url}/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token"
    response = session.post(url, json={"spec": spec}, timeout=5)
    response.raise_for_status()
    return response.json()["status"]["token"]


def test_tokens_of_service_accounts(cluster, session, namespace):
    accounts = f"{cluster.url}/api/v1/namespaces/{namespace}/serviceaccounts"
    session.post(accounts, json={"metadata": {"name": "robot"}}, timeout=5).raise_for_status()
    token = token_of(cluster, session, namespace, "robot")
    review = f"{cluster.url}/apis/authentication.k8s.io/v1/selfsubjectreviews"
    who = bearer(cluster, token).post(review, json={}, timeout=5).json()["status"]["userInfo"]
    assert who["username"] == f"system:serviceaccount:{namespace}:robot"
    assert "system:serviceaccounts" in who["groups"]

    # Signed by us, but for somebody else; changed; and of an account that is gone.
    other = token_of(cluster, session, namespace, "robot", audiences=["vault"])
    head, body, signature = token.split(".")
    claims = json.loads(base64.urlsafe_b64decode(body + "=="))
    claims["sub"] = claims["sub"].replace("robot", "admin")
    forged = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    for wrong in (other, f"{head}.{forged}.{signature}"):
        assert bearer(cluster, wrong).get(f"{cluster.url}/api", timeout=5).status_code == 401
    assert bearer(cluster, token).get(f"{cluster.url}/api", timeout=5).status_code == 200
    session.delete(f"{accounts}/robot", timeout=5).raise_for_status()
    assert bearer(cluster, token).get(f"{cluster.url}/api", timeout=5).status_code == 401


def test_a_token_ends_with_its_time(cluster, session, namespace):
    url = f"{cluster.url}/api/v1/namespaces/{namespace}/serviceaccounts/default/token"
    short = session.post(url, json={"spec": {"expirationSeconds": 1}}, timeout=5)
    assert short.status_code == 422
    assert "may not specify a duration less than 10 minutes" in short.json()["message"]
    made = session.post(url, json={"spec": {"expirationSeconds": 600}}, timeout=5).json()["status"]
    claims = json.loads(base64.urlsafe_b64decode(made["token"].split(".")[1] + "=="))
    assert claims["exp"] - claims["iat"] == 600


# ---- TLS


def test_the_certificate_is_our_own_authoritys(cluster):
    with pytest.raises(requests.exceptions.SSLError):
        requests.get(f"{cluster.url}/version", timeout=5)


def test_plain_text_is_no_request(cluster):
    with pytest.raises(requests.exceptions.ConnectionError):
        requests.get(cluster.url.replace("https:", "http:"), timeout=5)
    assert anonymous(cluster).get(f"{cluster.url}/readyz", timeout=5).ok


def test_a_certificate_of_another_authority_is_refused(cluster, control_plane):
    stranger = anonymous(cluster)
    pki = control_plane.data_dir / "pki"
    stranger.cert = (str(pki / "admin.crt"), str(pki / "admin.key"))
    try:
        assert stranger.get(f"{cluster.url}/api", timeout=5).status_code == 401
    except requests.exceptions.RequestException as error:
        assert "UNKNOWN_CA" in str(error).upper() or isinstance(error, requests.exceptions.ConnectionError)


# ---- limits


def test_a_body_that_is_too_large(cluster, session, maps):
    response = session.post(maps, json={"metadata": {"name": "big"}, "data": {"x": "x" * 3_200_000}}, timeout=20)
    assert response.status_code == 413
    assert response.json()["reason"] == "RequestEntityTooLarge"
    response = session.post(maps, json={"metadata": {"name": "big"}, "data": {"x": "x" * 1_100_000}}, timeout=20)
    assert response.status_code == 422
    assert "Too long: may not be more than 1048576 bytes" in response.json()["message"]
    assert session.get(f"{cluster.url}/readyz", timeout=5).ok


@pytest.mark.parametrize(
    ("content_type", "body", "code"),
    [
        ("application/json", b'{"metadata":', 400),
        ("application/json", b"\xff\xfe", 400),
        ("text/plain", b"x", 415),
        ("application/json", b"[" * 100_000, 400),
    ],
)
def test_bodies_that_are_none(session, maps, content_type, body, code):
    response = session.post(maps, data=body, headers={"Content-Type": content_type}, timeout=10)
    assert response.status_code == code
    assert response.json()["kind"] == "Status"


def test_yaml_is_a_body_too(session, maps):
    text = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: written}\ndata: {a: b}\n"
    headers = {"Content-Type": "application/yaml", "Accept": "application/yaml"}
    response = session.post(maps, data=text, headers=headers, timeout=5)
    assert response.status_code == 201
    assert response.headers["Content-Type"] == "application/yaml"
    assert "\n  name: written\n" in response.text


def test_ways_not_to_ask(cluster, session, maps):
    assert session.request("PATCH", f"{maps}/x", json={}, timeout=5).status_code == 415
    assert session.put(maps, json={}, timeout=5).status_code == 405
    assert session.delete(f"{cluster.url}/api/v1/namespaces", timeout=5).status_code == 405
    assert session.get(f"{cluster.url}/nothing", timeout=5).text == "404 page not found\n"


# ---- watches


def test_bookmarks_and_initial_events(session, maps):
    for name in "ab":
        session.post(maps, json={"metadata": {"name": name}}, timeout=5).raise_for_status()
    query = {
        "watch": "1",
        "sendInitialEvents": "true",
        "resourceVersionMatch": "NotOlderThan",
        "allowWatchBookmarks": "true",
        "timeoutSeconds": "10",
        "labelSelector": "!none",
        "fieldSelector": "metadata.name!=kube-root-ca.crt",
    }
    with session.get(maps, params=query, stream=True, timeout=15) as response:
        stream = events(response)
        first = [next(stream) for _ in range(3)]
        assert [(e["type"], e["object"]["metadata"].get("name")) for e in first[:2]] == [("ADDED", "a"), ("ADDED", "b")]
        assert first[2]["type"] == "BOOKMARK"
        assert first[2]["object"]["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}
        session.delete(f"{maps}/a", timeout=5)
        assert next(stream)["type"] == "DELETED"


def test_a_watch_goes_on_where_it_stopped(session, maps):
    version = session.get(maps, timeout=5).json()["metadata"]["resourceVersion"]
    for name in "abc":
        session.post(maps, json={"metadata": {"name": name}}, timeout=5).raise_for_status()
    seen = []
    for _ in range(3):  # each time only one event is read
        with session.get(maps, params={"watch": "1", "resourceVersion": version}, stream=True, timeout=10) as response:
            event = next(events(response))
        seen.append(event["object"]["metadata"]["name"])
        version = event["object"]["metadata"]["resourceVersion"]
    assert seen == ["a", "b", "c"]


def test_a_version_that_is_too_old_is_gone(session, maps):
    response = session.get(maps, params={"watch": "1", "resourceVersion": "1"}, stream=True, timeout=10)
    event = next(events(response))
    assert response.status_code == 200
    assert (event["type"], event["object"]["code"], event["object"]["reason"]) == ("ERROR", 410, "Expired")
    assert list(events(response)) == []
    query = {"limit": "1", "continue": base64.urlsafe_b64encode(b'{"v":"meta.k8s.io/v1","rv":1,"start":"a"}').decode()}
    assert session.get(maps, params=query, timeout=5).status_code in (400, 410)


def test_a_watch_ends_in_time(session, maps):
    began = time.monotonic()
    with session.get(maps, params={"watch": "1", "timeoutSeconds": "1"}, stream=True, timeout=10) as response:
        list(response.iter_lines())
    assert 0.9 < time.monotonic() - began < 5


def test_pages(session, maps):
    names = [f"m{n:02}" for n in range(25)]
    for name in names:
        session.post(maps, json={"metadata": {"name": name}}, timeout=5).raise_for_status()
    found, query, versions = [], {"limit": "10", "fieldSelector": "metadata.name!=kube-root-ca.crt"}, set()
    while True:
        page = session.get(maps, params=query, timeout=5).json()
        found += [item["metadata"]["name"] for item in page["items"]]
        versions.add(page["metadata"]["resourceVersion"])
        if "continue" not in page["metadata"]:
            break
        query["continue"] = page["metadata"]["continue"]
        # What is written meanwhile is not in the later pages.
        session.post(maps, json={"metadata": {"name": f"z{len(found)}"}}, timeout=5).raise_for_status()
    assert found == names
    assert len(versions) == 1


# ---- what a pod may do

PROGRAM = """
import json, os, ssl, urllib.error, urllib.request
import yaml
config = yaml.safe_load(open(os.environ["KUBECONFIG"]))
server = config["clusters"][0]["cluster"]["server"]
context = ssl.create_default_context(cafile=config["clusters"][0]["cluster"]["certificate-authority"])
token = open(config["users"][0]["user"]["tokenFile"]).read()
namespace = config["contexts"][0]["context"]["namespace"]
found = {"env": os.environ["KUBERNETES_SERVICE_HOST"] + ":" + os.environ["KUBERNETES_SERVICE_PORT"], "server": server}
for what in ("configmaps", "secrets"):
    request = urllib.request.Request(f"{server}/api/v1/namespaces/{namespace}/{what}")
    request.add_header("Authorization", f"Bearer {token}")
    try:
        found[what] = urllib.request.urlopen(request, context=context).status
    except urllib.error.HTTPError as error:
        found[what] = error.code
        found["message"] = json.load(error)["message"]
print(json.dumps(found))
"""


def test_a_pod_has_the_rights_of_its_account(cluster, session, namespace):
    core = f"{cluster.url}/api/v1/namespaces/{namespace}"
    rbac = f"{cluster.url}/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}"
    session.post(f"{core}/serviceaccounts", json={"metadata": {"name": "robot"}}, timeout=5).raise_for_status()
    rules = [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["list"]}]
    session.post(f"{rbac}/roles", json={"metadata": {"name": "r"}, "rules": rules}, timeout=5).raise_for_status()
    binding = {
        "metadata": {"name": "r"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "r"},
        "subjects": [{"kind": "ServiceAccount", "name": "robot"}],
    }
    session.post(f"{rbac}/rolebindings", json=binding, timeout=5).raise_for_status()
    spec = {
        "serviceAccountName": "robot",
        "restartPolicy": "Never",
        "containers": [{"name": "c", "image": "localcluster/python", "args": ["-c", PROGRAM]}],
    }
    session.post(f"{core}/pods", json={"metadata": {"name": "p"}, "spec": spec}, timeout=5).raise_for_status()
    eventually(lambda: session.get(f"{core}/pods/p", timeout=5).json()["status"]["phase"] in ("Succeeded", "Failed"))
    found = json.loads(session.get(f"{core}/pods/p/log", timeout=5).text)
    assert found["configmaps"] == 200
    assert found["secrets"] == 403
    assert f'User "system:serviceaccount:{namespace}:robot" cannot list resource "secrets"' in found["message"]
    assert found["server"] == f"https://{found['env']}"


def test_a_pod_without_a_token(cluster, session, namespace):
    core = f"{cluster.url}/api/v1/namespaces/{namespace}"
    spec = {
        "automountServiceAccountToken": False,
        "restartPolicy": "Never",
        "containers": [{"name": "c", "image": "busybox", "command": ["sh", "-c", "echo [$KUBECONFIG]"]}],
    }
    name = f"p-{uuid.uuid4().hex[:5]}"
    session.post(f"{core}/pods", json={"metadata": {"name": name}, "spec": spec}, timeout=5).raise_for_status()
    eventually(lambda: session.get(f"{core}/pods/{name}", timeout=5).json()["status"]["phase"] == "Succeeded")
    assert session.get(f"{core}/pods/{name}/log", timeout=5).text == "[]\n"
