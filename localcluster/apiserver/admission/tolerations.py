"""DefaultTolerationSeconds: pods stay for five minutes on a node that is not ready or cannot be reached."""

from __future__ import annotations

from localcluster.apiserver.admission.refusal import is_pod
from localcluster.apiserver.kinds.base import JSON, Context
from localcluster.apiserver.resources import Resource

_SECONDS = 300
_TAINTS = ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")


def mutate(
    resource: Resource, operation: str, subresource: str, new: JSON | None, old: JSON | None, context: Context
) -> list[str]:
    if not is_pod(resource) or subresource or new is None:
        return []
    existing = new["spec"].get("tolerations") or []
    missing = [key for key in _TAINTS if not any(_tolerates(t, key) for t in existing)]
    if missing:
        new["spec"]["tolerations"] = [
            *existing,
            *(
                {"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": _SECONDS}
                for key in missing
            ),
        ]
    return []


def _tolerates(toleration: JSON, key: str) -> bool:
    if toleration.get("effect") not in (None, "", "NoExecute"):
        return False
    return toleration.get("key", "") in ("", key)
