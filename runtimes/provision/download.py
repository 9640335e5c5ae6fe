"""Downloading a function from a URL: http and https only, with limits of size, time and redirects."""

import http.client
import threading
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit, urlunsplit

from runtimes.provision.errors import ProvisionError
from runtimes.sizes import format_size

MAX_REDIRECTS = 5
CHUNK_BYTES = 64 * 1024
STALL_SECONDS = 30.0  # longest wait for one read


def download(url: str, target: Path, max_bytes: int, timeout_seconds: float) -> None:
    """Write what `url` answers with into `target`; raises ProvisionError naming the URL without its secrets.

    `timeout_seconds` is for all of it, name resolution and redirects included, and however slowly it drips.
    """
    check_url(url)
    failure: list[BaseException] = []

    def fetch() -> None:
        try:
            _fetch(url, target, max_bytes, min(STALL_SECONDS, timeout_seconds))
        except BaseException as error:
            failure.append(error)

    # In a thread, because nothing else bounds a server that sends a byte now and then.
    thread = threading.Thread(target=fetch, daemon=True)
    thread.start()
    thread.join(timeout_seconds)
    if thread.is_alive():
        raise ProvisionError(f"downloading {shown(url)} took longer than {timeout_seconds:g} s")
    if failure:
        raise _explained(failure[0], url)


def check_url(url: str) -> None:
    """Raise ProvisionError unless `url` is one that is downloaded."""
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 - raises for a port that is none
    except ValueError as error:
        raise ProvisionError(f"the function's URL is wrong: {error}") from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ProvisionError(f"the function's URL must begin with http:// or https://, not {url[:40]!r}")
    if parts.username is not None or parts.password is not None:
        raise ProvisionError("the function's URL has a user or password in it, which is not supported")
    if not url.isascii() or any(character <= " " or character == "\x7f" for character in url):
        raise ProvisionError("the function's URL has characters in it that must be percent-encoded")


def shown(url: str) -> str:
    """`url` for a message: without its query and user, which may be secret."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


class _Redirects(urllib.request.HTTPRedirectHandler):
    max_redirections = MAX_REDIRECTS
    max_repeats = 2

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        check_url(newurl)
        if req.type == "https" and urlsplit(newurl).scheme != "https":
            raise ProvisionError(
                f"{shown(req.full_url)} redirects from https to {shown(newurl)}, which is not followed"
            )
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _opener() -> urllib.request.OpenerDirector:
    """An opener that knows nothing but HTTP: build_opener() would add file, ftp and data."""
    opener = urllib.request.OpenerDirector()
    handlers: list[Callable[[], urllib.request.BaseHandler]] = [
        urllib.request.ProxyHandler,
        urllib.request.HTTPHandler,
        urllib.request.HTTPSHandler,
        urllib.request.HTTPDefaultErrorHandler,
        urllib.request.HTTPErrorProcessor,
        urllib.request.UnknownHandler,
        _Redirects,
    ]
    for handler in handlers:
        opener.add_handler(handler())
    opener.addheaders = [("User-Agent", "kubeless-provision")]
    return opener


def _fetch(url: str, target: Path, max_bytes: int, stall_seconds: float) -> None:
    with _opener().open(url, timeout=stall_seconds) as response, target.open("wb") as file:
        length = response.headers.get("Content-Length", "")
        if length.isdigit() and int(length) > max_bytes:
            raise _too_large(url, max_bytes, f" ({format_size(int(length))})")
        received = 0
        while chunk := response.read(CHUNK_BYTES):
            received += len(chunk)
            if received > max_bytes:
                raise _too_large(url, max_bytes, "")
            file.write(chunk)
        if length.isdigit() and received < int(length):
            raise ProvisionError(f"{shown(url)} ended after {received} of {length} bytes")


def _too_large(url: str, max_bytes: int, size: str) -> ProvisionError:
    return ProvisionError(f"{shown(url)} is larger{size} than a function may be, {format_size(max_bytes)}")


def _explained(error: BaseException, url: str) -> BaseException:
    match error:
        case ProvisionError():
            return error
        case urllib.error.HTTPError():
            if "is not allowed" in str(error.reason):
                return ProvisionError(f"{shown(url)} redirects to what is neither http nor https")
            if error.code in (301, 302, 303, 307, 308):
                return ProvisionError(f"{shown(url)} redirects more than {MAX_REDIRECTS} times, or in a circle")
            return ProvisionError(f"{shown(url)} answered {error.code} {error.reason}")
        case TimeoutError():
            return ProvisionError(f"{shown(url)} did not answer within {STALL_SECONDS:g} s")
        case urllib.error.URLError():
            return ProvisionError(f"{shown(url)} cannot be reached: {error.reason}")
        case OSError() | http.client.HTTPException():
            return ProvisionError(f"downloading {shown(url)} failed: {error or type(error).__name__}")
    return error
