"""Where the client goes: proxies and this machine."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from kubeless.cluster.access import load_access


@pytest.mark.parametrize(
    ("server", "proxy"),
    [
        ("https://127.0.0.1:6443", None),
        ("https://[::1]:6443", None),
        ("http://localhost:8001", None),
        ("https://cluster.example:6443", "http://proxy.example:3128"),
        ("https://192.0.2.1:6443", "http://proxy.example:3128"),
    ],
)
async def test_a_proxy_is_not_asked_for_this_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: str, proxy: str | None
) -> None:
    for name in ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"):
        monkeypatch.setenv(name, "http://proxy.example:3128")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "a",
        "contexts": [{"name": "a", "context": {"cluster": "a", "user": "a"}}],
        "clusters": [{"name": "a", "cluster": {"server": server}}],
        "users": [{"name": "a", "user": {}}],
    }
    (tmp_path / "kubeconfig").write_text(yaml.safe_dump(config))
    assert (await load_access(str(tmp_path / "kubeconfig"))).proxy == proxy
