"""ConfigMaps with a function's source: the one of Kubeless' contract, and one for each version that pods mount.

Pods do not mount the first, because it changes with the Function: a pod of the version before that starts again later,
or one that starts while the next version arrives, would serve what its version never was.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from controller.resources.metadata import REVISION_LABEL, make_metadata
from kubeless import naming
from kubeless.api.function import Function

JSON = dict[str, Any]

DEFAULT_DEPENDENCY_FILE = "dependencies"
REVISION_DIGITS = 12


def make_data(function: Function, suffix: str, dependency_file: str) -> dict[str, str]:
    """Keys `handler`, the source file and the dependency file, as in Kubeless."""
    return {
        naming.HANDLER_KEY: str(function.handler),
        naming.source_file(function.handler.module, suffix): function.source,
        dependency_file or DEFAULT_DEPENDENCY_FILE: function.deps,
    }


def make_config_map(function: Function, data: dict[str, str]) -> JSON:
    """The one that has the Function's name; for those who read it, no pod does."""
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": make_metadata(function), "data": data}


def make_revision(function: Function, data: dict[str, str]) -> JSON:
    """The one that pods mount. Its name follows from its content, which never changes."""
    digest = hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()[:REVISION_DIGITS]
    metadata = make_metadata(function, f"{function.name}-{digest}")
    metadata["labels"][REVISION_LABEL] = digest
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "immutable": True, "data": data}
