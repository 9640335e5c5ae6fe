"""Service account tokens: signed JSON Web Tokens that live with the account, and with the object, they are bound to.

    tokens = Tokens(key_file, store)
    tokens.issue(account, audiences=[…], expiration_seconds=3600, bound=None, now=time.time()) -> (token, expires)
    tokens.verify(token, audiences=None) -> Verified            # raises TokenError
    tokens.request(namespace, name, body, now) -> TokenRequest  # POST …/serviceaccounts/<name>/token
    tokens.review(body, authenticate) -> TokenReview            # POST tokenreviews

Claims as in KEP-1205 and KEP-4193 (https://kubernetes.io/docs/reference/access-authn-authz/service-accounts-admin/).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

import orjson
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from localcluster.apiserver.errors import FieldError, bad_request, conflict, invalid, invalid_value, not_found
from localcluster.apiserver.kinds.base import JSON, Reader, User

AUDIENCE = "https://kubernetes.default.svc.cluster.local"
"""Issuer of the tokens, and the audience of those meant for the API server itself."""

_DEFAULT_SECONDS = 3600
_MIN_SECONDS = 600
_MAX_SECONDS = 1 << 32
_WARN_ONLY_SECONDS = 3607
"""What kubelets ask for; clients that never reload their token would break on the hour, so it lives for a year
and only warns (``--service-account-extend-token-expiration``)."""
_EXTENDED_SECONDS = 365 * 24 * 3600
_COORDINATE_BYTES = 32
_EXTRA = "authentication.kubernetes.io/"


class TokenError(Exception):
    """A token that was issued here but is not valid (any more); the text says why."""


class ForeignToken(TokenError):
    """Not a token of this cluster."""


@dataclass(frozen=True)
class Verified:
    """A valid token's user and the audiences that it was asked for and has."""

    user: User
    audiences: tuple[str, ...]


class Tokens:
    """Issues and verifies service account tokens with one signing key (ECDSA P-256)."""

    def __init__(self, key_file: Path, store: Reader, audience: str = AUDIENCE) -> None:
        key = serialization.load_pem_private_key(key_file.read_bytes(), None)
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise ValueError(f"{key_file} holds no elliptic-curve key")
        self._key = key
        self._store = store
        self.audience = audience
        public = key.public_key()
        der = public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        self.key_id = _encode(hashlib.sha256(der).digest())
        # Signatures are checked once a token; what can change (expiry, the account) is checked each time.
        self._claims = lru_cache(maxsize=1024)(self._signed_claims)

    # ---- issuing

    def issue(
        self,
        account: JSON,
        audiences: Sequence[str],
        expiration_seconds: int,
        bound: JSON | None = None,
        bound_kind: str = "",
        now: float | None = None,
    ) -> str:
        """A token of a ServiceAccount.

        Args:
            bound: the Pod, Secret or Node (`bound_kind`) with which the token dies.
            now: seconds since 1970.
        """
        issued = int(time.time() if now is None else now)
        meta = account["metadata"]
        private: JSON = {
            "namespace": meta["namespace"],
            "serviceaccount": {"name": meta["name"], "uid": meta["uid"]},
        }
        lives_seconds = expiration_seconds
        if bound is not None:
            private[bound_kind.lower()] = _reference(bound)
            if bound_kind == "Pod":
                node_name = bound.get("spec", {}).get("nodeName")
                node = self._store.get("/nodes", "", node_name) if node_name else None
                if node_name:
                    private["node"] = {"name": node_name} if node is None else _reference(node)
                if expiration_seconds == _WARN_ONLY_SECONDS and self.audience in audiences:
                    lives_seconds = _EXTENDED_SECONDS
                    private["warnafter"] = issued + expiration_seconds
        claims = {
            "aud": list(audiences),
            "exp": issued + lives_seconds,
            "iat": issued,
            "iss": self.audience,
            "jti": str(uuid.uuid4()),
            "kubernetes.io": private,
            "nbf": issued,
            "sub": f"system:serviceaccount:{meta['namespace']}:{meta['name']}",
        }
        signed = f"{_encode(orjson.dumps({'alg': 'ES256', 'kid': self.key_id}))}.{_encode(orjson.dumps(claims))}"
        r, s = decode_dss_signature(self._key.sign(signed.encode(), ec.ECDSA(hashes.SHA256())))
        signature = r.to_bytes(_COORDINATE_BYTES, "big") + s.to_bytes(_COORDINATE_BYTES, "big")
        return f"{signed}.{_encode(signature)}"

    def request(self, namespace: str, name: str, body: JSON, now: float | None = None) -> JSON:
        """Answer a TokenRequest for a ServiceAccount. APIError for what the real server refuses, worded as it does."""
        moment = time.time() if now is None else now
        spec: JSON = dict(body.get("spec") or {})
        seconds = spec.get("expirationSeconds")
        seconds = _DEFAULT_SECONDS if seconds is None else seconds
        errors = _lifetime_errors(seconds)
        if errors:
            raise invalid("authentication.k8s.io", "TokenRequest", "", errors)
        given: JSON = body.get("metadata") or {}
        for field, value in (("name", name), ("namespace", namespace)):
            if given.get(field) and given[field] != value:
                detail = f"must match the service account {field} if specified"
                error = invalid_value(f"metadata.{field}", given[field], detail)
                raise invalid("authentication.k8s.io", "TokenRequest", name, [error])
        account = self._store.get("/serviceaccounts", namespace, name)
        if account is None:
            raise not_found("", "serviceaccounts", name)
        audiences = list(spec.get("audiences") or [self.audience])
        reference = spec.get("boundObjectRef")
        bound, bound_kind = self._bound(namespace, name, reference) if reference else (None, "")
        token = self.issue(account, audiences, seconds, bound, bound_kind, moment)
        return {
            "kind": "TokenRequest",
            "apiVersion": "authentication.k8s.io/v1",
            "metadata": {
                "name": name,
                "namespace": namespace,
                "uid": account["metadata"]["uid"],
                "creationTimestamp": _timestamp(moment),
            },
            "spec": {"audiences": audiences, "expirationSeconds": seconds, "boundObjectRef": reference},
            "status": {"token": token, "expirationTimestamp": _timestamp(moment + seconds)},
        }

    def _bound(self, namespace: str, account_name: str, reference: JSON) -> tuple[JSON, str]:
        group, _, version = str(reference.get("apiVersion", "")).rpartition("/")
        kind, name = reference.get("kind", ""), reference.get("name", "")
        plural = {"Pod": "pods", "Secret": "secrets", "Node": "nodes"}.get(kind)
        if plural is None or group or version != "v1":
            found = f"{group}/{version}, Kind={kind}"
            raise bad_request(f"cannot bind token to object of type {found}")
        bound = self._store.get(f"/{plural}", "" if kind == "Node" else namespace, name)
        if bound is None:
            raise not_found("", plural, name)
        if kind == "Pod" and bound.get("spec", {}).get("serviceAccountName") != account_name:
            raise bad_request(
                f'cannot bind token for serviceaccount "{account_name}" to pod running with different '
                "serviceaccount name."
            )
        uid = bound["metadata"]["uid"]
        if reference.get("uid") and reference["uid"] != uid:
            raise conflict(
                "",
                kind,
                name,
                f"the UID in the bound object reference ({reference['uid']}) does not match the UID in record. "
                "The object might have been deleted and then recreated",
            )
        return bound, kind

    # ---- verifying

    def verify(self, token: str, audiences: Sequence[str] | None = None, now: float | None = None) -> Verified:
        """Who a token is for.

        Args:
            audiences: of which the token must have one; default: the API server's.

        Raises:
            ForeignToken: not signed by this cluster.
            TokenError: expired, for others, or its account or bound object is gone.
        """
        claims = self._claims(token)
        moment = time.time() if now is None else now
        if moment >= claims["exp"]:
            raise TokenError("service account token has expired")
        if moment < claims["nbf"]:
            raise TokenError("service account token is not valid yet")
        wanted = list(audiences or [self.audience])
        common = tuple(a for a in claims["aud"] if a in wanted)
        if not common:
            raise TokenError(
                f"token audiences {_quoted(claims['aud'])} is invalid for the target audiences {_quoted(wanted)}"
            )
        return Verified(self._user(claims), common)

    def _signed_claims(self, token: str) -> JSON:
        try:
            signed, _, signature = token.rpartition(".")
            header, _, payload = signed.partition(".")
            if orjson.loads(_decode(header)).get("alg") != "ES256":
                raise ForeignToken("unexpected signature algorithm")
            raw = _decode(signature)
            if len(raw) != 2 * _COORDINATE_BYTES:
                raise ForeignToken("bad signature")
            r, s = (int.from_bytes(raw[i : i + _COORDINATE_BYTES], "big") for i in (0, _COORDINATE_BYTES))
            self._key.public_key().verify(encode_dss_signature(r, s), signed.encode(), ec.ECDSA(hashes.SHA256()))
            claims = orjson.loads(_decode(payload))
        except (ValueError, AttributeError, binascii.Error, InvalidSignature) as error:
            raise ForeignToken("not signed by this cluster") from error
        if not isinstance(claims, dict) or claims.get("iss") != self.audience:
            raise ForeignToken("not issued by this cluster")
        return claims

    def _user(self, claims: JSON) -> User:
        private = claims["kubernetes.io"]
        namespace = private["namespace"]
        account = private["serviceaccount"]
        if not self._lives("/serviceaccounts", namespace, account):
            raise TokenError("service account token has been invalidated")
        extra: dict[str, tuple[str, ...]] = {f"{_EXTRA}credential-id": (f"JTI={claims['jti']}",)}
        for kind, plural in (("pod", "pods"), ("secret", "secrets"), ("node", "nodes")):
            bound = private.get(kind)
            if bound is None:
                continue
            # A pod's node is only told, the token does not die with it.
            is_bound = kind != "node" or "pod" not in private
            if is_bound and not self._lives(f"/{plural}", "" if kind == "node" else namespace, bound):
                raise TokenError("service account token has been invalidated")
            if kind != "secret":
                extra[f"{_EXTRA}{kind}-name"] = (bound["name"],)
                if "uid" in bound:
                    extra[f"{_EXTRA}{kind}-uid"] = (bound["uid"],)
        return service_account_user(namespace, account["name"], account["uid"], extra)

    def _lives(self, storage: str, namespace: str, reference: JSON) -> bool:
        found = self._store.get(storage, namespace, reference["name"])
        if found is None or found["metadata"].get("uid") != reference["uid"]:
            return False
        # Pods and secrets in their last grace period still count; one that should be gone for a minute does not.
        deleted = found["metadata"].get("deletionTimestamp")
        return deleted is None or time.time() < datetime.fromisoformat(deleted).timestamp() + 60

    # ---- TokenReview and the public key

    def review(self, body: JSON) -> JSON:
        """Answer a TokenReview: whether a token is one of this cluster's, and whose."""
        spec: JSON = body.get("spec") or {}
        token = spec.get("token")
        if not token:
            raise bad_request("token is required for TokenReview in authentication")
        try:
            found = self.verify(token, spec.get("audiences"))
        except ForeignToken:
            status: JSON = {"user": {}, "error": "invalid bearer token"}
        except TokenError as error:
            status = {"user": {}, "error": f"[invalid bearer token, {error}]"}
        else:
            status = {"authenticated": True, "user": user_info(found.user), "audiences": list(found.audiences)}
        answer: JSON = {
            "kind": "TokenReview",
            "apiVersion": "authentication.k8s.io/v1",
            "metadata": body.get("metadata") or {},
            "spec": spec,
            "status": status,
        }
        return answer

    def key_set(self) -> JSON:
        """The JSON Web Key Set of ``/openid/v1/jwks``."""
        numbers = self._key.public_key().public_numbers()
        return {
            "keys": [
                {
                    "use": "sig",
                    "kty": "EC",
                    "kid": self.key_id,
                    "crv": "P-256",
                    "alg": "ES256",
                    "x": _encode(numbers.x.to_bytes(_COORDINATE_BYTES, "big")),
                    "y": _encode(numbers.y.to_bytes(_COORDINATE_BYTES, "big")),
                }
            ]
        }

    def openid_configuration(self, server_url: str) -> JSON:
        """The document of ``/.well-known/openid-configuration``."""
        return {
            "issuer": self.audience,
            "jwks_uri": f"{server_url}/openid/v1/jwks",
            "response_types_supported": ["id_token"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["ES256"],
        }


def service_account_user(
    namespace: str, name: str, uid: str = "", extra: dict[str, tuple[str, ...]] | None = None
) -> User:
    """A service account as a user, in its three groups."""
    groups = ("system:serviceaccounts", f"system:serviceaccounts:{namespace}", "system:authenticated")
    return User(f"system:serviceaccount:{namespace}:{name}", groups, uid, extra or {})


def user_info(user: User) -> JSON:
    """A user as the UserInfo of reviews; what is empty is left out."""
    info: JSON = {"username": user.name}
    if user.uid:
        info["uid"] = user.uid
    if user.groups:
        info["groups"] = list(user.groups)
    if user.extra:
        info["extra"] = {key: list(values) for key, values in user.extra.items()}
    return info


def _lifetime_errors(seconds: Any) -> list[FieldError]:
    path = "spec.expirationSeconds"
    if seconds < _MIN_SECONDS:
        return [invalid_value(path, seconds, "may not specify a duration less than 10 minutes")]
    if seconds > _MAX_SECONDS:
        return [invalid_value(path, seconds, "may not specify a duration larger than 2^32 seconds")]
    return []


def _reference(obj: JSON) -> JSON:
    return {"name": obj["metadata"]["name"], "uid": obj["metadata"]["uid"]}


def _quoted(values: Sequence[str]) -> str:
    return "[" + " ".join(f'"{v}"' for v in values) + "]"


def _timestamp(seconds: float) -> str:
    return datetime.fromtimestamp(int(seconds), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _encode(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
