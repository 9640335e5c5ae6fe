"""The kinds of the core group."""

from __future__ import annotations

from localcluster.apiserver.kinds.base import Kind
from localcluster.apiserver.kinds.pods import Pod, PodTemplate
from localcluster.apiserver.kinds.storage import PersistentVolume, PersistentVolumeClaim

KINDS: dict[str, type[Kind]] = {
    "PersistentVolume": PersistentVolume,
    "PersistentVolumeClaim": PersistentVolumeClaim,
    "Pod": Pod,
    "PodTemplate": PodTemplate,
}
