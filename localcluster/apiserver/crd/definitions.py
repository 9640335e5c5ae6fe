"""Keeps what is served in step with the stored CustomResourceDefinitions: `Definitions`.

It does what the real server's naming, establishing and finalizing controllers do, at once after each stored write:

- A definition whose names nobody else in its group has is accepted and Established, and its served versions appear in
  the Registry; a version that is no longer served, or whose definition is gone, disappears from it.
- The status (accepted names, conditions) is written straight to the store, in a later step of the event loop, so that
  watchers see the client's write first. Without a running loop (at start) it is written at once.
- When a definition is being deleted, its objects are deleted; when the last one is gone, so is the finalizer, and with
  it the definition.

Use: ``Definitions(registry, store)``, then ``start()`` once; it reads what is stored and follows it from then on by
`Store.subscribe`. ``changed(old, new)`` may also be called directly.
"""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Callable
from typing import Any, Protocol

from localcluster.apiserver.crd.definition import condition, is_true, with_condition
from localcluster.apiserver.crd.served import ServedVersion
from localcluster.apiserver.kinds.apiextensions import CLEANUP
from localcluster.apiserver.resources import Registry, Resource, Subresource, version_priority
from localcluster.apiserver.schema import builtin

JSON = dict[str, Any]

STORAGE = "apiextensions.k8s.io/customresourcedefinitions"
API_VERSION = "apiextensions.k8s.io/v1"
MANAGER = "kube-apiserver"
LOOK_AGAIN_SECONDS = 1.0
"""How long after the end of an object that held up its definition's deletion that goes on. The real server looks every
five seconds; a client that waits for the definition to go must have the time to see that it is there."""


class Change(Protocol):
    """A change of one stored object; `type` is ADDED, MODIFIED or DELETED."""

    type: str
    obj: JSON
    old: JSON | None


class DefinitionStore(Protocol):
    """What is needed of the store; objects must not be changed."""

    def get(self, storage: str, namespace: str, name: str) -> JSON | None: ...

    def list(self, storage: str, namespace: str | None = None) -> list[JSON]: ...

    def update(self, storage: str, obj: JSON, old: JSON) -> JSON: ...

    def delete(self, storage: str, old: JSON) -> JSON: ...

    def subscribe(self, storage: str, tell: Callable[[Any], None]) -> Callable[[], None]: ...


class Definitions:
    """See the module. Everything runs in the event loop's thread."""

    def __init__(self, registry: Registry, store: DefinitionStore) -> None:
        self._registry = registry
        self._store = store
        self._served: dict[str, list[Resource]] = {}
        self._instances: dict[str, Callable[[], None]] = {}

    def start(self) -> None:
        """Serve what is stored, and follow changes from now on."""
        self._store.subscribe(STORAGE, self._tell)
        for crd in self._store.list(STORAGE):
            self.changed(None, crd)

    def _tell(self, change: Change) -> None:
        if change.type == "DELETED":
            self.changed(change.obj, None)
        else:
            self.changed(change.old, change.obj)

    def changed(self, old: JSON | None, new: JSON | None) -> None:
        """A definition was stored: None for `old` on create, for `new` when it is gone."""
        crd = new or old
        assert crd is not None
        name, group = crd["metadata"]["name"], crd["spec"]["group"]
        if new is None:
            self._withdraw(name)
            self._forget_instances(name)
            self._later(lambda: self._reconsider(group, name))
            return
        if is_true(new, "Established"):
            self._serve(new)
        self._later(lambda: self._settle(name))

    @staticmethod
    def _later(step: Callable[[], None], seconds: float = 0) -> None:
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            step()
            return
        if seconds:
            loop.call_later(seconds, step)
        else:
            loop.call_soon(step)

    # ---- what is served

    def _serve(self, crd: JSON) -> None:
        name = crd["metadata"]["name"]
        resources = resources_of(crd)
        wanted = {r.version for r in resources}
        for resource in self._served.get(name, ()):
            if resource.version not in wanted:
                self._registry.remove(resource.group, resource.version, resource.plural)
        known = {r.version: r for r in self._served.get(name, ())}
        kept = []
        for resource in resources:
            before = known.get(resource.version)
            if before is not None and _same(before, resource):
                kept.append(before)
                continue
            self._registry.add(resource)
            kept.append(resource)
        self._served[name] = kept

    def _withdraw(self, name: str) -> None:
        for resource in self._served.pop(name, ()):
            self._registry.remove(resource.group, resource.version, resource.plural)

    # ---- names and conditions

    def _reconsider(self, group: str, but: str) -> None:
        # A name may have become free for another definition of the group.
        for crd in self._store.list(STORAGE):
            if crd["spec"]["group"] == group and crd["metadata"]["name"] != but:
                self._settle(crd["metadata"]["name"])

    def _settle(self, name: str) -> None:
        crd = self._store.get(STORAGE, "", name)
        if crd is None:
            return
        status = crd.get("status") or {}
        if crd["metadata"].get("deletionTimestamp"):
            self._terminate(crd)
            return
        accepted, conditions = self._names(crd)
        if accepted != status.get("acceptedNames") or conditions != (status.get("conditions") or []):
            freed = _own_names(status.get("acceptedNames") or {}) - _own_names(accepted)
            self._write(crd, {**status, "acceptedNames": accepted, "conditions": conditions})
            if freed:
                self._later(lambda: self._reconsider(crd["spec"]["group"], name))

    def _names(self, crd: JSON) -> tuple[JSON, list[JSON]]:
        """The names that the definition may have, and its conditions after that."""
        now = _now()
        status = crd.get("status") or {}
        asked, accepted = crd["spec"]["names"], status.get("acceptedNames") or {}
        conditions = status.get("conditions") or []
        if asked == accepted and is_true(crd, "Established"):
            return accepted, conditions
        resources, kinds = self._names_in_use(crd["spec"]["group"], crd["metadata"]["name"])
        names, reason, message = dict(accepted), "", ""
        for field, used, conflict in (
            ("plural", resources, "PluralConflict"),
            ("singular", resources, "SingularConflict"),
            ("shortNames", resources, "ShortNamesConflict"),
            ("kind", kinds, "KindConflict"),
            ("listKind", kinds, "ListKindConflict"),
        ):
            value = asked.get(field)
            taken = [n for n in (value if isinstance(value, list) else [value]) if n and n in used]
            if taken:
                texts = [f'"{n}" is already in use' for n in taken]
                reason, message = conflict, texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]"
            else:
                _assign(names, field, value)
        _assign(names, "categories", asked.get("categories"))
        if reason:
            new = condition("NamesAccepted", "False", reason, message, now)
        else:
            new = condition("NamesAccepted", "True", "NoConflicts", "no conflicts found", now)
        conditions = with_condition(conditions, new)
        if not is_true(crd, "Established"):
            if reason:
                new = condition("Established", "False", "NotAccepted", "not all names are accepted", now)
            else:
                text = "the initial names have been accepted"
                new = condition("Established", "True", "InitialNamesAccepted", text, now)
            conditions = with_condition(conditions, new)
        return names, conditions

    def _names_in_use(self, group: str, but: str) -> tuple[set[str], set[str]]:
        resources: set[str] = set()
        kinds: set[str] = set()
        for crd in self._store.list(STORAGE):
            if crd["spec"]["group"] == group and crd["metadata"]["name"] != but:
                names = (crd.get("status") or {}).get("acceptedNames") or {}
                resources |= {names.get("plural", ""), names.get("singular", ""), *(names.get("shortNames") or ())}
                kinds |= {names.get("kind", ""), names.get("listKind", "")}
        return resources, kinds

    def _write(self, crd: JSON, status: JSON, metadata: JSON | None = None) -> None:
        """Store a status, owned by the server itself."""
        from localcluster.apiserver.patch import managed_fields

        new: JSON = {**crd, "metadata": dict(metadata or crd["metadata"]), "status": status}
        if status != crd.get("status"):
            new = managed_fields.after_update(
                crd,
                new,
                manager=MANAGER,
                api_version=API_VERSION,
                schema=builtin("apiextensions.k8s.io", "v1", "CustomResourceDefinition"),
                subresource="status",
                now=_now(),
                schema_for=lambda version: builtin("apiextensions.k8s.io", "v1", "CustomResourceDefinition"),
                ignored=frozenset({("spec",), ("metadata",)}),
            )
        self._store.update(STORAGE, new, crd)

    # ---- deletion

    def _terminate(self, crd: JSON) -> None:
        """Delete the objects of a definition that is being deleted; then let go of it."""
        meta, status = crd["metadata"], crd.get("status") or {}
        name, storage = meta["name"], f"{crd['spec']['group']}/{crd['spec']['names']['plural']}"
        for obj in self._store.list(storage):
            self._delete(storage, obj)
        left = self._store.list(storage)
        finalizers = [f for f in meta.get("finalizers") or () if f != CLEANUP]
        if left:
            text = "CustomResource deletion is in progress"
            new = condition("Terminating", "True", "InstanceDeletionInProgress", text, _now())
            if name not in self._instances:
                self._instances[name] = self._store.subscribe(
                    storage, lambda change: self._instance_changed(name, change)
                )
        else:
            self._forget_instances(name)
            new = condition("Terminating", "False", "InstanceDeletionCompleted", "removed all instances", _now())
        conditions = with_condition(status.get("conditions"), new)
        if left:
            if conditions != status.get("conditions"):
                self._write(crd, {**status, "conditions": conditions})
        elif not finalizers:
            self._store.delete(STORAGE, crd)
        elif CLEANUP in (meta.get("finalizers") or ()):
            self._write(crd, {**status, "conditions": conditions}, {**meta, "finalizers": finalizers})

    def _delete(self, storage: str, obj: JSON) -> None:
        meta = obj["metadata"]
        if not meta.get("finalizers"):
            self._store.delete(storage, obj)
        elif not meta.get("deletionTimestamp"):
            marked = {**meta, "deletionTimestamp": _now(), "deletionGracePeriodSeconds": 0}
            marked["generation"] = meta.get("generation", 0) + 1
            self._store.update(storage, {**obj, "metadata": marked}, obj)

    def _instance_changed(self, name: str, change: Change) -> None:
        if change.type == "DELETED":
            self._later(lambda: self._settle(name), LOOK_AGAIN_SECONDS)

    def _forget_instances(self, name: str) -> None:
        unsubscribe = self._instances.pop(name, None)
        if unsubscribe is not None:
            unsubscribe()


def _assign(names: JSON, field: str, value: Any) -> None:
    if value:
        names[field] = value
    else:
        names.pop(field, None)


def _own_names(names: JSON) -> set[str]:
    return {names.get(n, "") for n in ("plural", "singular", "kind", "listKind")} | set(names.get("shortNames") or ())


def _now() -> str:
    return dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _same(a: Resource, b: Resource) -> bool:
    """Whether two resources serve the same; ServedVersion compares by its fields."""
    return a == b


def resources_of(crd: JSON) -> list[Resource]:
    """A Resource for each served version of a definition, by its accepted names."""
    spec, status = crd["spec"], crd.get("status") or {}
    names = status.get("acceptedNames") or {}
    hub: JSON = next((v for v in spec["versions"] if v.get("storage")), spec["versions"][0])
    hub_raw = _schema_of(hub)
    terminating = is_true(crd, "Terminating")
    resources = []
    for version in spec["versions"]:
        if not version.get("served"):
            continue
        declared = version.get("subresources") or {}
        subresources = {}
        if declared.get("scale") is not None:
            subresources["scale"] = Subresource("scale", "Scale", group="autoscaling", version="v1")
        if declared.get("status") is not None:
            subresources["status"] = Subresource("status", names["kind"])
        served = ServedVersion(
            group=spec["group"],
            version=version["name"],
            plural=names["plural"],
            kind=names["kind"],
            raw=hub_raw if version is hub else _schema_of(version),
            hub_raw=hub_raw,
            printer_columns=version.get("additionalPrinterColumns") or [],
            status=declared.get("status") is not None,
            scale=declared.get("scale"),
            selectable_fields=[f["jsonPath"] for f in version.get("selectableFields") or ()],
            warning=_warning(spec, version),
            terminating=terminating,
        )
        resources.append(
            Resource(
                group=spec["group"],
                version=version["name"],
                plural=names["plural"],
                kind=names["kind"],
                namespaced=spec["scope"] == "Namespaced",
                short_names=tuple(names.get("shortNames") or ()),
                categories=tuple(names.get("categories") or ()),
                singular=names.get("singular", ""),
                list_kind=names.get("listKind", ""),
                subresources=subresources,
                hub=hub["name"],
                crd=served,
            )
        )
    return resources


def _schema_of(version: JSON) -> JSON:
    raw: JSON | None = (version.get("schema") or {}).get("openAPIV3Schema")
    return {} if raw is None else raw


def _warning(spec: JSON, version: JSON) -> str:
    """What every use of a deprecated version is answered with."""
    if not version.get("deprecated"):
        return ""
    if version.get("deprecationWarning") is not None:
        return str(version["deprecationWarning"])
    group, kind, name = spec["group"], spec["names"]["kind"], version["name"]
    text = f"{group}/{name} {kind} is deprecated"
    newer = [
        v["name"]
        for v in spec["versions"]
        if v.get("served") and not v.get("deprecated") and version_priority(v["name"]) > version_priority(name)
    ]
    return f"{text}; use {group}/{max(newer, key=version_priority)} {kind}" if newer else text
