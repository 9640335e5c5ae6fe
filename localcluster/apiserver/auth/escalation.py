"""Nobody grants what they do not have: the check of writes to roles and bindings.

    check_write(authorizer, user, resource, new, old, namespace, name)    # APIError 403; before validation

https://kubernetes.io/docs/reference/access-authn-authz/rbac/#privilege-escalation-prevention-and-bootstrapping
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from localcluster.apiserver.auth.attributes import Attributes
from localcluster.apiserver.auth.rbac import GROUP, MASTERS, Authorizer, RoleNotFound, path_matches
from localcluster.apiserver.errors import APIError, forbidden
from localcluster.apiserver.kinds.base import JSON, User

_EVERYTHING: list[JSON] = [
    {"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]},
    {"nonResourceURLs": ["*"], "verbs": ["*"]},
]


def check_write(
    authorizer: Authorizer, user: User, plural: str, new: JSON, old: JSON | None, namespace: str, url_name: str
) -> None:
    """Refuse a create or an update by which `user` would give away rights that they have not.

    Args:
        plural: of the resource in rbac.authorization.k8s.io; others are not looked at.
        old: the stored object on update.
        url_name: the name in the request's path, empty on create.

    Raises:
        APIError: 403; 404 where a binding's role does not exist.
    """
    if MASTERS in user.groups or (old is not None and _same_but_for_metadata(new, old)):
        return
    if plural in ("roles", "clusterroles"):
        escalate = Attributes("escalate", GROUP, "v1", plural, namespace=namespace, name=url_name)
        if authorizer.allowed(user, escalate)[0]:
            return
        if new.get("aggregationRule") and plural == "clusterroles":
            missing = _uncovered(authorizer, user, _EVERYTHING, namespace)
            if missing:
                why = "must have cluster-admin privileges to use an aggregationRule"
                raise forbidden(GROUP, plural, new["metadata"].get("name", ""), why)
        _confirm(authorizer, user, plural, new, new.get("rules") or [], namespace)
    elif plural in ("rolebindings", "clusterrolebindings"):
        role = new.get("roleRef") or {}
        kind, name = role.get("kind", ""), role.get("name", "")
        role_namespace = namespace if kind == "Role" else ""
        bind = Attributes("bind", GROUP, "v1", f"{kind.lower()}s", namespace=namespace, name=name)
        if authorizer.allowed(user, bind)[0]:
            return
        try:
            rules = authorizer.role_rules(kind, name, role_namespace)
        except RoleNotFound as error:
            details = {"name": name, "group": GROUP, "kind": kind.lower()}
            raise APIError(404, "NotFound", str(error), details) from None
        _confirm(authorizer, user, plural, new, rules, namespace)


def _same_but_for_metadata(new: JSON, old: JSON) -> bool:
    """Whether nothing but finalizers and owners could have changed, which the garbage collector may do."""

    def rest(obj: JSON) -> JSON:
        kept = {k: v for k, v in obj.items() if k not in ("metadata", "apiVersion", "kind")}
        ignored = ("finalizers", "ownerReferences", "managedFields", "resourceVersion")
        kept["metadata"] = {k: v for k, v in obj["metadata"].items() if k not in ignored}
        return kept

    return rest(new) == rest(old)


def _confirm(authorizer: Authorizer, user: User, plural: str, new: JSON, rules: list[JSON], namespace: str) -> None:
    missing = _uncovered(authorizer, user, rules, namespace)
    if not missing:
        return
    groups = " ".join(json.dumps(g) for g in user.groups)
    lines = "\n".join(sorted({compact_text(rule) for rule in compact(missing)}))
    why = (
        f"user {json.dumps(user.name)} (groups=[{groups}]) is attempting to grant RBAC permissions not currently held:"
        f"\n{lines}"
    )
    _, errors = authorizer.rules_for(user, namespace)
    if errors:
        why += f"; resolution errors: [{', '.join(errors)}]"
    raise forbidden(GROUP, plural, new["metadata"].get("name", ""), why)


def _uncovered(authorizer: Authorizer, user: User, rules: list[JSON], namespace: str) -> list[JSON]:
    owned, _ = authorizer.rules_for(user, namespace)
    parts = (part for rule in rules for part in break_down(rule))
    return [part for part in parts if not any(covers(rule, part) for rule in owned)]


def break_down(rule: JSON) -> Iterator[JSON]:
    """A rule as rules of one group, resource, verb and name each (or one path and verb)."""
    for group in rule.get("apiGroups") or ():
        for resource in rule.get("resources") or ():
            for verb in rule.get("verbs") or ():
                part: JSON = {"apiGroups": [group], "resources": [resource], "verbs": [verb]}
                names = rule.get("resourceNames") or ()
                if names:
                    yield from ({**part, "resourceNames": [name]} for name in names)
                else:
                    yield part
    for path in rule.get("nonResourceURLs") or ():
        for verb in rule.get("verbs") or ():
            yield {"nonResourceURLs": [path], "verbs": [verb]}


def covers(owned: JSON, part: JSON) -> bool:
    """Whether a rule allows all that a broken-down one allows."""
    if not _has_all(owned, part, "verbs"):
        return False
    if "nonResourceURLs" in part:
        patterns = owned.get("nonResourceURLs") or ()
        return all(any(path_matches(pattern, path) for pattern in patterns) for path in part["nonResourceURLs"])
    if not _has_all(owned, part, "apiGroups"):
        return False
    resources = owned.get("resources") or ()
    for resource in part["resources"]:
        _, _, subresource = resource.partition("/")
        if resource not in resources and "*" not in resources and f"*/{subresource}" not in resources:
            return False
    names, wanted = owned.get("resourceNames") or (), part.get("resourceNames") or ()
    return not names or (bool(wanted) and all(name in names for name in wanted))


def _has_all(owned: JSON, part: JSON, key: str) -> bool:
    have = owned.get(key) or ()
    return "*" in have or all(value in have for value in part[key])


def compact(rules: Iterable[JSON]) -> list[JSON]:
    """Rules of one resource each, with the verbs of those that differ only in the verb put together."""
    found: dict[Any, JSON] = {}
    rest = []
    for rule in rules:
        if "nonResourceURLs" in rule:
            rest.append(rule)
            continue
        key = (rule["apiGroups"][0], rule["resources"][0], tuple(rule.get("resourceNames", ())))
        if key in found:
            found[key] = {**found[key], "verbs": [*found[key]["verbs"], *rule["verbs"]]}
        else:
            found[key] = rule
    return [*found.values(), *rest]


def compact_text(rule: JSON) -> str:
    """``{APIGroups:[""], Resources:["pods"], Verbs:["get" "list"]}``."""
    names = ("APIGroups", "Resources", "NonResourceURLs", "ResourceNames", "Verbs")
    parts = []
    for name in names:
        values = rule.get(f"{'apiGroups' if name == 'APIGroups' else name[0].lower() + name[1:]}")
        if values:
            parts.append(f"{name}:[{' '.join(json.dumps(v) for v in values)}]")
    return "{" + ", ".join(parts) + "}"
