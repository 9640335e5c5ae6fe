"""The kinds of the core group."""

from __future__ import annotations

from localcluster.apiserver.kinds.base import Kind
from localcluster.apiserver.kinds.cluster import ComponentStatus, Namespace, Node
from localcluster.apiserver.kinds.config import ConfigMap, Secret, ServiceAccount
from localcluster.apiserver.kinds.endpoints import Endpoints
from localcluster.apiserver.kinds.events import CoreEvent
from localcluster.apiserver.kinds.limits import LimitRange, ResourceQuota
from localcluster.apiserver.kinds.pods import Pod, PodTemplate
from localcluster.apiserver.kinds.replication import ReplicationController
from localcluster.apiserver.kinds.service import Service
from localcluster.apiserver.kinds.storage import PersistentVolume, PersistentVolumeClaim

KINDS: dict[str, type[Kind]] = {
    "ComponentStatus": ComponentStatus,
    "ConfigMap": ConfigMap,
    "Endpoints": Endpoints,
    "Event": CoreEvent,
    "LimitRange": LimitRange,
    "Namespace": Namespace,
    "Node": Node,
    "PersistentVolume": PersistentVolume,
    "PersistentVolumeClaim": PersistentVolumeClaim,
    "Pod": Pod,
    "PodTemplate": PodTemplate,
    "ReplicationController": ReplicationController,
    "ResourceQuota": ResourceQuota,
    "Secret": Secret,
    "Service": Service,
    "ServiceAccount": ServiceAccount,
}
