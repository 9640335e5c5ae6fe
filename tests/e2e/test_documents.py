"""The README's tour runs as it is written."""

from __future__ import annotations

from pathlib import Path

from tests.e2e import console
from tests.e2e.conftest import ROOT
from tests.e2e.user import User


def test_the_tour_of_the_readme(user: User, tmp_path: Path) -> None:
    console.run(ROOT / "README.md", tmp_path, {"KUBECONFIG": str(user.kubeconfig)})
