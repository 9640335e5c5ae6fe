"""The fields of built-in kinds that have few possible values, which the published schemas do not list.

Kubernetes declares them in its Go types (``+enum``) and its server adds them to OpenAPI v3, where ``kubectl explain``
reads them. Where a value has a text here, it is the one that the conformance recordings show.
"""

from __future__ import annotations

from typing import Any

_PROTOCOLS = "SCTP TCP UDP"
_PULL_POLICIES = "Always IfNotPresent Never"
_MESSAGE_POLICIES = "FallbackToLogsOnError File"
_PROFILES = "Localhost RuntimeDefault Unconfined"
_EFFECTS = "NoExecute NoSchedule PreferNoSchedule"
_TRAFFIC_POLICIES = "Cluster Local"
_VOLUME_MODES = "Block Filesystem"
_PREEMPTION = "Never PreemptLowerPriority"
_SCOPES = "BestEffort CrossNamespacePodAffinity NotBestEffort NotTerminating PriorityClass Terminating "
_SCOPES += "VolumeAttributesClass"
_ACCESS_MODES = "ReadOnlyMany ReadWriteMany ReadWriteOnce ReadWriteOncePod"

_CORE = {
    "AppArmorProfile.type": _PROFILES,
    "Container.imagePullPolicy": _PULL_POLICIES,
    "Container.terminationMessagePolicy": _MESSAGE_POLICIES,
    "ContainerPort.protocol": _PROTOCOLS,
    "EndpointPort.protocol": _PROTOCOLS,
    "EphemeralContainer.imagePullPolicy": _PULL_POLICIES,
    "EphemeralContainer.terminationMessagePolicy": _MESSAGE_POLICIES,
    "HTTPGetAction.scheme": "HTTP HTTPS",
    "NamespaceStatus.phase": "Active Terminating",
    "NodeSelectorRequirement.operator": "DoesNotExist Exists Gt In Lt NotIn",
    "NodeStatus.phase": "Pending Running Terminated",
    "PersistentVolumeClaimSpec.volumeMode": _VOLUME_MODES,
    "PersistentVolumeClaimStatus.phase": "Bound Lost Pending",
    "PersistentVolumeSpec.persistentVolumeReclaimPolicy": "Delete Recycle Retain",
    "PersistentVolumeSpec.volumeMode": _VOLUME_MODES,
    "PersistentVolumeStatus.phase": "Available Bound Failed Pending Released",
    "PodSecurityContext.fsGroupChangePolicy": "Always OnRootMismatch",
    "PodSecurityContext.supplementalGroupsPolicy": "Merge Strict",
    "PodSpec.dnsPolicy": "ClusterFirst ClusterFirstWithHostNet Default None",
    "PodSpec.preemptionPolicy": _PREEMPTION,
    "PodSpec.restartPolicy": "Always Never OnFailure",
    "PodStatus.phase": "Failed Pending Running Succeeded Unknown",
    "PodStatus.qosClass": "BestEffort Burstable Guaranteed",
    "PortStatus.protocol": _PROTOCOLS,
    "ScopedResourceSelectorRequirement.operator": "DoesNotExist Exists In NotIn",
    "ScopedResourceSelectorRequirement.scopeName": _SCOPES,
    "SeccompProfile.type": _PROFILES,
    "SecurityContext.procMount": "Default Unmasked",
    "ServicePort.protocol": _PROTOCOLS,
    "ServiceSpec.externalTrafficPolicy": _TRAFFIC_POLICIES,
    "ServiceSpec.internalTrafficPolicy": _TRAFFIC_POLICIES,
    "ServiceSpec.ipFamilyPolicy": "PreferDualStack RequireDualStack SingleStack",
    "ServiceSpec.sessionAffinity": "ClientIP None",
    "ServiceSpec.type": "ClusterIP ExternalName LoadBalancer NodePort",
    "Taint.effect": _EFFECTS,
    "Toleration.effect": _EFFECTS,
    "Toleration.operator": "Equal Exists Gt Lt",
    "TopologySpreadConstraint.nodeAffinityPolicy": "Honor Ignore",
    "TopologySpreadConstraint.nodeTaintsPolicy": "Honor Ignore",
    "TopologySpreadConstraint.whenUnsatisfiable": "DoNotSchedule ScheduleAnyway",
    "VolumeMount.mountPropagation": "Bidirectional HostToContainer None",
}
_OTHERS = {
    "apps.v1.DaemonSetUpdateStrategy.type": "OnDelete RollingUpdate",
    "apps.v1.DeploymentStrategy.type": "Recreate RollingUpdate",
    "apps.v1.StatefulSetSpec.podManagementPolicy": "OrderedReady Parallel",
    "apps.v1.StatefulSetUpdateStrategy.type": "OnDelete RollingUpdate",
    "batch.v1.CronJobSpec.concurrencyPolicy": "Allow Forbid Replace",
    "batch.v1.JobSpec.completionMode": "Indexed NonIndexed",
    "batch.v1.JobSpec.podReplacementPolicy": "Failed TerminatingOrFailed",
    "batch.v1.PodFailurePolicyOnExitCodesRequirement.operator": "In NotIn",
    "batch.v1.PodFailurePolicyRule.action": "Count FailIndex FailJob Ignore",
    "discovery.v1.EndpointSlice.addressType": "FQDN IPv4 IPv6",
    "networking.v1.HTTPIngressPath.pathType": "Exact ImplementationSpecific Prefix",
    "networking.v1.IngressPortStatus.protocol": _PROTOCOLS,
    "networking.v1.NetworkPolicyPort.protocol": _PROTOCOLS,
    "policy.v1.PodDisruptionBudgetSpec.unhealthyPodEvictionPolicy": "AlwaysAllow IfHealthyBudget",
    "scheduling.v1.PriorityClass.preemptionPolicy": _PREEMPTION,
}
_OF_ITEMS = {
    "core.v1.PersistentVolumeClaimSpec.accessModes": _ACCESS_MODES,
    "core.v1.PersistentVolumeClaimStatus.accessModes": _ACCESS_MODES,
    "core.v1.PersistentVolumeSpec.accessModes": _ACCESS_MODES,
    "core.v1.ResourceQuotaSpec.scopes": _SCOPES,
    "networking.v1.NetworkPolicySpec.policyTypes": "Egress Ingress",
}
_TEXTS = {
    "batch.v1.CronJobSpec.concurrencyPolicy": {
        "Allow": "allows CronJobs to run concurrently.",
        "Forbid": "forbids concurrent runs, skipping next run if previous hasn't finished yet.",
        "Replace": "cancels currently running job and replaces it with a new one.",
    },
    "core.v1.HTTPGetAction.scheme": {
        "HTTP": "means that the scheme used will be http://",
        "HTTPS": "means that the scheme used will be https://",
    },
    "apps.v1.DeploymentStrategy.type": {
        "Recreate": "Kill all existing pods before creating new ones.",
        "RollingUpdate": "Replace the old ReplicaSets by new one using rolling update i.e gradually scale down the "
        "old ReplicaSets and scale up the new one.",
    },
    "core.v1.ServiceSpec.type": {
        "ClusterIP": "means a service will only be accessible inside the cluster, via the cluster IP.",
        "ExternalName": "means a service consists of only a reference to an external name that kubedns or equivalent "
        "will return as a CNAME record, with no exposing or proxying of any pods involved.",
        "LoadBalancer": "means a service will be exposed via an external load balancer (if the cloud provider "
        "supports it), in addition to 'NodePort' type.",
        "NodePort": "means a service will be exposed on one port of every node, in addition to 'ClusterIP' type.",
    },
}
_VALUES = {**{f"core.v1.{key}": values for key, values in _CORE.items()}, **_OTHERS}
_PREFIX = "io.k8s.api."


def add_enum(definition: str, field: str, schema: dict[str, Any]) -> None:
    """Add to the schema of a definition's field the values that it may have, and to its description their list."""
    key = f"{definition.removeprefix(_PREFIX)}.{field}"
    target = schema
    values = _VALUES.get(key)
    if values is None and key in _OF_ITEMS and "items" in schema:
        values, target = _OF_ITEMS[key], schema["items"]
    if values is None:
        return
    target["enum"] = values.split()
    texts = _TEXTS.get(key, {})
    lines = [
        f" - `{chr(34)}{value}{chr(34)}`" + (f" {texts[value]}" if value in texts else "") for value in values.split()
    ]
    if target is schema:
        possible = "\n".join(["Possible enum values:", *lines])
        schema["description"] = f"{schema.get('description', '')}\n\n{possible}".lstrip()
