"""Which version a server has, and whether it is a local cluster of this package or somebody's real one."""

from __future__ import annotations

import asyncio
import logging
import re
from dataclasses import dataclass

from localcluster.client import ApiStatusError, Client, Unreachable

log = logging.getLogger(__name__)

RETRY_SECONDS = (0.05, 2.0)
LOUD_SECONDS = 5.0
"""A server that starts beside this process may be silent so long before that is worth a warning."""


@dataclass(frozen=True, order=True)
class ClusterVersion:
    """A Kubernetes version; `is_local` for an API server of this package, whatever its address."""

    major: int
    minor: int
    patch: int
    is_local: bool = False

    def __str__(self) -> str:
        return f"v{self.major}.{self.minor}.{self.patch}"


def parse(git_version: str) -> ClusterVersion:
    """`v1.36.2+localcluster`, `v1.31.4+k3s1`, `v1.30.5-gke.100` … Raises ValueError."""
    match = re.match(r"v?(\d+)\.(\d+)(?:\.(\d+))?", git_version)
    if match is None:
        raise ValueError(f"{git_version!r} is no Kubernetes version")
    major, minor, patch = match.groups(default="0")
    # The text after the plus sign is the build, which Kubernetes ignores when it compares versions.
    return ClusterVersion(int(major), int(minor), int(patch), git_version.partition("+")[2] == "localcluster")


async def wait_for_version(client: Client) -> ClusterVersion:
    """Ask `/version`, until the server answers. Raises `ApiStatusError` if it refuses, ValueError for nonsense."""
    delay, waited = RETRY_SECONDS[0], 0.0
    while True:
        try:
            return parse(str((await client.request("GET", "/version")).get("gitVersion")))
        except (Unreachable, ApiStatusError) as error:
            if isinstance(error, ApiStatusError) and error.code < 500:
                raise
            log.log(logging.WARNING if waited > LOUD_SECONDS else logging.DEBUG, "waiting for the server: %s", error)
        await asyncio.sleep(delay)
        waited += delay
        delay = min(delay * 2, RETRY_SECONDS[1])
