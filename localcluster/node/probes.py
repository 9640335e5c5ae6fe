"""Startup, readiness and liveness probes: one attempt, and the rhythm of attempts.

Behaviour: https://kubernetes.io/docs/concepts/workloads/pods/probes/; messages are a kubelet's. One thing is faster
here: until a readiness or startup probe succeeds for the first time it is also tried in between, after 50 ms and then
in growing steps, so that a pod of a fast program is ready at once. Failures of these early tries count for nothing.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import aiohttp

log = logging.getLogger(__name__)

JSON = dict[str, Any]

EARLY_FIRST_SECONDS = 0.05
EARLY_FACTOR = 1.25
EARLY_MAX_SECONDS = 1.0
MAX_BODY_BYTES = 10 * 1024


@dataclass(frozen=True)
class Outcome:
    """Of one attempt; `message` is what follows `Readiness probe failed: `."""

    success: bool
    message: str = ""


Exec = Callable[[Sequence[str], float], Awaitable[tuple[int | None, str]]]
"""Runs a command in the container for at most so many seconds: exit code (None: it took too long) and output."""


@dataclass
class Target:
    """What probes and hooks of one container reach."""

    session: aiohttp.ClientSession
    address: str
    ports: dict[str, int]
    exec: Exec

    def port(self, value: Any) -> int:
        return int(self.ports.get(value, 0) if isinstance(value, str) and not value.isdigit() else value)


def _insecure() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    # As documented for HTTPS probes: the kubelet does not verify the certificate.
    context.verify_mode = ssl.CERT_NONE
    return context


async def attempt(probe: JSON, target: Target) -> Outcome:
    """Try once, within the probe's timeoutSeconds."""
    timeout = float(probe.get("timeoutSeconds") or 1)
    if action := probe.get("httpGet"):
        return await _http(action, target, timeout)
    if action := probe.get("tcpSocket"):
        return await _tcp(action.get("host") or target.address, target.port(action["port"]), timeout)
    if action := probe.get("exec"):
        code, output = await target.exec(action.get("command") or [], timeout)
        if code is None:
            command = " ".join(action.get("command") or [])
            return Outcome(False, f'command timed out: "{command}" timed out after {timeout:g}s')
        return Outcome(code == 0, output)
    return Outcome(False, "gRPC probes are not supported by this node")


async def _tcp(host: str, port: int, timeout: float) -> Outcome:
    try:
        async with asyncio.timeout(timeout):
            _, writer = await asyncio.open_connection(host, port)
    except TimeoutError:
        return Outcome(False, f"dial tcp {host}:{port}: i/o timeout")
    except OSError as error:
        return Outcome(False, f"dial tcp {host}:{port}: {_connect_error(error)}")
    writer.close()
    return Outcome(True)


def url_of(action: JSON, target: Target) -> str:
    scheme = (action.get("scheme") or "HTTP").lower()
    host = action.get("host") or target.address
    path = action.get("path") or "/"
    return f"{scheme}://{host}:{target.port(action['port'])}{path if path.startswith('/') else '/' + path}"


async def _http(action: JSON, target: Target, timeout: float) -> Outcome:
    url = url_of(action, target)
    headers = {h["name"]: h.get("value", "") for h in action.get("httpHeaders") or []}
    headers.setdefault("User-Agent", "kube-probe/1.36")
    headers.setdefault("Accept", "*/*")
    quoted = f'Get "{url}": '
    try:
        async with target.session.get(
            url,
            headers=headers,
            ssl=_insecure() if url.startswith("https") else True,
            timeout=aiohttp.ClientTimeout(total=timeout),
        ) as answer:
            await answer.content.read(MAX_BODY_BYTES)
            if 200 <= answer.status < 400:
                return Outcome(True)
            return Outcome(False, f"HTTP probe failed with statuscode: {answer.status}")
    except TimeoutError:
        return Outcome(False, quoted + "context deadline exceeded (Client.Timeout exceeded while awaiting headers)")
    except aiohttp.ClientConnectorError as error:
        where = url.split("/")[2]
        return Outcome(False, f"{quoted}dial tcp {where}: {_connect_error(error.os_error)}")
    except aiohttp.ServerDisconnectedError:
        return Outcome(False, quoted + "EOF")
    except (aiohttp.ClientError, OSError) as error:
        return Outcome(False, f"{quoted}{error}")


def _connect_error(error: OSError) -> str:
    if isinstance(error, ConnectionRefusedError) or error.errno == 111:
        return "connect: connection refused"
    return f"connect: {(error.strerror or str(error)).lower()}"


async def watch(
    probe: JSON,
    target: Target,
    *,
    early: bool,
    on_result: Callable[[bool], None],
    on_failure: Callable[[str], None],
) -> None:
    """Probe again and again until cancelled.

    Args:
        early: try in between until the first success.
        on_result: told the state when a threshold of successes or failures is reached.
        on_failure: told the message of each failed attempt that counts.
    """
    period = float(probe.get("periodSeconds") or 10)
    needed = {True: int(probe.get("successThreshold") or 1), False: int(probe.get("failureThreshold") or 3)}
    await asyncio.sleep(float(probe.get("initialDelaySeconds") or 0))
    loop = asyncio.get_running_loop()
    last, run = None, 0
    due = loop.time() + (period if early else 0.0)
    wait = EARLY_FIRST_SECONDS
    while True:
        try:
            outcome = await attempt(probe, target)
        except Exception as error:
            log.exception("probe %s", probe)
            outcome = Outcome(False, str(error))
        counts = loop.time() >= due
        if outcome.success:
            early = False
        if outcome.success or counts:
            run = run + 1 if outcome.success == last else 1
            last = outcome.success
            if not outcome.success:
                on_failure(outcome.message)
            if run >= needed[outcome.success]:
                on_result(outcome.success)
        if counts:
            due += period * max(1, -(-(loop.time() - due) // period))
        elif outcome.success:
            due = loop.time() + period
        if early and wait < period:
            await asyncio.sleep(max(0.0, min(wait, due - loop.time())))
            wait = min(wait * EARLY_FACTOR, EARLY_MAX_SECONDS)
        else:
            await asyncio.sleep(max(0.0, due - loop.time()))


async def run_hook(handler: JSON, target: Target, timeout: float) -> str:
    """Run a postStart or preStop handler; the answer is empty or says what failed. Raises `TimeoutError`."""
    async with asyncio.timeout(timeout):
        if action := handler.get("exec"):
            code, output = await target.exec(action.get("command") or [], timeout)
            command = " ".join(action.get("command") or [])
            if code is None:
                return f"command '{command}' timed out"
            return "" if code == 0 else f"command '{command}' exited with {code}: {output}"
        if action := handler.get("httpGet"):
            outcome = await _http(action, target, timeout)
            return "" if outcome.success else outcome.message
        if action := handler.get("sleep"):
            await asyncio.sleep(float(action["seconds"]))
            return ""
        if action := handler.get("tcpSocket"):
            outcome = await _tcp(action.get("host") or target.address, target.port(action["port"]), timeout)
            return "" if outcome.success else outcome.message
    return ""
