"""Where the cluster is and as whom it is talked to, as the official client's configuration."""

from __future__ import annotations

import os
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

from kubernetes.aio import config
from kubernetes.aio.client import Configuration

from kubeless.cluster.errors import ClusterError

DEFAULT_KUBECONFIG = "~/.kube/config"


async def load_access(kubeconfig: str = "", context: str = "") -> Configuration:
    """From the named file, else the one in KUBECONFIG, else the pod's service account, else ~/.kube/config.

    Raises ClusterError, which says where was looked.
    """
    configuration = Configuration()
    path = kubeconfig or os.environ.get("KUBECONFIG", "")
    try:
        if not path and not context and os.environ.get("KUBERNETES_SERVICE_HOST"):
            config.load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
        else:
            path = path or DEFAULT_KUBECONFIG
            await config.load_kube_config(  # type: ignore[no-untyped-call]
                config_file=str(Path(path).expanduser()) if ":" not in path else path,
                context=context or None,
                client_configuration=configuration,
                persist_config=False,
            )
    except (config.ConfigException, OSError) as error:
        where = path or "the service account of this pod"
        raise ClusterError(
            f"no access to a cluster by {where}: {error}; set KUBECONFIG to a kubeconfig file"
        ) from error
    if _is_this_machine(configuration.host):
        configuration.client_session_kwargs = {"trust_env": False}
    # Watches hold a connection each; what is limited is the number of requests at a time.
    configuration.connection_pool_maxsize = 0
    configuration.retries = None
    return configuration


def _is_this_machine(url: str) -> bool:
    """For loopback addresses no proxy of the environment is asked, as kubectl does not
    (https://pkg.go.dev/net/http#ProxyFromEnvironment)."""
    host = urlsplit(url).hostname or ""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False
