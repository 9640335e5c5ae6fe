"""A server on this machine that says it is some other Kubernetes, and what processes do when they are sent there."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import yaml
from aiohttp import web


@dataclass
class ForeignServer:
    """Its kubeconfig, and the requests that it got."""

    kubeconfig: Path
    asked: list[str] = field(default_factory=list)

    async def run(self, module: str, *arguments: str) -> tuple[int | None, str]:
        """Exit code and stderr of a process that is to join this cluster; one that stays is killed after 5 s."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            module,
            "--kubeconfig",
            str(self.kubeconfig),
            *arguments,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            _, errors = await asyncio.wait_for(process.communicate(), 5)
        except TimeoutError:
            process.kill()
            _, errors = await process.communicate()
        return process.returncode, errors.decode()


@contextlib.asynccontextmanager
async def foreign_server(folder: Path) -> AsyncIterator[ForeignServer]:
    server = ForeignServer(folder / "kubeconfig")

    async def answer(request: web.BaseRequest) -> web.Response:
        server.asked.append(f"{request.method} {request.path}")
        return web.json_response({"gitVersion": "v1.31.4"})

    runner = web.ServerRunner(web.Server(answer))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    config = {
        "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "c"}}],
        "clusters": [{"name": "c", "cluster": {"server": f"http://127.0.0.1:{runner.addresses[0][1]}"}}],
    }
    server.kubeconfig.write_text(yaml.safe_dump(config))
    yield server
    await runner.cleanup()
