"""Conflicts of a server-side apply: the fields of others that it would change."""

from __future__ import annotations

from localcluster.apiserver.errors import APIError
from localcluster.apiserver.patch.fieldsets import FieldSet, difference, paths, union
from localcluster.apiserver.patch.managers import Manager


class Conflicts(Exception):
    """Fields that other managers own and that the applied object sets to something else."""

    def __init__(self, by_manager: dict[Manager, FieldSet]) -> None:
        super().__init__()
        self.by_manager = by_manager

    @property
    def fields(self) -> FieldSet:
        result: FieldSet = {}
        for fields in self.by_manager.values():
            result = union(result, fields)
        return result

    def without(self, allowed: FieldSet) -> Conflicts:
        rest = {manager: difference(fields, allowed) for manager, fields in self.by_manager.items()}
        return Conflicts({manager: fields for manager, fields in rest.items() if fields})

    def error(self) -> APIError:
        """409 that names the managers and the fields."""
        found = [(m, list(paths(fields))) for m, fields in sorted(self.by_manager.items())]
        causes = [
            {"reason": "FieldManagerConflict", "message": f"conflict with {manager.describe()}", "field": path}
            for manager, conflicting in found
            for path in conflicting
        ]
        if len(causes) == 1:
            message = f"Apply failed with 1 conflict: {causes[0]['message']}: {causes[0]['field']}"
        else:
            lines = [
                line
                for manager, conflicting in found
                for line in (f"conflicts with {manager.describe()}:", *(f"- {path}" for path in conflicting))
            ]
            message = f"Apply failed with {len(causes)} conflicts: " + "\n".join(lines)
        return APIError(409, "Conflict", message, {"causes": causes})
