"""Pod addresses."""

import pytest

from localcluster.node.addresses import Addresses, NoAddress
from localcluster.node.settings import default_node_ip


def test_addresses_are_used_again_as_late_as_possible() -> None:
    addresses = Addresses("127.9.0.0/29")
    given = [addresses.allocate() for _ in range(3)]
    assert given == ["127.9.0.2", "127.9.0.3", "127.9.0.4"]
    addresses.release("127.9.0.2")
    assert addresses.allocate() == "127.9.0.5"
    assert addresses.allocate() == "127.9.0.6"
    assert addresses.allocate() == "127.9.0.2"
    with pytest.raises(NoAddress):
        addresses.allocate()


def test_recovered_addresses_are_not_given_again() -> None:
    addresses = Addresses("127.9.0.0/29")
    addresses.reserve("127.9.0.3")
    assert [addresses.allocate() for _ in range(4)] == ["127.9.0.4", "127.9.0.5", "127.9.0.6", "127.9.0.2"]


def test_the_nodes_own_address() -> None:
    assert default_node_ip("127.9.0.0/17") == "127.9.0.1"
    assert default_node_ip("10.1.0.0/24") == "127.0.0.1"
