"""A cluster's keys and a store, shared by the tests of identity and rights."""

import pytest

from localcluster.apiserver.auth.tokens import Tokens
from localcluster.apiserver.store import Store
from localcluster.certs import Pki


@pytest.fixture(scope="session")
def pki(tmp_path_factory):
    return Pki.open(tmp_path_factory.mktemp("keys"))


@pytest.fixture
def store():
    store = Store(":memory:")
    store.create("/serviceaccounts", {"metadata": {"name": "sa", "namespace": "n", "uid": "u-sa"}})
    yield store
    store.close()


@pytest.fixture
def tokens(pki, store):
    return Tokens(pki.service_account_key_file, store)
