"""An API server within the test's own process, and a client of it."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from localcluster.apiserver.server import Server, Settings
from localcluster.certs import Pki


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    server = Server(Settings(tmp_path, port=0), Pki.open(tmp_path))
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
async def client(server: Server) -> AsyncIterator[aiohttp.ClientSession]:
    """As the administrator; paths are relative to the server."""
    admin = server.pki.client("admin", "admin", ["system:masters"])
    tls = ssl.create_default_context(cafile=str(server.pki.ca.certificate_file))
    tls.load_cert_chain(admin.certificate_file, admin.key_file)
    base = f"https://127.0.0.1:{server.port}"
    async with aiohttp.ClientSession(base, connector=aiohttp.TCPConnector(ssl=tls)) as session:
        yield session
