"""The contract of Kubeless, over real sockets: events, contexts, paths, methods, returns and errors."""

import http.client
import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from .conftest import HOST, ServedFunction

SOURCE = """
import asyncio, datetime, io, sys
from flask import Response, abort, jsonify, request as current
from werkzeug.wrappers import Response as WerkzeugResponse

RETURNS = {
    "str": lambda e: "grüße",
    "bytes": lambda e: b"\\x00\\xff",
    "dict": lambda e: {"b": 1, "a": [2]},
    "list": lambda e: [1, "two"],
    "number": lambda e: 3.5,
    "true": lambda e: True,
    "none": lambda e: None,
    "body-status": lambda e: ("made", 201),
    "body-headers": lambda e: ("x", {"X-One": "1"}),
    "body-status-headers": lambda e: ({"a": 1}, 418, [("X-One", "1"), ("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")]),
    "status-line": lambda e: ("no", "404 NOT HERE"),
    "response": lambda e: Response("made by hand", 202, mimetype="text/plain"),
    "werkzeug": lambda e: WerkzeugResponse("wz", 203),
    "jsonify": lambda e: jsonify(a=datetime.date(2026, 1, 1)),
    "generator": lambda e: (f"{i}," for i in range(3)),
    "empty-generator": lambda e: iter(()),
    "generator-tuple": lambda e: ((f"{i}," for i in range(2)), 201, {"X-One": "1"}),
    "file": lambda e: io.BytesIO(b"content"),
    "object": lambda e: object(),
    "set-in-dict": lambda e: {"a": {1}},
    "bad-status": lambda e: ("x", 1000),
    "bad-header": lambda e: ("x", 200, {"A": "b\\r\\nSet-Cookie: c"}),
    "four": lambda e: (1, 2, 3, 4),
    "raise": lambda e: {}["secret-key"],
    "exit": lambda e: sys.exit(4),
    "abort": lambda e: abort(403),
    "awaitable": lambda e: asyncio.sleep(0, "awaited"),
    "flask-request": lambda e: current.path + " " + e["extensions"]["request"].path,
}

def fail_first():
    raise RuntimeError("before the first chunk")
    yield ""

def fail_second():
    yield "begun"
    raise RuntimeError("after the first chunk")

async def count():
    for i in range(3):
        yield f"{i}."
        await asyncio.sleep(0)

RETURNS["fail-first"] = lambda e: fail_first()
RETURNS["fail-second"] = lambda e: fail_second()
RETURNS["async-gen"] = lambda e: count()

def handler(event, context):
    request = event["extensions"]["request"]
    wanted = request.args.get("return")
    if wanted:
        return RETURNS[wanted](event)
    data = event["data"]
    return {
        "data": data.decode("latin-1") if isinstance(data, bytes) else data,
        "type": type(data).__name__,
        "event": {key: value for key, value in event.items() if key not in ("data", "extensions")},
        "context": context,
        "method": request.method,
        "path": request.path,
        "kubeless": [
            request.get_header("Host"),
            request.query.get("q"),
            request.forms.get("f"),
            request.params.get("q"),
            request.body.read().decode("latin-1"),
        ],
    }
"""


@pytest.fixture(scope="module")
def function(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedFunction]:
    served = ServedFunction(
        tmp_path_factory.mktemp("contract"), SOURCE, {"FUNC_MAX_BODY": "64Ki", "FUNC_TIMEOUT": "30"}
    )
    served.wait_ready()
    yield served
    served.stop()


def test_event_carries_headers_and_context_the_settings(function: ServedFunction) -> None:
    names = ("event-id", "event-type", "event-time", "event-namespace")
    answer = requests.post(function.url, data=b"raw", headers={name: f"v-{name}" for name in names}, timeout=10).json()
    assert answer["event"] == {name: f"v-{name}" for name in names}
    assert answer["context"] == {
        "function-name": "handler",
        "timeout": 30,
        "runtime": "python3.11",
        "memory-limit": "128Mi",
    }
    assert function.get().json()["event"] == dict.fromkeys(names)


@pytest.mark.parametrize(
    ("content_type", "body", "data", "kind"),
    [
        ("application/json", b'{"a": [1]}', {"a": [1]}, "dict"),
        ("application/json; charset=utf-8", '"ü"'.encode(), "ü", "str"),
        ("application/json", b"", None, "NoneType"),
        ("text/plain", b'{"a": 1}', '{"a": 1}', "bytes"),
        ("application/octet-stream", b"\x00\xff", "\x00\xff", "bytes"),
        (None, b"x", "x", "bytes"),
    ],
)
def test_data_is_json_when_the_content_type_says_so_else_bytes(
    function: ServedFunction, content_type: str | None, body: bytes, data: object, kind: str
) -> None:
    headers = {"Content-Type": content_type} if content_type else {}
    answer = requests.post(function.url, data=body, headers=headers, timeout=10).json()
    assert (answer["data"], answer["type"]) == (data, kind)


@pytest.mark.parametrize("method", ["GET", "POST", "PATCH", "PUT", "DELETE"])
@pytest.mark.parametrize("path", ["/", "/a/b", "//a//b", "/a%2Fb/%C3%BC", "/healthz/", "/static/x", "/.."])
def test_any_path_and_method_call_the_function(function: ServedFunction, method: str, path: str) -> None:
    connection = http.client.HTTPConnection(HOST, function.port, timeout=10)
    connection.request(method, path)
    response = connection.getresponse()
    assert response.status == 200
    assert json.loads(response.read())["method"] == method
    connection.close()


def test_posts_to_the_runtimes_own_paths_are_calls(function: ServedFunction) -> None:
    assert requests.post(f"{function.url}/healthz", timeout=10).json()["path"] == "/healthz"
    assert requests.post(f"{function.url}/metrics", timeout=10).json()["path"] == "/metrics"


def test_head_is_a_call_without_the_body(function: ServedFunction) -> None:
    response = requests.head(function.url + "?return=str", timeout=10)
    assert (response.status_code, response.headers["Content-Length"], response.text) == (200, "7", "")
    assert requests.head(function.url + "?return=generator", timeout=10).status_code == 200


def test_options_and_unknown_methods_do_not_call(function: ServedFunction) -> None:
    before = function.metric("function_calls_total", "GET")
    options = requests.options(function.url, timeout=10)
    assert (options.status_code, options.text) == (204, "")
    assert set(options.headers["Allow"].split(", ")) >= {"GET", "POST", "PATCH", "PUT", "DELETE", "OPTIONS"}
    assert requests.request("BREW", function.url, timeout=10).status_code == 405
    assert function.metric("function_calls_total", "GET") == before
    assert "BREW" not in function.get("/metrics").text


@pytest.mark.parametrize(
    ("wanted", "status", "body", "content_type"),
    [
        ("str", 200, "grüße".encode(), "text/html; charset=utf-8"),
        ("bytes", 200, b"\x00\xff", "text/html; charset=utf-8"),
        ("dict", 200, b'{"b": 1, "a": [2]}', "application/json"),
        ("list", 200, b'[1, "two"]', "application/json"),
        ("number", 200, b"3.5", "application/json"),
        ("true", 200, b"true", "application/json"),
        ("none", 200, b"", "text/html; charset=utf-8"),
        ("body-status", 201, b"made", "text/html; charset=utf-8"),
        ("status-line", 404, b"no", "text/html; charset=utf-8"),
        ("response", 202, b"made by hand", "text/plain; charset=utf-8"),
        ("werkzeug", 203, b"wz", None),
        ("generator", 200, b"0,1,2,", "text/html; charset=utf-8"),
        ("empty-generator", 200, b"", "text/html; charset=utf-8"),
        ("generator-tuple", 201, b"0,1,", "text/html; charset=utf-8"),
        ("async-gen", 200, b"0.1.2.", "text/html; charset=utf-8"),
        ("file", 200, b"content", "application/octet-stream"),
        ("awaitable", 200, b"awaited", "text/html; charset=utf-8"),
        ("flask-request", 200, b"/ /", "text/html; charset=utf-8"),
        ("abort", 403, None, "text/html; charset=utf-8"),
    ],
)
def test_returns(
    function: ServedFunction, wanted: str, status: int, body: bytes | None, content_type: str | None
) -> None:
    response = function.get(f"/?return={wanted}")
    assert response.status_code == status
    if body is not None:
        assert response.content == body
    if content_type is not None:
        assert response.headers["Content-Type"] == content_type


def test_returned_headers_arrive_each(function: ServedFunction) -> None:
    response = function.get("/?return=body-status-headers")
    assert (response.status_code, response.json(), response.headers["X-One"]) == (418, {"a": 1}, "1")
    assert response.cookies.get_dict() == {"a": "1", "b": "2"}
    assert function.get("/?return=body-headers").headers["X-One"] == "1"


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        ("object", "returned a object; it may return str"),
        ("set-in-dict", "raised TypeError"),
        ("bad-status", "the status 1000"),
        ("bad-header", "headers that cannot be sent"),
        ("four", "a tuple of 4"),
        ("raise", "raised KeyError"),
        ("exit", "raised SystemExit"),
        ("fail-first", "raised RuntimeError"),
    ],
)
def test_errors_are_500_with_a_line_of_json_and_the_traceback_in_the_log(
    function: ServedFunction, wanted: str, words: str
) -> None:
    failures = function.metric("function_failures_total", "GET")
    response = function.get(f"/?return={wanted}")
    assert response.status_code == 500
    assert response.headers["Content-Type"] == "application/json"
    assert response.text.count("\n") == 1 and response.text.endswith("\n")
    assert words in response.json()["error"]
    assert "secret-key" not in response.text and "Traceback" not in response.text
    assert function.metric("function_failures_total", "GET") == failures + 1
    if wanted == "raise":
        traceback = function.log.rpartition("Traceback")[2]
        assert "KeyError: 'secret-key'" in traceback
        assert "runtimes/python" not in traceback


def test_a_stream_that_fails_late_is_cut_off_and_not_ended(function: ServedFunction) -> None:
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        function.get("/?return=fail-second")
    assert function.get().status_code == 200


@pytest.mark.parametrize("body", [b"{", b"{'a': 1}", b"\xff\xfe\xfd", b"[" * 60_000, b"1" * 5000])
def test_json_that_does_not_parse_is_400(function: ServedFunction, body: bytes) -> None:
    before = function.metric("function_calls_total")
    response = requests.post(function.url, data=body, headers={"Content-Type": "application/json"}, timeout=10)
    assert response.status_code == 400
    assert "not JSON" in response.json()["error"]
    assert function.metric("function_calls_total") == before


def test_bodies_up_to_the_limit_and_no_further(function: ServedFunction) -> None:
    def chunked(size: int) -> Iterator[bytes]:
        yield b"x" * (size - 1)
        yield b"y"

    limit = 64 * 1024
    assert len(requests.post(function.url, data=b"x" * limit, timeout=10).json()["data"]) == limit
    assert len(requests.post(function.url, data=chunked(limit), timeout=10).json()["data"]) == limit
    for body in (b"x" * (limit + 1), chunked(limit + 1), chunked(10 * limit)):
        response = requests.post(function.url, data=body, timeout=10)
        assert response.status_code == 413
        assert "64 KiB" in response.json()["error"]


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nab\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET / H",
    ],
)
def test_a_body_that_is_not_whole_never_reaches_the_function(function: ServedFunction, request_bytes: bytes) -> None:
    before = function.metric("function_calls_total")
    with socket.create_connection((HOST, function.port), timeout=10) as client:
        client.sendall(request_bytes)
        client.shutdown(socket.SHUT_WR)
        answer = b"".join(iter(lambda: client.recv(4096), b""))
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert answer.count(b"HTTP/1.1 ") == 1
    assert function.metric("function_calls_total") == before


def test_names_of_kubeless_requests_work(function: ServedFunction) -> None:
    answer = requests.post(f"{function.url}/?q=1", data={"f": "2"}, timeout=10).json()
    assert answer["kubeless"] == [f"{HOST}:{function.port}", "1", "2", "1", "f=2"]


def test_each_call_is_one_line_of_log_whatever_the_caller_sends(function: ServedFunction) -> None:
    before = len(function.log.splitlines())
    function.get("/a%0Ab?token=secret", headers={"event-id": "x y"})
    lines = function.log.splitlines()[before:]
    assert len(lines) == 1
    assert "GET /a%0Ab 200 " in lines[0] and lines[0].endswith("ms event-id=x\\x20y")


def test_keep_alive_connections_are_reused(function: ServedFunction) -> None:
    connection = http.client.HTTPConnection(HOST, function.port, timeout=10)
    connection.request("GET", "/")
    connection.getresponse().read()
    local = connection.sock.getsockname()
    connection.request("POST", "/", b"body")
    assert connection.getresponse().read()
    assert connection.sock.getsockname() == local
    connection.close()


def test_source_is_not_written_to(function: ServedFunction) -> None:
    folder = Path(function.termination_log).parent
    assert {entry.name for entry in folder.iterdir()} <= {"hello.py", "__pycache__", "log", "tmp"}
