"""Who may use the kubelet API: client certificates and tokens of the cluster, with the rights that it gives them.

As a kubelet with webhook authorization: https://kubernetes.io/docs/reference/access-authn-authz/kubelet-authn-authz/
"""

from __future__ import annotations

import asyncio
import json
import logging
import ssl
import time
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from localcluster.client import ApiStatusError, Client, Unreachable
from localcluster.resource_types import CONFIG_MAPS, ResourceType

log = logging.getLogger(__name__)

JSON = dict[str, Any]

TOKEN_REVIEWS = ResourceType("authentication.k8s.io", "v1", "tokenreviews", "TokenReview", namespaced=False)
ACCESS_REVIEWS = ResourceType(
    "authorization.k8s.io", "v1", "subjectaccessreviews", "SubjectAccessReview", namespaced=False
)
CACHE_SECONDS = 30.0
READ_RETRY_SECONDS = 0.5
MAX_CACHED = 1000
MASTERS = "system:masters"


@dataclass(frozen=True)
class Caller:
    """Who asks. `proxied`: the API server's aggregation layer, which has checked its user's rights itself."""

    user: str
    groups: tuple[str, ...] = ()
    proxied: bool = False


class Access:
    """Authentication and authorization of requests to one node.

    Args:
        trust_masters: whether the group system:masters of a client certificate needs no further look, as in a local
            cluster, whose API server comes so. Elsewhere its rights are asked for like anybody's.
    """

    def __init__(self, client: Client, node_name: str, *, trust_masters: bool) -> None:
        self._client = client
        self._node_name = node_name
        self._trust_masters = trust_masters
        self._decisions: dict[tuple[Caller, str, str], tuple[bool, float]] = {}
        self._callers: dict[str, tuple[Caller | None, float]] = {}
        self._proxy_names: tuple[str, ...] = ()
        self._proxy_issuers: set[tuple[Any, ...]] = set()

    async def tls(self, certificate: str, key: str) -> ssl.SSLContext:
        """The server's context. Client certificates are optional; those of the cluster's client CA and of its front
        proxy CA are taken. The CA in the kubeconfig is not: it vouches for servers."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(certificate, key)
        data = await self._published()
        if authority := data.get("client-ca-file"):
            context.load_verify_locations(cadata=authority)
        if authority := data.get("requestheader-client-ca-file"):
            known = _subjects(context)
            context.load_verify_locations(cadata=authority)
            self._proxy_issuers = _subjects(context) - known
            self._proxy_names = tuple(json.loads(data.get("requestheader-allowed-names") or "[]"))
        if context.get_ca_certs():
            context.verify_mode = ssl.CERT_OPTIONAL
        return context

    async def _published(self) -> JSON:
        """What the cluster says about its clients; nothing where this node may not read it."""
        while True:
            try:
                config = await self._client.get(CONFIG_MAPS, "extension-apiserver-authentication", "kube-system")
            except Unreachable as error:
                log.debug("waiting for the server: %s", error)
                await asyncio.sleep(READ_RETRY_SECONDS)
            except ApiStatusError as error:
                log.warning("only tokens, no client certificates, can be used at the kubelet API: %s", error)
                return {}
            else:
                data: JSON = config.get("data") or {}
                return data

    async def caller(self, request: web.BaseRequest) -> Caller | None:
        """Who asks; None for somebody unknown."""
        transport = request.transport
        certificate: JSON = (transport.get_extra_info("peercert") if transport is not None else None) or {}
        if certificate:
            subject = [pair for part in certificate.get("subject", ()) for pair in part]
            user = next((value for name, value in subject if name == "commonName"), "")
            groups = tuple(value for name, value in subject if name == "organizationName")
            if _name(certificate.get("issuer", ())) in self._proxy_issuers:
                return Caller(user, proxied=True) if user in self._proxy_names or not self._proxy_names else None
            return Caller(user, (*groups, "system:authenticated"))
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        return await self._by_token(token.strip()) if scheme.lower() == "bearer" and token else None

    async def _by_token(self, token: str) -> Caller | None:
        known = self._callers.get(token)
        if known is not None and time.monotonic() - known[1] < CACHE_SECONDS:
            return known[0]
        review = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": token}}
        status = (await self._client.create(TOKEN_REVIEWS, review)).get("status") or {}
        caller = None
        if status.get("authenticated"):
            user = status.get("user") or {}
            caller = Caller(user.get("username", ""), tuple(user.get("groups") or ()))
        if len(self._callers) >= MAX_CACHED:
            self._callers.clear()
        self._callers[token] = (caller, time.monotonic())
        return caller

    async def allowed(self, caller: Caller, method: str, path: str) -> bool:
        """Whether the caller may do this, by a SubjectAccessReview about the Node's subresource."""
        if self._trust_masters and MASTERS in caller.groups and not caller.proxied:
            return True
        if caller.proxied:
            return path.startswith("/apis")
        verb = {"GET": "get", "POST": "create", "PUT": "update", "DELETE": "delete"}.get(method, "get")
        subresource = {"stats": "stats", "metrics": "metrics", "logs": "log"}.get(path.split("/")[1], "proxy")
        key = (caller, verb, subresource)
        known = self._decisions.get(key)
        if known is not None and time.monotonic() - known[1] < CACHE_SECONDS:
            return known[0]
        attributes = {"verb": verb, "resource": "nodes", "subresource": subresource, "name": self._node_name}
        review = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SubjectAccessReview",
            "spec": {"user": caller.user, "groups": list(caller.groups), "resourceAttributes": attributes},
        }
        answer = await self._client.create(ACCESS_REVIEWS, review)
        allowed = bool((answer.get("status") or {}).get("allowed"))
        if len(self._decisions) >= MAX_CACHED:
            self._decisions.clear()
        self._decisions[key] = (allowed, time.monotonic())
        return allowed


def _subjects(context: ssl.SSLContext) -> set[tuple[Any, ...]]:
    return {_name(c["subject"]) for c in context.get_ca_certs() if isinstance(c, dict)}


def _name(subject: Any) -> tuple[Any, ...]:
    return tuple(tuple(tuple(pair) for pair in part) for part in subject)
