"""Volumes as folders."""

import base64
from pathlib import Path

import pytest

from localcluster.node.atomic_files import Content, write_atomically
from localcluster.node.environment import ConfigError
from localcluster.node.volumes import VolumeError, Volumes, mounts


class Objects:
    def __init__(self) -> None:
        self.config_maps: dict[str, dict] = {"cm": {"data": {"a": "1", "b": "2"}, "binaryData": {"c": "AAE="}}}
        self.secrets: dict[str, dict] = {"s": {"data": {"pw": base64.b64encode(b"x").decode()}}}

    async def config_map(self, namespace: str, name: str) -> dict | None:
        return self.config_maps.get(name)

    async def secret(self, namespace: str, name: str) -> dict | None:
        return self.secrets.get(name)

    async def token(self, pod: dict, audience: str, seconds: int) -> str:
        return f"token-{audience}-{seconds}"


def made(tmp_path: Path, objects: Objects, allowed: tuple[Path, ...] = ()) -> Volumes:
    return Volumes(
        tmp_path / "v", objects, host_path_prefixes=allowed, pod_ip="127.9.0.1", host_ip="127.0.0.1", allocatable={}
    )


def pod(*volumes: dict) -> dict:
    meta = {"name": "p", "namespace": "ns", "uid": "u", "labels": {"a": "b"}}
    return {"metadata": meta, "spec": {"containers": [], "volumes": list(volumes)}}


def content(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in folder.iterdir() if not p.name.startswith("..")}


async def test_kinds_of_volumes(tmp_path) -> None:
    wanted = pod(
        {"name": "cm", "configMap": {"name": "cm", "defaultMode": 0o400}},
        {"name": "items", "configMap": {"name": "cm", "items": [{"key": "a", "path": "sub/x", "mode": 0o600}]}},
        {"name": "s", "secret": {"secretName": "s"}},
        {"name": "none", "secret": {"secretName": "nope", "optional": True}},
        {"name": "empty", "emptyDir": {}},
        {
            "name": "p",
            "projected": {
                "sources": [
                    {"serviceAccountToken": {"path": "token", "audience": "me", "expirationSeconds": 600}},
                    {"configMap": {"name": "cm", "items": [{"key": "b", "path": "b"}]}},
                    {"downwardAPI": {"items": [{"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}}]}},
                ]
            },
        },
    )
    await made(tmp_path, Objects()).prepare(wanted)
    folder = tmp_path / "v"
    assert content(folder / "cm") == {"a": b"1", "b": b"2", "c": b"\0\1"}
    assert (folder / "cm/a").stat().st_mode & 0o777 == 0o400
    assert (folder / "items/sub/x").read_bytes() == b"1"
    assert (folder / "items/sub/x").stat().st_mode & 0o777 == 0o600
    assert content(folder / "s") == {"pw": b"x"}
    assert content(folder / "none") == {}
    assert content(folder / "empty") == {}
    assert content(folder / "p") == {"token": b"token-me-600", "b": b"2", "labels": b'a="b"'}


@pytest.mark.parametrize(
    ("volume", "message"),
    [
        ({"configMap": {"name": "x"}}, 'configmap "x" not found'),
        ({"secret": {"secretName": "x"}}, 'secret "x" not found'),
        (
            {"configMap": {"name": "cm", "items": [{"key": "z", "path": "z"}]}},
            "configmap references non-existent config key: z in cm",
        ),
        ({"hostPath": {"path": "/etc"}}, "hostPath /etc is not allowed on this node"),
        ({"nfs": {"server": "a", "path": "b"}}, "volumes of type nfs are not supported by this node"),
        ({"configMap": {"name": "cm", "items": [{"key": "a", "path": "../a"}]}}, "invalid path: ../a"),
    ],
)
async def test_what_cannot_be_mounted(tmp_path, volume: dict, message: str) -> None:
    with pytest.raises(VolumeError, match=r'^MountVolume.SetUp failed for volume "v" : ') as caught:
        await made(tmp_path, Objects()).prepare(pod({"name": "v", **volume}))
    assert message in str(caught.value)


async def test_host_paths_below_an_allowed_folder(tmp_path) -> None:
    allowed = tmp_path / "allowed"
    allowed.mkdir()
    (allowed / "out").symlink_to("/etc")
    volumes = made(tmp_path, Objects(), (allowed,))
    await volumes.prepare(pod({"name": "v", "hostPath": {"path": f"{allowed}/new", "type": "DirectoryOrCreate"}}))
    assert (allowed / "new").is_dir()
    with pytest.raises(VolumeError, match="not allowed"):
        await volumes.prepare(pod({"name": "v", "hostPath": {"path": f"{allowed}/out"}}))


async def test_a_changed_config_map_is_swapped_in_at_once(tmp_path) -> None:
    objects = Objects()
    volumes = made(tmp_path, objects)
    wanted = pod({"name": "cm", "configMap": {"name": "cm"}})
    await volumes.prepare(wanted)
    before = (tmp_path / "v/cm/..data").readlink()
    await volumes.prepare(wanted)
    assert (tmp_path / "v/cm/..data").readlink() == before

    objects.config_maps["cm"] = {"data": {"a": "new", "d": "4"}}
    await volumes.prepare(wanted)
    assert content(tmp_path / "v/cm") == {"a": b"new", "d": b"4"}
    assert not (tmp_path / "v/cm" / before).exists()


def test_files_are_read_through_one_link(tmp_path) -> None:
    write_atomically(tmp_path, {"a": Content(b"1", 0o644), "dir/b": Content(b"2", 0o600)})
    assert (tmp_path / "a").readlink() == Path("..data/a")
    assert (tmp_path / "dir").readlink() == Path("..data/dir")


def test_sub_paths_stay_inside_the_volume(tmp_path) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "evil").symlink_to("/etc")

    def mount(**more: object) -> dict:
        return {"volumeMounts": [{"name": "v", "mountPath": "/m", **more}]}

    folders = [("v", tmp_path)]
    assert mounts(mount(), folders, {})[0].source == tmp_path
    assert mounts(mount(subPath="file"), folders, {})[0].source == tmp_path / "file"
    assert mounts(mount(subPathExpr="$(POD)/x"), folders, {"POD": "p"})[0].source == tmp_path / "p/x"
    for bad in ("../up", "evil/passwd"):
        with pytest.raises(ConfigError):
            mounts(mount(subPath=bad), folders, {})


def test_nothing_is_made_where_a_sub_path_leaves_the_volume(tmp_path) -> None:
    volume, outside = tmp_path / "volume", tmp_path / "outside"
    volume.mkdir()
    outside.mkdir()
    (volume / "link").symlink_to(outside)
    container = {"volumeMounts": [{"name": "v", "mountPath": "/m", "subPath": "link/made"}]}
    with pytest.raises(ConfigError, match="leaves the volume"):
        mounts(container, [("v", volume)], {})
    assert not list(outside.iterdir())
