"""What a user did wrong is said in the status in words to act on, and the last good version goes on serving."""

from __future__ import annotations

import base64
import bz2
import hashlib
import io
import re
import tarfile
import zipfile
from collections.abc import Callable
from typing import Any

import pytest
import yaml

from tests.e2e.user import User, make_function

JSON = dict[str, Any]

pytestmark = pytest.mark.timeout(300)

GOOD = "def handler(event, context):\n    return 'good'\n"
GIB = 2**30


# ---- archives


def base64_text(content: bytes) -> str:
    return base64.b64encode(content).decode()


def zip_of(files: dict[str, str]) -> str:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return base64_text(content.getvalue())


def tar_with_symlink() -> str:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as archive:
        link = tarfile.TarInfo("code.py")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    return base64_text(content.getvalue())


def tar_of_zeros(size: int) -> str:
    """A bzip2 stream may be put together of streams, so ten gigabytes are quickly made."""
    entry = tarfile.TarInfo("zeros")
    entry.size = size
    piece = bz2.compress(bytes(GIB // 16))
    return base64_text(bz2.compress(entry.tobuf()) + piece * (size // (GIB // 16)) + bz2.compress(bytes(1024)))


# ---- what is wrong in the function itself: name -> (spec, reason, words of the message)

STATUS_CASES: dict[str, tuple[JSON, str, list[str]]] = {
    "module-missing": (
        {"function": zip_of({"other.py": GOOD}), "function_content_type": "base64+zip"},
        "ProvisioningFailed",
        ["the archive has no code.py at its top", "other.py"],
    ),
    "attribute-missing": (
        {"function": "def other(event, context): ..."},
        "HandlerFailed",
        ["module 'code' has no function 'handler'", "it has: other"],
    ),
    "not-callable": ({"function": "handler = 3"}, "HandlerFailed", ["code.handler is a int, not a function"]),
    "syntax-error": ({"function": "def handler(event, context)\n  return"}, "HandlerFailed", ["code.py line 1"]),
    "import-error": (
        {"function": "import nowhere_to_be_found\n" + GOOD},
        "HandlerFailed",
        ["No module named 'nowhere_to_be_found'", "deps"],
    ),
    "error-on-import": (
        {"function": "LIMIT = 1 / 0\n" + GOOD},
        "HandlerFailed",
        ["code.py line 1", "ZeroDivisionError: division by zero"],
    ),
    "unknown-runtime": ({"runtime": "cobol85"}, "UnknownRuntime", ['"cobol85"', "python3.11"]),
    "refused-runtime": ({"runtime": "python2.7"}, "UnsupportedRuntime", ["Python 2", "python3"]),
    "unshipped-runtime": ({"runtime": "ruby2.6"}, "UnsupportedRuntime", ["ruby", "not shipped"]),
    "checksum-wrong": (
        {"function": GOOD + "# changed", "checksum": "sha256:" + hashlib.sha256(b"other").hexdigest()},
        "ProvisioningFailed",
        ["the function's checksum is sha256:", "but the spec says sha256:"],
    ),
    "base64-broken": (
        {"function": "!!! no base64 !!!", "function_content_type": "base64"},
        "ProvisioningFailed",
        ["the function is not base64"],
    ),
    "zip-broken": (
        {"function": base64_text(b"PK and so on"), "function_content_type": "base64+zip"},
        "ProvisioningFailed",
        ["zip", "broken"],
    ),
    "path-outside": (
        {"function": zip_of({"../../outside.py": GOOD}), "function_content_type": "base64+zip"},
        "ProvisioningFailed",
        ["outside of itself", "../../outside.py"],
    ),
    "symlink": (
        {"function": tar_with_symlink(), "function_content_type": "base64+compressedtar"},
        "ProvisioningFailed",
        ["link", "code.py"],
    ),
    "ten-gigabytes": (
        {"function": tar_of_zeros(10 * GIB), "function_content_type": "base64+compressedtar"},
        "ProvisioningFailed",
        ["unpacks to more than"],
    ),
    "no-such-url": (
        {"function": "http://127.0.0.1:9/code.py", "function_content_type": "url"},
        "ProvisioningFailed",
        ["http://127.0.0.1:9/code.py", "cannot be reached"],
    ),
    "no-such-dependency": (
        {"function": GOOD + "# changed", "deps": "kubeless-py-there-is-no-such-package==1.0\n"},
        "ProvisioningFailed",
        ["the dependencies could not be installed", "kubeless-py-there-is-no-such-package"],
    ),
    "port-clash": (
        {"service": {"ports": [{"name": "a", "port": 8080}, {"name": "b", "port": 8080}]}},
        "InvalidSpec",
        ["spec.service", "8080"],
    ),
    "unknown-deployment-field": (
        {"deployment": {"spec": {"template": {"spec": {"containerz": []}}}}},
        "InvalidSpec",
        ["spec.deployment", "containerz"],
    ),
}


@pytest.fixture(scope="module")
def broken(make_user: Callable[[], User]) -> User:
    """A user whose functions were all good, and then each got one thing wrong."""
    user = make_user()
    user.apply(*(make_function(name, GOOD) for name in STATUS_CASES))
    user.wait_ready(*STATUS_CASES, seconds=120)
    user.apply(
        *(make_function(name, **{"source": GOOD, **bad_spec(spec)}) for name, (spec, *_) in STATUS_CASES.items())
    )
    return user


def bad_spec(spec: JSON) -> JSON:
    return {"source" if field == "function" else field: value for field, value in spec.items()}


@pytest.mark.parametrize("name", STATUS_CASES)
def test_the_status_says_what_is_wrong(broken: User, name: str) -> None:
    _, reason, words = STATUS_CASES[name]
    message = broken.wait_not_ready(name, reason)
    for word in words:
        assert word in message
    assert "the version before goes on serving" in message
    assert broken.call(name).text == "good"


def test_the_message_is_an_event_and_what_kubectl_shows(broken: User) -> None:
    message = broken.wait_not_ready("attribute-missing", "HandlerFailed").splitlines()[0]
    assert message in broken.kubectl("get", "function", "attribute-missing", "-o", "wide")
    described = broken.kubectl("describe", "function", "attribute-missing")
    assert re.search(rf"Warning +HandlerFailed .* {re.escape(message)}", described)


def test_a_broken_function_that_is_repaired_is_ready_again(user: User) -> None:
    user.apply(make_function("repaired", "def handler(event"))
    user.wait_not_ready("repaired", "HandlerFailed")
    user.apply(make_function("repaired", GOOD))
    user.wait_ready("repaired")
    assert user.call("repaired").text == "good"


# ---- what is wrong around it


@pytest.mark.parametrize("kind", ["ConfigMap", "Service", "Deployment"])
def test_an_object_of_somebody_else_is_left_alone(user: User, kind: str) -> None:
    labels = {"app": "mine"}
    container = {"name": "c", "image": "registry.k8s.io/pause"}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [container]}}
    foreign: dict[str, JSON] = {
        "ConfigMap": {"apiVersion": "v1", "data": {"mine": "yes"}},
        "Service": {"apiVersion": "v1", "spec": {"ports": [{"port": 99}]}},
        "Deployment": {
            "apiVersion": "apps/v1",
            "spec": {"replicas": 0, "selector": {"matchLabels": labels}, "template": template},
        },
    }
    user.kubectl(
        "create", "-f", "-", stdin=yaml.safe_dump({**foreign[kind], "kind": kind, "metadata": {"name": "taken"}})
    )
    before = user.get(kind, "taken")
    user.apply(make_function("taken", GOOD))
    message = user.wait_not_ready("taken", "NameConflict")
    assert kind in message and "taken" in message
    assert user.get(kind, "taken")["metadata"]["resourceVersion"] == before["metadata"]["resourceVersion"] or (
        kind != "ConfigMap"  # the others have a status that their controllers write
        and user.get(kind, "taken")["spec"] == before["spec"]
    )
    user.kubectl("delete", kind.lower(), "taken")
    user.wait_ready("taken")


def test_a_quota_that_is_exceeded_is_named(user: User) -> None:
    quota = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "small"},
        "spec": {"hard": {"pods": "0"}},
    }
    user.apply(quota, make_function("crowded", GOOD))
    message = user.wait_not_ready("crowded", "QuotaExceeded")
    assert "exceeded quota: small" in message
    user.kubectl("delete", "resourcequota", "small")
    user.wait_ready("crowded")


def test_a_node_port_that_is_taken_is_named(user: User) -> None:
    ports = [{"name": "http-function-port", "port": 8080, "nodePort": 31999}]
    user.apply(make_function("first", GOOD, service={"type": "NodePort", "ports": ports}))
    user.wait_ready("first")
    user.apply(make_function("second", GOOD, service={"type": "NodePort", "ports": ports}))
    assert "31999" in user.wait_not_ready("second", "Refused")


# ---- what the API server does not even take: the words are kubectl's output

ADMISSION_CASES: dict[str, tuple[JSON, list[str]]] = {
    "handler-without-dot": ({"handler": "code"}, ["spec.handler", "exactly one dot", "hello.handler"]),
    "handler-with-two-dots": ({"handler": "a.b.c"}, ["spec.handler", "exactly one dot"]),
    "content-type": ({"function_content_type": "tarball"}, ["spec.function-content-type", "base64+zip"]),
    "checksum-form": ({"checksum": "md5:abc"}, ["spec.checksum", "sha256:"]),
    "timeout": ({"timeout": "soon"}, ["spec.timeout", "seconds"]),
    "no-url": ({"function_content_type": "url"}, ["http://"]),
    "unknown-field": ({"functoin": GOOD}, ["spec.functoin"]),
    "too-large": ({"source": "#" * (2**20 + 1)}, ["1 MiB", "url"]),
}


@pytest.fixture(scope="module")
def good(make_user: Callable[[], User]) -> User:
    """A user with a function that works."""
    user = make_user()
    user.apply(make_function("good", GOOD))
    user.wait_ready("good")
    return user


@pytest.mark.parametrize("case", ADMISSION_CASES)
def test_what_can_be_told_at_once_is_refused(good: User, case: str) -> None:
    spec, words = ADMISSION_CASES[case]
    wrong = make_function("good", **{"source": GOOD, **spec})
    refused = good.try_kubectl("apply", "--server-side", "-f", "-", stdin=yaml.safe_dump(wrong))
    assert refused.returncode != 0
    for word in words:
        assert word in refused.stderr
    assert good.call("good").text == "good"
