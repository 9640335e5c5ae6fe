"""Server-side printing: the columns and cells that `kubectl get` shows for each kind.

Rows always have all cells, those of `-o wide` too; clients hide columns by their priority.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from localcluster.apiserver.resources import Resource
from localcluster.apiserver.tables import cells, cluster, core, custom, pods, workloads
from localcluster.apiserver.tables.cells import JSON
from localcluster.apiserver.tables.columns import CREATED_AT, NAME, Column, definition, prepare

Row = Callable[[JSON, datetime], list[Any]]


def _default_row(obj: JSON, now: datetime) -> list[Any]:
    created = cells.parse_time(obj["metadata"].get("creationTimestamp") or "")
    return [cells.name(obj), created.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if created else None]


_DEFAULT: tuple[tuple[Column, ...], Row] = ((NAME, CREATED_AT), _default_row)
_TABLES: dict[tuple[str, str], tuple[tuple[Column, ...], Row]] = {
    ("", "ComponentStatus"): (core.COMPONENT_STATUS_COLUMNS, core.component_status_row),
    ("", "ConfigMap"): (core.CONFIG_MAP_COLUMNS, core.config_map_row),
    ("", "Endpoints"): (core.ENDPOINTS_COLUMNS, core.endpoints_row),
    ("", "Event"): (core.EVENT_COLUMNS, core.event_row),
    ("", "Namespace"): (core.NAMESPACE_COLUMNS, core.namespace_row),
    ("", "Node"): (core.NODE_COLUMNS, core.node_row),
    ("", "PersistentVolume"): (core.VOLUME_COLUMNS, core.volume_row),
    ("", "PersistentVolumeClaim"): (core.CLAIM_COLUMNS, core.claim_row),
    ("", "Pod"): (pods.POD_COLUMNS, pods.pod_row),
    ("", "PodTemplate"): (pods.POD_TEMPLATE_COLUMNS, pods.pod_template_row),
    ("", "ReplicationController"): (
        workloads.REPLICATION_CONTROLLER_COLUMNS,
        workloads.replication_controller_row,
    ),
    ("", "ResourceQuota"): (core.QUOTA_COLUMNS, core.quota_row),
    ("", "Secret"): (core.SECRET_COLUMNS, core.secret_row),
    ("", "Service"): (core.SERVICE_COLUMNS, core.service_row),
    ("", "ServiceAccount"): (core.SERVICE_ACCOUNT_COLUMNS, core.service_account_row),
    ("admissionregistration.k8s.io", "MutatingWebhookConfiguration"): (cluster.WEBHOOK_COLUMNS, cluster.webhook_row),
    ("admissionregistration.k8s.io", "ValidatingWebhookConfiguration"): (cluster.WEBHOOK_COLUMNS, cluster.webhook_row),
    ("apiregistration.k8s.io", "APIService"): (cluster.API_SERVICE_COLUMNS, cluster.api_service_row),
    ("apps", "ControllerRevision"): (workloads.CONTROLLER_REVISION_COLUMNS, workloads.controller_revision_row),
    ("apps", "DaemonSet"): (workloads.DAEMON_SET_COLUMNS, workloads.daemon_set_row),
    ("apps", "Deployment"): (workloads.DEPLOYMENT_COLUMNS, workloads.deployment_row),
    ("apps", "ReplicaSet"): (workloads.REPLICA_SET_COLUMNS, workloads.replica_set_row),
    ("apps", "StatefulSet"): (workloads.STATEFUL_SET_COLUMNS, workloads.stateful_set_row),
    ("autoscaling", "Scale"): (workloads.SCALE_COLUMNS, workloads.scale_row),
    ("autoscaling", "HorizontalPodAutoscaler"): (workloads.AUTOSCALER_COLUMNS, workloads.autoscaler_row),
    ("batch", "CronJob"): (workloads.CRON_JOB_COLUMNS, workloads.cron_job_row),
    ("batch", "Job"): (workloads.JOB_COLUMNS, workloads.job_row),
    ("coordination.k8s.io", "Lease"): (cluster.LEASE_COLUMNS, cluster.lease_row),
    ("discovery.k8s.io", "EndpointSlice"): (cluster.ENDPOINT_SLICE_COLUMNS, cluster.endpoint_slice_row),
    ("events.k8s.io", "Event"): (core.EVENT_COLUMNS, core.event_row),
    ("networking.k8s.io", "Ingress"): (cluster.INGRESS_COLUMNS, cluster.ingress_row),
    ("networking.k8s.io", "IngressClass"): (cluster.INGRESS_CLASS_COLUMNS, cluster.ingress_class_row),
    ("networking.k8s.io", "NetworkPolicy"): (cluster.NETWORK_POLICY_COLUMNS, cluster.network_policy_row),
    ("policy", "PodDisruptionBudget"): (workloads.DISRUPTION_BUDGET_COLUMNS, workloads.disruption_budget_row),
    ("rbac.authorization.k8s.io", "ClusterRoleBinding"): (core.CLUSTER_ROLE_BINDING_COLUMNS, core.role_binding_row),
    ("rbac.authorization.k8s.io", "RoleBinding"): (core.ROLE_BINDING_COLUMNS, core.role_binding_row),
    ("scheduling.k8s.io", "PriorityClass"): (cluster.PRIORITY_CLASS_COLUMNS, cluster.priority_class_row),
    ("storage.k8s.io", "StorageClass"): (cluster.STORAGE_CLASS_COLUMNS, cluster.storage_class_row),
}


def _table(resource: Resource) -> tuple[tuple[Column, ...], Row]:
    return _TABLES.get((resource.group, resource.kind), _DEFAULT)


def columns(resource: Resource) -> list[JSON]:
    """A Table's ``columnDefinitions`` for a resource. The definitions are shared: not to be changed."""
    if resource.crd is not None:
        return custom.definitions(resource.crd.printer_columns)
    # The file with the descriptions is read once, for every table there is.
    prepare(column for found, _ in (*_TABLES.values(), _DEFAULT) for column in found)
    return [definition(column) for column in _table(resource)[0]]


def row(resource: Resource, obj: JSON, now: datetime) -> list[Any]:
    """The cells of an object.

    Args:
        obj: in the resource's own version, or in the one that is stored.
        now: the time, with a time zone; ages are relative to it.
    """
    if resource.crd is not None:
        return custom.row(resource.crd.printer_columns, obj, now)
    stored_otherwise = (resource.group, resource.version, resource.kind) in (
        ("autoscaling", "v1", "HorizontalPodAutoscaler"),
        ("events.k8s.io", "v1", "Event"),
    )
    if stored_otherwise and obj.get("apiVersion", resource.api_version) == resource.api_version:
        obj = resource.behaviour.to_hub(obj)
    return _table(resource)[1](obj, now)


def row_conditions(resource: Resource, obj: JSON) -> list[JSON]:
    """The ``conditions`` of an object's row: that a pod has completed. Empty for all others."""
    return pods.pod_row_conditions(obj) if (resource.group, resource.kind) == ("", "Pod") else []
