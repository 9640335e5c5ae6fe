"""OpenAPI: what the served kinds look like, as one document a group and version (v3) and as a single one (v2).

    openapi = OpenAPI(registry, remote)
    answer = openapi.answer("/openapi/v3/apis/apps/v1", query_hash, accept, accept_encoding, if_none_match)

None means that no document is there (404, or one of an aggregated API server, to be proxied). Documents are made when
they are asked for, and kept compressed until what they describe changes. Version 3 speaks only JSON: for protobuf the
answer is 406. https://kubernetes.io/docs/concepts/overview/kubernetes-api/#openapi-interface-definition
"""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Callable
from email.utils import formatdate
from time import time
from typing import Any

import orjson

from localcluster.apiserver.discovery import Answer, RemoteVersion
from localcluster.apiserver.openapi import protobuf_form
from localcluster.apiserver.openapi.paths import paths_of
from localcluster.apiserver.openapi.schemas import META, Definitions
from localcluster.apiserver.resources import Registry, Resource
from localcluster.apiserver.schema import KUBERNETES_VERSION

JSON = dict[str, Any]

_ROOT = "/openapi/v3"
_CACHED_SECONDS = 365 * 24 * 3600
_INFO = {"title": "Kubernetes", "version": f"v{KUBERNETES_VERSION}"}
_ALWAYS = ("DeleteOptions", "Patch", "Status")
_BUILT_IN = ("APIResourceList", "WatchEvent")
_SCHEME = "BearerToken"
_V2 = "/openapi/v2"
_V2_PROTOBUF = f"{_V2} {protobuf_form.MEDIA}"


class OpenAPI:
    """Makes and keeps the documents."""

    def __init__(self, registry: Registry, remote: Callable[[], tuple[RemoteVersion, ...]] = lambda: ()) -> None:
        self._registry = registry
        self._remote = remote
        self._generation = -1
        self._resources: dict[str, list[Resource]] = {}
        self._hashes: dict[str, str] = {}
        self._documents: dict[str, tuple[str, bytes]] = {}

    def answer(
        self,
        path: str,
        query_hash: str = "",
        accept: str = "",
        accept_encoding: str = "",
        if_none_match: str = "",
    ) -> Answer | None:
        """The document at a path.

        Args:
            query_hash: the parameter ``hash`` of the query; with the right one the document may be cached for a year.
        """
        path = path.rstrip("/")
        if path not in (_V2, _ROOT) and not path.startswith(f"{_ROOT}/"):
            return None
        media = _negotiate(accept, version=2 if path == _V2 else 3)
        if not media:
            return Answer(b"", "text/plain", code=406)
        self._refresh()
        if path == _ROOT:
            return Answer(orjson.dumps(self.index()), "application/json", {"Vary": "Accept"})
        key = path.removeprefix(f"{_ROOT}/")
        if media == protobuf_form.MEDIA:
            key = _V2_PROTOBUF
        etag = self._hashes.get(key)
        if etag is None:
            return None
        headers = {"ETag": f'"{etag}"', "Vary": "Accept, Accept-Encoding"}
        if query_hash and query_hash != etag:
            return Answer(b"", "text/plain", {"Location": f"{path}?hash={etag}"}, 301)
        if query_hash:
            headers["Cache-Control"] = "public, immutable"
            headers["Expires"] = formatdate(time() + _CACHED_SECONDS, usegmt=True)
        if if_none_match and if_none_match == headers["ETag"]:
            return Answer(b"", media, headers, 304)
        packed = self._packed(key, etag)
        if "gzip" in accept_encoding:
            return Answer(packed, media, {**headers, "Content-Encoding": "gzip"})
        return Answer(gzip.decompress(packed), media, headers)

    def index(self) -> JSON:
        """The answer of ``/openapi/v3``: where each group and version's document is."""
        self._refresh()
        paths: JSON = {}
        for key, etag in self._hashes.items():
            if key not in (_V2, _V2_PROTOBUF):
                paths[key] = {"serverRelativeURL": f"{_ROOT}/{key}?hash={etag}"}
        for remote in self._remote():
            key = f"apis/{remote.group}/{remote.version}"
            paths.setdefault(key, {"serverRelativeURL": f"{_ROOT}/{key}"})
        return {"paths": dict(sorted(paths.items()))}

    def _refresh(self) -> None:
        if self._generation == self._registry.generation:
            return
        self._generation = self._registry.generation
        self._resources = {}
        for resource in self._registry:
            root = f"apis/{resource.group}" if resource.group else "api"
            self._resources.setdefault(f"{root}/{resource.version}", []).append(resource)
        self._hashes = {key: _hash([_identity(r) for r in found]) for key, found in self._resources.items()}
        self._hashes[_V2] = _hash(sorted(self._hashes.values()))
        self._hashes[_V2_PROTOBUF] = _hash([self._hashes[_V2], protobuf_form.MEDIA])
        self._documents = {k: v for k, v in self._documents.items() if v[0] == self._hashes.get(k)}

    def _packed(self, key: str, etag: str) -> bytes:
        found = self._documents.get(key)
        if found is None or found[0] != etag:
            if key == _V2_PROTOBUF:
                written = protobuf_form.encode(self._version_2())
            else:
                written = orjson.dumps(self._version_2() if key == _V2 else self._version_3(self._resources[key]))
            found = self._documents[key] = (etag, gzip.compress(written, 5, mtime=0))
        return found[1]

    # ---- documents

    def _version_3(self, resources: list[Resource]) -> JSON:
        definitions = Definitions(3)
        scheme = {
            "type": "apiKey",
            "description": "Bearer Token authentication",
            "name": "authorization",
            "in": "header",
        }
        return {
            "openapi": "3.0.0",
            "info": _INFO,
            "paths": _paths(resources, definitions),
            "components": {"schemas": _schemas(resources, definitions), "securitySchemes": {_SCHEME: scheme}},
        }

    def _version_2(self) -> JSON:
        definitions = Definitions(2)
        resources = [r for found in self._resources.values() for r in found]
        return {
            "swagger": "2.0",
            "info": _INFO,
            "paths": _paths(resources, definitions),
            "definitions": _schemas(resources, definitions),
            "securityDefinitions": {
                _SCHEME: {
                    "type": "apiKey",
                    "description": "Bearer Token authentication",
                    "name": "authorization",
                    "in": "header",
                }
            },
            "security": [{_SCHEME: []}],
        }


def _paths(resources: list[Resource], definitions: Definitions) -> JSON:
    paths: JSON = {}
    for resource in resources:
        paths.update(paths_of(resource, definitions))
    return dict(sorted(paths.items()))


def _schemas(resources: list[Resource], definitions: Definitions) -> JSON:
    """All schemas that the kinds need."""
    only_custom = all(r.crd is not None for r in resources)
    wanted = {META + name for name in (_ALWAYS if only_custom else (*_ALWAYS, *_BUILT_IN))}
    own: JSON = {}
    for resource in resources:
        if resource.crd is not None:
            own.update(definitions.custom(resource))
            wanted |= {f"{META}ObjectMeta", f"{META}ListMeta"}
        else:
            names = (resource.kind, resource.list_kind)
            wanted |= {definitions.name_of(resource.group, resource.version, name) or "" for name in names}
        for part in resource.subresources.values():
            group, version = part.group or resource.group, part.version or resource.version
            wanted.add(definitions.name_of(group, version, part.kind) or "")
    schemas = {name: definitions.show(name, only_custom) for name in definitions.closure(wanted)}
    return dict(sorted({**schemas, **own}.items()))


def _identity(resource: Resource) -> JSON:
    """What a document about a resource depends on."""
    return {
        "names": [resource.group, resource.version, resource.plural, resource.kind, resource.list_kind],
        "verbs": resource.verbs,
        "namespaced": resource.namespaced,
        "parts": [[s.name, s.kind, s.group, s.version, *s.verbs] for s in resource.subresources.values()],
        "schema": resource.crd.raw if resource.crd is not None else KUBERNETES_VERSION,
    }


def _hash(content: Any) -> str:
    return hashlib.sha512(orjson.dumps(content, option=orjson.OPT_SORT_KEYS)).hexdigest().upper()


def _negotiate(accept: str, version: int) -> str:
    """The first media type of an Accept header in which a document is spoken; empty if there is none."""
    for clause in accept.split(",") if accept else ("*/*",):
        media = clause.partition(";")[0].strip()
        if media in ("application/json", "application/*", "*/*"):
            return "application/json"
        if version == 2 and media in protobuf_form.ASKED:
            return protobuf_form.MEDIA
    return ""
