"""The part of metadata that the parts use: who an object is, whose it is, and a reference to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kubeless.api import API_VERSION
from kubeless.api.reading import JSON


@dataclass(frozen=True)
class Metadata:
    """`generation` is 0 and `uid` empty for an object that no API server has seen."""

    kind: str
    name: str
    namespace: str
    uid: str
    generation: int
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    deleting: bool

    @classmethod
    def parse(cls, kind: str, obj: Mapping[str, Any]) -> Metadata:
        meta: Mapping[str, Any] = obj.get("metadata") or {}
        return cls(
            kind=kind,
            name=meta.get("name") or "",
            namespace=meta.get("namespace") or "default",
            uid=meta.get("uid") or "",
            generation=meta.get("generation") or 0,
            labels=dict(meta.get("labels") or {}),
            annotations=dict(meta.get("annotations") or {}),
            deleting=bool(meta.get("deletionTimestamp")),
        )

    def owner_reference(self) -> JSON:
        """For the metadata of children: they go when this object goes."""
        return {
            "apiVersion": API_VERSION,
            "kind": self.kind,
            "name": self.name,
            "uid": self.uid,
            "controller": True,
            "blockOwnerDeletion": False,
        }

    def object_reference(self) -> JSON:
        """For the `involvedObject` of Events."""
        return {
            "apiVersion": API_VERSION,
            "kind": self.kind,
            "name": self.name,
            "namespace": self.namespace,
            "uid": self.uid,
        }
