"""What a container starts as: whose paths are rewritten to where volumes really are."""

from __future__ import annotations

from pathlib import Path

from localcluster.node.images import Image
from localcluster.node.launch import Place, make_launch
from localcluster.node.mounts import Mount


def launch(container: dict, image: Image, tmp_path: Path):
    mounts = [Mount("/tmp", tmp_path / "volume")]
    place = Place(pod_name="p", pod_ip="127.9.0.2", pod_folder=tmp_path / "p", folder=tmp_path / "c")
    return make_launch(container, image, place, {"HERE": "/tmp/x"}, mounts, "id")


def test_mount_paths_of_the_spec_are_rewritten(tmp_path):
    made = launch({"command": ["/bin/cat"], "args": ["/tmp/a"]}, Image("x"), tmp_path)
    assert made.arguments == ["/bin/cat", f"{tmp_path}/volume/a"]
    assert made.env["HERE"] == f"{tmp_path}/volume/x"


def test_paths_of_the_image_are_of_this_machine_already(tmp_path):
    """A checkout below /tmp started nothing when its pods mounted /tmp."""
    image = Image("x", ("/tmp/checkout/.venv/bin/python",), env={"PYTHONPATH": "/tmp/checkout"})
    made = launch({"args": ["/tmp/a"]}, image, tmp_path)
    assert made.arguments == ["/tmp/checkout/.venv/bin/python", f"{tmp_path}/volume/a"]
    assert made.env["PYTHONPATH"] == "/tmp/checkout"
