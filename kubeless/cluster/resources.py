"""Where the kinds that the product uses are in the API."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple


class Resource(NamedTuple):
    """A kind as paths have it."""

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool = True

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(self, namespace: str = "", name: str = "", subresource: str = "") -> str:
        """Of one object, or of all in a namespace, or with no namespace of all in the cluster."""
        root = f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"
        scope = f"/namespaces/{namespace}" if namespace and self.namespaced else ""
        return f"{root}{scope}/" + "/".join(part for part in (self.plural, name, subresource) if part)


CONFIG_MAPS = Resource("", "v1", "configmaps", "ConfigMap")
EVENTS = Resource("", "v1", "events", "Event")
NAMESPACES = Resource("", "v1", "namespaces", "Namespace", namespaced=False)
PODS = Resource("", "v1", "pods", "Pod")
SECRETS = Resource("", "v1", "secrets", "Secret")
SERVICES = Resource("", "v1", "services", "Service")
DEPLOYMENTS = Resource("apps", "v1", "deployments", "Deployment")
REPLICA_SETS = Resource("apps", "v1", "replicasets", "ReplicaSet")
HORIZONTAL_POD_AUTOSCALERS = Resource("autoscaling", "v2", "horizontalpodautoscalers", "HorizontalPodAutoscaler")
CRON_JOBS = Resource("batch", "v1", "cronjobs", "CronJob")
JOBS = Resource("batch", "v1", "jobs", "Job")
LEASES = Resource("coordination.k8s.io", "v1", "leases", "Lease")
ENDPOINT_SLICES = Resource("discovery.k8s.io", "v1", "endpointslices", "EndpointSlice")
INGRESSES = Resource("networking.k8s.io", "v1", "ingresses", "Ingress")
CUSTOM_RESOURCE_DEFINITIONS = Resource(
    "apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition", namespaced=False
)
FUNCTIONS = Resource("kubeless.io", "v1beta1", "functions", "Function")
HTTP_TRIGGERS = Resource("kubeless.io", "v1beta1", "httptriggers", "HTTPTrigger")
CRON_JOB_TRIGGERS = Resource("kubeless.io", "v1beta1", "cronjobtriggers", "CronJobTrigger")
KAFKA_TRIGGERS = Resource("kubeless.io", "v1beta1", "kafkatriggers", "KafkaTrigger")
NATS_TRIGGERS = Resource("kubeless.io", "v1beta1", "natstriggers", "NATSTrigger")
KINESIS_TRIGGERS = Resource("kubeless.io", "v1beta1", "kinesistriggers", "KinesisTrigger")

_BY_KIND = {(found.api_version, found.kind): found for found in list(globals().values()) if isinstance(found, Resource)}


def resource_of(obj: Mapping[str, Any]) -> Resource:
    """By `apiVersion` and `kind`. LookupError for a kind that is not listed here."""
    key = (obj.get("apiVersion", ""), obj.get("kind", ""))
    if key not in _BY_KIND:
        raise LookupError(f"{key[1]} of {key[0]} is no kind that this client knows")
    return _BY_KIND[key]
