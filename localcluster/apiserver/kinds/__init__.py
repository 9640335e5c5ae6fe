"""The behaviour of each built-in kind: defaults, validation, what an update may change. One module an API group."""

from __future__ import annotations

from importlib import import_module

from localcluster.apiserver.kinds.base import Kind

_MODULES = {
    "": "core",
    "apps": "apps",
    "batch": "batch",
    "autoscaling": "autoscaling",
    "networking.k8s.io": "networking",
    "discovery.k8s.io": "discovery",
    "rbac.authorization.k8s.io": "rbac",
    "coordination.k8s.io": "coordination",
    "events.k8s.io": "events",
    "policy": "policy",
    "scheduling.k8s.io": "scheduling",
    "apiregistration.k8s.io": "apiregistration",
    "apiextensions.k8s.io": "apiextensions",
}
_found: dict[tuple[str, str, str], Kind] = {}


def behaviour(group: str, version: str, kind: str) -> Kind:
    """The behaviour of a built-in kind; a plain `Kind` where its group's module declares none.

    A group's module has ``KINDS: dict[str, type[Kind]]`` by kind, or by ``version/kind`` where versions differ.
    """
    key = (group, version, kind)
    if key not in _found:
        kinds: dict[str, type[Kind]] = {}
        if group in _MODULES:
            kinds = import_module(f"localcluster.apiserver.kinds.{_MODULES[group]}").KINDS
        _found[key] = (kinds.get(f"{version}/{kind}") or kinds.get(kind) or Kind)()
    return _found[key]
