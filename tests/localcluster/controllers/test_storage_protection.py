"""Which claims are in use, and what goes from an object that is let go."""

from __future__ import annotations

from localcluster.controllers.storage_protection import CLAIM_FINALIZER, claims_of, without_finalizer
from tests.localcluster.controllers.objects import meta, pod

VOLUMES = [
    {"name": "a", "persistentVolumeClaim": {"claimName": "claim"}},
    {"name": "b", "emptyDir": {}},
    {"name": "c", "ephemeral": {"volumeClaimTemplate": {}}},
]


def test_claims_of_a_pod():
    assert claims_of(pod("p", node="n", spec={"volumes": VOLUMES})) == ["claim", "p-c"]
    assert claims_of(pod("p", spec={"volumes": VOLUMES})) == []


def test_only_what_is_deleted_is_let_go():
    kept = {"metadata": meta("c", finalizers=[CLAIM_FINALIZER])}
    assert without_finalizer(kept, CLAIM_FINALIZER) is None
    finalizers = [CLAIM_FINALIZER, "example.com/other"]
    deleted = {"metadata": meta("c", finalizers=finalizers, deletionTimestamp="2026-01-01T00:00:00Z")}
    released = without_finalizer(deleted, CLAIM_FINALIZER)
    assert released is not None
    assert released["metadata"]["finalizers"] == ["example.com/other"]
    assert deleted["metadata"]["finalizers"] == finalizers
    assert without_finalizer(released, CLAIM_FINALIZER) is None
