"""Every example runs as its README says."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e import console
from tests.e2e.conftest import ROOT
from tests.e2e.user import User

EXAMPLES = sorted(path.parent for path in (ROOT / "examples").glob("*/README.md"))


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
def test_example_runs_by_its_readme(example: Path, user: User) -> None:
    console.run(example / "README.md", ROOT, {"KUBECONFIG": str(user.kubeconfig)})


def test_each_example_has_a_function_and_a_readme() -> None:
    folders = [path for path in (ROOT / "examples").iterdir() if path.is_dir()]
    assert folders
    for folder in folders:
        assert (folder / "function.yaml").is_file() and folder in EXAMPLES
        assert f"]({folder.name}/)" in (ROOT / "examples/README.md").read_text()


def test_the_archive_of_the_zip_example_is_what_its_sources_make(tmp_path: Path) -> None:
    folder = ROOT / "examples/zip"
    names: dict[str, object] = {"__name__": "make", "__file__": str(folder / "make.py")}
    exec(compile((folder / "make.py").read_text(), "make.py", "exec"), names)
    manifest = names["manifest"]
    assert callable(manifest) and manifest(folder / "src") == (folder / "function.yaml").read_text()
