"""Service account tokens."""

import base64
import json

import pytest

from localcluster.apiserver.auth.tokens import AUDIENCE, ForeignToken, TokenError
from localcluster.apiserver.errors import APIError


def issue(tokens, **spec):
    return tokens.request("n", "sa", {"spec": spec})["status"]["token"]


def claims(token):
    payload = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))


def test_a_token_is_its_account(tokens):
    user = tokens.verify(issue(tokens)).user
    assert user.name == "system:serviceaccount:n:sa"
    assert user.groups == ("system:serviceaccounts", "system:serviceaccounts:n", "system:authenticated")
    assert user.uid == "u-sa"
    assert list(user.extra) == ["authentication.kubernetes.io/credential-id"]


def test_the_answer_to_a_request(tokens):
    answer = tokens.request("n", "sa", {"spec": {"expirationSeconds": 600}}, now=0.0)
    assert answer["metadata"] == {
        "name": "sa", "namespace": "n", "uid": "u-sa", "creationTimestamp": "1970-01-01T00:00:00Z",
    }  # fmt: skip
    assert answer["spec"] == {"audiences": [AUDIENCE], "expirationSeconds": 600, "boundObjectRef": None}
    assert answer["status"]["expirationTimestamp"] == "1970-01-01T00:10:00Z"


@pytest.mark.parametrize(
    ("body", "code", "text"),
    [
        ({"spec": {"expirationSeconds": 60}}, 422, "may not specify a duration less than 10 minutes"),
        ({"spec": {"expirationSeconds": 1 << 33}}, 422, "may not specify a duration larger than 2^32 seconds"),
        ({"metadata": {"name": "other"}}, 422, "must match the service account name if specified"),
        ({"spec": {"boundObjectRef": {"kind": "Secret", "apiVersion": "v1", "name": "no"}}}, 404, 'secrets "no" not'),
        ({"spec": {"boundObjectRef": {"kind": "Job", "apiVersion": "batch/v1"}}}, 400, "batch/v1, Kind=Job"),
    ],
)
def test_what_is_refused(tokens, body, code, text):
    with pytest.raises(APIError) as caught:
        tokens.request("n", "sa", body)
    assert caught.value.code == code
    assert text in caught.value.message


def test_a_token_dies_with_its_account(tokens, store):
    token = issue(tokens)
    account = store.get("/serviceaccounts", "n", "sa")
    store.delete("/serviceaccounts", account)
    with pytest.raises(TokenError, match="invalidated"):
        tokens.verify(token)
    store.create("/serviceaccounts", {"metadata": {"name": "sa", "namespace": "n", "uid": "another"}})
    with pytest.raises(TokenError, match="invalidated"):
        tokens.verify(token)


def test_a_bound_token_dies_with_its_pod_and_names_pod_and_node(tokens, store):
    store.create("/nodes", {"metadata": {"name": "m", "uid": "u-m"}})
    pod = store.create(
        "/pods",
        {
            "metadata": {"name": "p", "namespace": "n", "uid": "u-p"},
            "spec": {"serviceAccountName": "sa", "nodeName": "m"},
        },
    )
    token = issue(tokens, boundObjectRef={"kind": "Pod", "apiVersion": "v1", "name": "p", "uid": "u-p"})
    extra = tokens.verify(token).user.extra
    prefix = "authentication.kubernetes.io/"
    found = {k.removeprefix(prefix): v for k, v in extra.items() if k.startswith(prefix)}
    assert found.pop("credential-id")[0].startswith("JTI=")
    assert found == {"pod-name": ("p",), "pod-uid": ("u-p",), "node-name": ("m",), "node-uid": ("u-m",)}
    store.delete("/pods", pod)
    with pytest.raises(TokenError, match="invalidated"):
        tokens.verify(token)


def test_a_pod_of_another_account_cannot_be_bound(tokens, store):
    store.create("/pods", {"metadata": {"name": "p", "namespace": "n", "uid": "u"}, "spec": {}})
    with pytest.raises(APIError, match="different serviceaccount name"):
        issue(tokens, boundObjectRef={"kind": "Pod", "apiVersion": "v1", "name": "p"})


def test_kubelets_tokens_outlive_what_they_asked_for(tokens, store):
    store.create(
        "/pods", {"metadata": {"name": "p", "namespace": "n", "uid": "u"}, "spec": {"serviceAccountName": "sa"}}
    )
    token = issue(tokens, expirationSeconds=3607, boundObjectRef={"kind": "Pod", "apiVersion": "v1", "name": "p"})
    found = claims(token)
    assert found["exp"] - found["iat"] == 365 * 24 * 3600
    assert found["kubernetes.io"]["warnafter"] - found["iat"] == 3607


def test_expiry_and_audience(tokens):
    token = issue(tokens, audiences=["other"])
    with pytest.raises(TokenError, match=r'token audiences \["other"\] is invalid'):
        tokens.verify(token)
    assert tokens.verify(token, ["x", "other"]).audiences == ("other",)
    with pytest.raises(TokenError, match="expired"):
        tokens.verify(token, ["other"], now=claims(token)["exp"])


@pytest.mark.parametrize("token", ["nonsense", "eyJhbGciOiJSUzI1NiJ9.e30.AAAA", "", "..", "é.é.é"])
def test_other_tokens_are_foreign(tokens, token):
    with pytest.raises(ForeignToken):
        tokens.verify(token)


def test_a_changed_token_is_foreign(tokens):
    head, payload, signature = issue(tokens).split(".")
    changed = base64.urlsafe_b64encode(json.dumps({**claims(f".{payload}."), "sub": "x"}).encode()).decode().rstrip("=")
    with pytest.raises(ForeignToken):
        tokens.verify(f"{head}.{changed}.{signature}")


def test_reviews(tokens):
    found = tokens.review({"spec": {"token": issue(tokens, audiences=["other"]), "audiences": ["other"]}})["status"]
    assert found["authenticated"] is True
    assert found["audiences"] == ["other"]
    assert found["user"]["username"] == "system:serviceaccount:n:sa"
    assert tokens.review({"spec": {"token": "nonsense"}})["status"] == {"user": {}, "error": "invalid bearer token"}
    with pytest.raises(APIError, match="token is required"):
        tokens.review({"spec": {}})
