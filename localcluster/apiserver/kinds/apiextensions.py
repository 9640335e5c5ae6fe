"""apiextensions.k8s.io: CustomResourceDefinition."""

from __future__ import annotations

import copy

from localcluster.apiserver.crd import definition, definition_validation
from localcluster.apiserver.errors import FieldError
from localcluster.apiserver.kinds.base import JSON, Context, Kind

CLEANUP = "customresourcecleanup.apiextensions.k8s.io"
"""The finalizer that keeps a definition until its objects are gone."""


class CustomResourceDefinition(Kind):
    counts_generations = True
    has_status = True
    unconditional_update = False

    def default(self, obj: JSON) -> None:
        definition.default(obj)

    def prepare_create(self, new: JSON, context: Context) -> None:
        new["status"] = definition.initial_status(new["spec"])

    def prepare_update(self, new: JSON, old: JSON, context: Context) -> None:
        status = copy.deepcopy(old.get("status") or {})
        definition.remember_stored_version(status, new["spec"])
        new["status"] = status

    def validate_create(self, new: JSON, context: Context) -> list[FieldError]:
        return definition_validation.validate_create(new)

    def validate_update(self, new: JSON, old: JSON, context: Context) -> list[FieldError]:
        return definition_validation.validate_update(new, old)

    def validate_status(self, new: JSON, old: JSON, context: Context) -> list[FieldError]:
        return definition_validation.validate_status(new)

    def begin_deletion(self, obj: JSON, context: Context) -> JSON:
        """With the finalizer and the condition that the real server adds before the objects are deleted."""
        meta, status = obj["metadata"], obj.get("status") or {}
        finalizers = meta.get("finalizers") or []
        if CLEANUP in finalizers:
            return obj
        terminating = definition.condition(
            "Terminating",
            "True",
            "InstanceDeletionPending",
            "CustomResourceDefinition marked for deletion; CustomResource deletion will begin soon",
            context.now,
        )
        conditions = definition.with_condition(status.get("conditions"), terminating)
        return {
            **obj,
            "metadata": {**meta, "finalizers": [*finalizers, CLEANUP]},
            "status": {**status, "conditions": conditions},
        }


KINDS: dict[str, type[Kind]] = {"CustomResourceDefinition": CustomResourceDefinition}
