"""The kubectl on the PATH as tests use it: in a namespace of the test's own, in the foreground or followed."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tests.localcluster.clusters import Cluster, eventually


@dataclass
class Following:
    """A kubectl that goes on: what it has printed so far."""

    process: subprocess.Popen[str]
    lines: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        return "".join(self.lines)

    def prints(self, text: str, seconds: float = 20) -> str:
        """Wait until it has printed `text`; all that it has printed."""
        eventually(lambda: text in self.text, seconds, f"{self.process.args} prints {text!r}: {self.text}")
        return self.text


@dataclass
class Kubectl:
    """kubectl with a cluster's kubeconfig in one namespace."""

    cluster: Cluster
    namespace: str
    folder: Path

    def run(self, *arguments: str, check: bool = True, **options: Any) -> subprocess.CompletedProcess[str]:
        """stdout, stderr and exit status; with `check`, a failure fails the test with what kubectl printed."""
        return self.cluster.kubectl("--namespace", self.namespace, *arguments, check=check, **options)

    def __call__(self, *arguments: str, **options: Any) -> str:
        """What a command that succeeds prints."""
        return self.run(*arguments, **options).stdout

    def fails(self, *arguments: str, code: int = 1, **options: Any) -> str:
        """The error output of a command that must end with `code`."""
        done = self.run(*arguments, check=False, **options)
        assert done.returncode == code, done
        return done.stderr

    def get(self, *arguments: str) -> Any:
        """An object, or a list of them, as kubectl prints it as JSON."""
        return json.loads(self("get", *arguments, "--output=json"))

    def value(self, path: str, *arguments: str) -> str:
        """One field by JSONPath, without the braces."""
        return self("get", *arguments, f"--output=jsonpath={{{path}}}")

    def write(self, name: str, *objects: Any) -> str:
        """A manifest in the test's folder; its path."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(yaml.safe_dump_all(objects))
        return str(path)

    def apply(self, *objects: Any, **options: Any) -> str:
        return self("apply", "--filename=-", input=yaml.safe_dump_all(objects), **options)

    @contextlib.contextmanager
    def following(self, *arguments: str, stdin: Any = None) -> Iterator[Following]:
        """Run kubectl beside the test; it is ended with the block."""
        process = subprocess.Popen(
            ["kubectl", "--namespace", self.namespace, *arguments],
            env={**os.environ, "KUBECONFIG": str(self.cluster.kubeconfig)},
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            bufsize=1,
        )
        found = Following(process)

        def read() -> None:
            assert process.stdout is not None
            for line in process.stdout:
                found.lines.append(line)

        reader = threading.Thread(target=read, daemon=True)
        reader.start()
        try:
            yield found
        finally:
            process.terminate()
            process.wait(10)
            reader.join(5)


def pod(name: str, *words: str, image: str = "busybox", **spec: Any) -> dict[str, Any]:
    """A pod of one container `main`; the words are its command (none: a process that sleeps)."""
    container = (
        {"name": "main", "image": image, "command": list(words)} if words else {"name": "main", "image": "pause"}
    )
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": name}},
        "spec": {"terminationGracePeriodSeconds": 1, "containers": [container], **spec},
    }


def deployment(name: str, replicas: int = 1, image: str = "localcluster/pause", **spec: Any) -> dict[str, Any]:
    labels = {"app": name}
    template = {"terminationGracePeriodSeconds": 1, "containers": [{"name": "main", "image": image}]}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "labels": labels},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": template},
            **spec,
        },
    }


def config_map(name: str, **data: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data or {"key": "value"}}
