"""What each namespace is given: the service account ``default`` and the ConfigMap kube-root-ca.crt with the CA."""

from __future__ import annotations

from typing import Any

from localcluster.client import AlreadyExists, ApiStatusError, Forbidden
from localcluster.controllers.manager import Controller, Manager
from localcluster.informer import Informer, Key
from localcluster.resource_types import CONFIG_MAPS, NAMESPACES, SERVICE_ACCOUNTS

JSON = dict[str, Any]

ROOT_CA = "kube-root-ca.crt"
DESCRIPTION = "kubernetes.io/description"
ROOT_CA_DESCRIPTION = (
    "Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints such as the "
    "internal service IP or kubernetes.default.svc. No other usage is guaranteed across distributions of Kubernetes "
    "clusters."
)


def root_ca_config_map(namespace: str, certificate_authority: str) -> JSON:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": ROOT_CA, "namespace": namespace, "annotations": {DESCRIPTION: ROOT_CA_DESCRIPTION}},
        "data": {"ca.crt": certificate_authority},
    }


def default_service_account(namespace: str) -> JSON:
    meta = {"name": "default", "namespace": namespace}
    return {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta}


def _is_terminating(error: ApiStatusError) -> bool:
    return isinstance(error, Forbidden) and error.has_cause("NamespaceTerminating")


class NamespaceDefaultsController(Controller):
    """Makes both in every active namespace, again if they are deleted, and puts a changed CA right."""

    name = "serviceaccount-controller"

    def __init__(self, manager: Manager) -> None:
        self.namespaces = manager.informer(NAMESPACES)
        self.accounts = Informer(manager.client, SERVICE_ACCOUNTS, field_selector="metadata.name=default")
        self.config_maps = Informer(manager.client, CONFIG_MAPS, field_selector=f"metadata.name={ROOT_CA}")
        super().__init__(manager, [self.namespaces, self.accounts, self.config_maps])
        self.authority = manager.client.certificate_authority.decode()
        self.namespaces.add_handler(self._changed)
        self.accounts.add_handler(self._dependent_changed)
        self.config_maps.add_handler(self._dependent_changed)

    def jobs(self) -> list[Any]:
        return [*super().jobs(), self.accounts.run(), self.config_maps.run()]

    def _changed(self, old: JSON | None, new: JSON | None) -> None:
        if new is not None:
            self.queue.add(("", new["metadata"]["name"]))

    def _dependent_changed(self, old: JSON | None, new: JSON | None) -> None:
        if old is not None:
            self.queue.add(("", old["metadata"]["namespace"]))

    async def reconcile(self, key: Key) -> None:
        name = key[1]
        namespace = self.namespaces.get(*key)
        if namespace is None or namespace["metadata"].get("deletionTimestamp"):
            return
        try:
            if self.accounts.get(name, "default") is None:
                await self._create(self.accounts, default_service_account(name))
            present = self.config_maps.get(name, ROOT_CA)
            wanted = root_ca_config_map(name, self.authority)
            if present is None:
                await self._create(self.config_maps, wanted)
            elif present.get("data") != wanted["data"]:
                await self.config_maps.update({**present, "data": wanted["data"]})
        except ApiStatusError as error:
            if not _is_terminating(error):
                raise

    async def _create(self, informer: Informer, obj: JSON) -> None:
        try:
            await informer.create(obj)
        except AlreadyExists:
            pass
