"""The built-in resources of the API, as discovery of a Kubernetes 1.36 server names them."""

from __future__ import annotations

from collections.abc import Iterator

from localcluster.apiserver.resources import READ_WRITE, Resource, Subresource

_CREATE = ("create",)


def _resource(
    group: str, version: str, plural: str, kind: str, *, short: str = "", categories: str = "", cluster: bool = False,
    status: bool = False, scale: bool = False, verbs: tuple[str, ...] = READ_WRITE, singular: str = "", hub: str = "",
    stored_as: str = "", more: tuple[Subresource, ...] = (),
) -> Resource:  # fmt: skip
    subresources = {s.name: s for s in more}
    if status:
        subresources["status"] = Subresource("status", kind)
    if scale:
        subresources["scale"] = Subresource("scale", "Scale", group="autoscaling", version="v1")
    return Resource(
        group, version, plural, kind, not cluster, verbs, tuple(short.split()), tuple(categories.split()),
        singular, "", dict(sorted(subresources.items())), hub, stored_as,
    )  # fmt: skip


_PROXY = ("create", "delete", "get", "patch", "update")
_CORE = [
    ("bindings", "Binding", {"verbs": _CREATE}),
    ("componentstatuses", "ComponentStatus", {"short": "cs", "cluster": True, "verbs": ("get", "list")}),
    ("configmaps", "ConfigMap", {"short": "cm"}),
    ("endpoints", "Endpoints", {"short": "ep", "singular": "endpoints"}),
    ("events", "Event", {"short": "ev"}),
    ("limitranges", "LimitRange", {"short": "limits"}),
    ("namespaces", "Namespace", {"short": "ns", "cluster": True, "status": True,
        "verbs": tuple(v for v in READ_WRITE if v != "deletecollection"),
        "more": (Subresource("finalize", "Namespace", ("update",)),)}),
    ("nodes", "Node", {"short": "no", "cluster": True, "status": True,
        "more": (Subresource("proxy", "NodeProxyOptions", _PROXY),)}),
    ("persistentvolumeclaims", "PersistentVolumeClaim", {"short": "pvc", "status": True}),
    ("persistentvolumes", "PersistentVolume", {"short": "pv", "cluster": True, "status": True}),
    ("pods", "Pod", {"short": "po", "categories": "all", "status": True, "more": (
        Subresource("attach", "PodAttachOptions", ("create", "get")),
        Subresource("binding", "Binding", _CREATE),
        Subresource("ephemeralcontainers", "Pod"),
        Subresource("eviction", "Eviction", _CREATE, "policy", "v1"),
        Subresource("exec", "PodExecOptions", ("create", "get")),
        Subresource("log", "Pod", ("get",)),
        Subresource("portforward", "PodPortForwardOptions", ("create", "get")),
        Subresource("proxy", "PodProxyOptions", _PROXY),
        Subresource("resize", "Pod"))}),
    ("podtemplates", "PodTemplate", {}),
    ("replicationcontrollers", "ReplicationController", {"short": "rc", "categories": "all", "status": True,
        "scale": True}),
    ("resourcequotas", "ResourceQuota", {"short": "quota", "status": True}),
    ("secrets", "Secret", {}),
    ("serviceaccounts", "ServiceAccount", {"short": "sa", "more": (
        Subresource("token", "TokenRequest", _CREATE, "authentication.k8s.io", "v1"),)}),
    ("services", "Service", {"short": "svc", "categories": "all", "status": True,
        "more": (Subresource("proxy", "ServiceProxyOptions", _PROXY),)}),
]  # fmt: skip

_GROUPS = [
    ("apps", "v1", "controllerrevisions", "ControllerRevision", {}),
    ("apps", "v1", "daemonsets", "DaemonSet", {"short": "ds", "categories": "all", "status": True}),
    ("apps", "v1", "deployments", "Deployment", {"short": "deploy", "categories": "all", "status": True,
        "scale": True}),
    ("apps", "v1", "replicasets", "ReplicaSet", {"short": "rs", "categories": "all", "status": True, "scale": True}),
    ("apps", "v1", "statefulsets", "StatefulSet", {"short": "sts", "categories": "all", "status": True,
        "scale": True}),
    ("events.k8s.io", "v1", "events", "Event", {"short": "ev", "stored_as": "/events"}),
    ("authentication.k8s.io", "v1", "selfsubjectreviews", "SelfSubjectReview", {"cluster": True, "verbs": _CREATE}),
    ("authentication.k8s.io", "v1", "tokenreviews", "TokenReview", {"cluster": True, "verbs": _CREATE}),
    ("authorization.k8s.io", "v1", "localsubjectaccessreviews", "LocalSubjectAccessReview", {"verbs": _CREATE}),
    ("authorization.k8s.io", "v1", "selfsubjectaccessreviews", "SelfSubjectAccessReview", {"cluster": True,
        "verbs": _CREATE}),
    ("authorization.k8s.io", "v1", "selfsubjectrulesreviews", "SelfSubjectRulesReview", {"cluster": True,
        "verbs": _CREATE}),
    ("authorization.k8s.io", "v1", "subjectaccessreviews", "SubjectAccessReview", {"cluster": True,
        "verbs": _CREATE}),
    ("autoscaling", "v2", "horizontalpodautoscalers", "HorizontalPodAutoscaler", {"short": "hpa",
        "categories": "all", "status": True, "hub": "v2"}),
    ("autoscaling", "v1", "horizontalpodautoscalers", "HorizontalPodAutoscaler", {"short": "hpa",
        "categories": "all", "status": True, "hub": "v2"}),
    ("batch", "v1", "cronjobs", "CronJob", {"short": "cj", "categories": "all", "status": True}),
    ("batch", "v1", "jobs", "Job", {"categories": "all", "status": True}),
    ("networking.k8s.io", "v1", "ingressclasses", "IngressClass", {"cluster": True}),
    ("networking.k8s.io", "v1", "ingresses", "Ingress", {"short": "ing", "status": True}),
    ("networking.k8s.io", "v1", "networkpolicies", "NetworkPolicy", {"short": "netpol"}),
    ("policy", "v1", "poddisruptionbudgets", "PodDisruptionBudget", {"short": "pdb", "status": True}),
    ("rbac.authorization.k8s.io", "v1", "clusterrolebindings", "ClusterRoleBinding", {"cluster": True}),
    ("rbac.authorization.k8s.io", "v1", "clusterroles", "ClusterRole", {"cluster": True}),
    ("rbac.authorization.k8s.io", "v1", "rolebindings", "RoleBinding", {}),
    ("rbac.authorization.k8s.io", "v1", "roles", "Role", {}),
    ("scheduling.k8s.io", "v1", "priorityclasses", "PriorityClass", {"short": "pc", "cluster": True}),
    ("coordination.k8s.io", "v1", "leases", "Lease", {}),
    ("discovery.k8s.io", "v1", "endpointslices", "EndpointSlice", {}),
    ("apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition", {"short": "crd crds",
        "categories": "api-extensions", "cluster": True, "status": True}),
    ("apiregistration.k8s.io", "v1", "apiservices", "APIService", {"categories": "api-extensions", "cluster": True,
        "status": True}),
]  # fmt: skip


def builtin_resources() -> Iterator[Resource]:
    for plural, kind, options in _CORE:
        yield _resource("", "v1", plural, kind, **options)  # type: ignore[arg-type]
    for group, version, plural, kind, options in _GROUPS:
        yield _resource(group, version, plural, kind, **options)  # type: ignore[arg-type]
