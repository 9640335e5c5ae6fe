"""Roles and role bindings."""

from typing import Any

import pytest

from tests.localcluster.apiserver.kinds.written import Written

GROUP = "rbac.authorization.k8s.io"
ROLE, CLUSTER_ROLE = Written(GROUP, "Role"), Written(GROUP, "ClusterRole")
BINDING, CLUSTER_BINDING = Written(GROUP, "RoleBinding"), Written(GROUP, "ClusterRoleBinding")
VIEW = {"kind": "ClusterRole", "name": "view"}


def test_names_of_roles_only_have_to_fit_into_a_path() -> None:
    rule = ROLE.kind.name_rule
    assert rule is not None
    assert rule("system:node:A B") == []
    assert rule("a/b") == ["may not contain '/'"]


def test_urls_are_for_cluster_roles() -> None:
    rules = {"rules": [{"verbs": ["get"], "nonResourceURLs": ["/x"]}]}
    assert CLUSTER_ROLE.create_errors(rules) == []
    assert ROLE.create_errors(rules) == [
        'rules[0].nonResourceURLs: Invalid value: ["/x"]: namespaced rules cannot apply to non-resource URLs'
    ]
    rules["rules"][0]["resources"] = ["pods"]
    [error] = CLUSTER_ROLE.create_errors(rules)
    assert error.endswith("rules cannot apply to both regular resources and non-resource URLs")


def test_aggregation_needs_a_selector() -> None:
    [error] = CLUSTER_ROLE.create_errors({"aggregationRule": {}})
    assert error.startswith("aggregationRule.clusterRoleSelectors: Required value")


def test_no_rules_are_null() -> None:
    assert ROLE.created({"rules": []})["rules"] is None


def test_groups_are_filled_in() -> None:
    subjects = [{"kind": "User", "name": "u"}, {"kind": "ServiceAccount", "name": "s"}]
    created = BINDING.created({"roleRef": VIEW, "subjects": subjects})
    assert created["roleRef"]["apiGroup"] == GROUP
    assert [s.get("apiGroup") for s in created["subjects"]] == [GROUP, None]


@pytest.mark.parametrize(
    ("subject", "error"),
    [
        ({"kind": "ServiceAccount", "name": "s"}, "namespace: Required value"),
        (
            {"kind": "ServiceAccount", "name": "s", "namespace": "n", "apiGroup": "g"},
            'apiGroup: Unsupported value: "g": supported values: ""',
        ),
        (
            {"kind": "Group", "name": "g", "apiGroup": "g"},
            f'apiGroup: Unsupported value: "g": supported values: "{GROUP}"',
        ),
        ({"kind": "User"}, "name: Required value"),
    ],
)
def test_subjects(subject: dict[str, Any], error: str) -> None:
    assert CLUSTER_BINDING.create_errors({"roleRef": VIEW, "subjects": [subject]}) == [f"subjects[0].{error}"]


def test_a_cluster_binding_binds_no_role_of_a_namespace() -> None:
    reference = {"kind": "Role", "name": "r"}
    assert BINDING.create_errors({"roleRef": reference}) == []
    assert CLUSTER_BINDING.create_errors({"roleRef": reference}) == [
        'roleRef.kind: Unsupported value: "Role": supported values: "ClusterRole"'
    ]


def test_the_role_of_a_binding_is_fixed() -> None:
    [error] = BINDING.update_errors({"roleRef": VIEW}, {"roleRef": VIEW | {"name": "edit"}})
    assert error == (
        'roleRef: Invalid value: {"APIGroup":"rbac.authorization.k8s.io","Kind":"ClusterRole","Name":"edit"}: '
        "cannot change roleRef"
    )
