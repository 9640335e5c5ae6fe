"""What README.md and docs/functions.md show works as it is written."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from kubeless.api.catalogue import parse_catalogue
from tests.e2e import console
from tests.e2e.conftest import ROOT
from tests.e2e.user import User, make_function

YAML = re.compile(r"^```yaml\n(.*?)^```", re.MULTILINE | re.DOTALL)
SNIPPETS: list[Any] = [yaml.safe_load(block) for block in YAML.findall((ROOT / "docs/functions.md").read_text())]
SPECS = [snippet["spec"] for snippet in SNIPPETS if isinstance(snippet, dict)]
SOURCE = "def handler(event, context):\n    return 'well'\n"


def test_the_tour_of_the_readme(user: User, tmp_path: Path) -> None:
    console.run(ROOT / "README.md", tmp_path, {"KUBECONFIG": str(user.kubeconfig)})


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: next(iter(spec)))
def test_parts_of_a_spec_in_the_reference(user: User, spec: dict[str, Any]) -> None:
    function = make_function("hello", SOURCE)
    function["spec"] |= spec
    user.apply(function)
    user.wait_ready("hello")
    assert user.call("hello").text == "well"
    if "horizontalPodAutoscaler" in spec:
        assert user.get("hpa", "hello")["spec"]["maxReplicas"] == spec["horizontalPodAutoscaler"]["spec"]["maxReplicas"]


def test_an_old_runtime_is_served_by_a_newer_one_and_told(user: User) -> None:
    user.apply(make_function("old", SOURCE, runtime="python3.7"))
    user.wait_ready("old")
    replaced = user.condition("old", "RuntimeReplaced")
    assert replaced["status"] == "True" and "python3.7" in replaced["message"] and "python3.11" in replaced["message"]
    assert user.call("old").text == "well"
    assert "RuntimeReplaced" in user.kubectl("describe", "function", "old")


def test_the_entry_of_the_catalogue_in_the_reference() -> None:
    (entry,) = [snippet for snippet in SNIPPETS if isinstance(snippet, list)]
    (runtime,) = parse_catalogue(entry, "runtime-images")
    assert runtime.name == "python3.11"


def test_every_reason_is_in_the_reference() -> None:
    from controller.reasons import Condition, Reason
    from kubeless.api.errors import Reason as SpecReason

    text = (ROOT / "docs/functions.md").read_text()
    of_other_kinds_and_steps = {Reason.ACCEPTED, Reason.APPLIED, Reason.PROVISIONED, Reason.RUNTIME_REPLACED}
    for word in {*Condition, *Reason, *SpecReason} - of_other_kinds_and_steps:
        assert f"`{word}`" in text, f"{word} is not in docs/functions.md"
