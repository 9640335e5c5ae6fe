"""Which server it is."""

import pytest

from localcluster.apiserver.bootstrap import version
from localcluster.cluster_version import ClusterVersion, parse


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("v1.36.2", ClusterVersion(1, 36, 2)),
        ("v1.31.4+k3s1", ClusterVersion(1, 31, 4)),
        ("v1.30.5-gke.1014001", ClusterVersion(1, 30, 5)),
        ("v1.36.2+localcluster", ClusterVersion(1, 36, 2, is_local=True)),
    ],
)
def test_versions(text: str, expected: ClusterVersion) -> None:
    assert parse(text) == expected


def test_nonsense_is_no_version() -> None:
    with pytest.raises(ValueError, match="'None' is no Kubernetes version"):
        parse("None")


def test_this_packages_server_is_known_by_its_version() -> None:
    assert parse(version()["gitVersion"]).is_local
