"""Mount paths in arguments and variables."""

from pathlib import Path

import pytest

from localcluster.node.mounts import Mount, MountPaths

PATHS = MountPaths([Mount("/data", Path("/v/d")), Mount("/data/inner/", Path("/v/i")), Mount("/dev/log", Path("/v/l"))])


@pytest.mark.parametrize(
    ("text", "rewritten"),
    [
        ("/data", "/v/d"),
        ("/data/", "/v/d/"),
        ("/data/x.py", "/v/d/x.py"),
        ("/data/inner/x", "/v/i/x"),
        ("--dir=/data,/dev/log", "--dir=/v/d,/v/l"),
        ("/usr/lib:/data:/data/inner", "/usr/lib:/v/d:/v/i"),
        ("cat '/data/a' > /data/b", "cat '/v/d/a' > /v/d/b"),
        ("/database", "/database"),
        ("/data-2 /data.txt", "/data-2 /data.txt"),
        ("http://host/data", "http://host/data"),
        ("/other/data", "/other/data"),
        ("./data ../data", "./data ../data"),
    ],
)
def test_only_mount_paths_are_rewritten(text: str, rewritten: str) -> None:
    assert PATHS.rewrite(text) == rewritten


def test_without_mounts_nothing_changes() -> None:
    assert MountPaths([]).rewrite("/data") == "/data"
