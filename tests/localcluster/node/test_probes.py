"""Probes against real listeners."""

import asyncio
import socket

import aiohttp
import pytest

from localcluster.node import probes


@pytest.fixture
async def target():
    async def command(words, timeout):
        return (None, "") if words == ["slow"] else (len(words), "output")

    async with aiohttp.ClientSession() as session:
        yield probes.Target(session, "127.0.0.1", {}, command)


async def serving(status: int, wait: float = 0) -> asyncio.Server:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await asyncio.sleep(wait)
        writer.write(b"HTTP/1.1 %d X\r\nContent-Length: 2\r\nLocation: /\r\n\r\nok" % status)
        writer.close()

    return await asyncio.start_server(answer, "127.0.0.1", 0)


def port_of(server: asyncio.Server) -> int:
    return server.sockets[0].getsockname()[1]


def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.mark.parametrize(("status", "message"), [(200, ""), (399, ""), (503, "HTTP probe failed with statuscode: 503")])
async def test_http(target, status: int, message: str) -> None:
    server = await serving(status)
    target.ports["web"] = port_of(server)
    outcome = await probes.attempt({"httpGet": {"port": "web", "path": "healthz"}}, target)
    assert outcome == probes.Outcome(not message, message)
    server.close()


async def test_failures_are_worded_as_by_a_kubelet(target) -> None:
    port = closed_port()
    where = f"127.0.0.1:{port}"
    refused = f"dial tcp {where}: connect: connection refused"
    assert (await probes.attempt({"tcpSocket": {"port": port}}, target)).message == refused
    http = await probes.attempt({"httpGet": {"port": port, "path": "/h"}}, target)
    assert http.message == f'Get "http://{where}/h": {refused}'
    server = await serving(200, wait=5)
    slow = await probes.attempt({"httpGet": {"port": port_of(server)}, "timeoutSeconds": 0.05}, target)
    assert slow.message.endswith("context deadline exceeded (Client.Timeout exceeded while awaiting headers)")
    server.close()
    assert (await probes.attempt({"exec": {"command": ["a"]}}, target)) == probes.Outcome(False, "output")
    timed_out = await probes.attempt({"exec": {"command": ["slow"]}, "timeoutSeconds": 2}, target)
    assert timed_out.message == 'command timed out: "slow" timed out after 2s'


async def test_thresholds(target, monkeypatch) -> None:
    outcomes = iter([True, False, False, True, False, False, False, True, True])
    results, failures, done = [], [], asyncio.Event()

    async def attempt(probe, target):
        value = next(outcomes, None)
        if value is None:
            done.set()
            await asyncio.sleep(10)
        return probes.Outcome(bool(value), "no")

    monkeypatch.setattr(probes, "attempt", attempt)
    probe = {"periodSeconds": 0.01, "failureThreshold": 3, "successThreshold": 2}
    task = asyncio.create_task(
        probes.watch(probe, target, early=False, on_result=results.append, on_failure=failures.append)
    )
    await asyncio.wait_for(done.wait(), 5)
    task.cancel()
    assert results == [False, True]
    assert failures == ["no"] * 5


async def test_early_tries_find_readiness_long_before_the_period_and_fail_silently(target) -> None:
    port = closed_port()
    ready, failures = asyncio.Event(), []
    task = asyncio.create_task(
        probes.watch(
            {"tcpSocket": {"port": port}, "periodSeconds": 10},
            target,
            early=True,
            on_result=lambda success: ready.set() if success else None,
            on_failure=failures.append,
        )
    )
    await asyncio.sleep(0.15)
    server = await asyncio.start_server(lambda r, w: w.close(), "127.0.0.1", port)
    await asyncio.wait_for(ready.wait(), 1)
    task.cancel()
    server.close()
    assert failures == []
