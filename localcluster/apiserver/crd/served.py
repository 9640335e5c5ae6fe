"""A version of a CustomResourceDefinition as it is served: its schema, and how objects of it behave."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from localcluster.apiserver.crd import defaulting, list_types, object_meta, pruning, scale, validation
from localcluster.apiserver.crd.correlation import Correlation
from localcluster.apiserver.crd.field_errors import invalid
from localcluster.apiserver.crd.field_paths import value_at
from localcluster.apiserver.crd.nodes import TYPE_AND_OBJECT_META, has_rules, is_embedded_resource
from localcluster.apiserver.errors import (
    NOT_SUPPORTED,
    REQUIRED,
    TOO_LONG,
    TOO_MANY,
    TYPE_INVALID,
    FieldError,
    forbidden,
)
from localcluster.apiserver.kinds.base import Context, Kind
from localcluster.apiserver.schema import Schema

if TYPE_CHECKING:
    from localcluster.apiserver.crd.cel.rules import Rules

JSON = dict[str, Any]

_OBJECT_META = {"$ref": "#/$defs/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"}
_TYPE_META = {"apiVersion": {"type": "string"}, "kind": {"type": "string"}, "metadata": _OBJECT_META}
_BLOCKS_RULES = (NOT_SUPPORTED, REQUIRED, TOO_LONG, TOO_MANY, TYPE_INVALID)


@dataclass
class ServedVersion:
    """What the rest of the server needs to know of one version of a definition.

    Attributes:
        raw: the version's ``openAPIV3Schema``.
        hub_raw: that of the storage version, in which objects are kept.
        printer_columns: ``additionalPrinterColumns``.
        status: whether there is a status subresource.
        scale: ``subresources.scale``, or None.
        selectable_fields: JSON paths like ``.spec.color``.
        warning: the text for the Warning header of every request to this version; empty if it is not deprecated.
        terminating: the definition is being deleted, so that objects can no longer be created.
    """

    group: str
    version: str
    plural: str
    kind: str
    raw: JSON
    hub_raw: JSON
    printer_columns: list[JSON] = field(default_factory=list)
    status: bool = False
    scale: JSON | None = None
    selectable_fields: list[str] = field(default_factory=list)
    warning: str = ""
    terminating: bool = False

    @cached_property
    def schema(self) -> Schema:
        """The schema with apiVersion, kind and metadata, for patches and managed fields."""
        return Schema(_with_type_meta(self.raw, root=True))

    @cached_property
    def behaviour(self) -> Kind:
        return CustomKind(self)

    @cached_property
    def rules(self) -> Rules | None:
        """The compiled x-kubernetes-validations; None if there are none, so that no CEL library is loaded."""
        if not has_rules(self.raw):
            return None
        from localcluster.apiserver.crd.cel.rules import Rules

        return Rules(self.raw)


def _with_type_meta(raw: JSON, *, root: bool = False) -> JSON:
    copied = dict(raw)
    properties = {k: _with_type_meta(v) for k, v in (raw.get("properties") or {}).items()}
    if root or is_embedded_resource(raw):
        properties |= _TYPE_META
    if properties:
        copied["properties"] = properties
    for name in ("items", "additionalProperties"):
        if isinstance(raw.get(name), dict):
            copied[name] = _with_type_meta(raw[name])
    return copied


def _without_meta(obj: JSON) -> JSON:
    return {k: v for k, v in obj.items() if k not in TYPE_AND_OBJECT_META}


class CustomKind(Kind):
    """The behaviour of the objects of one version of a definition."""

    counts_generations = True
    unconditional_update = False

    def __init__(self, served: ServedVersion) -> None:
        self._served = served
        self.has_status = served.status

    # ---- writing

    def default(self, obj: JSON) -> None:
        pruning.drop_nulls(obj, self._served.raw)
        defaulting.apply_defaults(obj, self._served.raw)

    def prepare_create(self, new: JSON, context: Context) -> None:
        served = self._served
        if served.terminating:
            why = "create not allowed while custom resource definition is terminating"
            raise forbidden(served.group, served.plural, new["metadata"].get("name", ""), why)
        super().prepare_create(new, context)

    def validate_create(self, new: JSON, context: Context) -> list[FieldError]:
        raw = self._served.raw
        errors = validation.validate(new, raw)
        if self._served.scale is not None:
            errors += scale.validate_spec(new, self._served.scale) + scale.validate_status(new, self._served.scale)
        errors += object_meta.validate_embedded(_without_meta(new), raw)
        errors += list_types.validate(new, raw)
        return errors + self._rules(new, None, errors)

    def validate_update(self, new: JSON, old: JSON, context: Context) -> list[FieldError]:
        raw = self._served.raw
        errors = validation.validate(new, raw, correlation=Correlation(new, old))
        if self._served.scale is not None:
            errors += scale.validate_spec(new, self._served.scale) + scale.validate_status(new, self._served.scale)
        errors += object_meta.validate_embedded(_without_meta(new), raw)
        errors += self._new_list_errors(new, old)
        return errors + self._rules(new, old, errors)

    def validate_status(self, new: JSON, old: JSON, context: Context) -> list[FieldError]:
        errors: list[FieldError] = []
        raw = (self._served.raw.get("properties") or {}).get("status")
        if raw is not None and "status" in new:
            correlation = Correlation(new["status"], old["status"]) if "status" in old else None
            errors += validation.validate(new["status"], raw, base="status", correlation=correlation)
        if self._served.scale is not None:
            errors += scale.validate_status(new, self._served.scale)
        errors += self._new_list_errors(new, old)
        return errors + self._rules(new, old, errors)

    def _new_list_errors(self, new: JSON, old: JSON) -> list[FieldError]:
        errors = list_types.validate(new, self._served.raw)
        # An object that was stored with repetitions may be changed elsewhere.
        return [] if errors and list_types.validate(old, self._served.raw) else errors

    def _rules(self, new: JSON, old: JSON | None, errors: list[FieldError]) -> list[FieldError]:
        rules = self._served.rules
        if rules is None:
            return []
        if any(e.reason in _BLOCKS_RULES for e in errors):
            detail = (
                "some validation rules were not checked because the object was invalid; "
                "correct the existing errors to complete validation"
            )
            return [invalid("", None, detail)]
        return rules.validate(new, old)

    # ---- reading and storing

    def to_hub(self, obj: JSON) -> JSON:
        return self._settled(obj, self._served.hub_raw, defaults=False)

    def from_hub(self, obj: JSON) -> JSON:
        served = self._served
        shown = self._settled(obj, served.hub_raw, defaults=True)
        return shown if served.raw is served.hub_raw else self._settled(shown, served.raw, defaults=True)

    @staticmethod
    def _settled(obj: JSON, raw: JSON, *, defaults: bool) -> JSON:
        if defaulting.is_settled(obj, raw, resource_root=True):
            return obj
        settled = copy.deepcopy(obj)
        pruning.prune(settled, raw, resource_root=True)
        pruning.drop_nulls(settled, raw)
        if defaults:
            defaulting.apply_defaults(settled, raw)
        return settled

    def selectable_fields(self, obj: JSON) -> dict[str, str]:
        return {path.lstrip("."): _as_text(value_at(obj, path)) for path in self._served.selectable_fields}

    def generation_of(self, obj: JSON) -> Any:
        left_out = ("metadata", "apiVersion", "kind") + (("status",) if self._served.status else ())
        return {k: v for k, v in obj.items() if k not in left_out}


def _as_text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)
