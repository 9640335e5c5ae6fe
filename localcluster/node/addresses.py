"""Addresses of pods: given out of one range, never twice at a time."""

from __future__ import annotations

import ipaddress
import logging
import subprocess

log = logging.getLogger(__name__)


class NoAddress(Exception):
    """The range is used up."""


class Addresses:
    """Pod addresses of one node. The lowest, which is the node's own, and the highest are not used.

    Args:
        add: give each address to the loopback device (needs CAP_NET_ADMIN); 127.0.0.0/8 needs no such thing.
    """

    def __init__(self, cidr: str, *, add: bool = False) -> None:
        network = ipaddress.ip_network(cidr)
        if network.num_addresses < 8:
            raise ValueError(f"--pod-cidr {cidr} holds no addresses for pods")
        self._first = int(network.network_address) + 2
        self._count = network.num_addresses - 3
        self._add = add
        self._used: set[int] = set()
        self._next = 0

    def allocate(self) -> str:
        """An unused address; those freed longest ago come first. Raises `NoAddress`."""
        for step in range(self._count):
            number = self._first + (self._next + step) % self._count
            if number not in self._used:
                self._next = (self._next + step + 1) % self._count
                return self._take(number)
        raise NoAddress("no free pod address is left in the node's range")

    def reserve(self, address: str) -> None:
        """Take back an address that a pod had before the node was restarted."""
        number = int(ipaddress.ip_address(address))
        self._take(number)
        if 0 <= number - self._first < self._count:
            self._next = max(self._next, number - self._first + 1) % self._count

    def release(self, address: str) -> None:
        self._used.discard(int(ipaddress.ip_address(address)))
        if self._add:
            self._ip("del", address)

    def _take(self, number: int) -> str:
        self._used.add(number)
        address = str(ipaddress.ip_address(number))
        if self._add:
            self._ip("add", address)
        return address

    def _ip(self, verb: str, address: str) -> None:
        done = subprocess.run(["ip", "addr", verb, f"{address}/32", "dev", "lo"], capture_output=True, check=False)
        if done.returncode and b"exists" not in done.stderr:
            log.warning("ip addr %s %s: %s", verb, address, done.stderr.decode(errors="replace").strip())
