"""The objects of the group `kubeless.io/v1beta1` and `kubeless-config`: parsed, defaulted and validated."""

from kubeless.api.errors import InvalidSpec, Reason

GROUP = "kubeless.io"
VERSION = "v1beta1"
API_VERSION = f"{GROUP}/{VERSION}"

__all__ = ["API_VERSION", "GROUP", "VERSION", "InvalidSpec", "Reason"]
