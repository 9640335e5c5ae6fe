"""Roles, bindings, escalation, and access reviews."""

import asyncio

import pytest

from localcluster.apiserver.auth import rbac
from localcluster.apiserver.auth.attributes import Attributes
from localcluster.apiserver.auth.default_objects import bootstrap_objects, cluster_roles
from localcluster.apiserver.auth.escalation import break_down, check_write, compact, compact_text, covers
from localcluster.apiserver.auth.rbac import Authorizer, path_matches, rule_allows
from localcluster.apiserver.auth.reviews import Reviews
from localcluster.apiserver.auth.role_aggregation import RoleAggregation
from localcluster.apiserver.auth.tokens import service_account_user
from localcluster.apiserver.errors import APIError
from localcluster.apiserver.kinds.base import User

ME = service_account_user("n", "sa", "u-sa")
ROOT = User("root", ("system:masters", "system:authenticated"))


@pytest.fixture
def authorizer(store, pki):
    authorizer = Authorizer(store)
    for storage, obj in bootstrap_objects(pki):
        store.create(storage, obj)
    return authorizer


def grant(store, name, *rules, subject=None, role_kind="Role", role=None):
    subject = subject or {"kind": "ServiceAccount", "name": "sa", "namespace": "n"}
    if rules:
        store.create(rbac.ROLES, {"metadata": {"name": name, "namespace": "n"}, "rules": list(rules)})
    binding = {"metadata": {"name": name, "namespace": "n"}, "subjects": [subject]}
    store.create(rbac.ROLE_BINDINGS, {**binding, "roleRef": {"kind": role_kind, "name": role or name}})


def rule(verbs, resources, groups=("",), names=()):
    found = {"apiGroups": list(groups), "resources": list(resources), "verbs": list(verbs)}
    return {**found, "resourceNames": list(names)} if names else found


def may(authorizer, user, verb, resource, namespace="n", name="", group="", subresource=""):
    attributes = Attributes(verb, group, "v1", resource, subresource, namespace, name)
    return authorizer.allowed(user, attributes)


@pytest.mark.parametrize(
    ("resources", "resource", "subresource", "expected"),
    [
        (["pods"], "pods", "", True),
        (["pods"], "pods", "log", False),
        (["pods/log"], "pods", "log", True),
        (["pods/log"], "pods", "", False),
        (["*/scale"], "deployments", "scale", True),
        (["*/scale"], "deployments", "", False),
        (["*"], "pods", "exec", True),
    ],
)
def test_resources_of_a_rule(resources, resource, subresource, expected):
    assert rule_allows(rule(["get"], resources), Attributes("get", "", "v1", resource, subresource)) is expected


def test_names_of_a_rule():
    found = rule(["get", "list"], ["secrets"], names=["mine"])
    assert rule_allows(found, Attributes("get", "", "v1", "secrets", name="mine"))
    assert not rule_allows(found, Attributes("get", "", "v1", "secrets", name="other"))
    assert not rule_allows(found, Attributes("list", "", "v1", "secrets"))


@pytest.mark.parametrize(
    ("pattern", "path", "expected"),
    [("/apis/*", "/apis/apps", True), ("/apis/*", "/apis", False), ("*", "/x", True), ("/version", "/version/", False)],
)
def test_paths_of_a_rule(pattern, path, expected):
    assert path_matches(pattern, path) is expected


def test_bindings_apply_at_once_and_end_with_their_role(authorizer, store):
    assert may(authorizer, ME, "get", "pods") == (False, "")
    grant(store, "r", rule(["get"], ["pods"]))
    reason = 'RBAC: allowed by RoleBinding "r/n" of Role "r" to ServiceAccount "sa/n"'
    assert may(authorizer, ME, "get", "pods") == (True, reason)
    assert may(authorizer, ME, "get", "pods", namespace="other") == (False, "")
    store.delete(rbac.ROLES, store.get(rbac.ROLES, "n", "r"))
    reason = 'RBAC: role.rbac.authorization.k8s.io "r" not found'
    assert may(authorizer, ME, "get", "pods") == (False, reason)


def test_default_roles(authorizer, store):
    grant(store, "v", role_kind="ClusterRole", role="view")
    assert may(authorizer, ME, "list", "pods")[0]
    assert may(authorizer, ME, "list", "deployments", group="apps")[0]
    assert not may(authorizer, ME, "list", "secrets")[0]
    assert not may(authorizer, ME, "create", "configmaps")[0]
    assert not may(authorizer, ME, "list", "roles", group=rbac.GROUP)[0]
    grant(store, "e", role_kind="ClusterRole", role="edit")
    assert may(authorizer, ME, "create", "configmaps")[0]
    assert may(authorizer, ME, "create", "pods", subresource="exec")[0]
    assert not may(authorizer, ME, "create", "roles", group=rbac.GROUP)[0]
    grant(store, "a", role_kind="ClusterRole", role="admin")
    assert may(authorizer, ME, "create", "roles", group=rbac.GROUP)[0]
    assert not may(authorizer, ME, "update", "resourcequotas")[0]


def test_masters_may_everything(authorizer):
    assert may(authorizer, ROOT, "anything", "at all") == (True, "")


def test_paths_for_everybody(authorizer):
    anonymous = User("system:anonymous", ("system:unauthenticated",))
    for path in ("/healthz", "/version"):
        assert authorizer.allowed(anonymous, Attributes("get", path=path))[0]
    assert not authorizer.allowed(anonymous, Attributes("get", path="/api"))[0]
    assert authorizer.allowed(ME, Attributes("get", path="/apis/apps/v1"))[0]
    assert not authorizer.allowed(ME, Attributes("get", path="/metrics"))[0]


# ---- escalation


def test_parts_of_a_rule():
    parts = list(break_down(rule(["get", "list"], ["a", "b"], names=["x"])))
    assert len(parts) == 4
    assert compact(parts) == [rule(["get", "list"], ["a"], names=["x"]), rule(["get", "list"], ["b"], names=["x"])]


def test_names_are_covered_by_no_names_but_not_the_other_way():
    assert covers(rule(["*"], ["*"], ["*"]), rule(["get"], ["pods"], names=["x"]))
    assert not covers(rule(["get"], ["pods"], names=["x"]), rule(["get"], ["pods"]))


def test_text_of_a_rule():
    assert compact_text(rule(["get", "list"], ["pods"], names=["x"])) == (
        '{APIGroups:[""], Resources:["pods"], ResourceNames:["x"], Verbs:["get" "list"]}'
    )
    assert compact_text({"nonResourceURLs": ["/x"], "verbs": ["get"]}) == '{NonResourceURLs:["/x"], Verbs:["get"]}'


def new_role(*rules):
    return {"metadata": {"name": "more"}, "rules": list(rules)}


def test_roles_beyond_ones_own_rights_are_refused(authorizer, store):
    grant(store, "r", rule(["get"], ["pods"]), rule(["create"], ["roles"], [rbac.GROUP]))
    check_write(authorizer, ME, "roles", new_role(rule(["get"], ["pods"])), None, "n", "")
    with pytest.raises(APIError) as caught:
        check_write(authorizer, ME, "roles", new_role(rule(["get", "list"], ["secrets"])), None, "n", "")
    assert caught.value.code == 403
    assert caught.value.message == (
        'roles.rbac.authorization.k8s.io "more" is forbidden: user "system:serviceaccount:n:sa" '
        '(groups=["system:serviceaccounts" "system:serviceaccounts:n" "system:authenticated"]) is attempting to grant '
        'RBAC permissions not currently held:\n{APIGroups:[""], Resources:["secrets"], Verbs:["get" "list"]}'
    )
    check_write(authorizer, ROOT, "roles", new_role(rule(["*"], ["*"])), None, "n", "")


def test_changes_of_nothing_but_owners_are_not_checked(authorizer):
    old = {"metadata": {"name": "more", "finalizers": ["x"]}, "rules": [rule(["get"], ["secrets"])]}
    new = {"metadata": {"name": "more"}, "rules": [rule(["get"], ["secrets"])]}
    check_write(authorizer, ME, "roles", new, old, "n", "more")


def test_the_verbs_escalate_and_bind(authorizer, store):
    grant(store, "r", rule(["escalate"], ["roles"], [rbac.GROUP]), rule(["bind"], ["clusterroles"], ["*"], ["view"]))
    check_write(authorizer, ME, "roles", new_role(rule(["*"], ["*"])), None, "n", "")
    binding = {"metadata": {"name": "b"}, "roleRef": {"kind": "ClusterRole", "name": "view"}}
    check_write(authorizer, ME, "rolebindings", binding, None, "n", "")
    with pytest.raises(APIError, match="not currently held"):
        binding["roleRef"]["name"] = "cluster-admin"
        check_write(authorizer, ME, "rolebindings", binding, None, "n", "")


def test_binding_a_role_that_is_not_there(authorizer):
    binding = {"metadata": {"name": "b"}, "roleRef": {"kind": "Role", "name": "nothing"}}
    with pytest.raises(APIError) as caught:
        check_write(authorizer, ME, "rolebindings", binding, None, "n", "")
    assert caught.value.code == 404


def test_aggregation_needs_everything(authorizer):
    role = {"metadata": {"name": "x"}, "aggregationRule": {"clusterRoleSelectors": []}}
    with pytest.raises(APIError, match="must have cluster-admin privileges to use an aggregationRule"):
        check_write(authorizer, ME, "clusterroles", role, None, "", "")


# ---- aggregated roles


def test_default_roles_contain_each_other():
    roles = {r["metadata"]["name"]: r for r in cluster_roles()}
    for small, large in (("view", "edit"), ("edit", "admin")):
        assert all(r in roles[large]["rules"] for r in roles[small]["rules"])
    assert roles["view"]["metadata"]["labels"] == {
        "kubernetes.io/bootstrapping": "rbac-defaults",
        "rbac.authorization.k8s.io/aggregate-to-edit": "true",
    }


async def test_a_new_part_reaches_all_levels(authorizer, store):
    aggregation = RoleAggregation(store, lambda: "2026-01-01T00:00:00Z")
    labels = {"rbac.authorization.k8s.io/aggregate-to-view": "true"}
    mine = rule(["get"], ["widgets"], ["x.example"])
    store.create(rbac.CLUSTER_ROLES, {"metadata": {"name": "widgets", "labels": labels}, "rules": [mine]})
    for _ in range(3):
        await asyncio.sleep(0)
    for name in ("view", "edit", "admin"):
        assert mine in store.get(rbac.CLUSTER_ROLES, "", name)["rules"]
    version = store.version
    aggregation.update()
    assert store.version == version
    aggregation.stop()


# ---- reviews


@pytest.fixture
def reviews(authorizer, tokens):
    return Reviews(authorizer, tokens)


def ask(reviews, plural, spec, user=ME, namespace="", metadata=None):
    body = {"spec": spec, "metadata": metadata or {}}
    return reviews.create("authorization.k8s.io", plural, namespace, body, user, "now")


def test_self_review(reviews, store):
    spec = {"resourceAttributes": {"namespace": "n", "verb": "get", "resource": "pods"}}
    assert ask(reviews, "selfsubjectaccessreviews", spec)["status"] == {"allowed": False}
    grant(store, "r", rule(["get"], ["pods"]))
    answer = ask(reviews, "selfsubjectaccessreviews", spec)
    assert answer["status"]["reason"].startswith('RBAC: allowed by RoleBinding "r/n"')
    assert (answer["kind"], answer["metadata"], answer["spec"]) == ("SelfSubjectAccessReview", {}, spec)
    path = {"nonResourceAttributes": {"path": "/version", "verb": "get"}}
    assert ask(reviews, "selfsubjectaccessreviews", path)["status"]["allowed"] is True


def test_review_of_others(reviews, store):
    grant(store, "r", rule(["get"], ["pods"]), subject={"kind": "Group", "name": "team"})
    attributes = {"resourceAttributes": {"namespace": "n", "verb": "get", "resource": "pods"}}
    found = ask(reviews, "subjectaccessreviews", {"user": "x", "groups": ["team"], **attributes}, ROOT)
    assert found["status"]["allowed"] is True
    local = {"namespace": "n", "metadata": {"namespace": "n"}}
    found = ask(reviews, "localsubjectaccessreviews", {"user": "x", **attributes}, ROOT, **local)
    assert found["status"] == {"allowed": False}


@pytest.mark.parametrize(
    ("plural", "spec", "message"),
    [
        (
            "selfsubjectaccessreviews",
            {},
            '.authorization.k8s.io "" is invalid: spec.resourceAttributes: Invalid value: null: exactly one of '
            "nonResourceAttributes or resourceAttributes must be specified",
        ),
        ("subjectaccessreviews", {"resourceAttributes": {}}, "at least one of user or group must be specified"),
        ("selfsubjectrulesreviews", {}, "no namespace on request"),
    ],
)
def test_bad_reviews(reviews, plural, spec, message):
    with pytest.raises(APIError) as caught:
        ask(reviews, plural, spec)
    assert message in caught.value.message
    assert "kind" not in (caught.value.details or {})


def test_rules_review(reviews, store):
    grant(store, "r", rule(["get"], ["pods"]))
    status = ask(reviews, "selfsubjectrulesreviews", {"namespace": "n"})["status"]
    assert status["incomplete"] is False
    assert len(status["nonResourceRules"]) == 3
    assert sorted(r["resources"] for r in status["resourceRules"]) == [
        ["pods"],
        ["selfsubjectaccessreviews", "selfsubjectrulesreviews"],
        ["selfsubjectreviews"],
    ]


def test_who_am_i(reviews):
    answer = reviews.create("authentication.k8s.io", "selfsubjectreviews", "", {}, User("a", ("g",)), "now")
    assert answer["status"] == {"userInfo": {"username": "a", "groups": ["g"]}}
