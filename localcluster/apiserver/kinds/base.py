"""What a kind may decide for itself on the way from a request to the store: `Kind`, with Kubernetes' usual answers.

Methods take objects as plain dicts in the kind's own version. `default` and the `prepare_…` methods change `new` in
place and may rely on nothing but types (unknown fields are gone, wrong types were refused); the `validate_…` ones
change nothing and return every error they find, in the real server's order.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Protocol

from localcluster.apiserver.errors import FieldError

JSON = dict[str, Any]


class Reader(Protocol):
    """Reading access to what is stored; objects must not be changed. `storage` is like ``apps/deployments``."""

    def get(self, storage: str, namespace: str, name: str) -> JSON | None: ...

    def list(self, storage: str, namespace: str | None = None) -> Iterable[JSON]: ...


@dataclass(frozen=True)
class User:
    """Who asks (https://kubernetes.io/docs/reference/access-authn-authz/authentication/)."""

    name: str
    groups: tuple[str, ...] = ()
    uid: str = ""
    extra: dict[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Context:
    """What a kind may know besides the object.

    Attributes:
        store: what else is stored.
        now: the time of the request, RFC 3339 with seconds, UTC.
        dry_run: nothing will be stored.
        pod_cidr, service_cidr: the cluster's address ranges, for example ``127.65.0.0/17``.
        node_ports: first and last port for Services of type NodePort.
    """

    user: User
    store: Reader
    now: str
    dry_run: bool = False
    pod_cidr: str = "127.65.0.0/17"
    service_cidr: str = "127.65.128.0/17"
    node_ports: tuple[int, int] = (30000, 32767)


class Kind:
    """The behaviour of a kind; subclasses override what differs."""

    name_rule: Callable[[str], list[str]] | None = None
    """Messages for a bad metadata.name, as IsDNS1123Subdomain & co. word them; None means DNS-1123 subdomain."""
    counts_generations = False
    """metadata.generation is 1 on create and rises with each change of anything but metadata and status."""
    has_status = False
    """Writes to the object leave `status` alone, and writes to ``/status`` all but that."""
    create_on_update = False
    """PUT of a name that does not exist creates it."""
    unconditional_update = True
    """PUT without a resourceVersion is allowed."""
    delete_answers_object = False
    """DELETE answers the object rather than a Status even when it is gone at once (Pods, Services …)."""
    default_propagation = "Background"
    deprecation = ""
    """Text of a Warning header on every answer about the kind."""

    # ---- create and update of the object itself

    def default(self, obj: JSON) -> None:
        """Fill in the documented defaults."""

    def prepare_create(self, new: JSON, context: Context) -> None:
        """Drop what a client may not set, allocate what the server gives (addresses, selectors …)."""
        if self.has_status:
            new.pop("status", None)

    def prepare_update(self, new: JSON, old: JSON, context: Context) -> None:
        if self.has_status:
            self._keep(new, old, "status")

    def validate_create(self, new: JSON, context: Context) -> list[FieldError]:
        """Errors of everything but metadata, which is checked for all kinds alike."""
        return []

    def validate_update(self, new: JSON, old: JSON, context: Context) -> list[FieldError]:
        return self.validate_create(new, context)

    def warnings(self, new: JSON, old: JSON | None) -> list[str]:
        """Texts for Warning headers (deprecated fields and such)."""
        return []

    def stored(self, new: JSON | None, old: JSON | None, context: Context) -> None:
        """Called after a write was stored: None for `old` on create, for `new` on removal. Frees what was allocated."""

    def begin_deletion(self, obj: JSON, context: Context) -> JSON:
        """The stored object with what its deletion waits for (finalizers, conditions); must not change `obj`."""
        return obj

    # ---- /status

    def prepare_status(self, new: JSON, old: JSON, context: Context) -> None:
        """Leave only status (and managedFields) of the new object, all else as it was."""
        status = new.get("status")
        meta = new["metadata"]
        kept = copy.deepcopy({k: v for k, v in old.items() if k != "status"})
        if "managedFields" in meta:
            kept["metadata"]["managedFields"] = meta["managedFields"]
        if "resourceVersion" in meta:
            kept["metadata"]["resourceVersion"] = meta["resourceVersion"]
        new.clear()
        new.update(kept)
        if status is not None:
            new["status"] = status

    def validate_status(self, new: JSON, old: JSON, context: Context) -> list[FieldError]:
        return []

    # ---- other subresources that speak the object itself (ephemeralcontainers, resize)

    def prepare_subresource(self, name: str, new: JSON, old: JSON, context: Context) -> None:
        """Undo what may not be changed through this subresource."""
        self.prepare_update(new, old, context)

    def validate_subresource(self, name: str, new: JSON, old: JSON, context: Context) -> list[FieldError]:
        return self.validate_update(new, old, context)

    # ---- versions

    def to_hub(self, obj: JSON) -> JSON:
        """The object in the version that is stored; apiVersion is set by the caller. May return `obj` itself."""
        return obj

    def from_hub(self, obj: JSON) -> JSON:
        """The stored object in this kind's own version; must not change `obj`."""
        return obj

    # ---- reading

    def selectable_fields(self, obj: JSON) -> dict[str, str]:
        """What field selectors may name besides metadata.name and metadata.namespace."""
        return {}

    def generation_of(self, obj: JSON) -> Any:
        """The part whose change counts as a new generation."""
        return {k: v for k, v in obj.items() if k not in ("metadata", "status", "apiVersion", "kind")}

    @staticmethod
    def _keep(new: JSON, old: JSON, *keys: str) -> None:
        for key in keys:
            new.pop(key, None)
            if key in old:
                new[key] = copy.deepcopy(old[key])
