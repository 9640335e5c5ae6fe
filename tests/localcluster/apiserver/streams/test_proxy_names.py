"""How proxy requests name their target."""

import pytest

from localcluster.apiserver.errors import APIError
from localcluster.apiserver.streams.backends import container_of
from localcluster.apiserver.streams.logs import check_options
from localcluster.apiserver.streams.proxies import pod_address, rewritten, split_name, split_path


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("a", ("http", "a", "")),
        ("a:80", ("http", "a", "80")),
        ("https:a:web", ("https", "a", "web")),
        (":a:80", ("http", "a", "80")),
        ("https:a:", ("https", "a", "")),
    ],
)
def test_names(name: str, parts: tuple[str, str, str]) -> None:
    assert split_name(name, "services") == parts


def test_bad_names() -> None:
    with pytest.raises(APIError) as caught:
        split_name("ftp:a:b", "services")
    assert (caught.value.code, caught.value.message) == (400, 'invalid service request "ftp:a:b"')


def test_paths_stay_as_they_were_sent() -> None:
    assert split_path("/api/v1/namespaces/ns/services/a:80/proxy/x%2Fy//z/") == (
        "/api/v1/namespaces/ns/services/a:80/proxy",
        "/x%2Fy//z/",
    )
    assert split_path("/api/v1/nodes/n/proxy/stats") == ("/api/v1/nodes/n/proxy", "/stats")
    assert split_path("/api/v1/nodes/n/proxy") == ("/api/v1/nodes/n/proxy", "")


def test_redirects_within_the_target_are_rewritten() -> None:
    assert rewritten("/login?a=1#b", "http://127.9.0.2:80", "/p") == "/p/login?a=1#b"
    assert rewritten("http://127.9.0.2:80/x", "http://127.9.0.2:80", "/p") == "/p/x"
    assert rewritten("https://example.org/x", "http://127.9.0.2:80", "/p") == "https://example.org/x"
    assert rewritten("next", "http://127.9.0.2:80", "/p") == "next"


POD = {
    "metadata": {"name": "p"},
    "spec": {"initContainers": [{"name": "i"}], "containers": [{"name": "c", "ports": [{"containerPort": 8080}]}]},
    "status": {"podIP": "127.9.0.2"},
}


def test_a_pods_port() -> None:
    assert pod_address(POD, "") == ("127.9.0.2", 8080)
    assert pod_address(POD, "81") == ("127.9.0.2", 81)
    with pytest.raises(APIError, match="address not allowed"):
        pod_address({**POD, "status": {}}, "")


def test_which_container() -> None:
    assert container_of(POD, "") == "c"
    assert container_of(POD, "i") == "i"
    with pytest.raises(APIError, match="container x is not valid for pod p"):
        container_of(POD, "x")


def test_log_options() -> None:
    assert check_options({"tailLines": "0", "limitBytes": "1"}) == []
    assert [str(e) for e in check_options({"tailLines": "-1", "limitBytes": "0"})] == [
        "tailLines: Invalid value: -1: must be greater than or equal to 0",
        "limitBytes: Invalid value: 0: must be greater than 0",
    ]
