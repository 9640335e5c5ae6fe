"""ReplicaSets of a Deployment: which is the new one, what it is called, and the annotations that keep its history."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from typing import Any

import orjson

from localcluster.controllers.owners import controller_reference
from localcluster.resource_types import DEPLOYMENTS

JSON = dict[str, Any]

HASH_LABEL = "pod-template-hash"
REVISION = "deployment.kubernetes.io/revision"
REVISION_HISTORY = "deployment.kubernetes.io/revision-history"
DESIRED_REPLICAS = "deployment.kubernetes.io/desired-replicas"
MAX_REPLICAS = "deployment.kubernetes.io/max-replicas"
MAX_HISTORY_CHARACTERS = 2000
NOT_COPIED = frozenset(
    {
        "kubectl.kubernetes.io/last-applied-configuration",
        REVISION,
        REVISION_HISTORY,
        DESIRED_REPLICAS,
        MAX_REPLICAS,
        "deprecated.deployment.rollback.to",
    }
)
# As in Kubernetes' names: no vowels and nothing that looks like another character.
_SAFE = "bcdfghjklmnpqrstvwxz2456789"


def template_hash(template: JSON, collisions: int = 0) -> str:
    """A short name for a pod template; `collisions` gives another one where the name was taken."""
    value = 2166136261
    for byte in orjson.dumps(template, option=orjson.OPT_SORT_KEYS) + (str(collisions).encode() if collisions else b""):
        value = (value ^ byte) * 16777619 & 0xFFFFFFFF
    return "".join(_SAFE[ord(digit) % len(_SAFE)] for digit in str(value))


def same_template(one: JSON, other: JSON) -> bool:
    """Equal but for the hash label."""
    return _without_hash(one) == _without_hash(other)


def _without_hash(template: JSON) -> JSON:
    meta = {k: v for k, v in (template.get("metadata") or {}).items() if k != "creationTimestamp"}
    labels = {k: v for k, v in (meta.pop("labels", None) or {}).items() if k != HASH_LABEL}
    if labels:
        meta["labels"] = labels
    return {**template, "metadata": meta}


def by_age(replica_sets: Iterable[JSON]) -> list[JSON]:
    """The oldest first."""
    return sorted(replica_sets, key=lambda rs: (rs["metadata"]["creationTimestamp"], rs["metadata"]["name"]))


def find_new(deployment: JSON, replica_sets: Iterable[JSON]) -> JSON | None:
    """The ReplicaSet of the Deployment's template; the oldest if there are several."""
    template = deployment["spec"]["template"]
    return next((rs for rs in by_age(replica_sets) if same_template(rs["spec"]["template"], template)), None)


def annotations_of(obj: JSON) -> dict[str, str]:
    return obj["metadata"].get("annotations") or {}


def revision_of(obj: JSON) -> int:
    """0 where there is none."""
    return _number(annotations_of(obj).get(REVISION, ""))


def _number(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        return 0


def next_revision(old: Iterable[JSON]) -> int:
    return max((revision_of(rs) for rs in old), default=0) + 1


def annotated_number(rs: JSON, key: str) -> int | None:
    text = annotations_of(rs).get(key)
    return None if text is None else _number(text)


def size_annotations(replicas: int, surge: int) -> dict[str, str]:
    return {DESIRED_REPLICAS: str(replicas), MAX_REPLICAS: str(replicas + surge)}


def copied_annotations(deployment: JSON) -> dict[str, str]:
    return {key: value for key, value in annotations_of(deployment).items() if key not in NOT_COPIED}


def new_annotations(deployment: JSON, rs: JSON, revision: int) -> dict[str, str]:
    """The annotations that the new ReplicaSet should have: those of the Deployment, its number and former numbers."""
    annotations = annotations_of(rs) | copied_annotations(deployment)
    old = annotations.get(REVISION, "")
    if _number(old) < revision:
        annotations[REVISION] = str(revision)
        if old:
            history = [entry for entry in annotations.get(REVISION_HISTORY, "").split(",") if entry]
            history.append(old)
            while sum(len(entry) + 1 for entry in history) > MAX_HISTORY_CHARACTERS:
                history.pop(0)
            annotations[REVISION_HISTORY] = ",".join(history)
    return annotations


def make_replica_set(deployment: JSON, replicas: int, surge: int, revision: int) -> JSON:
    """The ReplicaSet of the Deployment's template."""
    meta, spec = deployment["metadata"], deployment["spec"]
    hashed = template_hash(spec["template"], deployment.get("status", {}).get("collisionCount") or 0)
    template = copy.deepcopy(spec["template"])
    labels = {**(template.setdefault("metadata", {}).get("labels") or {}), HASH_LABEL: hashed}
    template["metadata"]["labels"] = labels
    selector = copy.deepcopy(spec["selector"])
    selector["matchLabels"] = {**(selector.get("matchLabels") or {}), HASH_LABEL: hashed}
    annotations = copied_annotations(deployment) | {REVISION: str(revision)}
    made: JSON = {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {
            "name": f"{meta['name']}-{hashed}",
            "namespace": meta["namespace"],
            "labels": dict(labels),
            "annotations": annotations | size_annotations(spec["replicas"], surge),
            "ownerReferences": [controller_reference(deployment, DEPLOYMENTS)],
        },
        "spec": {"replicas": replicas, "selector": selector, "template": template},
    }
    if spec.get("minReadySeconds"):
        made["spec"]["minReadySeconds"] = spec["minReadySeconds"]
    return made


def to_clean_up(deployment: JSON, old: Sequence[JSON]) -> list[JSON]:
    """The old ReplicaSets beyond revisionHistoryLimit; those that still have or want pods stay."""
    limit = deployment["spec"].get("revisionHistoryLimit")
    if limit is None:
        return []
    alive = [rs for rs in old if not rs["metadata"].get("deletionTimestamp")]
    excess = len(alive) - limit
    if excess <= 0:
        return []
    alive.sort(key=lambda rs: (revision_of(rs), rs["metadata"]["creationTimestamp"]))
    return [
        rs
        for rs in alive[:excess]
        if not rs.get("status", {}).get("replicas")
        and not rs["spec"].get("replicas")
        and rs["metadata"].get("generation", 0) <= rs.get("status", {}).get("observedGeneration", 0)
    ]
