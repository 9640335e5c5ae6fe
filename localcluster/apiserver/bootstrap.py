"""What a new cluster has before anybody asks: namespaces, default roles, priority classes, the service `kubernetes`."""

from __future__ import annotations

import copy
import dataclasses
import ipaddress
import platform
import sys
from typing import TYPE_CHECKING, Any

from localcluster.apiserver.auth.default_objects import bootstrap_objects, extension_configuration
from localcluster.apiserver.kinds.base import User
from localcluster.apiserver.negotiation import Form
from localcluster.apiserver.requests import RequestInfo
from localcluster.apiserver.resources import Resource
from localcluster.apiserver.schema import KUBERNETES_VERSION
from localcluster.apiserver.verbs import writing
from localcluster.apiserver.verbs.call import Call

if TYPE_CHECKING:
    from localcluster.apiserver.server import Server

JSON = dict[str, Any]

SYSTEM_NAMESPACES = ("default", "kube-system", "kube-public", "kube-node-lease")
SYSTEM_USER = User("system:apiserver", ("system:masters", "system:authenticated"))
OWN_ADDRESSES = "127.0.0.0/8"
"""Where the server's own endpoint may be, which other endpoints may not."""
BUILD = "+localcluster"
"""What tells this server's version from a Kubernetes release's."""


def populate(server: Server) -> None:
    """Create what is missing; nothing that is there is changed."""
    for name in SYSTEM_NAMESPACES:
        ensure(server, "", "v1", "namespaces", {"metadata": {"name": name}})
    by_storage = {r.storage: r for r in server.registry if r.version == r.hub}
    for storage, obj in bootstrap_objects(server.pki):
        resource = by_storage[storage]
        ensure(server, resource.group, resource.version, resource.plural, obj)
    # Authorities are made anew when the data directory loses them.
    _replace(server, "", "configmaps", extension_configuration(server.pki), ("data",))


def publish_address(server: Server) -> None:
    """The service `kubernetes` in `default`, with the server's own address as its endpoint."""
    address, port = server.settings.address, server.port
    first = str(ipaddress.ip_network(server.settings.service_cidr)[1])
    labels = {"component": "apiserver", "provider": "kubernetes"}
    service = {
        "metadata": {"name": "kubernetes", "namespace": "default", "labels": labels},
        "spec": {
            "clusterIP": first,
            "ports": [{"name": "https", "port": 443, "protocol": "TCP", "targetPort": port}],
        },
    }
    ensure(server, "", "v1", "services", service)
    ports = [{"name": "https", "port": port, "protocol": "TCP"}]
    endpoints = {
        "metadata": {
            "name": "kubernetes",
            "namespace": "default",
            "labels": {"endpointslice.kubernetes.io/skip-mirror": "true"},
        },
        "subsets": [{"addresses": [{"ip": address}], "ports": ports}],
    }
    endpoint_slice = {
        "metadata": {
            "name": "kubernetes",
            "namespace": "default",
            "labels": {"kubernetes.io/service-name": "kubernetes"},
        },
        "addressType": "IPv4",
        "endpoints": [{"addresses": [address], "conditions": {"ready": True}}],
        "ports": ports,
    }
    _replace(server, "", "endpoints", endpoints, ("subsets",))
    _replace(server, "discovery.k8s.io", "endpointslices", endpoint_slice, ("endpoints", "ports"))


def ensure(server: Server, group: str, version: str, plural: str, obj: JSON) -> JSON:
    """The stored object of that name, created through the usual rules if there is none."""
    resource = server.registry.find(group, version, plural)
    assert resource is not None, plural
    meta = obj["metadata"]
    found = server.store.get(resource.storage, meta.get("namespace", ""), meta["name"])
    if found is not None:
        return found
    call = _call(server, resource, meta.get("namespace", ""), meta["name"])
    new = copy.deepcopy(obj)
    writing.check_kind(call, new)
    resource.behaviour.default(new)
    writing.store_new(call, new)
    stored = server.store.get(resource.storage, meta.get("namespace", ""), meta["name"])
    assert stored is not None
    return stored


def _replace(server: Server, group: str, plural: str, obj: JSON, keys: tuple[str, ...]) -> None:
    stored = ensure(server, group, "v1", plural, obj)
    if all(stored.get(k) == obj.get(k) for k in keys):
        return
    resource = server.registry.find(group, "v1", plural)
    assert resource is not None
    server.store.update(resource.storage, copy.deepcopy({**stored, **{k: obj[k] for k in keys}}), stored)


def _call(server: Server, resource: Resource, namespace: str, name: str) -> Call:
    info = RequestInfo("", "create", True, "", resource.group, resource.version, namespace, resource.plural, "")
    return Call(
        info=info,
        resource=resource,
        user=SYSTEM_USER,
        query={},
        form=Form(),
        context=dataclasses.replace(server.context(SYSTEM_USER), pod_cidr=OWN_ADDRESSES),
        store=server.store,
        registry=server.registry,
        authorizer=server.authorizer,
        user_agent="apiserver",
    )


def document(server: Server, path: str) -> JSON | None:
    """The small documents outside the API: the version and how to check service account tokens."""
    if path in ("/version", "/version/"):
        return version()
    if path == "/.well-known/openid-configuration":
        return server.tokens.openid_configuration(f"https://{server.settings.address}:{server.port}")
    if path == "/openid/v1/jwks":
        return server.tokens.key_set()
    return None


def version() -> JSON:
    """What `kubectl version` shows as the server's."""
    major, minor, _ = KUBERNETES_VERSION.split(".")
    return {
        "major": major,
        "minor": minor,
        "emulationMajor": major,
        "emulationMinor": minor,
        "minCompatibilityMajor": major,
        "minCompatibilityMinor": str(int(minor) - 1),
        "gitVersion": f"v{KUBERNETES_VERSION}{BUILD}",
        "gitCommit": "",
        "gitTreeState": "",
        "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": f"python{platform.python_version()}",
        "compiler": platform.python_implementation().lower(),
        "platform": f"{sys.platform}/{platform.machine().replace('x86_64', 'amd64')}",
    }
