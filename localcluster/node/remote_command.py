"""Exec, attach and port-forward over WebSockets: the `v5.channel.k8s.io` and `v4.channel.k8s.io` protocols.

The first byte of each message is its channel: 0 stdin, 1 stdout, 2 stderr, 3 the final Status, 4 terminal size; 255
closes a channel (v5 only). Protocol: k8s.io/apimachinery `util/remotecommand`, k8s.io/kubelet `pkg/cri/streaming`.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any

from aiohttp import WSMsgType, web

from localcluster.node.provider import Session

JSON = dict[str, Any]

PROTOCOLS = ("v5.channel.k8s.io", "v4.channel.k8s.io", "channel.k8s.io")
PORT_FORWARD_PROTOCOLS = ("v4.channel.k8s.io",)
STDIN, STDOUT, STDERR, ERROR, RESIZE, CLOSE = 0, 1, 2, 3, 4, 255
READ_BYTES = 32 * 1024


def exit_status(code: int) -> JSON:
    """The Status that ends an exec."""
    if code == 0:
        return {"metadata": {}, "status": "Success"}
    return {
        "metadata": {},
        "status": "Failure",
        "message": f"command terminated with non-zero exit code: exit status {code}",
        "reason": "NonZeroExitCode",
        "details": {"causes": [{"reason": "ExitCode", "message": str(code)}]},
    }


def failure_status(message: str) -> JSON:
    return {
        "metadata": {},
        "status": "Failure",
        "message": f"Internal error occurred: error executing command in container: {message}",
        "reason": "InternalError",
        "details": {"causes": [{"message": f"error executing command in container: {message}"}]},
        "code": 500,
    }


def is_upgrade(request: web.BaseRequest) -> bool:
    return request.headers.get("Upgrade", "").lower() == "websocket"


async def serve(
    request: web.BaseRequest, session: Session, *, stdin: bool, streams: Sequence[int]
) -> web.WebSocketResponse:
    """Connect a session to a WebSocket until the program ends or the client goes."""
    socket = web.WebSocketResponse(protocols=PROTOCOLS, max_msg_size=0, compress=False, heartbeat=30.0)
    await socket.prepare(request)
    receiving = asyncio.create_task(_receive(socket, session, stdin))
    sending = asyncio.create_task(_send(socket, session, streams))
    try:
        await asyncio.wait({receiving, sending}, return_when=asyncio.FIRST_COMPLETED)
        if not sending.done() and socket.closed:
            # The client has gone; a program in a terminal hears of it, others end.
            return socket
        await sending
        code = await session.wait()
        await socket.send_bytes(bytes([ERROR]) + json.dumps(exit_status(code)).encode())
    except (ConnectionError, RuntimeError):
        pass
    finally:
        session.kill()
        for task in (receiving, sending):
            task.cancel()
    await socket.close()
    return socket


async def refuse(request: web.BaseRequest, message: str) -> web.WebSocketResponse:
    """A program that cannot be started is told of in the stream, as by a kubelet."""
    socket = web.WebSocketResponse(protocols=PROTOCOLS, compress=False)
    await socket.prepare(request)
    await socket.send_bytes(bytes([ERROR]) + json.dumps(failure_status(message)).encode())
    await socket.close()
    return socket


async def _receive(socket: web.WebSocketResponse, session: Session, stdin: bool) -> None:
    async for message in socket:
        if message.type is WSMsgType.TEXT:
            data: bytes = message.data.encode()
        elif message.type is WSMsgType.BINARY:
            data = message.data
        else:
            continue
        if not data:
            continue
        channel, payload = data[0], data[1:]
        if channel == STDIN and stdin:
            await session.write(payload)
        elif channel == RESIZE:
            size = json.loads(payload)
            session.resize(int(size.get("Width", 0)), int(size.get("Height", 0)))
        elif channel == CLOSE and payload[:1] == bytes([STDIN]):
            session.close_input()
    session.close_input()


async def _send(socket: web.WebSocketResponse, session: Session, streams: Sequence[int]) -> None:
    async for stream, data in session.read_output():
        if stream in streams:
            await socket.send_bytes(bytes([stream]) + data)


async def forward_ports(request: web.BaseRequest, ports: Sequence[int], connect: Any) -> web.WebSocketResponse:
    """Port-forward as the v4 protocol has it: for the n-th port channel 2n carries data, 2n+1 errors; each starts with
    the port in two bytes, little endian. `connect` opens a connection to a port."""
    socket = web.WebSocketResponse(protocols=PORT_FORWARD_PROTOCOLS, max_msg_size=0, compress=False)
    await socket.prepare(request)
    writers: dict[int, asyncio.StreamWriter] = {}
    tasks: list[asyncio.Task[None]] = []

    async def pump(channel: int, reader: asyncio.StreamReader) -> None:
        while data := await reader.read(READ_BYTES):
            await socket.send_bytes(bytes([channel]) + data)
        await socket.close()

    for number, port in enumerate(ports):
        start = port.to_bytes(2, "little")
        await socket.send_bytes(bytes([2 * number]) + start)
        await socket.send_bytes(bytes([2 * number + 1]) + start)
        try:
            reader, writers[2 * number] = await connect(port)
        except OSError as error:
            text = f"error forwarding port {port} to pod: {error.strerror or error}"
            await socket.send_bytes(bytes([2 * number + 1]) + text.encode())
            continue
        tasks.append(asyncio.create_task(pump(2 * number, reader)))
    try:
        async for message in socket:
            if message.type is WSMsgType.BINARY and message.data and (writer := writers.get(message.data[0])):
                writer.write(message.data[1:])
                await writer.drain()
    except ConnectionError:
        pass
    finally:
        for task in tasks:
            task.cancel()
        for writer in writers.values():
            writer.close()
    await socket.close()
    return socket
