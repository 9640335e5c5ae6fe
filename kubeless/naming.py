"""Names that more than one part relies on: ports, keys, volumes and the objects of a function."""

from __future__ import annotations

PORT_NAME = "http-function-port"
PORT = 8080

SOURCE_VOLUME = "/kubeless"
"""Where a function's pod has the prepared source; the runtimes' images count on it."""

HANDLER_KEY = "handler"
"""Key of a function's ConfigMap that has its `module.function`."""


def source_file(module: str, suffix: str) -> str:
    """Name of the source: the ConfigMap's key, and the file in the volume."""
    return f"{module}{suffix}"


def service_url(name: str, namespace: str, port: int = PORT) -> str:
    """Where a function is called from within the cluster."""
    return f"http://{name}.{namespace}.svc:{port}"
