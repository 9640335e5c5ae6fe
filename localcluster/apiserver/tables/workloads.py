"""Tables of apps, batch, autoscaling and policy."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from localcluster.apiserver.selectors import format_selector
from localcluster.apiserver.tables import cells
from localcluster.apiserver.tables.cells import JSON, NONE, UNKNOWN, UNSET
from localcluster.apiserver.tables.columns import AGE, CONTAINERS, IMAGES, NAME, Column, of_field, plain

_READY = plain("Ready", "Number of the pod with ready state")


def _replica_columns(group: str, kind: str) -> tuple[Column, ...]:
    return (
        NAME,
        of_field("Desired", f"{group}.{kind}Spec.replicas", "integer"),
        of_field("Current", f"{group}.{kind}Status.replicas", "integer"),
        of_field("Ready", f"{group}.{kind}Status.readyReplicas", "integer"),
        AGE,
        CONTAINERS,
        IMAGES,
        of_field("Selector", f"{group}.{kind}Spec.selector", priority=1),
    )


REPLICA_SET_COLUMNS = _replica_columns("apps.v1", "ReplicaSet")
REPLICATION_CONTROLLER_COLUMNS = _replica_columns("core.v1", "ReplicationController")
DEPLOYMENT_COLUMNS = (
    NAME,
    _READY,
    of_field("Up-to-date", "apps.v1.DeploymentStatus.updatedReplicas"),
    of_field("Available", "apps.v1.DeploymentStatus.availableReplicas"),
    AGE,
    CONTAINERS,
    IMAGES,
    of_field("Selector", "apps.v1.DeploymentSpec.selector", priority=1),
)
SCALE_COLUMNS = (
    NAME,
    of_field("Desired", "autoscaling.v1.ScaleSpec.replicas", "integer"),
    of_field("Available", "autoscaling.v1.ScaleStatus.replicas", "integer"),
    AGE,
)
STATEFUL_SET_COLUMNS = (NAME, _READY, AGE, CONTAINERS, IMAGES)
DAEMON_SET_COLUMNS = (
    NAME,
    of_field("Desired", "apps.v1.DaemonSetStatus.desiredNumberScheduled", "integer"),
    of_field("Current", "apps.v1.DaemonSetStatus.currentNumberScheduled", "integer"),
    of_field("Ready", "apps.v1.DaemonSetStatus.numberReady", "integer"),
    of_field("Up-to-date", "apps.v1.DaemonSetStatus.updatedNumberScheduled", "integer"),
    of_field("Available", "apps.v1.DaemonSetStatus.numberAvailable", "integer"),
    of_field("Node Selector", "core.v1.PodSpec.nodeSelector"),
    AGE,
    CONTAINERS,
    IMAGES,
    of_field("Selector", "apps.v1.DaemonSetSpec.selector", priority=1),
)
CONTROLLER_REVISION_COLUMNS = (
    NAME,
    plain("Controller", "Controller of the object"),
    of_field("Revision", "apps.v1.ControllerRevision.revision"),
    AGE,
)
JOB_COLUMNS = (
    NAME,
    plain("Status", "Status of the job."),
    of_field("Completions", "batch.v1.JobStatus.succeeded"),
    plain("Duration", "Time required to complete the job."),
    AGE,
    CONTAINERS,
    IMAGES,
    of_field("Selector", "batch.v1.JobSpec.selector", priority=1),
)
CRON_JOB_COLUMNS = (
    NAME,
    of_field("Schedule", "batch.v1.CronJobSpec.schedule"),
    of_field("Timezone", "batch.v1.CronJobSpec.timeZone"),
    of_field("Suspend", "batch.v1.CronJobSpec.suspend", "boolean"),
    of_field("Active", "batch.v1.CronJobStatus.active", "integer"),
    of_field("Last Schedule", "batch.v1.CronJobStatus.lastScheduleTime"),
    AGE,
    CONTAINERS,
    IMAGES,
    of_field("Selector", "batch.v1.JobSpec.selector", priority=1),
)
AUTOSCALER_COLUMNS = (
    NAME,
    of_field("Reference", "autoscaling.v2.HorizontalPodAutoscalerSpec.scaleTargetRef"),
    of_field("Targets", "autoscaling.v2.HorizontalPodAutoscalerSpec.metrics"),
    of_field("MinPods", "autoscaling.v2.HorizontalPodAutoscalerSpec.minReplicas"),
    of_field("MaxPods", "autoscaling.v2.HorizontalPodAutoscalerSpec.maxReplicas"),
    of_field("Replicas", "autoscaling.v2.HorizontalPodAutoscalerStatus.currentReplicas"),
    AGE,
)
DISRUPTION_BUDGET_COLUMNS = (
    NAME,
    plain("Min Available", "The minimum number of pods that must be available."),
    plain("Max Unavailable", "The maximum number of pods that may be unavailable."),
    plain("Allowed Disruptions", "Calculated number of pods that may be disrupted at this time.", "integer"),
    AGE,
)


def _parts(obj: JSON) -> tuple[JSON, JSON]:
    return obj.get("spec") or {}, obj.get("status") or {}


def scale_row(obj: JSON, now: datetime) -> list[Any]:
    spec, status = obj.get("spec") or {}, obj.get("status") or {}
    return [cells.name(obj), spec.get("replicas", 0), status.get("replicas", 0), cells.age(obj, now)]


def replica_set_row(obj: JSON, now: datetime) -> list[Any]:
    spec, status = _parts(obj)
    names, images = cells.containers(cells.template_spec(obj))
    return [
        cells.name(obj),
        spec.get("replicas", 0),
        status.get("replicas", 0),
        status.get("readyReplicas", 0),
        cells.age(obj, now),
        names,
        images,
        cells.selector(spec.get("selector")),
    ]


def replication_controller_row(obj: JSON, now: datetime) -> list[Any]:
    return [*replica_set_row({**obj, "spec": {**_parts(obj)[0], "selector": None}}, now)[:-1], cells.labels(
        _parts(obj)[0].get("selector"))]  # fmt: skip


def deployment_row(obj: JSON, now: datetime) -> list[Any]:
    spec, status = _parts(obj)
    names, images = cells.containers(cells.template_spec(obj))
    return [
        cells.name(obj),
        f"{status.get('readyReplicas', 0)}/{spec.get('replicas', 0)}",
        status.get("updatedReplicas", 0),
        status.get("availableReplicas", 0),
        cells.age(obj, now),
        names,
        images,
        format_selector(spec.get("selector")),
    ]


def stateful_set_row(obj: JSON, now: datetime) -> list[Any]:
    spec, status = _parts(obj)
    names, images = cells.containers(cells.template_spec(obj))
    ready = f"{status.get('readyReplicas', 0)}/{spec.get('replicas', 0)}"
    return [cells.name(obj), ready, cells.age(obj, now), names, images]


def daemon_set_row(obj: JSON, now: datetime) -> list[Any]:
    spec, status = _parts(obj)
    template = cells.template_spec(obj)
    names, images = cells.containers(template)
    return [
        cells.name(obj),
        status.get("desiredNumberScheduled", 0),
        status.get("currentNumberScheduled", 0),
        status.get("numberReady", 0),
        status.get("updatedNumberScheduled", 0),
        status.get("numberAvailable", 0),
        cells.labels(template.get("nodeSelector")),
        cells.age(obj, now),
        names,
        images,
        cells.selector(spec.get("selector")),
    ]


def controller_revision_row(obj: JSON, now: datetime) -> list[Any]:
    owner = next((o for o in obj["metadata"].get("ownerReferences") or () if o.get("controller")), None)
    controller = NONE
    if owner is not None:
        group = owner.get("apiVersion", "").rpartition("/")[0]
        kind = f"{owner.get('kind', '')}.{group}" if group else owner.get("kind", "")
        controller = f"{kind.lower()}/{owner.get('name', '')}"
    return [cells.name(obj), controller, obj.get("revision", 0), cells.age(obj, now)]


def job_row(obj: JSON, now: datetime) -> list[Any]:
    spec, status = _parts(obj)
    succeeded, parallelism = status.get("succeeded", 0), spec.get("parallelism", 0)
    if "completions" in spec:
        completions = f"{succeeded}/{spec['completions']}"
    else:
        completions = f"{succeeded}/1 of {parallelism}" if parallelism > 1 else f"{succeeded}/1"
    names, images = cells.containers(cells.template_spec(obj))
    return [
        cells.name(obj),
        _job_status(obj, status),
        completions,
        _job_duration(status, now),
        cells.age(obj, now),
        names,
        images,
        cells.selector(spec.get("selector")),
    ]


def _job_status(obj: JSON, status: JSON) -> str:
    def has(type: str) -> bool:
        return cells.condition_status(status.get("conditions"), type) == "True"

    for ending in ("Complete", "Failed"):
        if has(ending):
            return ending
    if obj["metadata"].get("deletionTimestamp"):
        return "Terminating"
    for state in ("Suspended", "FailureTarget", "SuccessCriteriaMet"):
        if has(state):
            return state
    return "Running"


def _job_duration(status: JSON, now: datetime) -> str:
    started = cells.parse_time(status.get("startTime") or "")
    ended = cells.parse_time(status.get("completionTime") or "")
    return "" if started is None else cells.human_duration((ended or now) - started)


def cron_job_row(obj: JSON, now: datetime) -> list[Any]:
    spec, status = _parts(obj)
    job = (spec.get("jobTemplate") or {}).get("spec") or {}
    names, images = cells.containers((job.get("template") or {}).get("spec"))
    last = status.get("lastScheduleTime")
    suspend = spec.get("suspend")
    return [
        cells.name(obj),
        spec.get("schedule", ""),
        spec.get("timeZone", NONE),
        UNSET if suspend is None else str(bool(suspend)),
        len(status.get("active") or ()),
        cells.since(last, now) if last else NONE,
        cells.age(obj, now),
        names,
        images,
        cells.selector(job.get("selector")),
    ]


# Where each type of metric has its details, and whether its target may be a percentage of requests.
_METRICS = {
    "External": ("external", False),
    "Pods": ("pods", False),
    "Object": ("object", False),
    "Resource": ("resource", True),
    "ContainerResource": ("containerResource", True),
}


def _metric(spec: JSON, status: JSON) -> str:
    if spec.get("type") not in _METRICS:
        return "<unknown type>"
    field, of_resource = _METRICS[spec["type"]]
    source = spec.get(field) or {}
    target = source.get("target") or {}
    reported = status.get(field)
    current = (reported or {}).get("current") or {}
    if of_resource:
        prefix = f"{source.get('name', '')}: "
        if "averageValue" in target:
            shown = UNKNOWN if reported is None else current.get("averageValue", "<nil>")
            return f"{prefix}{shown}/{target['averageValue']}"
        shown = f"{current['averageUtilization']}%" if "averageUtilization" in current else UNKNOWN
        wanted = f"{target['averageUtilization']}%" if "averageUtilization" in target else "<auto>"
        return f"{prefix}{shown}/{wanted}"
    if spec["type"] == "Pods":
        shown = UNKNOWN if reported is None else current.get("averageValue", "<nil>")
        return f"{shown}/{target.get('averageValue', '<nil>')}"
    if "averageValue" in target:
        return f"{current.get('averageValue', UNKNOWN)}/{target['averageValue']} (avg)"
    shown = UNKNOWN if reported is None else current.get("value", "<nil>")
    return f"{shown}/{target.get('value', '<nil>')}"


def autoscaler_row(obj: JSON, now: datetime) -> list[Any]:
    """A row of a HorizontalPodAutoscaler of autoscaling/v2."""
    spec, status = _parts(obj)
    specs, statuses = spec.get("metrics") or [], status.get("currentMetrics") or []
    statuses = [*statuses, *({} for _ in specs)]
    metrics = [_metric(metric, statuses[i]) for i, metric in enumerate(specs)]
    targets = ", ".join(metrics[:2]) or NONE
    if len(metrics) > 2:
        targets += f" + {len(metrics) - 2} more..."
    target = spec.get("scaleTargetRef") or {}
    return [
        cells.name(obj),
        f"{target.get('kind', '')}/{target.get('name', '')}",
        targets,
        str(spec["minReplicas"]) if "minReplicas" in spec else UNSET,
        spec.get("maxReplicas", 0),
        status.get("currentReplicas", 0),
        cells.age(obj, now),
    ]


def disruption_budget_row(obj: JSON, now: datetime) -> list[Any]:
    spec, status = _parts(obj)
    return [
        cells.name(obj),
        str(spec.get("minAvailable", "N/A")),
        str(spec.get("maxUnavailable", "N/A")),
        status.get("disruptionsAllowed", 0),
        cells.age(obj, now),
    ]
