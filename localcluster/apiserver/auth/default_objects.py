"""What a new cluster holds from the start: default roles and bindings, system namespaces' contents, priority classes.

    for resource_storage, obj in bootstrap_objects(pki): create it unless it is stored

The rules are those that Kubernetes documents for its default roles
(https://kubernetes.io/docs/reference/access-authn-authz/rbac/#default-roles-and-role-bindings), as far as they speak
of what is served here. Two differ: all controllers are one process here, so ``system:kube-controller-manager`` has the
rights of all of them; and there is no node authorizer, so the group ``system:nodes`` is bound to ``system:node`` and
``system:node-proxier``. What a node does here that kubelets leave to others, to register the metrics of its pods as an
API, are the roles ``localcluster:node``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from localcluster.apiserver.auth import rbac
from localcluster.apiserver.kinds.base import JSON
from localcluster.apiserver.selectors import matches_object_selector
from localcluster.certs import Pki

_READ = "get list watch"
_WRITE = "create delete deletecollection patch update"
_ALL = "create delete deletecollection get list patch update watch"
_LABELS = {"kubernetes.io/bootstrapping": "rbac-defaults"}
_ANNOTATIONS = {"rbac.authorization.kubernetes.io/autoupdate": "true"}
_TO = "rbac.authorization.k8s.io/aggregate-to-"
_EVENTS = ("create patch update", ",events.k8s.io", "events")


def _rule(verbs: str, groups: str, resources: str, names: str = "") -> JSON:
    """Groups are separated by commas (the core group is empty), the rest by spaces."""
    rule: JSON = {"verbs": verbs.split(), "apiGroups": groups.split(","), "resources": resources.split()}
    if names:
        rule["resourceNames"] = names.split()
    return rule


def _paths(*paths: str) -> JSON:
    return {"verbs": ["get"], "nonResourceURLs": list(paths)}


_APPS = "daemonsets deployments deployments/rollback deployments/scale replicasets replicasets/scale statefulsets"
_VIEW = [
    _rule(_READ, "", "configmaps endpoints persistentvolumeclaims persistentvolumeclaims/status pods "
          "replicationcontrollers replicationcontrollers/scale serviceaccounts services services/status"),
    _rule(_READ, "", "bindings events limitranges namespaces/status pods/log pods/status "
          "replicationcontrollers/status resourcequotas resourcequotas/status"),
    _rule(_READ, "", "namespaces"),
    _rule(_READ, "discovery.k8s.io", "endpointslices"),
    _rule(_READ, "apps", "controllerrevisions daemonsets daemonsets/status deployments deployments/scale "
          "deployments/status replicasets replicasets/scale replicasets/status statefulsets statefulsets/scale "
          "statefulsets/status"),
    _rule(_READ, "autoscaling", "horizontalpodautoscalers horizontalpodautoscalers/status"),
    _rule(_READ, "batch", "cronjobs cronjobs/status jobs jobs/status"),
    _rule(_READ, "extensions", "daemonsets daemonsets/status deployments deployments/scale deployments/status "
          "ingresses ingresses/status networkpolicies replicasets replicasets/scale replicasets/status "
          "replicationcontrollers/scale"),
    _rule(_READ, "policy", "poddisruptionbudgets poddisruptionbudgets/status"),
    _rule(_READ, "networking.k8s.io", "ingresses ingresses/status networkpolicies"),
]  # fmt: skip
_EDIT = [
    _rule(_READ, "", "pods/attach pods/exec pods/portforward pods/proxy secrets services/proxy"),
    _rule("impersonate", "", "serviceaccounts"),
    _rule(_WRITE, "", "pods pods/attach pods/exec pods/portforward pods/proxy"),
    _rule("create", "", "pods/eviction"),
    _rule(_WRITE, "", "configmaps events persistentvolumeclaims replicationcontrollers "
          "replicationcontrollers/scale secrets serviceaccounts services services/proxy"),
    _rule("create", "", "serviceaccounts/token"),
    _rule(_WRITE, "apps", f"{_APPS} statefulsets/scale"),
    _rule(_WRITE, "autoscaling", "horizontalpodautoscalers"),
    _rule(_WRITE, "batch", "cronjobs jobs"),
    _rule(_WRITE, "extensions", "daemonsets deployments deployments/rollback deployments/scale ingresses "
          "networkpolicies replicasets replicasets/scale replicationcontrollers/scale"),
    _rule(_WRITE, "policy", "poddisruptionbudgets"),
    _rule(_WRITE, "networking.k8s.io", "ingresses networkpolicies"),
    _rule(_ALL, "coordination.k8s.io", "leases"),
]  # fmt: skip
_ADMIN = [
    _rule("create", "authorization.k8s.io", "localsubjectaccessreviews"),
    _rule(_ALL, "rbac.authorization.k8s.io", "rolebindings roles"),
]
_METRICS_VIEW = [_rule(_READ, "metrics.k8s.io", "pods nodes")]
_CONTROLLERS = [
    _rule("get list watch patch update delete deletecollection", "*", "*"),
    _rule(*_EVENTS),
    _rule("create", "", "configmaps endpoints pods secrets serviceaccounts serviceaccounts/token "
          "persistentvolumeclaims bindings pods/binding pods/eviction"),
    _rule("create", "apps", "controllerrevisions replicasets"),
    _rule("create", "batch", "jobs"),
    _rule("create", "discovery.k8s.io", "endpointslices"),
    _rule("create", "coordination.k8s.io", "leases"),
    _rule("create", "authentication.k8s.io", "tokenreviews"),
    _rule("create", "authorization.k8s.io", "subjectaccessreviews"),
    _paths("/api", "/api/*", "/apis", "/apis/*"),
]  # fmt: skip
_SCHEDULER = [
    _rule(*_EVENTS),
    _rule("create", "coordination.k8s.io", "leases"),
    _rule("get update", "coordination.k8s.io", "leases", "kube-scheduler"),
    _rule(_READ, "", "nodes"),
    _rule("delete get list watch", "", "pods"),
    _rule("create", "", "bindings pods/binding"),
    _rule("patch update", "", "pods/status"),
    _rule(_READ, "", "replicationcontrollers services"),
    _rule(_READ, "apps,extensions", "replicasets"),
    _rule(_READ, "apps", "statefulsets"),
    _rule(_READ, "policy", "poddisruptionbudgets"),
    _rule(_READ, "", "persistentvolumeclaims persistentvolumes"),
    _rule("create", "authentication.k8s.io", "tokenreviews"),
    _rule("create", "authorization.k8s.io", "subjectaccessreviews"),
    _rule(_READ, "", "namespaces"),
]
_NODE = [
    _rule("create", "authentication.k8s.io", "tokenreviews"),
    _rule("create", "authorization.k8s.io", "localsubjectaccessreviews subjectaccessreviews"),
    _rule(_READ, "", "services"),
    _rule("create get list watch", "", "nodes"),
    _rule("patch update", "", "nodes/status"),
    _rule("patch update", "", "nodes"),
    _rule("create patch update", "", "events"),
    _rule(_READ, "", "pods"),
    _rule("create delete", "", "pods"),
    _rule("patch update", "", "pods/status"),
    _rule("create", "", "pods/eviction"),
    _rule(_READ, "", "configmaps secrets"),
    _rule("get", "", "persistentvolumeclaims persistentvolumes"),
    _rule("get", "", "endpoints"),
    _rule("create delete get patch update", "coordination.k8s.io", "leases"),
    _rule("create", "", "serviceaccounts/token"),
    _rule("get patch update", "", "persistentvolumeclaims/status"),
]
_NODE_MORE = [
    _rule("create", "apiregistration.k8s.io", "apiservices"),
    _rule("delete get patch", "apiregistration.k8s.io", "apiservices", "v1beta1.metrics.k8s.io"),
]
_NODE_MORE_IN_KUBE_SYSTEM = [
    _rule("create", "", "services"),
    _rule("delete get patch", "", "services", "metrics-server"),
    _rule("create", "discovery.k8s.io", "endpointslices"),
    _rule("delete get patch", "discovery.k8s.io", "endpointslices", "metrics-server"),
]
_HEALTH = ("/healthz", "/livez", "/readyz", "/version", "/version/")
_APIS = ("/api", "/api/*", "/apis", "/apis/*")
_OTHER_ROLES: dict[str, list[JSON]] = {
    "cluster-admin": [
        _rule("*", "*", "*"),
        {"verbs": ["*"], "nonResourceURLs": ["*"]},
    ],
    "localcluster:node": _NODE_MORE,
    "system:auth-delegator": [
        _rule("create", "authentication.k8s.io", "tokenreviews"),
        _rule("create", "authorization.k8s.io", "subjectaccessreviews"),
    ],
    "system:basic-user": [
        _rule("create", "authorization.k8s.io", "selfsubjectaccessreviews selfsubjectrulesreviews"),
        _rule("create", "authentication.k8s.io", "selfsubjectreviews"),
    ],
    "system:discovery": [
        _paths(*_APIS, "/healthz", "/livez", "/openapi", "/openapi/*", "/readyz", "/version", "/version/"),
    ],
    "system:kube-aggregator": [_rule(_READ, "", "endpoints services")],
    "system:kube-controller-manager": _CONTROLLERS,
    "system:kube-dns": [_rule("list watch", "", "endpoints services")],
    "system:kube-scheduler": _SCHEDULER,
    "system:kubelet-api-admin": [
        _rule(_READ, "", "nodes"),
        _rule("proxy", "", "nodes"),
        _rule("*", "", "nodes/log nodes/metrics nodes/proxy nodes/stats"),
    ],
    "system:monitoring": [
        _paths("/healthz", "/healthz/*", "/livez", "/livez/*", "/metrics", "/metrics/slis", "/readyz", "/readyz/*"),
    ],
    "system:node": _NODE,
    "system:node-proxier": [
        _rule("list watch", "", "endpoints services"),
        _rule(_READ, "", "nodes"),
        _rule(*_EVENTS),
        _rule("list watch", "discovery.k8s.io", "endpointslices"),
    ],
    "system:public-info-viewer": [_paths(*_HEALTH)],
    "system:service-account-issuer-discovery": [_paths("/.well-known/openid-configuration", "/openid/v1/jwks")],
}  # fmt: skip
_AUTHENTICATED = "Group system:authenticated"
_BINDINGS = {
    "cluster-admin": ["Group system:masters"],
    "localcluster:node": ["Group system:nodes"],
    "system:basic-user": [_AUTHENTICATED],
    "system:discovery": [_AUTHENTICATED],
    "system:kube-controller-manager": ["User system:kube-controller-manager"],
    "system:kube-dns": ["ServiceAccount kube-dns"],
    "system:kube-scheduler": ["User system:kube-scheduler"],
    "system:monitoring": ["Group system:monitoring"],
    "system:node": ["Group system:nodes"],
    "system:node-proxier": ["User system:kube-proxy", "Group system:nodes"],
    "system:public-info-viewer": [_AUTHENTICATED, "Group system:unauthenticated"],
    "system:service-account-issuer-discovery": ["Group system:serviceaccounts"],
}
_LEADER_RULES = [_rule("create get list update watch", "coordination.k8s.io", "leases")]
_NAMESPACED: list[tuple[str, str, list[JSON], str]] = [
    (
        "kube-system",
        "extension-apiserver-authentication-reader",
        [_rule(_READ, "", "configmaps", "extension-apiserver-authentication")],
        "",
    ),
    ("kube-system", "localcluster:node", _NODE_MORE_IN_KUBE_SYSTEM, "Group system:nodes"),
    (
        "kube-system",
        "system::leader-locking-kube-controller-manager",
        _LEADER_RULES,
        "User system:kube-controller-manager",
    ),
    ("kube-system", "system::leader-locking-kube-scheduler", _LEADER_RULES, "User system:kube-scheduler"),
]
_PRIORITY_CLASSES = {
    "system-cluster-critical": (
        2000000000,
        "Used for system critical pods that must run in the cluster, but can be moved to another node if necessary.",
    ),
    "system-node-critical": (
        2000001000,
        "Used for system critical pods that must not be moved from their current node.",
    ),
}


def bootstrap_objects(pki: Pki) -> Iterator[tuple[str, JSON]]:
    """Storage key and object of all that is there from the start, without uid and times.

    The namespaces kube-system, kube-public and kube-node-lease and default must be made before.
    """
    for role in cluster_roles():
        yield rbac.CLUSTER_ROLES, role
    for name, subjects in _BINDINGS.items():
        yield rbac.CLUSTER_ROLE_BINDINGS, _binding("ClusterRoleBinding", "ClusterRole", name, name, subjects)
    for namespace, name, rules, subject in _NAMESPACED:
        role = _object("Role", name, namespace)
        yield rbac.ROLES, {**role, "rules": rules}
        if subject:
            yield rbac.ROLE_BINDINGS, _binding("RoleBinding", "Role", name, name, [subject], namespace)
    # Aggregated API servers delegate authentication by this role, and find whom to believe in this ConfigMap.
    reader = "system::extension-apiserver-authentication-reader"
    users = ["User system:kube-controller-manager", "User system:kube-scheduler"]
    yield (
        rbac.ROLE_BINDINGS,
        _binding(
            "RoleBinding", "Role", reader, "extension-apiserver-authentication-reader", users, "kube-system"
        ),
    )  # fmt: skip
    yield "/configmaps", extension_configuration(pki)
    for name, (value, description) in _PRIORITY_CLASSES.items():
        yield (
            "scheduling.k8s.io/priorityclasses",
            {
                "apiVersion": "scheduling.k8s.io/v1",
                "kind": "PriorityClass",
                "metadata": {"name": name, "generation": 1},
                "value": value,
                "description": description,
                "preemptionPolicy": "PreemptLowerPriority",
            },
        )


def cluster_roles() -> list[JSON]:
    """The default ClusterRoles; the rules of the aggregated ones are filled in."""
    roles = [{**_object("ClusterRole", name), "rules": rules} for name, rules in _OTHER_ROLES.items()]
    for name, rules, target in (
        ("system:aggregate-to-admin", _ADMIN, "admin"),
        ("system:aggregate-to-edit", _EDIT, "edit"),
        ("system:aggregate-to-view", _VIEW, "view"),
        ("system:aggregated-metrics-reader", _METRICS_VIEW, "view"),
    ):
        role = _object("ClusterRole", name)
        role["metadata"]["labels"] = {**_LABELS, f"{_TO}{target}": "true"}
        roles.append({**role, "rules": rules})
    for name, target in (("view", "edit"), ("edit", "admin"), ("admin", "")):
        role = _object("ClusterRole", name)
        if target:
            role["metadata"]["labels"] = {**_LABELS, f"{_TO}{target}": "true"}
        role["aggregationRule"] = {"clusterRoleSelectors": [{"matchLabels": {f"{_TO}{name}": "true"}}]}
        role["rules"] = aggregated_rules(role, roles)
        roles.append(role)
    return sorted(roles, key=lambda role: str(role["metadata"]["name"]))


def aggregated_rules(role: JSON, roles: Iterable[JSON]) -> list[JSON]:
    """The rules that an aggregationRule puts together, each once, in the order of the roles' names."""
    found: list[JSON] = []
    ordered = sorted(roles, key=lambda r: str(r["metadata"]["name"]))
    for selector in role["aggregationRule"].get("clusterRoleSelectors") or ():
        for other in ordered:
            if other["metadata"]["name"] == role["metadata"]["name"]:
                continue
            if matches_object_selector(selector, other["metadata"].get("labels") or {}):
                found += [rule for rule in other.get("rules") or () if rule not in found]
    return found


def extension_configuration(pki: Pki) -> JSON:
    """The ConfigMap by which aggregated API servers know our clients and our front proxy."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "extension-apiserver-authentication", "namespace": "kube-system"},
        "data": {
            "client-ca-file": pki.ca.certificate_pem.decode(),
            "requestheader-allowed-names": '["front-proxy-client"]',
            "requestheader-client-ca-file": pki.front_proxy_ca.certificate_pem.decode(),
            "requestheader-extra-headers-prefix": '["X-Remote-Extra-"]',
            "requestheader-group-headers": '["X-Remote-Group"]',
            "requestheader-uid-headers": '["X-Remote-Uid"]',
            "requestheader-username-headers": '["X-Remote-User"]',
        },
    }


def _object(kind: str, name: str, namespace: str = "") -> JSON:
    metadata: JSON = {"name": name, "labels": dict(_LABELS), "annotations": dict(_ANNOTATIONS)}
    if namespace:
        metadata["namespace"] = namespace
    return {"apiVersion": f"{rbac.GROUP}/v1", "kind": kind, "metadata": metadata}


def _binding(kind: str, role_kind: str, name: str, role: str, subjects: list[str], namespace: str = "") -> JSON:
    entries: list[JSON] = []
    for subject in subjects:
        subject_kind, _, subject_name = subject.partition(" ")
        entry: JSON = {"kind": subject_kind, "name": subject_name}
        if subject_kind == "ServiceAccount":
            entry["namespace"] = "kube-system"
        else:
            entry["apiGroup"] = rbac.GROUP
        entries.append(entry)
    return {
        **_object(kind, name, namespace),
        "roleRef": {"apiGroup": rbac.GROUP, "kind": role_kind, "name": role},
        "subjects": entries,
    }
