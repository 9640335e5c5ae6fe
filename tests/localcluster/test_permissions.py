"""Who may read what a cluster writes: its owner alone, while pods' files are as elsewhere."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from localcluster import cli
from localcluster.supervisor import Layout
from tests.localcluster import clusters


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def umask(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("Umask:")), 8)


def test_what_a_cluster_writes_is_for_its_owner(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        data_dir, kubeconfig = tmp_path / "cluster", tmp_path / "copy"
        kubeconfig.write_text("")
        with clusters.running(data_dir, "--kubeconfig", str(kubeconfig)) as cluster:
            assert mode(data_dir) == 0o700
            assert mode(kubeconfig) == 0o600
            assert (data_dir / "state.db-wal").exists()
            open_to_others = [
                str(path.relative_to(data_dir))
                for path in data_dir.rglob("*")
                if not path.is_symlink() and mode(path) & 0o077 and data_dir / "node" not in path.parents
            ]
            assert open_to_others in ([], ["node"])
            assert {name: umask(pid) for name, pid in cluster.pids.items()} == {
                "supervisor": 0o077,
                "apiserver": 0o077,
                "controllers": 0o077,
                "node": 0o022,
            }
    finally:
        os.umask(before)


def test_a_folder_with_other_things_in_it_stays_as_it_is(tmp_path: Path) -> None:
    for name, contents, expected in (("new", None, 0o700), ("empty", "", 0o700), ("used", "x", 0o755)):
        folder = tmp_path / name
        if contents is not None:
            folder.mkdir(mode=0o755)
        if contents:
            (folder / "file").write_text(contents)
        cli.make_private(Layout(folder))
        assert mode(folder) == expected, name
        (folder / "run").mkdir()
        cli.make_private(Layout(folder))
        assert mode(folder) == 0o700


def test_a_copied_kubeconfig_is_private_and_keeps_links(tmp_path: Path) -> None:
    source, target, link = tmp_path / "a", tmp_path / "b", tmp_path / "link"
    source.write_text("secret")
    target.write_text("old")
    target.chmod(0o666)
    link.symlink_to(target)
    cli.copy_private(source, link)
    assert link.is_symlink()
    assert (target.read_text(), mode(target)) == ("secret", 0o600)
    assert [p.name for p in sorted(tmp_path.iterdir())] == ["a", "b", "link"]
