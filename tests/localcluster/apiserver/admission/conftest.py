"""A store with a namespace and its default account, and a way to admit objects."""

import copy

import pytest

from localcluster.apiserver import admission
from localcluster.apiserver.builtin_resources import builtin_resources
from localcluster.apiserver.kinds.base import Context, User
from localcluster.apiserver.store import Store

RESOURCES = {resource.storage: resource for resource in builtin_resources()}


@pytest.fixture
def store():
    store = Store(":memory:")
    store.create("/namespaces", {"metadata": {"name": "n"}, "status": {"phase": "Active"}})
    store.create("/serviceaccounts", {"metadata": {"name": "default", "namespace": "n", "uid": "u"}})
    yield store
    store.close()


class Cluster:
    """Admits objects as the request pipeline does."""

    def __init__(self, store):
        self.store = store
        self.context = Context(User("me"), store, "2026-01-01T00:00:00Z")

    def admit(self, storage, new, old=None, operation="CREATE", subresource=""):
        """The object after admission, and the warnings."""
        resource = RESOURCES[storage]
        new = copy.deepcopy(new)
        warnings = admission.mutate(resource, operation, subresource, new, old, self.context)
        warnings += admission.validate(resource, operation, subresource, new, old, self.context)
        return new, warnings

    def create(self, storage, new):
        return self.store.create(storage, self.admit(storage, new)[0])


@pytest.fixture
def cluster(store):
    return Cluster(store)
