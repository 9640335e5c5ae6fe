"""Functions and a configuration for tests of pure functions."""

from __future__ import annotations

from typing import Any

import yaml

from kubeless.api import config, function
from kubeless.api.config import Config
from kubeless.api.function import Function

JSON = dict[str, Any]

CATALOGUE = """
- ID: python
  depName: requirements.txt
  fileNameSuffix: .py
  versions:
    - name: python311
      version: "3.11"
      images:
        - {phase: installation, image: "reg/provision:3.11"}
        - {phase: runtime, image: "reg/python:3.11", env: {PYTHONUNBUFFERED: "1"}}
      imagePullSecrets: [{imageSecret: pull}]
- ID: old
  fileNameSuffix: .old
  versions:
    - name: old1
      version: "1"
      images:
        - {phase: compilation, image: "reg/old:1", command: "make it"}
        - {phase: runtime, image: "reg/old:1", command: "run it"}
"""


def make_function(metadata: JSON | None = None, **spec: Any) -> Function:
    """`_` stands for `-` in the names of fields."""
    fields = {field.replace("_", "-"): value for field, value in spec.items()}
    return function.parse(
        {
            "metadata": {"name": "hello", "namespace": "ns", "uid": "u1", "generation": 1, **(metadata or {})},
            "spec": {"runtime": "python3.11", "handler": "code.run", "function": "def run(e, c): ...", **fields},
        }
    )


def make_config(**data: Any) -> Config:
    """Values that are no text are written as YAML."""
    texts = {
        name.replace("_", "-"): value if isinstance(value, str) else yaml.safe_dump(value)
        for name, value in data.items()
    }
    return config.parse({"data": {"runtime-images": CATALOGUE, "provision-image": "reg/provision:3.11", **texts}})
