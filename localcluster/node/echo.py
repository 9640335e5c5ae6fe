"""The image `localcluster/echo`: an HTTP server that answers with what it was asked, and from which pod.

`/healthz` is 200, `/status/503` that status, `/exit/3` ends the process with that code; all else is a JSON description
of the request. It listens on the pod's address and `PORT` (8080). On SIGTERM it answers what it was asked, then ends.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal

_busy: set[asyncio.StreamWriter] = set()
_DRAIN_SECONDS = 0.1
"""A connection may be there whose request has not come yet."""


async def _serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while line := await reader.readline():
            _busy.add(writer)
            method, target, _ = line.decode().split(" ", 2)
            headers = {}
            while (header := await reader.readline()).strip():
                name, _, value = header.decode().partition(":")
                headers[name.strip().lower()] = value.strip()
            body = await reader.readexactly(int(headers.get("content-length", 0)))
            status, word = 200, target.rpartition("/")[2]
            if target.startswith("/exit/"):
                os._exit(int(word))
            if target.startswith("/status/"):
                status = int(word)
            answer = json.dumps(
                {
                    "method": method,
                    "path": target,
                    "headers": headers,
                    "body": body.decode(errors="replace"),
                    "pod": os.environ.get("HOSTNAME", ""),
                    "address": os.environ.get("LOCALCLUSTER_POD_IP", ""),
                }
            ).encode()
            print(f"{method} {target} {status}", flush=True)
            writer.write(
                b"HTTP/1.1 %d Echo\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
                % (status, len(answer))
            )
            writer.write(answer)
            await writer.drain()
            _busy.discard(writer)
    except (ConnectionError, asyncio.IncompleteReadError):
        pass
    finally:
        _busy.discard(writer)
        writer.close()


async def _main() -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    host = os.environ.get("LOCALCLUSTER_POD_IP", "127.0.0.1")
    port = int(os.environ.get("PORT", "8080"))
    server = await asyncio.start_server(_serve, host, port)
    print(f"listening on {host}:{port}", flush=True)
    await stop.wait()
    server.close()
    await asyncio.sleep(_DRAIN_SECONDS)
    while _busy:  # noqa: ASYNC110 - the last one of them ends this process
        await asyncio.sleep(0.01)


if __name__ == "__main__":
    asyncio.run(_main())
