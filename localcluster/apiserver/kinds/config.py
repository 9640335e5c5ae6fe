"""ConfigMaps, Secrets and ServiceAccounts."""

from __future__ import annotations

import base64
import binascii
import json
from typing import Any

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization

from localcluster.apiserver.errors import FieldError, forbidden_field, invalid_value, required, too_long
from localcluster.apiserver.kinds import formats, metadata
from localcluster.apiserver.kinds.base import Context, Kind
from localcluster.apiserver.kinds.formats import check, config_map_key
from localcluster.apiserver.kinds.pod_defaults import drop_empty

JSON = dict[str, Any]

MAX_BYTES = 1024 * 1024
_FROZEN = "field is immutable when `immutable` is set"
_REDACTED = "<secret contents redacted>"
_JSON_KEYS = {"kubernetes.io/dockercfg": ".dockercfg", "kubernetes.io/dockerconfigjson": ".dockerconfigjson"}


def _keep_frozen(new: JSON, old: JSON, *fields: str) -> list[FieldError]:
    if not old.get("immutable"):
        return []
    errors = [] if new.get("immutable") else [forbidden_field("immutable", _FROZEN)]
    return errors + [forbidden_field(f, _FROZEN) for f in fields if (new.get(f) or {}) != (old.get(f) or {})]


class ConfigMap(Kind):
    def default(self, obj: JSON) -> None:
        drop_empty(obj, ("data", "binaryData"))

    def validate_create(self, new: JSON, context: Context) -> list[FieldError]:
        errors: list[FieldError] = []
        data, binary = new.get("data") or {}, new.get("binaryData") or {}
        for key in data:
            errors += check(f"data[{key}]", key, config_map_key(key))
            if key in binary:
                errors.append(invalid_value(f"data[{key}]", key, "duplicate of key present in binaryData"))
        for key in binary:
            errors += check(f"binaryData[{key}]", key, config_map_key(key))
        size = sum(len(text.encode()) for text in data.values()) + sum(_decoded_size(text) for text in binary.values())
        if size > MAX_BYTES:
            errors.append(too_long("", MAX_BYTES))
        return errors

    def validate_update(self, new: JSON, old: JSON, context: Context) -> list[FieldError]:
        errors = _keep_frozen(new, old, "data", "binaryData")
        return errors + metadata.validate(new, True) + self.validate_create(new, context)


class Secret(Kind):
    def default(self, obj: JSON) -> None:
        # The values were decoded by then; stringData is only ever written.
        for key, text in (obj.pop("stringData", None) or {}).items():
            if obj.get("data") is None:
                obj["data"] = {}
            obj["data"][key] = base64.b64encode(text.encode()).decode()
        drop_empty(obj, ("data", "type"))
        obj.setdefault("type", "Opaque")

    def validate_create(self, new: JSON, context: Context) -> list[FieldError]:
        data, kind = new.get("data") or {}, new.get("type", "")
        errors: list[FieldError] = []
        for key in data:
            errors += check(f"data[{key}]", key, config_map_key(key))
        if sum(_decoded_size(text) for text in data.values()) > MAX_BYTES:
            errors.append(too_long("data", MAX_BYTES))
        return errors + _validate_secret_type(new, data, kind)

    def validate_update(self, new: JSON, old: JSON, context: Context) -> list[FieldError]:
        kind = new.get("type", "")
        errors = [] if kind == old.get("type", "") else [invalid_value("type", kind, formats.IMMUTABLE)]
        errors += _keep_frozen(new, old, "data")
        return errors + metadata.validate(new, True) + self.validate_create(new, context)

    def warnings(self, new: JSON, old: JSON | None) -> list[str]:
        if new.get("type") != "kubernetes.io/tls" or (old is not None and new.get("data") == old.get("data")):
            return []
        problem = _key_pair_problem(new.get("data") or {})
        return [problem] if problem else []

    def selectable_fields(self, obj: JSON) -> dict[str, str]:
        return {"type": obj.get("type", "")}


def _key_pair_problem(data: JSON) -> str:
    """What Go's `tls.X509KeyPair` says of a certificate and its key; empty if they fit."""
    certificate, key = (base64.b64decode(data.get(name) or "") for name in ("tls.crt", "tls.key"))
    if b"-----BEGIN CERTIFICATE-----" not in certificate:
        return "tls: failed to find any PEM data in certificate input"
    if b"-----BEGIN" not in key:
        return "tls: failed to find any PEM data in key input"
    try:
        public = x509.load_pem_x509_certificate(certificate).public_key()
        private = serialization.load_pem_private_key(key, None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return "tls: failed to parse private key"
    return "" if private.public_key() == public else "tls: private key does not match public key"


def _validate_secret_type(secret: JSON, data: JSON, kind: str) -> list[FieldError]:
    def missing(*keys: str) -> list[FieldError]:
        return [required(f"data[{key}]") for key in keys if key not in data]

    if kind == "kubernetes.io/service-account-token":
        name = "kubernetes.io/service-account.name"
        noted = (secret["metadata"].get("annotations") or {}).get(name)
        return [] if noted else [required(f"metadata.annotations[{name}]")]
    if kind in _JSON_KEYS:
        key = _JSON_KEYS[kind]
        if key not in data:
            return missing(key)
        problem = _json_problem(_decode(data[key]))
        return [invalid_value(f"data[{key}]", _REDACTED, problem)] if problem else []
    if kind == "kubernetes.io/basic-auth":
        keys = ("username", "password")
        return [] if any(key in data for key in keys) else missing(*keys)
    if kind == "kubernetes.io/ssh-auth":
        return [] if data.get("ssh-privatekey") else [required("data[ssh-privatekey]")]
    return missing("tls.crt", "tls.key") if kind == "kubernetes.io/tls" else []


def _decode(text: str) -> bytes:
    try:
        return base64.b64decode(text or "")
    except (binascii.Error, ValueError):
        return b""


def _decoded_size(text: str | None) -> int:
    length = len(text or "")
    return length // 4 * 3 - (text or "").count("=", max(0, length - 2))


def _json_problem(content: bytes) -> str:
    """Why `content` is no JSON object, worded as Go's decoder does; empty if it is one."""
    try:
        value = json.loads(content)
    except UnicodeDecodeError:
        return f"invalid character {chr(content[0])!r} looking for beginning of value"
    except json.JSONDecodeError as error:
        return _syntax_error(content.decode(), error.pos)
    if isinstance(value, dict) or value is None:
        return ""
    names = {bool: "bool", str: "string", list: "array", int: "number", float: "number"}
    return f"json: cannot unmarshal {names[type(value)]} into Go value of type map[string]interface {{}}"


_LITERALS = {"n": "null", "t": "true", "f": "false"}


def _syntax_error(text: str, position: int) -> str:
    if position >= len(text.rstrip()):
        return "unexpected end of JSON input"
    literal = _LITERALS.get(text[position], "")
    for i, letter in enumerate(literal):
        if position + i >= len(text):
            return "unexpected end of JSON input"
        if text[position + i] != letter:
            return f"invalid character '{text[position + i]}' in literal {literal} (expecting '{letter}')"
    wrong = text[position]
    before = text[:position].rstrip()[-1:]
    if not before or before in "[,:":
        place = "looking for beginning of value"
        if before == "," and text[:position].count("{") > text[:position].count("}"):
            place = "looking for beginning of object key string"
    elif before == "{":
        place = "looking for beginning of object key string"
    elif before in "]}" and text[:position].count("{") == text[:position].count("}"):
        place = "after top-level value"
    elif before == '"' and wrong != ":" and not text[:position].rstrip().rpartition(":")[2].strip().startswith('"'):
        place = "after object key"
    else:
        place = "after object key:value pair"
    return f"invalid character '{wrong}' {place}"


class ServiceAccount(Kind):
    delete_answers_object = True

    def default(self, obj: JSON) -> None:
        drop_empty(obj, ("secrets", "imagePullSecrets"))

    def validate_update(self, new: JSON, old: JSON, context: Context) -> list[FieldError]:
        return metadata.validate(new, True)
