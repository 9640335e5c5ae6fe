"""Roles and their bindings: defaults and rules; the role of a binding is fixed."""

from __future__ import annotations

from localcluster.apiserver.errors import FieldError, invalid_value, required
from localcluster.apiserver.kinds import formats, metadata
from localcluster.apiserver.kinds.base import JSON, Context, Kind

GROUP = "rbac.authorization.k8s.io"


class _Rbac(Kind):
    name_rule = staticmethod(formats.path_segment)
    create_on_update = True


def _validate_rule(rule: JSON, path: str, *, namespaced: bool) -> list[FieldError]:
    found: list[FieldError] = []
    if not rule.get("verbs"):
        found.append(required(f"{path}.verbs", "verbs must contain at least one value"))
    urls = rule.get("nonResourceURLs")
    if urls:
        if namespaced:
            detail = "namespaced rules cannot apply to non-resource URLs"
            found.append(invalid_value(f"{path}.nonResourceURLs", urls, detail))
        if any(rule.get(name) for name in ("apiGroups", "resources", "resourceNames")):
            detail = "rules cannot apply to both regular resources and non-resource URLs"
            found.append(invalid_value(f"{path}.nonResourceURLs", urls, detail))
        return found
    if not rule.get("apiGroups"):
        found.append(required(f"{path}.apiGroups", "resource rules must supply at least one api group"))
    if not rule.get("resources"):
        found.append(required(f"{path}.resources", "resource rules must supply at least one resource"))
    return found


class Role(_Rbac):
    namespaced = True

    def default(self, obj: JSON) -> None:
        # An empty list is stored as none, and shown as null.
        obj["rules"] = obj.get("rules") or None
        for rule in obj["rules"] or ():
            rule.setdefault("verbs", None)

    def validate_create(self, new: JSON, context: Context) -> list[FieldError]:
        found: list[FieldError] = []
        for i, rule in enumerate(new.get("rules") or ()):
            found += _validate_rule(rule, f"rules[{i}]", namespaced=self.namespaced)
        return found


class ClusterRole(Role):
    namespaced = False

    def validate_create(self, new: JSON, context: Context) -> list[FieldError]:
        found = super().validate_create(new, context)
        aggregation = new.get("aggregationRule")
        if aggregation is None:
            return found
        path = "aggregationRule.clusterRoleSelectors"
        selectors = aggregation.get("clusterRoleSelectors") or []
        if not selectors:
            detail = "at least one clusterRoleSelector required if aggregationRule is non-nil"
            found.append(required(path, detail))
        for i, selector in enumerate(selectors):
            found += metadata.validate_label_selector(selector, f"{path}[{i}]")
        return found


class RoleBinding(_Rbac):
    namespaced = True
    role_kinds: tuple[str, ...] = ("Role", "ClusterRole")

    def default(self, obj: JSON) -> None:
        reference = obj.setdefault("roleRef", {})
        if not reference.get("apiGroup"):
            reference["apiGroup"] = GROUP
        for name in ("kind", "name"):
            reference.setdefault(name, "")
        for subject in obj.get("subjects") or ():
            if not subject.get("apiGroup") and subject.get("kind") in ("User", "Group"):
                subject["apiGroup"] = GROUP

    def validate_create(self, new: JSON, context: Context) -> list[FieldError]:
        found: list[FieldError] = []
        reference = new["roleRef"]
        if reference["apiGroup"] != GROUP:
            found.append(formats.unsupported("roleRef.apiGroup", reference["apiGroup"], GROUP))
        if reference["kind"] not in self.role_kinds:
            found.append(formats.unsupported("roleRef.kind", reference["kind"], *self.role_kinds))
        if not reference["name"]:
            found.append(required("roleRef.name"))
        else:
            found += formats.check("roleRef.name", reference["name"], formats.path_segment(reference["name"]))
        for i, subject in enumerate(new.get("subjects") or ()):
            found += self._validate_subject(subject, f"subjects[{i}]")
        return found

    def _validate_subject(self, subject: JSON, path: str) -> list[FieldError]:
        found: list[FieldError] = []
        kind, name, group = subject.get("kind", ""), subject.get("name", ""), subject.get("apiGroup", "")
        if not name:
            found.append(required(f"{path}.name"))
        if kind == "ServiceAccount":
            if name:
                found += formats.check(f"{path}.name", name, formats.dns1123_subdomain(name))
            if group:
                found.append(formats.unsupported(f"{path}.apiGroup", group, ""))
            if not self.namespaced and not subject.get("namespace"):
                found.append(required(f"{path}.namespace"))
        elif kind in ("User", "Group"):
            if group != GROUP:
                found.append(formats.unsupported(f"{path}.apiGroup", group, GROUP))
        else:
            found.append(formats.unsupported(f"{path}.kind", kind, "ServiceAccount", "User", "Group"))
        return found

    def validate_update(self, new: JSON, old: JSON, context: Context) -> list[FieldError]:
        found = self.validate_create(new, context)
        reference = new["roleRef"]
        if reference != old["roleRef"]:
            shown = {"APIGroup": reference["apiGroup"], "Kind": reference["kind"], "Name": reference["name"]}
            found.append(invalid_value("roleRef", shown, "cannot change roleRef"))
        return found


class ClusterRoleBinding(RoleBinding):
    namespaced = False
    role_kinds = ("ClusterRole",)


KINDS: dict[str, type[Kind]] = {
    "ClusterRole": ClusterRole,
    "ClusterRoleBinding": ClusterRoleBinding,
    "Role": Role,
    "RoleBinding": RoleBinding,
}
