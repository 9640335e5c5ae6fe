"""Where the client goes: proxies and this machine."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from kubernetes.aio.client import ApiClient

from kubeless.cluster.access import load_access


@pytest.mark.parametrize(
    ("server", "asks_the_environment"),
    [
        ("https://127.0.0.1:6443", False),
        ("https://[::1]:6443", False),
        ("http://localhost:8001", False),
        ("https://cluster.example:6443", True),
        ("https://192.0.2.1:6443", True),
    ],
)
async def test_no_proxy_is_asked_for_this_machine(tmp_path: Path, server: str, asks_the_environment: bool) -> None:
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "a",
        "contexts": [{"name": "a", "context": {"cluster": "a", "user": "a"}}],
        "clusters": [{"name": "a", "cluster": {"server": server}}],
        "users": [{"name": "a", "user": {}}],
    }
    (tmp_path / "kubeconfig").write_text(yaml.safe_dump(config))
    client = ApiClient(await load_access(str(tmp_path / "kubeconfig")))
    session = client.rest_client._create_pool_manager()
    assert session.trust_env is asks_the_environment
    await session.close()
