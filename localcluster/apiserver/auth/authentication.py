"""Who asks: client certificates of the cluster's CA, service account tokens, static tokens, else anonymous.

    authenticator = Authenticator(pki.ca.certificate_file, tokens)
    user = authenticator.authenticate(request.headers, peer_certificate_der)   # APIError 401

The TLS server asks for a client certificate but does not insist (``ssl.CERT_OPTIONAL`` with the CA loaded, or without
verification: the signature and the dates are checked here).
"""

from __future__ import annotations

import base64
import binascii
import datetime
import hashlib
import hmac
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

from cryptography import x509
from multidict import MultiMapping

from localcluster.apiserver.auth.tokens import TokenError, Tokens
from localcluster.apiserver.errors import unauthorized
from localcluster.apiserver.kinds.base import User
from localcluster.certs import subject_of

ANONYMOUS = User("system:anonymous", ("system:unauthenticated",))
AUTHENTICATED = "system:authenticated"
_WEBSOCKET_TOKEN = "base64url.bearer.authorization.k8s.io."


class Authenticator:
    """Finds the user of a request.

    Args:
        ca_file: certificate (PEM) of the authority whose client certificates are believed.
        static_tokens: users by bearer token, besides service account tokens.
    """

    def __init__(self, ca_file: Path, tokens: Tokens, static_tokens: Mapping[str, User] | None = None) -> None:
        self._ca = x509.load_pem_x509_certificate(ca_file.read_bytes())
        self._tokens = tokens
        self._static = {token.encode(): with_authenticated(user) for token, user in (static_tokens or {}).items()}
        self._of_certificate = lru_cache(maxsize=256)(self._certificate_user)

    def authenticate(self, headers: MultiMapping[str], peer_certificate: bytes | None = None) -> User:
        """The user; `ANONYMOUS` without credentials.

        Args:
            headers: of the request, names without regard to case.
            peer_certificate: the client's certificate (DER), if it sent one.

        Raises:
            APIError: 401 where credentials were given and none is valid.
        """
        if peer_certificate:
            found = self._of_certificate(peer_certificate)
            if found is not None and found[1] > datetime.datetime.now(datetime.UTC):
                return found[0]
        token = bearer_token(headers)
        if token is not None:
            user = self._token_user(token)
            if user is not None:
                return user
        if peer_certificate or token is not None:
            raise unauthorized()
        return ANONYMOUS

    def _token_user(self, token: str) -> User | None:
        for known, user in self._static.items():
            if hmac.compare_digest(known, token.encode()):
                return user
        try:
            return self._tokens.verify(token).user
        except TokenError:
            return None

    def _certificate_user(self, der: bytes) -> tuple[User, datetime.datetime] | None:
        """The user of a certificate and until when it is valid; None if it is not by our authority."""
        try:
            certificate = x509.load_der_x509_certificate(der)
            certificate.verify_directly_issued_by(self._ca)
        except Exception:  # the library raises several types for "not by this authority"
            return None
        name, groups = subject_of(certificate)
        if not name or certificate.not_valid_before_utc > datetime.datetime.now(datetime.UTC):
            return None
        fingerprint = f"X509SHA256={hashlib.sha256(der).hexdigest()}"
        extra: dict[str, tuple[str, ...]] = {"authentication.kubernetes.io/credential-id": (fingerprint,)}
        return with_authenticated(User(name, tuple(groups), "", extra)), certificate.not_valid_after_utc


def with_authenticated(user: User) -> User:
    """The user, in the group of all who have shown who they are."""
    if AUTHENTICATED in user.groups:
        return user
    return User(user.name, (*user.groups, AUTHENTICATED), user.uid, user.extra)


def bearer_token(headers: MultiMapping[str]) -> str | None:
    """The token of the Authorization header, or, as browsers must send it, of a WebSocket protocol's name."""
    kind, _, token = headers.get("Authorization", "").strip().partition(" ")
    if kind.lower() == "bearer" and token.strip():
        return token.strip()
    for protocols in headers.getall("Sec-WebSocket-Protocol", []):
        for protocol in protocols.split(","):
            name = protocol.strip()
            if name.startswith(_WEBSOCKET_TOKEN):
                encoded = name.removeprefix(_WEBSOCKET_TOKEN)
                try:
                    return base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)).decode()
                except (binascii.Error, ValueError):
                    return ""
    return None
