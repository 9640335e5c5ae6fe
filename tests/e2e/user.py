"""A user of a cluster with the product in it: kubectl in a namespace of their own, and calls of functions."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests
import yaml

JSON = dict[str, Any]

READY_SECONDS = 60.0
POLL_SECONDS = 0.1


def make_function(name: str, source: str, *, handler: str = "code.handler", **spec: Any) -> JSON:
    """A Function; `spec` adds fields or replaces them, with `_` for `-` in their names."""
    fields = {field.replace("_", "-"): value for field, value in spec.items()}
    return {
        "apiVersion": "kubeless.io/v1beta1",
        "kind": "Function",
        "metadata": {"name": name},
        "spec": {"runtime": "python3.11", "handler": handler, "function": source, **fields},
    }


def kubeconfig_for(namespace: str, kubeconfig: Path, target: Path) -> Path:
    """A copy of a kubeconfig whose current context is in `namespace`."""
    config = yaml.safe_load(kubeconfig.read_text())
    for context in config["contexts"]:
        if context["name"] == config["current-context"]:
            context["context"]["namespace"] = namespace
    target.write_text(yaml.safe_dump(config))
    target.chmod(0o600)
    return target


def wait_for(is_so: Callable[[], Any], seconds: float, what: str | Callable[[], str]) -> Any:
    """The first true value of `is_so`; fails the test with `what` if there is none within `seconds`."""
    end = time.monotonic() + seconds
    while True:
        if value := is_so():
            return value
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds:.0f} s: {what if isinstance(what, str) else what()}")
        time.sleep(POLL_SECONDS)


@dataclass
class User:
    """Whoever has this kubeconfig."""

    kubeconfig: Path
    namespace: str

    # ---- kubectl

    def try_kubectl(self, *arguments: str, stdin: str = "", seconds: float = 120) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["kubectl", "--kubeconfig", str(self.kubeconfig), *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=seconds,
        )

    def kubectl(self, *arguments: str, stdin: str = "", seconds: float = 120) -> str:
        """What it prints; a failure fails the test with what it said."""
        done = self.try_kubectl(*arguments, stdin=stdin, seconds=seconds)
        assert done.returncode == 0, f"kubectl {' '.join(arguments)}: {done.stdout}{done.stderr}"
        return done.stdout

    def get(self, *arguments: str) -> JSON:
        found: JSON = json.loads(self.kubectl("get", *arguments, "-o", "json"))
        return found

    def apply(self, *objects: JSON) -> None:
        """Server-side, which has no limit on what an annotation holds."""
        self.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=yaml.safe_dump_all(objects))

    # ---- functions

    def condition(self, name: str, type_: str = "Ready") -> JSON:
        """A Function's condition, once it speaks of the newest generation; {} before."""
        found = self.get("function", name)
        status = found.get("status") or {}
        if status.get("observedGeneration") != found["metadata"]["generation"]:
            return {}
        return next((entry for entry in status.get("conditions") or [] if entry["type"] == type_), {})

    def wait_ready(self, *names: str, seconds: float = READY_SECONDS) -> None:
        for name in names:
            wait_for(
                lambda name=name: self.condition(name).get("status") == "True",
                seconds,
                lambda name=name: f"{name} is not Ready: {self.condition(name)}",
            )

    def wait_not_ready(self, name: str, reason: str, seconds: float = READY_SECONDS) -> str:
        """The message of Ready=False, once it is there with that reason."""
        wait_for(
            lambda: self.condition(name).get("status") == "False" and self.condition(name).get("reason") == reason,
            seconds,
            lambda: f"{name} has no Ready=False {reason}: {self.condition(name)}",
        )
        message: str = self.condition(name)["message"]
        return message

    def url(self, name: str) -> str:
        """Of a function's Service, as far as ClusterIPs can be reached from here."""
        spec = self.get("service", name)["spec"]
        return f"http://{spec['clusterIP']}:{spec['ports'][0]['port']}"

    def call(self, name: str, **request: Any) -> requests.Response:
        return requests.request(request.pop("method", "GET"), self.url(name), timeout=30, **request)
