"""Leases: rules of what leader election keeps in them."""

from __future__ import annotations

from localcluster.apiserver.errors import FieldError, forbidden_field, invalid_value
from localcluster.apiserver.kinds import formats
from localcluster.apiserver.kinds.base import JSON, Context, Kind


class Lease(Kind):
    create_on_update = True
    unconditional_update = False

    def default(self, obj: JSON) -> None:
        if obj.get("spec") is None:
            obj["spec"] = {}

    def validate_create(self, new: JSON, context: Context) -> list[FieldError]:
        spec = new["spec"]
        found: list[FieldError] = []
        duration = spec.get("leaseDurationSeconds")
        if duration is not None and duration <= 0:
            found.append(invalid_value("spec.leaseDurationSeconds", duration, formats.POSITIVE))
        found += formats.not_negative("spec.leaseTransitions", spec.get("leaseTransitions"))
        strategy = spec.get("strategy")
        if strategy is not None:
            found += self._validate_strategy(strategy)
        if spec.get("preferredHolder") and not strategy:
            detail = "may only be specified if `strategy` is defined"
            found.append(forbidden_field("spec.preferredHolder", detail))
        return found

    @staticmethod
    def _validate_strategy(strategy: str) -> list[FieldError]:
        path = "spec.strategy"
        if "/" in strategy:
            return formats.check(path, strategy, formats.qualified_name(strategy))
        known = "OldestEmulationVersion"
        return [] if strategy == known else [formats.unsupported(path, strategy, known)]


KINDS: dict[str, type[Kind]] = {"Lease": Lease}
