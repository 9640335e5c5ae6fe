"""The cluster: an asynchronous client of its API, in which objects are plain dicts."""

from kubeless.cluster.client import Cluster, WatchEvent
from kubeless.cluster.drift import is_up_to_date
from kubeless.cluster.errors import (
    AlreadyExists,
    ApiError,
    ClusterError,
    Conflict,
    Forbidden,
    Gone,
    Invalid,
    NotFound,
    Unreachable,
)
from kubeless.cluster.resources import Resource, resource_of

__all__ = [
    "AlreadyExists",
    "ApiError",
    "Cluster",
    "ClusterError",
    "Conflict",
    "Forbidden",
    "Gone",
    "Invalid",
    "NotFound",
    "Resource",
    "Unreachable",
    "WatchEvent",
    "is_up_to_date",
    "resource_of",
]
