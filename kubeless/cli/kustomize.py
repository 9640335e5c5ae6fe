"""Builds the kustomizations that this project ships, where no kubectl is at hand.

It knows the fields that `manifests/` uses and refuses others, so that nothing is left out in silence; for what these
fields mean see https://kubectl.docs.kubernetes.io/references/kustomize/kustomization/. Tests compare it with
`kubectl kustomize`. There is no Python library that builds them: those on the index write or run kustomize.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import yaml

JSON = dict[str, Any]

FILE_NAMES = ("kustomization.yaml", "kustomization.yml", "Kustomization")
_FIELDS = {"apiVersion", "kind", "resources", "namespace", "images", "patches", "labels", "configMapGenerator"}
_FIELDS |= {"generatorOptions"}
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
    for entry in content.get("patches") or []:
        _patch(objects, entry, path)
    for entry in content.get("labels") or []:
        _label(objects, entry, path)
    if namespace := content.get("namespace"):
        _set_namespace(objects, namespace)
    for entry in content.get("images") or []:
        for image in _images(objects):
            image["image"] = _renamed(image["image"], entry)
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
    for name in ("namespace",):
        if entry.get(name):
            metadata[name] = entry[name]
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


def _images(value: Any) -> Iterator[JSON]:
    """Every object that has an image: the containers of whatever kind."""
    if isinstance(value, dict):
        for key in ("containers", "initContainers"):
            if isinstance(value.get(key), list):
                yield from (container for container in value[key] if isinstance(container.get("image"), str))
        for inner in value.values():
            yield from _images(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _images(inner)


def _renamed(image: str, entry: JSON) -> str:
    name, at, digest = image.partition("@")
    head, slash, last = name.rpartition("/")
    base, colon, tag = last.partition(":")
    if head + slash + base != entry["name"]:
        return image
    renamed: str = entry.get("newName") or entry["name"]
    if entry.get("digest"):
        return f"{renamed}@{entry['digest']}"
    if entry.get("newTag"):
        return f"{renamed}:{entry['newTag']}"
    return renamed + colon + tag + at + digest


# ---- patches


def _patch(objects: list[JSON], entry: JSON, path: Path) -> None:
    text = (path.parent / entry["path"]).read_text() if entry.get("path") else entry["patch"]
    patch = yaml.safe_load(text)
    target = entry.get("target")
    change: Callable[[JSON, Any], JSON]
    if isinstance(patch, list):
        if not target:
            raise BuildError(f"{path}: a JSON patch needs a target")
        change = _json_patch
    else:
        metadata = patch.get("metadata") or {}
        target = target or {"kind": patch.get("kind"), "name": metadata.get("name")}
        change = _merge
    chosen = [number for number, obj in enumerate(objects) if _is_target(obj, target)]
    if not chosen:
        raise BuildError(f"{path}: no object is the target {target}")
    for number in chosen:
        if isinstance(patch, dict) and patch.get("$patch") == "delete":
            objects[number] = {}
        else:
            objects[number] = change(objects[number], patch)
    objects[:] = [obj for obj in objects if obj]


def _is_target(obj: JSON, target: JSON) -> bool:
    if unknown := set(target) - {"group", "version", "kind", "name", "namespace"}:
        raise BuildError(f"patches: target {', '.join(sorted(unknown))} is not supported here")
    metadata = obj["metadata"]
    return (
        target.get("kind") in (None, obj["kind"])
        and target.get("name") in (None, metadata["name"])
        and target.get("namespace") in (None, metadata.get("namespace"))
    )


def _merge(old: Any, new: Any) -> Any:
    """A strategic merge for what our patches hold: lists of named items are merged by name, others replaced."""
    if isinstance(old, dict) and isinstance(new, dict):
        merged = dict(old)
        for key, value in new.items():
            if value is None:
                merged.pop(key, None)
            else:
                merged[key] = _merge(merged[key], value) if key in merged else copy.deepcopy(value)
        return merged
    if isinstance(old, list) and isinstance(new, list) and new and all(_is_named(item) for item in (*old, *new)):
        changes = {item["name"]: item for item in new}
        kept = [_merge(item, changes.pop(item["name"])) if item["name"] in changes else item for item in old]
        return [*kept, *changes.values()]
    return copy.deepcopy(new)


def _is_named(item: Any) -> bool:
    return isinstance(item, dict) and "name" in item


def _json_patch(obj: JSON, operations: list[JSON]) -> JSON:
    """RFC 6902, its `add`, `replace` and `remove`."""
    patched = copy.deepcopy(obj)
    for operation in operations:
        *way, last = [part.replace("~1", "/").replace("~0", "~") for part in operation["path"].split("/")[1:]]
        holder: Any = patched
        try:
            for part in way:
                holder = holder[int(part)] if isinstance(holder, list) else holder[part]
            _change(holder, last, operation)
        except (KeyError, IndexError, ValueError):
            name = f"{obj['kind']} {obj['metadata']['name']}"
            raise BuildError(f"{operation['op']} {operation['path']}: {name} has no such field") from None
    return patched


def _change(holder: Any, last: str, operation: JSON) -> None:
    match operation["op"], holder:
        case "add", list():
            holder.insert(len(holder) if last == "-" else int(last), operation["value"])
        case "add", _:
            holder[last] = operation["value"]
        case "replace", list():
            holder[int(last)] = operation["value"]
        case "replace", _ if last in holder:
            holder[last] = operation["value"]
        case "remove", list():
            del holder[int(last)]
        case "remove", _:
            del holder[last]
        case _:
            raise BuildError(f"{operation['op']} {operation['path']} is not supported here")
