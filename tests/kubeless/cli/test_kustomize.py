"""Building our overlay without kubectl gives what kubectl builds."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from kubeless.cli import kustomize
from kubeless.cli.local import OVERLAY, ROOT


def by_name(objects: list[dict[str, Any]]) -> dict[tuple[str, ...], dict[str, Any]]:
    return {(o["kind"], o["metadata"].get("namespace", ""), o["metadata"]["name"]): o for o in objects}


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="needs kubectl: https://kubernetes.io/docs/tasks/tools/")
def test_the_local_overlay_is_what_kubectl_builds() -> None:
    done = subprocess.run(["kubectl", "kustomize", str(ROOT / OVERLAY)], capture_output=True, text=True, check=True)
    assert by_name(kustomize.build(ROOT / OVERLAY)) == by_name(list(yaml.safe_load_all(done.stdout)))


def test_what_others_need_comes_first() -> None:
    kinds = [obj["kind"] for obj in kustomize.build(ROOT / OVERLAY)]
    assert kinds[0] == "Namespace"
    assert kinds[-1] == "Deployment"
    assert kinds.index("CustomResourceDefinition") < kinds.index("ConfigMap")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("resources: [a.yaml]\nnamePrefix: x-\n", "namePrefix is not supported here"),
        ("resources: [missing.yaml]\n", "missing.yaml does not exist"),
        ("resources: [.]\n", "contains itself"),
        ("configMapGenerator: [{name: a, literals: [b=c]}]\n", "disableNameSuffixHash"),
        ("labels: [{pairs: {a: b}, includeSelectors: true}]\n", "includeSelectors"),
    ],
)
def test_what_cannot_be_built_is_refused(tmp_path: Path, content: str, words: str) -> None:
    (tmp_path / "kustomization.yaml").write_text(content)
    (tmp_path / "a.yaml").write_text("{apiVersion: v1, kind: ConfigMap, metadata: {name: a}}\n")
    with pytest.raises(kustomize.BuildError, match=words):
        kustomize.build(tmp_path)


def test_a_folder_without_a_kustomization_is_named(tmp_path: Path) -> None:
    with pytest.raises(kustomize.BuildError, match=r"has no kustomization\.yaml"):
        kustomize.build(tmp_path)
