"""Which controllers there are."""

from __future__ import annotations

from localcluster.controllers.autoscaling.controller import HorizontalPodAutoscalerController
from localcluster.controllers.cronjob.controller import CronJobController
from localcluster.controllers.deployment.controller import DeploymentController
from localcluster.controllers.disruption import DisruptionController
from localcluster.controllers.endpoints import EndpointsController
from localcluster.controllers.endpointslices import EndpointSliceController
from localcluster.controllers.garbage.collector import GarbageCollector
from localcluster.controllers.job.controller import JobController
from localcluster.controllers.manager import Manager
from localcluster.controllers.namespaces import NamespaceController
from localcluster.controllers.nodes import NodeController, PodGarbageCollector, TaintEvictionController
from localcluster.controllers.replicaset import ReplicaSetController
from localcluster.controllers.scheduler.controller import Scheduler
from localcluster.controllers.serviceaccounts import NamespaceDefaultsController
from localcluster.controllers.storage_protection import ClaimProtectionController, VolumeProtectionController
from localcluster.controllers.ttl_after_finished import TTLAfterFinishedController

CONTROLLERS = (
    NamespaceDefaultsController,
    DeploymentController,
    ReplicaSetController,
    JobController,
    CronJobController,
    TTLAfterFinishedController,
    ClaimProtectionController,
    VolumeProtectionController,
    EndpointSliceController,
    EndpointsController,
    NamespaceController,
    HorizontalPodAutoscalerController,
    DisruptionController,
    NodeController,
    TaintEvictionController,
    PodGarbageCollector,
    Scheduler,
    GarbageCollector,
)


def assemble(manager: Manager) -> None:
    """Make all controllers; each asks the manager for the informers that it needs."""
    for kind in CONTROLLERS:
        manager.add(kind(manager))
