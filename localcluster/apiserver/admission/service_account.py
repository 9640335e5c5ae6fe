"""ServiceAccount: each pod has one, and a volume with its token unless the pod or the account says no."""

from __future__ import annotations

import copy
import random

from localcluster.apiserver.admission.refusal import is_pod, refusal
from localcluster.apiserver.kinds.base import JSON, Context
from localcluster.apiserver.resources import Resource

TOKEN_PATH = "/var/run/secrets/kubernetes.io/serviceaccount"
_TOKEN_SECONDS = 3607
_VOLUME_PREFIX = "kube-api-access-"
_LETTERS = "bcdfghjklmnpqrstvwxz2456789"
_MIRROR = "kubernetes.io/config.mirror"
_ENFORCE = "kubernetes.io/enforce-mountable-secrets"


def mutate(
    resource: Resource, operation: str, subresource: str, new: JSON | None, old: JSON | None, context: Context
) -> list[str]:
    if not is_pod(resource) or operation != "CREATE" or subresource or new is None or _is_mirror(new):
        return []
    spec = new["spec"]
    if not spec.get("serviceAccountName"):
        spec["serviceAccountName"] = "default"
    spec["serviceAccount"] = spec["serviceAccountName"]
    account = _account(resource, new, context)
    if _wants_token(account, spec):
        _mount_token(spec)
    if not spec.get("imagePullSecrets") and account.get("imagePullSecrets"):
        spec["imagePullSecrets"] = copy.deepcopy(account["imagePullSecrets"])
    return []


def validate(
    resource: Resource, operation: str, subresource: str, new: JSON | None, old: JSON | None, context: Context
) -> list[str]:
    if not is_pod(resource) or operation != "CREATE" or subresource or new is None:
        return []
    spec = new["spec"]
    if _is_mirror(new):
        if spec.get("serviceAccountName"):
            raise refusal(resource, new, "a mirror pod may not reference service accounts")
        return []
    account = _account(resource, new, context)
    annotations = account["metadata"].get("annotations") or {}
    if annotations.get(_ENFORCE, "").lower() == "true":
        _limit_secrets(resource, new, account)
    return []


def _is_mirror(pod: JSON) -> bool:
    return _MIRROR in (pod.get("metadata", {}).get("annotations") or {})


def _account(resource: Resource, pod: JSON, context: Context) -> JSON:
    namespace, name = pod["metadata"].get("namespace", ""), pod["spec"].get("serviceAccountName", "")
    account = context.store.get("/serviceaccounts", namespace, name)
    if account is None:
        why = f'error looking up service account {namespace}/{name}: serviceaccount "{name}" not found'
        raise refusal(resource, pod, why)
    return account


def _wants_token(account: JSON, spec: JSON) -> bool:
    for wish in (spec.get("automountServiceAccountToken"), account.get("automountServiceAccountToken")):
        if wish is not None:
            return bool(wish)
    return True


def _mount_token(spec: JSON) -> None:
    """Mount the token into the containers that have nothing at its path."""
    volumes = spec.setdefault("volumes", [])
    taken = {v.get("name") for v in volumes}
    name = next((n for n in taken if n and n.startswith(_VOLUME_PREFIX)), None)
    has_volume = name is not None
    if name is None:
        name = _VOLUME_PREFIX + "".join(random.choices(_LETTERS, k=5))  # noqa: S311 - a name, no secret
    mounted = False
    for container in (*(spec.get("initContainers") or ()), *(spec.get("containers") or ())):
        mounts = container.setdefault("volumeMounts", [])
        if any(m.get("mountPath") == TOKEN_PATH for m in mounts):
            continue
        mounts.append({"name": name, "readOnly": True, "mountPath": TOKEN_PATH})
        mounted = True
    if mounted and not has_volume:
        volumes.append({"name": name, "projected": _token_volume()})
    elif not volumes:
        del spec["volumes"]


def _token_volume() -> JSON:
    field = {"apiVersion": "v1", "fieldPath": "metadata.namespace"}
    return {
        "sources": [
            {"serviceAccountToken": {"expirationSeconds": _TOKEN_SECONDS, "path": "token"}},
            {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
            {"downwardAPI": {"items": [{"path": "namespace", "fieldRef": field}]}},
        ],
        "defaultMode": 0o644,
    }


def _limit_secrets(resource: Resource, pod: JSON, account: JSON) -> None:
    """For accounts that ask for it: pods may use no secrets but those that the account names."""
    name = account["metadata"]["name"]
    allowed = {s.get("name") for s in account.get("secrets") or ()}
    spec = pod["spec"]
    for volume in spec.get("volumes") or ():
        secret = volume.get("secret", {}).get("secretName")
        if secret and secret not in allowed:
            why = f'volume with secret.secretName="{secret}" is not allowed because service account {name} does not '
            raise refusal(resource, pod, f"{why}reference that secret")
    for kind in ("initContainers", "containers"):
        for container in spec.get(kind) or ():
            for env in container.get("env") or ():
                secret = env.get("valueFrom", {}).get("secretKeyRef", {}).get("name")
                if secret and secret not in allowed:
                    init = "init " if kind == "initContainers" else ""
                    why = f"{init}container {container['name']} with envVar {env['name']} referencing "
                    why += f'secret.secretName="{secret}" is not allowed because service account {name} does not '
                    raise refusal(resource, pod, f"{why}reference that secret")
    pull_secrets = {s.get("name") for s in account.get("imagePullSecrets") or ()}
    for i, reference in enumerate(spec.get("imagePullSecrets") or ()):
        if reference.get("name") not in pull_secrets:
            why = f'imagePullSecrets[{i}].name="{reference.get("name")}" is not allowed because service account {name} '
            raise refusal(resource, pod, f"{why}does not reference that imagePullSecret")
