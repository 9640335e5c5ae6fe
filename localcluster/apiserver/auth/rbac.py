"""Role-based access control: what the stored roles and bindings allow.

    authorizer = Authorizer(store)                     # follows the stored roles and bindings by itself
    allowed, reason = authorizer.allowed(user, attributes)
    rules, errors = authorizer.rules_for(user, "namespace")

Reference: https://kubernetes.io/docs/reference/access-authn-authz/rbac/; reasons are worded as kube-apiserver's.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from localcluster.apiserver.auth.attributes import Attributes
from localcluster.apiserver.kinds.base import JSON, User
from localcluster.apiserver.store import Event, Store

GROUP = "rbac.authorization.k8s.io"
CLUSTER_ROLES = f"{GROUP}/clusterroles"
ROLES = f"{GROUP}/roles"
CLUSTER_ROLE_BINDINGS = f"{GROUP}/clusterrolebindings"
ROLE_BINDINGS = f"{GROUP}/rolebindings"

MASTERS = "system:masters"
"""The group that may do everything, whatever the roles say."""
_MAX_DECISIONS = 2048


class RoleNotFound(Exception):
    """A binding's role does not exist; the text is the real server's."""


@dataclass(frozen=True, slots=True)
class _Grant:
    """A binding as it applies to one of its subjects; `order` is its place among the bindings."""

    order: int
    role_kind: str
    role_name: str
    namespace: str
    text: str


@dataclass(slots=True)
class _Grants:
    """The bindings of the cluster or of a namespace by user and by group."""

    users: dict[str, list[_Grant]] = field(default_factory=dict)
    groups: dict[str, list[_Grant]] = field(default_factory=dict)

    def of(self, user: User) -> list[_Grant]:
        found = list(self.users.get(user.name, ()))
        for group in user.groups:
            found += self.groups.get(group, ())
        # Through whatever subject: the bindings are asked in their order, each once.
        by_order: dict[int, _Grant] = {}
        for grant in found:
            by_order.setdefault(grant.order, grant)
        return [by_order[order] for order in sorted(by_order)]


class Authorizer:
    """Answers what a user may do. Decisions are kept until a role or a binding changes."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._cluster: _Grants | None = None
        self._namespaces: dict[str, _Grants] = {}
        self._decisions: dict[tuple[str, tuple[str, ...], Attributes], tuple[bool, str]] = {}
        for storage in (CLUSTER_ROLES, ROLES, CLUSTER_ROLE_BINDINGS, ROLE_BINDINGS):
            store.subscribe(storage, self._changed)

    def _changed(self, event: Event) -> None:
        self._decisions.clear()
        if event.storage == CLUSTER_ROLE_BINDINGS:
            self._cluster = None
        elif event.storage == ROLE_BINDINGS:
            self._namespaces.pop(event.key.partition("/")[0], None)

    def allowed(self, user: User, attributes: Attributes) -> tuple[bool, str]:
        """Whether the user may, and why: which binding allows it, or which binding names a role that is not there."""
        if MASTERS in user.groups:
            return True, ""
        key = (user.name, user.groups, attributes)
        decision = self._decisions.get(key)
        if decision is None:
            if len(self._decisions) >= _MAX_DECISIONS:
                self._decisions.clear()
            decision = self._decisions[key] = self._decide(user, attributes)
        return decision

    def _decide(self, user: User, attributes: Attributes) -> tuple[bool, str]:
        errors = []
        for grant in self._grants(user, attributes.namespace):
            try:
                rules = self.role_rules(grant.role_kind, grant.role_name, grant.namespace)
            except RoleNotFound as error:
                errors.append(str(error))
                continue
            if any(rule_allows(rule, attributes) for rule in rules):
                return True, f"RBAC: allowed by {grant.text}"
        if errors:
            return False, "RBAC: " + aggregate(errors)
        return False, ""

    def rules_for(self, user: User, namespace: str) -> tuple[list[JSON], list[str]]:
        """All rules that apply to a user in a namespace ("" for the cluster only), and what could not be resolved."""
        rules: list[JSON] = []
        errors = []
        for grant in self._grants(user, namespace):
            try:
                rules += self.role_rules(grant.role_kind, grant.role_name, grant.namespace)
            except RoleNotFound as error:
                errors.append(str(error))
        return rules, errors

    def role_rules(self, kind: str, name: str, namespace: str) -> list[JSON]:
        """The rules of a Role of the namespace or of a ClusterRole. Raises RoleNotFound."""
        if kind == "Role":
            role = self._store.get(ROLES, namespace, name)
        else:
            role = self._store.get(CLUSTER_ROLES, "", name)
        if role is None:
            raise RoleNotFound(f'{kind.lower()}.{GROUP} "{name}" not found')
        return role.get("rules") or []

    def _grants(self, user: User, namespace: str) -> Iterator[_Grant]:
        if self._cluster is None:
            self._cluster = _index(self._store.list(CLUSTER_ROLE_BINDINGS), "")
        yield from self._cluster.of(user)
        if namespace:
            grants = self._namespaces.get(namespace)
            if grants is None:
                grants = self._namespaces[namespace] = _index(self._store.list(ROLE_BINDINGS, namespace), namespace)
            yield from grants.of(user)


def _index(bindings: list[JSON], namespace: str) -> _Grants:
    grants = _Grants()
    for order, binding in enumerate(bindings):
        role = binding["roleRef"]
        name = binding["metadata"]["name"]
        what = f'RoleBinding "{name}/{namespace}"' if namespace else f'ClusterRoleBinding "{name}"'
        for subject in binding.get("subjects") or ():
            kind, subject_name = subject.get("kind"), subject.get("name", "")
            if kind == "ServiceAccount":
                account_namespace = subject.get("namespace") or namespace
                users, key = grants.users, f"system:serviceaccount:{account_namespace}:{subject_name}"
                who = f'ServiceAccount "{subject_name}/{account_namespace}"'
            else:
                users, key = (grants.users if kind == "User" else grants.groups), subject_name
                who = f'{kind} "{subject_name}"'
            text = f'{what} of {role["kind"]} "{role["name"]}" to {who}'
            users.setdefault(key, []).append(_Grant(order, role["kind"], role["name"], namespace, text))
    return grants


def rule_allows(rule: JSON, attributes: Attributes) -> bool:
    """Whether one PolicyRule allows a request."""
    verbs = rule.get("verbs") or ()
    if "*" not in verbs and attributes.verb not in verbs:
        return False
    if not attributes.resource:
        return any(path_matches(pattern, attributes.path) for pattern in rule.get("nonResourceURLs") or ())
    groups = rule.get("apiGroups") or ()
    if "*" not in groups and attributes.group not in groups:
        return False
    resources = rule.get("resources") or ()
    if (
        attributes.full_resource not in resources
        and "*" not in resources
        and not (attributes.subresource and f"*/{attributes.subresource}" in resources)
    ):
        return False
    names = rule.get("resourceNames")
    return not names or attributes.name in names


def path_matches(pattern: str, path: str) -> bool:
    """Whether a nonResourceURL of a rule covers a path: ``*`` at its end stands for anything."""
    return pattern in ("*", path) or (pattern.endswith("*") and path.startswith(pattern.rstrip("*")))


def aggregate(errors: list[str]) -> str:
    """Several errors as Go's aggregate prints them."""
    unique = list(dict.fromkeys(errors))
    return unique[0] if len(unique) == 1 else f"[{', '.join(unique)}]"
