"""The catalogue of a checkout's local node: every image, and where functions' dependencies come from."""

from __future__ import annotations

from pathlib import Path

import yaml

from kubeless.cli.local import ROOT
from kubeless.cli.node_images import PROVISION, combined, pip_variables


def test_every_part_brings_its_images() -> None:
    images = {entry["match"]: entry for entry in yaml.safe_load(combined(ROOT, {"PIP_INDEX_URL": "x"}))["images"]}
    assert {"*kubeless-controller", "*kubeless-python", PROVISION} <= set(images)
    assert images[PROVISION]["env"] == {"PIP_INDEX_URL": "x"}
    assert "PIP_INDEX_URL" not in images["*kubeless-python"]["env"]


def test_what_was_made_before_is_not_read_again(tmp_path: Path) -> None:
    for name in ("part", ".localcluster"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "images.yaml").write_text(yaml.safe_dump({"images": [{"match": name}]}))
    assert [entry["match"] for entry in yaml.safe_load(combined(tmp_path, {}))["images"]] == ["part"]


def test_folders_are_those_of_the_files(tmp_path: Path) -> None:
    (tmp_path / "part").mkdir()
    entry = {"match": "a", "command": ["{python}", "{folder}/a.py"], "env": {"WHERE": "{folder}"}}
    (tmp_path / "part/images.yaml").write_text(yaml.safe_dump({"images": [entry]}))
    (made,) = yaml.safe_load(combined(tmp_path, {}))["images"]
    assert made["command"] == ["{python}", f"{tmp_path}/part/a.py"]
    assert made["env"] == {"WHERE": f"{tmp_path}/part"}


def test_settings_of_pip_become_variables_and_the_environment_wins() -> None:
    listed = [
        ":env:.cert='/mine.pem'",
        ":env:.no-color='1'",
        "global.cert='/all.pem'",
        "global.index-url='https://index.example/simple?a=b'",
        "global.target='/elsewhere'",
        r"install.find-links='\n/one\n/two'",
        "freeze.timeout='1'",
    ]
    assert pip_variables(listed) == {
        "PIP_CERT": "/mine.pem",
        "PIP_INDEX_URL": "https://index.example/simple?a=b",
        "PIP_FIND_LINKS": "/one /two",
    }
