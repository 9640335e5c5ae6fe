"""The paths of an OpenAPI document: the operations of each resource, with what clients look for in them.

Clients find a kind's paths by ``x-kubernetes-group-version-kind``, what an operation does by ``x-kubernetes-action``,
and whether it knows a parameter (``dryRun``, ``fieldValidation``) by its parameters; all else is kept short.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from localcluster.apiserver.openapi.schemas import META, Definitions, custom_name
from localcluster.apiserver.resources import Resource, Subresource

JSON = dict[str, Any]

_TEXTS = {
    "allowWatchBookmarks": ("boolean", "Whether a watch may send bookmarks."),
    "continue": ("string", "Where to go on with a list that was limited: the token of its last part."),
    "dryRun": ("string", "`All`: answer as if, and store nothing."),
    "fieldManager": ("string", "Who owns the fields that are written."),
    "fieldSelector": ("string", "Only objects whose fields match."),
    "fieldValidation": ("string", "What to do about unknown and duplicate fields: Ignore, Warn or Strict."),
    "force": ("boolean", "Take over fields that others have applied."),
    "gracePeriodSeconds": ("integer", "Seconds until the object is removed; zero means at once."),
    "labelSelector": ("string", "Only objects whose labels match."),
    "limit": ("integer", "The most objects to answer."),
    "orphanDependents": ("boolean", "Deprecated; use propagationPolicy."),
    "pretty": ("string", "If 'true', the answer is indented."),
    "propagationPolicy": ("string", "What becomes of the dependents: Orphan, Background or Foreground."),
    "resourceVersion": ("string", "The version to read at, or to watch from."),
    "resourceVersionMatch": ("string", "How resourceVersion is meant: Exact or NotOlderThan."),
    "sendInitialEvents": ("boolean", "Whether a watch begins with what there is."),
    "timeoutSeconds": ("integer", "Seconds after which a list or watch ends."),
    "watch": ("boolean", "Watch for changes rather than list."),
}
_LIST = (
    "allowWatchBookmarks", "continue", "fieldSelector", "labelSelector", "limit", "resourceVersion",
    "resourceVersionMatch", "sendInitialEvents", "timeoutSeconds", "watch",
)  # fmt: skip
_WRITE = ("dryRun", "fieldManager", "fieldValidation")
_DELETE = ("dryRun", "gracePeriodSeconds", "orphanDependents", "propagationPolicy")
_DELETE_MANY = (*_DELETE, *(n for n in _LIST if n not in ("allowWatchBookmarks", "watch")))
_PATCH_TYPES = [
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/apply-patch+yaml",
]
_STRATEGIC = "application/strategic-merge-patch+json"
_MEDIA = ["application/json", "application/yaml"]
_METHODS = {"get": "get", "create": "post", "update": "put", "patch": "patch", "delete": "delete"}
_ACTIONS = {"get": "get", "create": "post", "update": "put", "patch": "patch", "delete": "delete"}
_WORDS = {"get": "read", "create": "create", "update": "replace", "patch": "patch", "delete": "delete"}


@dataclass(frozen=True)
class _Operation:
    """One operation before it is written for a version of OpenAPI.

    Attributes:
        body: name of the definition of the request's body, "" for none.
        answer: name of the definition of the answer, "" for plain text.
    """

    verb: str
    word: str
    action: str
    kind: JSON
    id: str
    description: str
    query: tuple[str, ...] = ()
    body: str = ""
    answer: str = ""
    tag: str = ""
    custom: bool = False


def paths_of(resource: Resource, definitions: Definitions) -> dict[str, JSON]:
    """The paths of a resource and of its subresources."""
    return _Paths(resource, definitions).make()


class _Paths:
    def __init__(self, resource: Resource, definitions: Definitions) -> None:
        self._resource = resource
        self._definitions = definitions
        self._write: Callable[[_Operation], JSON] = self._operation_3 if definitions.version == 3 else self._operation_2
        group = resource.group
        root = f"/apis/{group}/{resource.version}" if group else f"/api/{resource.version}"
        self._everywhere = f"{root}/{resource.plural}"
        self._collection = f"{root}/namespaces/{{namespace}}/{resource.plural}" if resource.namespaced else ""
        self._collection = self._collection or self._everywhere
        title = "".join(part[:1].upper() + part[1:] for part in re.split(r"[.-]", group.removesuffix(".k8s.io")))
        self._id_prefix = (title or "Core") + resource.version[:1].upper() + resource.version[1:]
        self._tag = f"{(title[:1].lower() + title[1:]) or 'core'}_{resource.version}"

    def make(self) -> dict[str, JSON]:
        resource = self._resource
        kind = {"group": resource.group, "kind": resource.kind, "version": resource.version}
        own = self._definition(resource.group, resource.version, resource.kind)
        scope = "Namespaced" if resource.namespaced else ""
        collection: JSON = {}
        one: JSON = {}
        for verb in ("list", "create", "deletecollection"):
            if verb in resource.verbs:
                method = {"list": "get", "create": "post", "deletecollection": "delete"}[verb]
                collection[method] = self._write(self._of_collection(verb, kind, own, scope))
        for verb in ("get", "update", "patch", "delete"):
            if verb in resource.verbs:
                one[_METHODS[verb]] = self._write(self._of_object(verb, kind, own, scope, resource.kind))
        paths: dict[str, JSON] = {}
        if collection:
            paths[self._collection] = {**collection, "parameters": self._path_parameters(name=False)}
        if resource.namespaced and "list" in resource.verbs:
            operation = self._of_collection("list", kind, own, "", "ForAllNamespaces")
            paths[self._everywhere] = {"get": self._write(operation), "parameters": [self._parameter("pretty")]}
        if one:
            paths[f"{self._collection}/{{name}}"] = {**one, "parameters": self._path_parameters(name=True)}
        for subresource in resource.subresources.values():
            paths[f"{self._collection}/{{name}}/{subresource.name}"] = self._subresource(subresource, scope)
        return paths

    def _definition(self, group: str, version: str, kind: str) -> str:
        if self._resource.crd is not None and group == self._resource.group:
            return custom_name(group, version, kind)
        return self._definitions.name_of(group, version, kind) or ""

    def _of_collection(self, verb: str, kind: JSON, own: str, scope: str, suffix: str = "") -> _Operation:
        resource = self._resource
        listed = self._definition(resource.group, resource.version, resource.list_kind) or own
        word = {"list": "list", "create": "create", "deletecollection": "deleteCollection"}[verb]
        action = {"list": "list", "create": "post", "deletecollection": "deletecollection"}[verb]
        text = {
            "list": f"list or watch objects of kind {resource.kind}",
            "create": f"create {_article(resource.kind)} {resource.kind}",
            "deletecollection": f"delete collection of {resource.kind}",
        }[verb]
        return _Operation(
            verb, word, action, kind, f"{word}{self._id_prefix}{scope}{resource.kind}{suffix}", text,
            {"list": _LIST, "create": _WRITE, "deletecollection": _DELETE_MANY}[verb],
            {"create": own, "deletecollection": f"{META}DeleteOptions"}.get(verb, ""),
            {"list": listed, "create": own, "deletecollection": f"{META}Status"}[verb],
            self._tag, resource.crd is not None,
        )  # fmt: skip

    def _of_object(self, verb: str, kind: JSON, own: str, scope: str, title: str, part: str = "") -> _Operation:
        word = _WORDS[verb]
        what = f"{part.lower()} of the specified {title}" if part else f"the specified {title}"
        text = {"patch": f"partially update {what}", "delete": f"delete {_article(title)} {title}"}.get(
            verb, f"{word} {what}"
        )
        query = {"update": _WRITE, "patch": (*_WRITE, "force"), "delete": _DELETE}.get(verb, ())
        body = {"update": own, "patch": f"{META}Patch", "delete": f"{META}DeleteOptions", "create": own}.get(verb, "")
        answer = f"{META}Status" if verb == "delete" and title != "Pod" else own
        identifier = f"{word}{self._id_prefix}{scope}{title}{part}"
        return _Operation(
            verb, word, _ACTIONS[verb], kind, identifier, text, query, body, answer, self._tag,
            self._resource.crd is not None,
        )  # fmt: skip

    def _subresource(self, subresource: Subresource, scope: str) -> JSON:
        resource = self._resource
        group, version = subresource.group or resource.group, subresource.version or resource.version
        kind = {"group": group, "kind": subresource.kind, "version": version}
        own = self._definition(group, version, subresource.kind)
        part = subresource.name[:1].upper() + subresource.name[1:]
        item: JSON = {}
        for verb in subresource.verbs:
            operation = self._of_object(verb, kind, own, scope, resource.kind, part)
            if subresource.kind.endswith("Options"):
                # Streams and proxies: the options are in the query, and what is answered is not of a kind.
                word = f"connect{_METHODS[verb][:1].upper()}{_METHODS[verb][1:]}"
                identifier = f"{word}{self._id_prefix}{scope}{resource.kind}{part}"
                text = f"connect {_METHODS[verb].upper()} requests to {subresource.name} of {resource.kind}"
                operation = _Operation(verb, word, "connect", kind, identifier, text, tag=self._tag)
            item[_METHODS[verb]] = self._write(operation)
        return {**item, "parameters": self._path_parameters(name=True)}

    # ---- parameters

    def _parameter(self, name: str) -> JSON:
        kind, text = _TEXTS[name]
        return self._typed({"name": name, "in": "query", "description": text}, kind)

    def _typed(self, parameter: JSON, kind: str) -> JSON:
        if self._definitions.version == 3:
            return {**parameter, "schema": {"type": kind, "uniqueItems": True}}
        return {**parameter, "type": kind, "uniqueItems": True}

    def _path_parameters(self, name: bool) -> list[JSON]:
        found = []
        if name:
            text = f"name of the {self._resource.kind}"
            found.append(self._typed({"name": "name", "in": "path", "description": text, "required": True}, "string"))
        if self._resource.namespaced:
            text = "object name and auth scope, such as for teams and projects"
            base = {"name": "namespace", "in": "path", "description": text, "required": True}
            found.append(self._typed(base, "string"))
        return [*found, self._parameter("pretty")]

    # ---- both versions

    def _head(self, operation: _Operation) -> JSON:
        return {
            "description": operation.description,
            "operationId": operation.id,
            "tags": [operation.tag],
            "x-kubernetes-action": operation.action,
            "x-kubernetes-group-version-kind": operation.kind,
        }

    def _codes(self, operation: _Operation) -> list[tuple[str, str]]:
        codes = {"create": ["200", "201", "202"], "update": ["200", "201"], "patch": ["200", "201"]}
        names = {"200": "OK", "201": "Created", "202": "Accepted"}
        found = codes.get(operation.verb, ["200", "202"] if operation.verb == "delete" else ["200"])
        return [(code, names[code]) for code in found] + [("401", "Unauthorized")]

    def _patch_types(self, operation: _Operation) -> list[str]:
        return _PATCH_TYPES if operation.custom else [*_PATCH_TYPES, _STRATEGIC]

    def _operation_3(self, operation: _Operation) -> JSON:
        shown = self._head(operation)
        if operation.query:
            shown["parameters"] = [self._parameter(name) for name in operation.query]
        if operation.body:
            schema = {"schema": self._definitions.reference(operation.body)}
            media = (
                self._patch_types(operation) if operation.verb == "patch" else _MEDIA if operation.custom else ["*/*"]
            )
            shown["requestBody"] = {
                "content": dict.fromkeys(media, schema),
                "required": operation.verb not in ("delete", "deletecollection"),
            }
            if not shown["requestBody"]["required"]:
                del shown["requestBody"]["required"]
        responses: JSON = {}
        for code, name in self._codes(operation):
            responses[code] = {"description": name}
            if code != "401":
                answer = self._definitions.reference(operation.answer) if operation.answer else {"type": "string"}
                types = _MEDIA if operation.answer else ["*/*"]
                responses[code]["content"] = {m: {"schema": answer} for m in types}
        return {**shown, "responses": responses}

    def _operation_2(self, operation: _Operation) -> JSON:
        shown = self._head(operation)
        parameters = [self._parameter(name) for name in operation.query]
        if operation.body:
            body: JSON = {"name": "body", "in": "body", "schema": self._definitions.reference(operation.body)}
            if operation.verb not in ("delete", "deletecollection"):
                body["required"] = True
            parameters.insert(0, body)
        if parameters:
            shown["parameters"] = parameters
        shown["consumes"] = self._patch_types(operation) if operation.verb == "patch" else ["*/*"]
        shown["produces"] = _MEDIA if operation.answer else ["*/*"]
        shown["schemes"] = ["https"]
        responses: JSON = {}
        for code, name in self._codes(operation):
            responses[code] = {"description": name}
            if code != "401":
                answer = self._definitions.reference(operation.answer) if operation.answer else {"type": "string"}
                responses[code]["schema"] = answer
        return {**shown, "responses": responses}


def _article(kind: str) -> str:
    return "an" if kind[:1] in "AEIOU" else "a"
