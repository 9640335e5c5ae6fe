"""Validation of the volumes of a pod, and of the field references that volumes and environment variables share."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

from localcluster.apiserver.errors import FieldError, duplicate, forbidden_field, invalid_value, required
from localcluster.apiserver.kinds import formats
from localcluster.apiserver.kinds.formats import check, unsupported
from localcluster.apiserver.kinds.metadata import validate_label_selector
from localcluster.quantity import parse

JSON = dict[str, Any]

FILE_MODE = "must be a number between 0 and 0777 (octal), both inclusive"
_ONE_VOLUME = "may not specify more than 1 volume type"
_HOST_PATH_TYPES = (
    "", "BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate", "File", "FileOrCreate", "Socket",
)  # fmt: skip
_MIN_TOKEN_SECONDS = 600


def validate_volumes(
    volumes: list[JSON] | None, path: str, *, pod_name: str = "", in_pod: bool = False
) -> tuple[dict[str, JSON], list[FieldError]]:
    """The valid volumes by name, which mounts may refer to, and the errors of the others."""
    errors: list[FieldError] = []
    valid: dict[str, JSON] = {}
    claims = {f"{pod_name}-{v.get('name', '')}" for v in volumes or () if pod_name and v.get("ephemeral") is not None}
    for i, volume in enumerate(volumes or ()):
        here, name = f"{path}[{i}]", volume.get("name", "")
        found = _validate_source(volume, here, pod_name, in_pod)
        found += check(f"{here}.name", name, formats.dns1123_label(name)) if name else [required(f"{here}.name")]
        if name in valid:
            found.append(duplicate(f"{here}.name", name))
        if not found:
            valid[name] = volume
        errors += found
        claim = (volume.get("persistentVolumeClaim") or {}).get("claimName", "")
        if claim and claim in claims:
            detail = "must not reference a PVC that gets created for an ephemeral volume"
            errors.append(invalid_value(f"{here}.persistentVolumeClaim.claimName", claim, detail))
    return valid, errors


def _validate_source(volume: JSON, path: str, pod_name: str, in_pod: bool) -> list[FieldError]:
    errors: list[FieldError] = []
    count = 0
    for kind, rule in _SOURCES.items():
        source = volume.get(kind)
        if source is None:
            continue
        count += 1
        if count > 1:
            errors.append(forbidden_field(f"{path}.{_MISNAMED.get(kind, kind)}", _ONE_VOLUME))
        else:
            errors += rule(source, f"{path}.{kind}")
            if kind == "ephemeral" and pod_name and volume.get("name"):
                claim = f"{pod_name}-{volume['name']}"
                for message in formats.dns1123_subdomain(claim):
                    errors.append(invalid_value(f"{path}.name", volume["name"], f'PVC name "{claim}": {message}'))
            if kind == "image" and in_pod and not source.get("reference"):
                errors.insert(0, required(f"{path}.image.reference"))
    if not count:
        errors.append(required(path, "must specify a volume type"))
    return errors


# ---- sources


def _empty_dir(source: JSON, path: str) -> list[FieldError]:
    limit = source.get("sizeLimit")
    if limit is not None and parse(limit).nanos < 0:
        return [forbidden_field(f"{path}.sizeLimit", "SizeLimit field must be a valid resource quantity")]
    return []


def _host_path(source: JSON, path: str) -> list[FieldError]:
    if not source.get("path"):
        return [required(f"{path}.path")]
    errors = no_backsteps(source["path"], f"{path}.path")
    kind = source.get("type")
    if kind is not None and kind not in _HOST_PATH_TYPES:
        errors.append(unsupported(f"{path}.type", kind, *_HOST_PATH_TYPES))
    return errors


def _git_repo(source: JSON, path: str) -> list[FieldError]:
    return _needs("repository")(source, path) + descending_path(source.get("directory", ""), f"{path}.directory")


def _secret(source: JSON, path: str) -> list[FieldError]:
    return _needs("secretName")(source, path) + _files(source, path)


def _config_map(source: JSON, path: str) -> list[FieldError]:
    return _needs("name")(source, path) + _files(source, path)


def _files(source: JSON, path: str) -> list[FieldError]:
    errors = _mode(source.get("defaultMode"), f"{path}.defaultMode")
    for i, item in enumerate(source.get("items") or ()):
        errors += _key_to_path(item, f"{path}.items[{i}]")
    return errors


def _mode(mode: int | None, path: str) -> list[FieldError]:
    return [invalid_value(path, mode, FILE_MODE)] if mode is not None and not 0 <= mode <= 0o777 else []


def _key_to_path(item: JSON, path: str) -> list[FieldError]:
    errors = _needs("key", "path")(item, path)
    errors += local_path(item.get("path", ""), f"{path}.path")
    return errors + _mode(item.get("mode"), f"{path}.mode")


def _nfs(source: JSON, path: str) -> list[FieldError]:
    errors = _needs("server", "path")(source, path)
    if not source.get("path", "").startswith("/"):
        errors.append(invalid_value(f"{path}.path", source.get("path", ""), "must be an absolute path"))
    return errors


def _iscsi(source: JSON, path: str) -> list[FieldError]:
    errors = _needs("targetPortal", "iqn")(source, path)
    name = source.get("iqn", "")
    if name and not name.startswith(("iqn", "eui", "naa")):
        errors.append(invalid_value(f"{path}.iqn", name, "must be valid format starting with iqn, eui, or naa"))
    lun = source.get("lun", 0)
    return errors + formats.in_range(f"{path}.lun", lun, 0, 255)


def _downward_api(source: JSON, path: str) -> list[FieldError]:
    errors = _mode(source.get("defaultMode"), f"{path}.defaultMode")
    for item in source.get("items") or ():
        errors += _downward_file(item, path)
    return errors


def _downward_file(item: JSON, path: str) -> list[FieldError]:
    errors = _needs("path")(item, path) + local_path(item.get("path", ""), f"{path}.path")
    if item.get("fieldRef") is not None:
        errors += validate_field_ref(item["fieldRef"], f"{path}.fieldRef", VOLUME_FIELDS)
        if item.get("resourceFieldRef") is not None:
            detail = "fieldRef and resourceFieldRef can not be specified simultaneously"
            errors.append(invalid_value(path, "resource", detail))
    elif item.get("resourceFieldRef") is not None:
        errors += validate_resource_field_ref(item["resourceFieldRef"], f"{path}.resourceFieldRef", in_volume=True)
    else:
        errors.append(required(path, "one of fieldRef and resourceFieldRef is required"))
    return errors + _mode(item.get("mode"), f"{path}.mode")


def _projected(source: JSON, path: str) -> list[FieldError]:
    errors = _mode(source.get("defaultMode"), f"{path}.defaultMode")
    taken: set[str] = set()

    def take(file: str, blamed: str) -> list[FieldError]:
        if not file:
            return []
        clash = file in taken
        taken.add(file)
        return [invalid_value(path, blamed, "conflicting duplicate paths")] if clash else []

    for i, projection in enumerate(source.get("sources") or ()):
        here = f"{path}.sources[{i}]"
        count = 0
        for kind in ("secret", "configMap"):
            if (part := projection.get(kind)) is not None:
                count += 1
                errors += _needs("name")(part, f"{here}.{kind}")
                for j, item in enumerate(part.get("items") or ()):
                    errors += _key_to_path(item, f"{here}.{kind}.items[{j}]")
                    errors += take(item.get("path", ""), part.get("name", ""))
        if (part := projection.get("downwardAPI")) is not None:
            count += 1
            for item in part.get("items") or ():
                errors += _downward_file(item, f"{here}.downwardAPI")
                errors += take(item.get("path", ""), item.get("path", ""))
        if (part := projection.get("serviceAccountToken")) is not None:
            count += 1
            errors += _token(part, path, f"{here}.serviceAccountToken")
        if (part := projection.get("clusterTrustBundle")) is not None:
            count += 1
            errors += _trust_bundle(part, f"{here}.clusterTrustBundle")
            errors += take(part.get("path", ""), part.get("path", ""))
        if count > 1:
            errors.append(forbidden_field(here, f"{_ONE_VOLUME} per source"))
    return errors


def _token(token: JSON, volume_path: str, path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    seconds = token.get("expirationSeconds", 3600)
    if seconds < _MIN_TOKEN_SECONDS:
        detail = "may not specify a duration less than 10 minutes"
        errors.append(invalid_value(f"{path}.expirationSeconds", seconds, detail))
    if seconds > 1 << 32:
        detail = "may not specify a duration larger than 2^32 seconds"
        errors.append(invalid_value(f"{path}.expirationSeconds", seconds, detail))
    if not token.get("path"):
        return [*errors, required(f"{volume_path}.path")]
    return errors + local_path(token["path"], f"{volume_path}.path")


def _trust_bundle(bundle: JSON, path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    if bundle.get("name") is None and bundle.get("signerName") is None:
        errors.append(required(path, "either name or signerName must be specified"))
    elif bundle.get("name") == "":
        errors.append(required(f"{path}.name", "must be a valid object name"))
    errors += validate_label_selector(bundle.get("labelSelector"), f"{path}.labelSelector")
    return errors + _needs("path")(bundle, path) + local_path(bundle.get("path", ""), f"{path}.path")


def _csi(source: JSON, path: str) -> list[FieldError]:
    errors = validate_csi_driver(source.get("driver", ""), f"{path}.driver")
    secret = source.get("nodePublishSecretRef")
    if secret is not None and not secret.get("name"):
        errors.append(required(f"{path}.nodePublishSecretRef.name"))
    return errors


def validate_csi_driver(name: str, path: str) -> list[FieldError]:
    if not name:
        return [required(path)]
    return check(path, name, formats.dns1123_subdomain(name.lower()))


def _ephemeral(source: JSON, path: str) -> list[FieldError]:
    # Claims are validated where they are kept; imported late because storage builds on volumes.
    from localcluster.apiserver.kinds.storage import validate_claim_template

    template = source.get("volumeClaimTemplate")
    here = f"{path}.volumeClaimTemplate"
    return [required(here)] if template is None else validate_claim_template(template, here)


def _image(source: JSON, path: str) -> list[FieldError]:
    policy = source.get("pullPolicy", "")
    allowed = ("Always", "IfNotPresent", "Never")
    return [] if policy in allowed else [unsupported(f"{path}.pullPolicy", policy, *allowed)]


def _needs(*names: str) -> Callable[[JSON, str], list[FieldError]]:
    return lambda source, path: [required(f"{path}.{name}") for name in names if not source.get(name)]


_SOURCES: dict[str, Callable[[JSON, str], list[FieldError]]] = {
    "emptyDir": _empty_dir,
    "hostPath": _host_path,
    "gitRepo": _git_repo,
    "gcePersistentDisk": _needs("pdName"),
    "awsElasticBlockStore": _needs("volumeID"),
    "secret": _secret,
    "nfs": _nfs,
    "iscsi": _iscsi,
    "glusterfs": _needs("endpoints", "path"),
    "flocker": lambda source, path: [],
    "persistentVolumeClaim": _needs("claimName"),
    "rbd": _needs("monitors", "image"),
    "cinder": _needs("volumeID"),
    "cephfs": _needs("monitors"),
    "quobyte": _needs("registry", "volume"),
    "downwardAPI": _downward_api,
    "fc": lambda source, path: [],
    "flexVolume": _needs("driver"),
    "configMap": _config_map,
    "azureFile": _needs("secretName", "shareName"),
    "vsphereVolume": _needs("volumePath"),
    "photonPersistentDisk": _needs("pdID"),
    "portworxVolume": _needs("volumeID"),
    "azureDisk": _needs("diskName", "diskURI"),
    "storageos": lambda source, path: [],
    "projected": _projected,
    "scaleIO": _needs("gateway", "system", "volumeName"),
    "csi": _csi,
    "ephemeral": _ephemeral,
    "image": _image,
}
VOLUME_KINDS = tuple(_SOURCES)
# The real server misspells these where it complains about a second source.
_MISNAMED = {"cephfs": "cephFS", "downwardAPI": "downwarAPI"}


def validate_volume_source(kind: str, source: JSON, path: str) -> list[FieldError]:
    """Errors of one source (of a PersistentVolume)."""
    rule = _SOURCES.get(kind)
    return rule(source, path) if rule is not None else []


# ---- paths


def no_backsteps(value: str, path: str) -> list[FieldError]:
    return [invalid_value(path, value, "must not contain '..'")] if ".." in value.split("/") else []


def descending_path(value: str, path: str) -> list[FieldError]:
    """A relative path that does not lead upwards."""
    errors = [invalid_value(path, value, "must be a relative path")] if value.startswith("/") else []
    return errors + no_backsteps(value, path)


def local_path(value: str, path: str) -> list[FieldError]:
    """The path of a file in a volume: relative, not beginning with ``..``, which the kubelet uses itself."""
    errors = descending_path(value, path)
    if value.startswith("..") and not value.startswith("../"):
        errors.append(invalid_value(path, value, "must not start with '..'"))
    return errors


# ---- references to fields of the pod

ENV_FIELDS = (
    "metadata.name", "metadata.namespace", "metadata.uid", "spec.nodeName", "spec.serviceAccountName",
    "status.hostIP", "status.hostIPs", "status.podIP", "status.podIPs",
)  # fmt: skip
VOLUME_FIELDS = ("metadata.annotations", "metadata.labels", "metadata.name", "metadata.namespace", "metadata.uid")
_KNOWN_FIELDS = {*ENV_FIELDS, *VOLUME_FIELDS, "spec.restartPolicy", "spec.schedulerName", "status.phase", "spec.host"}
_CONTAINER_RESOURCES = (
    "limits.cpu", "limits.ephemeral-storage", "limits.memory",
    "requests.cpu", "requests.ephemeral-storage", "requests.memory",
)  # fmt: skip
_BYTE_DIVISORS = ("1", "1k", "1M", "1G", "1T", "1P", "1E", "1Ki", "1Mi", "1Gi", "1Ti", "1Pi", "1Ei")
_DIVISORS = {
    "cpu": (("1m", "1"), "1m and 1 are supported with the cpu resource"),
    "memory": (_BYTE_DIVISORS, f"{', '.join(_BYTE_DIVISORS)} are supported with the memory resource"),
    "ephemeral-storage": (
        _BYTE_DIVISORS,
        f"{', '.join(_BYTE_DIVISORS)} are supported with the local ephemeral storage resource",
    ),
    "hugepages": (_BYTE_DIVISORS, f"{', '.join(_BYTE_DIVISORS)} are supported with the hugepages resource"),
}


def validate_field_ref(ref: JSON, path: str, allowed: Iterable[str]) -> list[FieldError]:
    """Errors of an ObjectFieldSelector."""
    version, field = ref.get("apiVersion", ""), ref.get("fieldPath", "")
    for name, value in (("apiVersion", version), ("fieldPath", field)):
        if not value:
            return [required(f"{path}.{name}")]
    match = re.fullmatch(r"(.+?)\['(.*)'\]", field)
    problem = ""
    if version != "v1":
        problem = f"unsupported pod version: {version}"
    elif match is not None and match[1] not in ("metadata.annotations", "metadata.labels"):
        problem = f"field label does not support subscript: {field}"
    elif match is None and field not in _KNOWN_FIELDS:
        problem = f"field label not supported: {field}"
    if problem:
        return [invalid_value(f"{path}.fieldPath", field, f"error converting fieldPath: {problem}")]
    if match is not None:
        key = match[2].lower() if match[1] == "metadata.annotations" else match[2]
        return check(path, key, formats.qualified_name(key))
    field = "spec.nodeName" if field == "spec.host" else field
    return [] if field in allowed else [unsupported(f"{path}.fieldPath", field, *sorted(allowed))]


def validate_resource_field_ref(ref: JSON, path: str, *, in_volume: bool = False) -> list[FieldError]:
    """Errors of a ResourceFieldSelector."""
    errors: list[FieldError] = []
    resource = ref.get("resource", "")
    if in_volume and not ref.get("containerName"):
        errors.append(required(f"{path}.containerName"))
    elif not resource:
        errors.append(required(f"{path}.resource"))
    elif resource not in _CONTAINER_RESOURCES and not resource.startswith(("limits.hugepages-", "requests.hugepages-")):
        errors.append(unsupported(f"{path}.resource", resource, *_CONTAINER_RESOURCES))
    name = resource.partition(".")[2]
    divisors = _DIVISORS.get("hugepages" if name.startswith("hugepages-") else name)
    divisor = parse(ref.get("divisor") or "0")
    if divisor and divisors is not None and str(divisor) not in divisors[0]:
        errors.append(invalid_value(f"{path}.divisor", resource, f"only divisor's values {divisors[1]}"))
    return errors
