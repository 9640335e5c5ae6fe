"""What kinds with a ``/status`` have in common: who may write which part, and counts that are always there."""

from __future__ import annotations

import copy
from typing import Any, ClassVar

from localcluster.apiserver.kinds.base import JSON, Context, Kind
from localcluster.apiserver.kinds.pod_defaults import drop_empty

_SYSTEM_FIELDS = ("uid", "creationTimestamp", "generation", "deletionTimestamp", "deletionGracePeriodSeconds")


class KindWithStatus(Kind):
    """A kind whose status is written by its controller.

    As in the real server, a write to ``/status`` leaves the spec alone but may change metadata: controllers note
    things in annotations together with the status.
    """

    has_status = True
    empty_status: ClassVar[dict[str, Any]] = {}
    """Fields that a status has even when nobody set them."""
    omitted_of_spec: tuple[str, ...] = ()
    omitted_of_status: tuple[str, ...] = ()
    """Fields that are left out when they are empty, false or zero, as Go's ``omitempty`` does."""
    status_keeps_labels = False
    """A write to ``/status`` leaves the labels alone too."""

    def default(self, obj: JSON) -> None:
        if obj.get("spec") is None:
            obj["spec"] = {}
        drop_empty(obj["spec"], self.omitted_of_spec)
        self._fill_status(obj)

    def prepare_create(self, new: JSON, context: Context) -> None:
        new["status"] = copy.deepcopy(self.empty_status)

    def prepare_status(self, new: JSON, old: JSON, context: Context) -> None:
        for key in list(new):
            if key not in old and key not in ("status", "metadata"):
                del new[key]
        self._keep(new, old, *(key for key in old if key not in ("status", "metadata")))
        meta, before = new["metadata"], old["metadata"]
        for name in (*_SYSTEM_FIELDS, *(("labels",) if self.status_keeps_labels else ())):
            self._keep(meta, before, name)
        self._fill_status(new)

    def _fill_status(self, obj: JSON) -> None:
        status = obj.get("status")
        if status is None:
            status = obj["status"] = {}
        drop_empty(status, self.omitted_of_status)
        for name, value in self.empty_status.items():
            if status.get(name) is None:
                status[name] = copy.deepcopy(value)


def template_of(spec: JSON) -> JSON:
    """``spec.template``, made where it is missing, with metadata and spec."""
    template: JSON = spec.get("template") or {}
    spec["template"] = template
    for part in ("metadata", "spec"):
        if template.get(part) is None:
            template[part] = {}
    return template
