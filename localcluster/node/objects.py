"""ConfigMaps, Secrets and tokens that pods use: read when a pod starts, read again when they change.

A watch of each such object's metadata tells of changes, so an idle node asks nothing. Single objects and not whole
namespaces, because the Node authorizer allows a node no more than what its pods name
(https://kubernetes.io/docs/reference/access-authn-authz/node/).
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any, NamedTuple

from localcluster.client import Client, NotFound
from localcluster.informer import Informer, version_of
from localcluster.resource_types import CONFIG_MAPS, SECRETS, SERVICE_ACCOUNTS, ResourceType

JSON = dict[str, Any]
Key = tuple[str, str, str]
"""Plural, namespace and name."""

REFRESH_SHARE = 0.8
"""A token is renewed after this share of its life, as kubelets do."""


MAX_READS = 5
"""How often an object is read for a version that the watch told of; the watch is wrong then, or will tell again."""
READ_AGAIN_SECONDS = 0.05


class Seen(NamedTuple):
    """What the watch told last: an object's version, and whether that was its end."""

    version: int
    gone: bool


class PodObjects:
    """Objects that the node's pods use.

    Args:
        changed: told the plural, namespace and name of an object in use that is new, changed or gone.
    """

    def __init__(self, client: Client, changed: Callable[[Key], None]) -> None:
        self._client = client
        self._changed = changed
        self._cache: dict[Key, JSON | None] = {}
        self._users: dict[Key, set[str]] = {}
        self._reading: dict[Key, asyncio.Task[JSON | None]] = {}
        self._seen: dict[Key, Seen] = {}
        self._watches: dict[Key, asyncio.Task[None]] = {}
        self._tokens: dict[tuple[str, str], tuple[str, float]] = {}

    # ---- reading

    async def read(self, of: ResourceType, namespace: str, name: str, uid: str) -> JSON | None:
        """The object, for the pod with this uid; None if there is none. The first read of a pod is fresh."""
        key = (of.plural, namespace, name)
        users = self._users.setdefault(key, set())
        if uid in users and (cached := self._cache.get(key)) is not None:
            return cached
        users.add(uid)
        self._watch(of, key)
        return await self._fetch(of, key)

    async def _fetch(self, of: ResourceType, key: Key) -> JSON | None:
        reading = self._reading.get(key)
        if reading is None:
            reading = self._reading[key] = asyncio.ensure_future(self._get(of, key))
            reading.add_done_callback(lambda _: self._reading.pop(key, None))
        return await asyncio.shield(reading)

    async def _get(self, of: ResourceType, key: Key) -> JSON | None:
        for attempt in range(MAX_READS):
            if attempt:
                await asyncio.sleep(READ_AGAIN_SECONDS * attempt)
            found = await self._read_once(of, key)
            if not self._is_outdated(key, found):
                break
        before = self._cache.get(key, found)
        self._cache[key] = found
        if _version(before) != _version(found):
            # Found out by the first read of one pod: the others that use it do not know yet.
            self._changed(key)
        return found

    async def _read_once(self, of: ResourceType, key: Key) -> JSON | None:
        try:
            return await self._client.get(of, key[2], key[1])
        except NotFound:
            return None

    def _is_outdated(self, key: Key, found: JSON | None) -> bool:
        """Whether the watch has told of something later while the object was being read."""
        seen = self._seen.get(key)
        if seen is None:
            return False
        if found is None:
            return not seen.gone
        return version_of(found) < seen.version or (seen.gone and version_of(found) == seen.version)

    async def token(self, pod: JSON, audience: str, expiration_seconds: int) -> str:
        """A token of the pod's service account, bound to the pod; the same one until it is due for renewal."""
        meta = pod["metadata"]
        key = (meta["uid"], f"{audience} {expiration_seconds}")
        token, renew_at = self._tokens.get(key, ("", 0.0))
        if time.time() < renew_at:
            return token
        bound = {"apiVersion": "v1", "kind": "Pod", "name": meta["name"], "uid": meta["uid"]}
        spec: JSON = {"expirationSeconds": expiration_seconds, "boundObjectRef": bound}
        if audience:
            spec["audiences"] = [audience]
        answer = await self._client.create(
            SERVICE_ACCOUNTS,
            {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec},
            meta["namespace"],
            name=pod["spec"].get("serviceAccountName") or "default",
            subresource="token",
        )
        status = answer["status"]
        expires = datetime.fromisoformat(status["expirationTimestamp"]).timestamp()
        life = min(expires - time.time(), 24 * 3600)
        self._tokens[key] = (status["token"], time.time() + life * REFRESH_SHARE)
        return str(status["token"])

    def renewal_due(self, uid: str) -> bool:
        """Whether a token of this pod should be renewed now."""
        return any(key[0] == uid and time.time() >= renew_at for key, (_, renew_at) in self._tokens.items())

    # ---- whose objects

    def users(self, key: Key) -> set[str]:
        return self._users.get(key, set())

    def release(self, uid: str) -> None:
        """A pod is gone: what only it used is forgotten and no longer watched."""
        for key, users in list(self._users.items()):
            users.discard(uid)
            if not users:
                del self._users[key]
                self._cache.pop(key, None)
                self._seen.pop(key, None)
                if (watch := self._watches.pop(key, None)) is not None:
                    watch.cancel()
        for token in [key for key in self._tokens if key[0] == uid]:
            del self._tokens[token]

    def _watch(self, of: ResourceType, key: Key) -> None:
        if key in self._watches:
            return
        informer = Informer(
            self._client,
            of,
            namespace=key[1],
            field_selector=f"metadata.name={key[2]}",
            metadata_only=True,
            trim=_only_version,
        )
        informer.add_handler(lambda old, new: self._heard(key, old, new))
        self._watches[key] = asyncio.ensure_future(informer.run())

    def _heard(self, key: Key, old: JSON | None, new: JSON | None) -> None:
        if key not in self._users:
            return
        self._seen[key] = Seen(version_of(new or old or {}), new is None)
        if key in self._cache and self._is_outdated(key, self._cache[key]):
            del self._cache[key]
            self._changed(key)

    async def close(self) -> None:
        for task in self._watches.values():
            task.cancel()
        for task in self._watches.values():
            with contextlib.suppress(asyncio.CancelledError):
                await task


class ObjectsOfPod:
    """The objects of one pod, as its volumes and variables read them."""

    def __init__(self, objects: PodObjects, uid: str) -> None:
        self._objects = objects
        self._uid = uid

    async def config_map(self, namespace: str, name: str) -> JSON | None:
        return await self._objects.read(CONFIG_MAPS, namespace, name, self._uid)

    async def secret(self, namespace: str, name: str) -> JSON | None:
        return await self._objects.read(SECRETS, namespace, name, self._uid)

    async def token(self, pod: JSON, audience: str, expiration_seconds: int) -> str:
        return await self._objects.token(pod, audience, expiration_seconds)


def _version(obj: JSON | None) -> int:
    return -1 if obj is None else version_of(obj)


def _only_version(obj: JSON) -> JSON:
    meta = obj["metadata"]
    kept = {key: meta[key] for key in ("name", "namespace", "uid", "resourceVersion") if key in meta}
    return {"apiVersion": obj.get("apiVersion", ""), "kind": obj.get("kind", ""), "metadata": kept}
