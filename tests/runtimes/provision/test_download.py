"""Downloads: what is asked for, and nothing that is too large, too slow or somewhere else."""

import time
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from runtimes.provision.download import download, shown
from runtimes.provision.errors import ProvisionError

from .conftest import WebServer

MAX_BYTES = 1000


def refused(tmp_path: Path, url: str, words: str, seconds: float = 5) -> str:
    with pytest.raises(ProvisionError, match=words) as caught:
        download(url, tmp_path / "target", MAX_BYTES, seconds)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_what_the_url_answers_is_written(tmp_path: Path, web: WebServer) -> None:
    web.redirect("/a", "/b?x=1")
    web.serve("/b?x=1", b"x" * MAX_BYTES)
    download(f"{web.url}/a", tmp_path / "target", MAX_BYTES, 5)
    assert (tmp_path / "target").read_bytes() == b"x" * MAX_BYTES


def test_too_large_is_refused_with_and_without_a_length(tmp_path: Path, web: WebServer) -> None:
    refused(tmp_path, web.serve("/large", b"x" * (MAX_BYTES + 1)), "larger.* than a function may be, 1000 bytes")

    def endless(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.end_headers()
        try:
            while True:
                request.wfile.write(b"x" * 4096)
        except OSError:
            pass

    web.answers["/endless"] = endless
    refused(tmp_path, f"{web.url}/endless", "larger than a function may be")


def test_a_dripping_server_is_given_up_at_the_limit(tmp_path: Path, web: WebServer) -> None:
    def drip(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.end_headers()
        try:
            while True:
                request.wfile.write(b"x")
                time.sleep(0.05)
        except OSError:
            pass

    web.answers["/drip"] = drip
    start = time.monotonic()
    refused(tmp_path, f"{web.url}/drip", "took longer than 0.4 s", 0.4)
    assert time.monotonic() - start < 1


def test_a_body_that_ends_early_is_refused(tmp_path: Path, web: WebServer) -> None:
    def short(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.send_header("Content-Length", "100")
        request.end_headers()
        request.wfile.write(b"x" * 10)

    web.answers["/short"] = short
    refused(tmp_path, f"{web.url}/short", "ended after 10 of 100 bytes|failed")


@pytest.mark.parametrize("location", ["file:///etc/passwd", "ftp://127.0.0.1/x", "gopher://127.0.0.1/", "data:,x"])
def test_other_schemes_are_refused_and_redirects_to_them(tmp_path: Path, web: WebServer, location: str) -> None:
    refused(tmp_path, location, "must begin with http:// or https://")
    refused(tmp_path, web.redirect("/away", location), "neither http nor https|must begin with http")
    assert not (tmp_path / "target").exists()


def test_redirects_in_a_circle_end(tmp_path: Path, web: WebServer) -> None:
    web.redirect("/a", "/b")
    refused(tmp_path, web.redirect("/b", "/a"), "redirects more than 5 times, or in a circle")


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("", "must begin with http"),
        ("example.com/f.py", "must begin with http"),
        ("http://", "must begin with http"),
        ("http://u:p@127.0.0.1/f.py", "user or password"),
        ("http://127.0.0.1:99999/", "URL is wrong"),
        ("http://127.0.0.1/a b", "percent-encoded"),
        ("http://127.0.0.1/\r\nX: y", "percent-encoded"),
        ("http://[::1", "URL is wrong"),
        ("http://127.0.0.1:1/f.py", "cannot be reached"),
    ],
)
def test_urls_that_cannot_be_used_are_refused(tmp_path: Path, url: str, words: str) -> None:
    refused(tmp_path, url, words)


def test_an_error_is_named_without_the_secrets_of_the_url(tmp_path: Path, web: WebServer) -> None:
    message = refused(tmp_path, f"{web.url}/missing.py?token=secret", "answered 404 Not Found")
    assert "secret" not in message and "/missing.py" in message
    assert shown("https://user:pass@host:1/p?q=1#f") == "https://host:1/p"
