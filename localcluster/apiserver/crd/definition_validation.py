"""Validation of CustomResourceDefinition objects, and what an update may change.

Errors, their order and their wording follow k8s.io/apiextensions-apiserver `validation`. Fields that are the same in
all versions are named there as if they stood beside `spec.versions` (`spec.validation`, `spec.subresources` …), because
that is where the real server's internal type keeps them.
"""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlsplit

from localcluster.apiserver.crd import internal_form, schema_rules
from localcluster.apiserver.crd.correlation import same_json
from localcluster.apiserver.crd.field_errors import QuotedError, child, invalid, item, key, too_many
from localcluster.apiserver.crd.field_paths import FieldPathError, resolve
from localcluster.apiserver.crd.nodes import has_rules
from localcluster.apiserver.errors import (
    INVALID,
    FieldError,
    duplicate,
    forbidden_field,
    not_supported,
    required,
)
from localcluster.apiserver.kinds.formats import dns1035_label, dns1123_subdomain

JSON = dict[str, Any]

MAX_SELECTABLE_FIELDS = 8
APPROVED = "api-approved.kubernetes.io"
_COLUMN_TYPES = ("boolean", "date", "integer", "number", "string")
_COLUMN_FORMATS = ("byte", "date", "date-time", "double", "float", "int32", "int64", "password")
_SHARED = ("schema", "subresources", "additionalPrinterColumns", "selectableFields")
_IMMUTABLE = "field is immutable"


def validate_create(crd: JSON) -> list[FieldError]:
    spec = crd["spec"]
    name = crd["metadata"].get("name", "")
    errors: list[FieldError] = []
    if name != f"{spec['names'].get('plural', '')}.{spec.get('group', '')}":
        errors.append(invalid("metadata.name", name, 'must be spec.names.plural+"."+spec.group'))
    return errors + _validate(crd, None)


def validate_update(crd: JSON, old: JSON) -> list[FieldError]:
    return _validate(crd, old)


def validate_status(crd: JSON) -> list[FieldError]:
    return _names((crd.get("status") or {}).get("acceptedNames") or {}, "status.acceptedNames")


def _validate(crd: JSON, old: JSON | None) -> list[FieldError]:
    spec, status = crd["spec"], crd.get("status") or {}
    errors = _spec(spec, None if old is None else old["spec"])
    if old is not None:
        errors += _unchanged(spec, old)
    errors += _names(status.get("acceptedNames") or {}, "status.acceptedNames")
    errors += _stored_versions(status.get("storedVersions"), spec.get("versions") or [])
    errors += _approval(crd, old)
    if spec.get("preserveUnknownFields") and not (old or {}).get("spec", {}).get("preserveUnknownFields"):
        detail = (
            "cannot set to true, set x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema instead"
        )
        errors.append(invalid("spec.preserveUnknownFields", True, detail))
    return errors


def _spec(spec: JSON, old: JSON | None) -> list[FieldError]:
    errors = _group(spec.get("group") or "")
    scope = spec.get("scope") or ""
    if not scope:
        errors.append(required("spec.scope"))
    elif scope not in ("Cluster", "Namespaced"):
        errors.append(not_supported("spec.scope", scope, ("Cluster", "Namespaced")))
    versions: list[JSON] = spec.get("versions") or []
    shared = shared_fields(versions)
    if "schema" not in shared:
        for index, version in enumerate(versions):
            if (version.get("schema") or {}).get("openAPIV3Schema") is None:
                errors.append(required(f"{item('spec.versions', index)}.schema.openAPIV3Schema"))
    old_schemas = {v.get("name"): v.get("schema") for v in (old or {}).get("versions") or ()}
    for index, version in enumerate(versions):
        errors += _version(version, item("spec.versions", index), shared, old_schemas)
    shown = internal_form.text(internal_form.versions(versions, shared))
    if len({v.get("name") for v in versions}) < len(versions):
        errors.append(QuotedError(INVALID, "spec.versions", shown, "must contain unique version names"))
    if sum(bool(v.get("storage")) for v in versions) != 1:
        detail = "must have exactly one version marked as storage version"
        errors.append(QuotedError(INVALID, "spec.versions", shown, detail))
    first = versions[0] if versions else {}
    if first.get("name"):
        errors += _label(first["name"], "spec.version")
    names = spec["names"]
    for field in ("plural", "singular", "kind", "listKind"):
        if not names.get(field):
            errors.append(required(f"spec.names.{field}"))
    errors += _names(names, "spec.names")
    if "schema" in shared:
        status = any(((v.get("subresources") or {}).get("status")) is not None for v in versions)
        errors += _schema(first, "spec.validation", status, old_schemas)
    if "subresources" in shared:
        errors += _scale(first, "spec.subresources")
    if "additionalPrinterColumns" in shared:
        errors += _columns(first, "spec.additionalPrinterColumns")
    if "selectableFields" in shared:
        errors += _selectable(first, "spec.selectableFields")
    return errors + _conversion(spec.get("conversion") or {}, spec)


def shared_fields(versions: list[JSON]) -> frozenset[str]:
    """Which fields all versions set to the same value."""
    if not versions:
        return frozenset()
    first = versions[0]
    return frozenset(f for f in _SHARED if first.get(f) and all(same_json(v.get(f), first[f]) for v in versions))


def _label(value: str, path: str, prefix: str = "") -> list[FieldError]:
    wrong = dns1035_label(value.lower() if prefix else value)
    return [invalid(path, value, prefix + ",".join(wrong))] if wrong else []


def _group(group: str) -> list[FieldError]:
    if not group:
        return [required("spec.group")]
    wrong = dns1123_subdomain(group)
    if wrong:
        return [invalid("spec.group", group, ",".join(wrong))]
    return [] if "." in group else [invalid("spec.group", group, "should be a domain with at least one dot")]


def _version(version: JSON, path: str, shared: frozenset[str], old_schemas: JSON) -> list[FieldError]:
    errors = _label(version.get("name") or "", f"{path}.name")
    warning = version.get("deprecationWarning")
    for text in _deprecation(bool(version.get("deprecated")), warning):
        errors.append(invalid(f"{path}.deprecationWarning", warning, text))
    if "schema" not in shared:
        status = (version.get("subresources") or {}).get("status") is not None
        errors += _schema(version, f"{path}.schema", status, old_schemas)
    if "subresources" not in shared:
        errors += _scale(version, f"{path}.subresources")
    if "additionalPrinterColumns" not in shared:
        errors += _columns(version, f"{path}.additionalPrinterColumns")
    if "selectableFields" not in shared:
        errors += _selectable(version, f"{path}.selectableFields")
    return errors


def _deprecation(deprecated: bool, warning: str | None) -> list[str]:
    if warning is None:
        return []
    if not deprecated:
        return ["can only be set for deprecated versions"]
    errors = []
    if len(warning.encode()) > 256:
        errors.append("must be <= 256 characters long")
    if not warning:
        errors.append("must not be an empty string")
    for position, letter in enumerate(warning):
        if not letter.isprintable():
            index = len(warning[:position].encode())
            text = "must only contain printable UTF-8 characters; non-printable character found at index"
            errors.append(f"{text} {index}")
            break
    return errors


def _schema(version: JSON, path: str, status: bool, old_schemas: JSON) -> list[FieldError]:
    raw = (version.get("schema") or {}).get("openAPIV3Schema")
    if raw is None:
        return []
    unchanged = version.get("name") in old_schemas and same_json(old_schemas[version["name"]], version["schema"])

    def rules() -> schema_rules.RuleChecker:
        from localcluster.apiserver.crd.cel.definition_rules import RuleErrors

        return RuleErrors(raw, where, limited=not unchanged)

    where = f"{path}.openAPIV3Schema"
    return schema_rules.validate(raw, where, status=status, rules=rules if has_rules(raw) else None)


def _scale(version: JSON, path: str) -> list[FieldError]:
    scale = (version.get("subresources") or {}).get("scale")
    if scale is None:
        return []
    errors: list[FieldError] = []
    for name, roots in (("specReplicasPath", (".spec.",)), ("statusReplicasPath", (".status.",)),
                        ("labelSelectorPath", (".spec.", ".status."))):  # fmt: skip
        value, where = scale.get(name) or "", f"{path}.scale.{name}"
        if not value:
            if name != "labelSelectorPath":
                errors.append(required(where))
        elif value[0] != ".":
            errors.append(invalid(where, value, "must be a simple json path starting with ."))
        elif not value.startswith(roots):
            under = "either .spec or .status" if len(roots) > 1 else roots[0].rstrip(".")
            errors.append(invalid(where, value, f"should be a json path under {under}"))
    return errors


def _columns(version: JSON, path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    for index, column in enumerate(version.get("additionalPrinterColumns") or ()):
        where = item(path, index)
        declared, declared_format = column.get("type") or "", column.get("format") or ""
        json_path = column.get("jsonPath") or ""
        if not column.get("name"):
            errors.append(required(f"{where}.name"))
        types = f"must be one of {','.join(_COLUMN_TYPES)}"
        if not declared:
            errors.append(required(f"{where}.type", types))
        elif declared not in _COLUMN_TYPES:
            errors.append(invalid(f"{where}.type", declared, types))
        if declared_format and declared_format not in _COLUMN_FORMATS:
            errors.append(invalid(f"{where}.format", declared_format, f"must be one of {','.join(_COLUMN_FORMATS)}"))
        if not json_path:
            errors.append(required(f"{where}.JSONPath"))
        elif json_path[0] != ".":
            errors.append(invalid(f"{where}.JSONPath", json_path, "must be a simple json path starting with ."))
    return errors


def _selectable(version: JSON, path: str) -> list[FieldError]:
    fields = version.get("selectableFields") or []
    raw: JSON = (version.get("schema") or {}).get("openAPIV3Schema") or {}
    if fields and not raw:
        detail = "selectableFields may only be set when version.schema.openAPIV3Schema is not included"
        return [invalid(path, "", detail)]
    errors: list[FieldError] = []
    seen: set[str] = set()
    for index, field in enumerate(fields):
        where, json_path = f"{item(path, index)}.jsonPath", field.get("jsonPath") or ""
        if not json_path:
            errors.append(required(where))
            continue
        try:
            shown, node = resolve(json_path, raw, brackets=False)
        except FieldPathError as error:
            errors.append(invalid(where, json_path, f"is an invalid path: {error}"))
            continue
        if shown.split(".")[0] == "metadata":
            errors.append(invalid(where, json_path, "must not point to fields in metadata"))
        if (node or {}).get("type") not in ("string", "boolean", "integer"):
            detail = (
                "must point to a field of type string, boolean or integer. "
                "Enum string fields and strings with formats are allowed."
            )
            errors.append(invalid(where, json_path, detail))
        if shown in seen:
            errors.append(duplicate(where, json_path))
        seen.add(shown)
    if len(seen) > MAX_SELECTABLE_FIELDS:
        errors.append(too_many(path, len(seen), MAX_SELECTABLE_FIELDS))
    return errors


def _names(names: JSON, path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    mixed = "may have mixed case, but should otherwise match: "
    for field, prefix in (("plural", ""), ("singular", ""), ("kind", mixed), ("listKind", mixed)):
        if names.get(field):
            errors += _label(names[field], f"{path}.{field}", prefix)
    for index, name in enumerate(names.get("shortNames") or ()):
        errors += _label(name, item(f"{path}.shortNames", index))
    if names.get("kind") and names["kind"] == names.get("listKind"):
        errors.append(invalid(f"{path}.listKind", names["listKind"], "kind and listKind may not be the same"))
    for index, name in enumerate(names.get("categories") or ()):
        errors += _label(name, item(f"{path}.categories", index))
    return errors


def _conversion(conversion: JSON, spec: JSON) -> list[FieldError]:
    path, strategy = "spec.conversion", conversion.get("strategy") or ""
    if not strategy:
        return [required(f"{path}.strategy")]
    if strategy not in ("None", "Webhook"):
        return [not_supported(f"{path}.strategy", strategy, ("None", "Webhook"))]
    webhook = conversion.get("webhook")
    if strategy == "None":
        if webhook is None:
            return []
        detail = "should not be set when strategy is not set to Webhook"
        errors = [forbidden_field(f"{path}.webhookClientConfig", detail)] if webhook.get("clientConfig") else []
        if webhook.get("conversionReviewVersions"):
            errors.append(forbidden_field(f"{path}.conversionReviewVersions", detail))
        return errors
    config = (webhook or {}).get("clientConfig")
    if config is None:
        errors = [required(f"{path}.webhookClientConfig", "required when strategy is set to Webhook")]
    elif (config.get("url") is None) == (config.get("service") is None):
        errors = [required(f"{path}.webhookClientConfig", "exactly one of url or service is required")]
    else:
        errors = []
    reviews = (webhook or {}).get("conversionReviewVersions") or []
    if not reviews:
        errors.append(required(f"{path}.conversionReviewVersions"))
    elif not {"v1", "v1beta1"} & set(reviews):
        where = f"{path}.conversionReviewVersions"
        errors.append(invalid(where, reviews, "must include at least one of v1, v1beta1"))
    return errors


def _stored_versions(stored: list[str] | None, versions: list[JSON]) -> list[FieldError]:
    path = "status.storedVersions"
    if not stored:
        return [invalid(path, stored, "must have at least one stored version")]
    errors = [
        invalid(path, stored, f"must have the storage version {v['name']}")
        for v in versions
        if v.get("storage") and v["name"] not in stored
    ]
    names = {v.get("name") for v in versions}
    for index, name in enumerate(stored):
        if name not in names:
            detail = (
                f"missing from spec.versions; {name} was previously a storage version, and must remain in "
                f"spec.versions until a storage migration ensures no data remains persisted in {name} and removes "
                f"{name} from status.storedVersions"
            )
            errors.append(invalid(item(path, index), name, detail))
    return errors


def _unchanged(spec: JSON, old_crd: JSON) -> list[FieldError]:
    old = old_crd["spec"]
    conditions = (old_crd.get("status") or {}).get("conditions") or ()
    established = any(c.get("type") == "Established" and c.get("status") == "True" for c in conditions)
    errors = []
    if established:
        if spec.get("scope") != old.get("scope"):
            errors.append(invalid("spec.scope", spec.get("scope"), _IMMUTABLE))
        if spec["names"].get("kind") != old["names"].get("kind"):
            errors.append(invalid("spec.names.kind", spec["names"].get("kind"), _IMMUTABLE))
    if spec.get("group") != old.get("group"):
        errors.append(invalid("spec.group", spec.get("group"), _IMMUTABLE))
    if spec["names"].get("plural") != old["names"].get("plural"):
        errors.append(invalid("spec.names.plural", spec["names"].get("plural"), _IMMUTABLE))
    return errors


def _approval(crd: JSON, old: JSON | None) -> list[FieldError]:
    # Groups of the Kubernetes project need a sign that they were reviewed (KEP-1111).
    group = crd["spec"].get("group") or ""
    if not re.search(r"(^|\.)(k8s|kubernetes)\.io$", group):
        return []
    state, reason = approval_state(crd)
    if old is not None and approval_state(old)[0] == state:
        return []
    path = key(child("metadata", "annotations"), APPROVED)
    if state == "missing":
        return [required(path, reason)]
    return [invalid(path, crd["metadata"]["annotations"][APPROVED], reason)] if state == "invalid" else []


def approval_state(crd: JSON) -> tuple[str, str]:
    """`missing`, `invalid`, `bypassed` or `approved`, and the text that says so."""
    value = (crd["metadata"].get("annotations") or {}).get(APPROVED, "")
    see = "see https://github.com/kubernetes/enhancements/pull/1111"
    if not value:
        return "missing", f'protected groups must have approval annotation "{APPROVED}", {see}'
    if value.startswith("unapproved"):
        return "bypassed", f'not approved: "{value}"'
    if urlsplit(value).scheme and urlsplit(value).netloc:
        return "approved", f"approved in {value}"
    what = 'with either a URL or a reason starting with "unapproved"'
    return "invalid", f'protected groups must have approval annotation "{APPROVED}" {what}, {see}'
