"""Who asks, and whom they may impersonate."""

import base64

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from multidict import CIMultiDict

from localcluster.apiserver.auth.attributes import Attributes
from localcluster.apiserver.auth.authentication import ANONYMOUS, Authenticator
from localcluster.apiserver.auth.impersonation import impersonate
from localcluster.apiserver.errors import APIError
from localcluster.apiserver.kinds.base import User
from localcluster.certs import Pki


@pytest.fixture
def authenticator(pki, tokens):
    return Authenticator(pki.ca.certificate_file, tokens, {"letmein": User("root", ("system:masters",))})


def headers(**more):
    return CIMultiDict({name.replace("_", "-"): value for name, value in more.items()})


def test_without_credentials_one_is_anonymous(authenticator):
    assert authenticator.authenticate(headers()) == ANONYMOUS


def test_client_certificates(authenticator, pki):
    der = pki.client("jane", "jane", ["team"]).certificate().public_bytes(Encoding.DER)
    user = authenticator.authenticate(headers(), der)
    assert (user.name, user.groups) == ("jane", ("team", "system:authenticated"))


def test_certificates_of_others_are_refused_unless_there_is_a_token(authenticator, tmp_path):
    der = Pki.open(tmp_path).client("jane", "jane").certificate().public_bytes(Encoding.DER)
    with pytest.raises(APIError, match="Unauthorized"):
        authenticator.authenticate(headers(), der)
    assert authenticator.authenticate(headers(Authorization="Bearer letmein"), der).name == "root"


def test_bearer_tokens(authenticator, tokens):
    token = tokens.request("n", "sa", {})["status"]["token"]
    assert authenticator.authenticate(headers(Authorization=f"bearer {token}")).name == "system:serviceaccount:n:sa"
    with pytest.raises(APIError, match="Unauthorized") as caught:
        authenticator.authenticate(headers(Authorization="Bearer nonsense"))
    assert caught.value.code == 401
    encoded = base64.urlsafe_b64encode(token.encode()).decode().rstrip("=")
    protocols = f"base64url.bearer.authorization.k8s.io.{encoded}, v4.channel.k8s.io"
    assert authenticator.authenticate(headers(Sec_WebSocket_Protocol=protocols)).uid == "u-sa"


LIST = Attributes("list", "", "v1", "configmaps", namespace="n")
ME = User("me", ("system:authenticated",))


def test_no_headers_change_nothing():
    assert impersonate(ME, headers(), LIST, lambda *_: (False, "")) is ME


def test_groups_need_a_name():
    with pytest.raises(APIError) as caught:
        impersonate(ME, headers(Impersonate_Group="devs"), LIST, lambda *_: (True, ""))
    assert caught.value.message == (
        'requested &user.DefaultInfo{Name:"", UID:"", Groups:[]string{"devs"}, Extra:map[string][]string(nil)} '
        "without impersonating a user name"
    )


def test_refusal_names_the_first_mode():
    with pytest.raises(APIError) as caught:
        impersonate(ME, headers(Impersonate_User="alice"), LIST, lambda *_: (False, ""))
    assert caught.value.message == (
        'configmaps is forbidden: User "me" cannot impersonate-on:user-info:list resource "configmaps" in API group "" '
        'in the namespace "n"'
    )


def may(*rights):
    """Allows (verb, resource, name)s."""
    return lambda user, attributes: ((attributes.verb, attributes.full_resource, attributes.name) in rights, "")


def test_the_old_verb_is_checked_for_each_part():
    asked = CIMultiDict([("Impersonate-User", "alice"), ("Impersonate-Group", "a"), ("Impersonate-Group", "b")])
    allowed = may(("impersonate", "users", "alice"), ("impersonate", "groups", "a"), ("impersonate", "groups", "b"))
    user = impersonate(ME, asked, LIST, allowed)
    assert (user.name, user.groups) == ("alice", ("a", "b", "system:authenticated"))
    with pytest.raises(APIError):
        impersonate(ME, asked, LIST, may(("impersonate", "users", "alice"), ("impersonate", "groups", "a")))


def test_constrained_impersonation_needs_both_verbs():
    asked = headers(Impersonate_User="system:serviceaccount:n:sa")
    person = ("impersonate:serviceaccount", "serviceaccounts", "sa")
    deed = ("impersonate-on:serviceaccount:list", "configmaps", "")
    user = impersonate(ME, asked, LIST, may(person, deed))
    assert user.groups == ("system:serviceaccounts", "system:serviceaccounts:n", "system:authenticated")
    for only in (person, deed):
        with pytest.raises(APIError):
            impersonate(ME, asked, LIST, may(only))


def test_extra_and_uid():
    asked = headers(Impersonate_User="alice", Impersonate_Uid="7", **{"Impersonate-Extra-acme.com%2Fproject": "x"})
    user = impersonate(ME, asked, LIST, lambda *_: (True, ""))
    assert (user.uid, user.extra) == ("7", {"acme.com/project": ("x",)})


def test_anonymous_is_not_authenticated():
    user = impersonate(ME, headers(Impersonate_User="system:anonymous"), LIST, lambda *_: (True, ""))
    assert user.groups == ("system:unauthenticated",)
