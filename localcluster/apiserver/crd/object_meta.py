"""metadata of custom resources and of resources embedded in them: typed, though the rest of the object is not."""

from __future__ import annotations

from typing import Any

from localcluster.apiserver import schema as schemas
from localcluster.apiserver.crd.field_errors import child, invalid, item, key
from localcluster.apiserver.crd.nodes import is_embedded_resource, values_schema
from localcluster.apiserver.encoding import typed_decoding
from localcluster.apiserver.errors import FieldError, required
from localcluster.apiserver.kinds import metadata as object_meta
from localcluster.apiserver.kinds.formats import path_segment

JSON = dict[str, Any]

_OBJECT_META = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"


def decode(metadata: Any, path: str) -> list[str]:
    """Make metadata, in place, what Go's decoder would read; the paths of unknown fields, which are dropped.

    Raises ValueError with the decoder's text where a type does not fit.
    """
    if not isinstance(metadata, dict):
        found = typed_decoding.json_type(metadata)
        raise ValueError(f"json: cannot unmarshal {found} into Go value of type v1.ObjectMeta")
    return [child(path, name) for name in typed_decoding.decode(metadata, schemas.definition(_OBJECT_META))]


def decode_embedded(value: Any, raw: JSON | None, path: str = "") -> list[str]:
    """`decode` for the metadata of every embedded resource below a value."""
    unknown: list[str] = []
    if raw is None:
        return unknown
    if isinstance(value, dict):
        if is_embedded_resource(raw) and "metadata" in value:
            unknown += decode(value["metadata"], child(path, "metadata"))
        properties = raw.get("properties") or {}
        for name, inner in value.items():
            below = properties.get(name)
            unknown += decode_embedded(inner, values_schema(raw) if below is None else below, child(path, name))
    elif isinstance(value, list):
        for index, element in enumerate(value):
            unknown += decode_embedded(element, raw.get("items"), item(path, index))
    return unknown


def validate_embedded(value: Any, raw: JSON | None, path: str = "", *, at_root: bool = False) -> list[FieldError]:
    """Errors of apiVersion, kind and metadata of the embedded resources below a value.

    Args:
        at_root: the value itself is a resource though its schema does not say so.
    """
    errors: list[FieldError] = []
    if raw is None:
        return errors
    if isinstance(value, dict):
        if at_root or is_embedded_resource(raw):
            errors += _validate_resource(value, path)
        properties = raw.get("properties") or {}
        for name in sorted(value):
            if name in properties:
                errors += validate_embedded(value[name], properties[name], child(path, name))
            else:
                errors += validate_embedded(value[name], values_schema(raw), key(path, name))
    elif isinstance(value, list):
        for index, element in enumerate(value):
            errors += validate_embedded(element, raw.get("items"), item(path, index))
    return errors


def _validate_resource(value: JSON, path: str) -> list[FieldError]:
    errors = [required(child(path, name)) for name in ("apiVersion", "kind") if name not in value]
    for name in ("apiVersion", "kind"):
        where, text = child(path, name), value.get(name, "-")
        if not isinstance(text, str):
            errors.append(invalid(where, text, "must be a string"))
        elif not text:
            errors.append(invalid(where, text, "must not be empty"))
        elif name == "apiVersion" and text.count("/") > 1:
            errors.append(invalid(where, text, f"unexpected GroupVersion string: {text}"))
        elif name == "kind" and name in value:
            wrong = object_meta.dns1035_label(text.lower())
            if wrong:
                detail = "may have mixed case, but should otherwise match: " + ",".join(wrong)
                errors.append(invalid(where, text, detail))
    metadata = value.get("metadata")
    if isinstance(metadata, dict):
        named = {"metadata": {**metadata, "name": metadata.get("name") or "fakename"}}
        namespaced = bool(metadata.get("namespace"))
        errors += object_meta.validate(named, namespaced, path_segment, child(path, "metadata"), builtin=False)
    return errors
