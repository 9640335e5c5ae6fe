"""Builds the kustomizations that `make run` installs, where no kubectl is at hand.

It knows the fields that manifests/overlays/local and its bases use and refuses others, so that nothing is left out in
silence; what they mean: https://kubectl.docs.kubernetes.io/references/kustomize/kustomization/. Tests compare it with
`kubectl kustomize`. There is no Python library that builds them: those on the index write or run kustomize.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

JSON = dict[str, Any]

FILE_NAMES = ("kustomization.yaml", "kustomization.yml", "Kustomization")
_FIELDS = {"apiVersion", "kind", "resources", "namespace", "labels", "configMapGenerator", "generatorOptions"}
_CLUSTER_KINDS = {
    "APIService",
    "ClusterRole",
    "ClusterRoleBinding",
    "CustomResourceDefinition",
    "IngressClass",
    "Namespace",
    "PriorityClass",
    "ValidatingAdmissionPolicy",
    "ValidatingAdmissionPolicyBinding",
}
_FIRST = (
    "Namespace",
    "CustomResourceDefinition",
    "ServiceAccount",
    "Role",
    "ClusterRole",
    "RoleBinding",
    "ClusterRoleBinding",
    "ConfigMap",
    "Secret",
    "Service",
)


class BuildError(Exception):
    """A kustomization cannot be built; the message says where and why."""


def build(folder: Path) -> list[JSON]:
    """The objects of a kustomization, in the order in which they can be created. Raises BuildError."""
    return sorted(_build(folder.resolve(), ()), key=_order)


def _order(obj: JSON) -> int:
    return _FIRST.index(obj["kind"]) if obj["kind"] in _FIRST else len(_FIRST)


def _build(folder: Path, above: tuple[Path, ...]) -> list[JSON]:
    path = next((folder / name for name in FILE_NAMES if (folder / name).is_file()), None)
    if path is None:
        raise BuildError(f"{folder} has no {FILE_NAMES[0]}")
    if folder in above:
        raise BuildError(f"{path}: it contains itself")
    content = yaml.safe_load(path.read_text()) or {}
    if unknown := sorted(set(content) - _FIELDS):
        raise BuildError(f"{path}: {', '.join(unknown)} is not supported here; use `kubectl apply -k {folder}`")
    objects: list[JSON] = []
    for resource in content.get("resources") or []:
        target = (folder / resource).resolve()
        if target.is_dir():
            objects += _build(target, (*above, folder))
        elif target.is_file():
            objects += _objects(target)
        else:
            raise BuildError(f"{path}: {resource} does not exist")
    for entry in content.get("configMapGenerator") or []:
        objects.append(_config_map(entry, content.get("generatorOptions") or {}, path))
    for entry in content.get("labels") or []:
        _label(objects, entry, path)
    if namespace := content.get("namespace"):
        _set_namespace(objects, namespace)
    return objects


def _objects(path: Path) -> list[JSON]:
    try:
        return [document for document in yaml.safe_load_all(path.read_text()) if document]
    except yaml.YAMLError as error:
        raise BuildError(f"{path}: {error}") from error


# ---- generators


def _config_map(entry: JSON, options: JSON, path: Path) -> JSON:
    options = {**options, **(entry.get("options") or {})}
    if not options.get("disableNameSuffixHash"):
        raise BuildError(f"{path}: configMapGenerator is supported with disableNameSuffixHash: true only")
    if unknown := sorted(set(entry) - {"name", "namespace", "files", "literals", "options"}):
        raise BuildError(f"{path}: configMapGenerator: {', '.join(unknown)} is not supported here")
    data: dict[str, str] = {}
    for file in entry.get("files") or []:
        key, _, source = file.rpartition("=")
        data[key or Path(source).name] = (path.parent / source).read_text()
    for literal in entry.get("literals") or []:
        key, _, value = literal.partition("=")
        data[key] = value
    metadata: JSON = {"name": entry["name"]}
    if entry.get("namespace"):
        metadata["namespace"] = entry["namespace"]
    for name in ("labels", "annotations"):
        if options.get(name):
            metadata[name] = dict(options[name])
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


# ---- transformers


def _set_namespace(objects: list[JSON], namespace: str) -> None:
    for obj in objects:
        if obj["kind"] == "Namespace":
            obj["metadata"]["name"] = namespace
        elif obj["kind"] not in _CLUSTER_KINDS:
            obj["metadata"]["namespace"] = namespace
        if obj["kind"] in ("RoleBinding", "ClusterRoleBinding"):
            accounts = {o["metadata"]["name"] for o in objects if o["kind"] == "ServiceAccount"} | {"default"}
            for subject in obj.get("subjects") or []:
                if subject.get("kind") == "ServiceAccount" and subject["name"] in accounts:
                    subject["namespace"] = namespace


def _label(objects: list[JSON], entry: JSON, path: Path) -> None:
    if entry.get("includeSelectors"):
        raise BuildError(f"{path}: labels with includeSelectors are not supported here")
    for obj in objects:
        holders = [obj["metadata"]]
        template = (obj.get("spec") or {}).get("template")
        if entry.get("includeTemplates") and isinstance(template, dict):
            holders.append(template.setdefault("metadata", {}))
        for metadata in holders:
            metadata["labels"] = {**(metadata.get("labels") or {}), **entry["pairs"]}
