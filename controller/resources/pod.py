"""The pod of a function: the init containers that provision it, and the container that serves it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from controller.resources.configmap import DEFAULT_DEPENDENCY_FILE
from controller.resources.merging import merged
from controller.resources.service import container_port
from kubeless import naming
from kubeless.api.catalogue import Phase, Runtime
from kubeless.api.config import Config
from kubeless.api.errors import InvalidSpec
from kubeless.api.function import Function

JSON = dict[str, Any]

SOURCE_MOUNT = "/src"
"""Where the init containers have the ConfigMap."""
DRAIN_SECONDS = 3.0
"""The runtime's default of FUNC_DRAIN_SECONDS."""
EXIT_MARGIN_SECONDS = 5
SLOWEST_START_SECONDS = 600
"""How long a handler may take to be imported before its container is started anew."""

_LOCKED_DOWN_POD = {
    "runAsNonRoot": True,
    "runAsUser": 1000,
    "runAsGroup": 1000,
    "fsGroup": 1000,
    "seccompProfile": {"type": "RuntimeDefault"},
}
_LOCKED_DOWN_CONTAINER = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "readOnlyRootFilesystem": True,
}
_SOURCE_VOLUME = "kubeless-source"
_FUNCTION_VOLUME = "kubeless-function"
_SCRATCH_VOLUME = "kubeless-tmp"
_TERMINATION_LOG = "/dev/termination-log"


def make_pod_spec(function: Function, config: Config, runtime: Runtime | None, given: JSON, config_map: str) -> JSON:
    """`given` (from kubeless-config and the Function) over the defaults and under what makes it a function's pod.

    Args:
        runtime: None for a prebuilt image of an unknown runtime.
        given: a PodSpec; the first container is the function's.
        config_map: with the source, "" for a prebuilt image, into which nothing is provisioned.

    Raises InvalidSpec.
    """
    container, *others = given.get("containers") or [{}]
    container = _container(function, runtime, container)
    spec = merged(_defaults(function, container, given), {**given, "containers": []})
    provisioners = _provisioners(function, config, runtime, container) if config_map else []
    volumes: list[JSON] = [{"name": _SCRATCH_VOLUME, "emptyDir": {}}]
    if config_map:
        volumes += [
            {"name": _FUNCTION_VOLUME, "emptyDir": {}},
            {"name": _SOURCE_VOLUME, "configMap": {"name": config_map}},
        ]
    spec["containers"] = [container, *others]
    if init_containers := [*given.get("initContainers", []), *provisioners]:
        spec["initContainers"] = init_containers
    spec["volumes"] = _by_key([*given.get("volumes", []), *volumes], "name")
    if secrets := _pull_secrets(config, runtime):
        spec["imagePullSecrets"] = _by_key([*given.get("imagePullSecrets", []), *secrets], "name")
    return spec


def memory_limit(container: Mapping[str, Any]) -> str:
    """As written; "0" for none, as in Kubeless."""
    return str(((container.get("resources") or {}).get("limits") or {}).get("memory") or "0")


# ---- the container that serves


def _container(function: Function, runtime: Runtime | None, given: JSON) -> JSON:
    port = container_port(function)
    probe = {"httpGet": {"path": "/healthz", "port": port["containerPort"]}, "timeoutSeconds": 5}
    defaults: JSON = {
        "livenessProbe": {**probe, "periodSeconds": 10, **(runtime.liveness_probe if runtime else {})},
        "readinessProbe": {**probe, "periodSeconds": 5},
        "startupProbe": {**probe, "periodSeconds": 1, "failureThreshold": SLOWEST_START_SECONDS},
        "securityContext": _LOCKED_DOWN_CONTAINER,
        # For images that leave no termination message: the last lines of the log.
        "terminationMessagePolicy": "FallbackToLogsOnError",
    }
    container = merged(defaults, given)
    if not given.get("image"):
        if runtime is None:
            raise InvalidSpec("spec.runtime", "is not known, and spec.deployment names no image either")
        container["image"] = runtime.runtime.image
        if runtime.runtime.command:
            container.setdefault("command", list(runtime.runtime.command))
    container["name"] = function.name
    container["ports"] = _by_key([*given.get("ports", []), port], "containerPort")
    phase = runtime.runtime.env if runtime and not given.get("image") else {}
    contract = _contract(function, runtime, port["containerPort"], memory_limit(given))
    container["env"] = _env(contract, phase, given.get("env") or [])
    container["volumeMounts"] = _mounts(given, prebuilt=bool(given.get("image")))
    return container


def _contract(function: Function, runtime: Runtime | None, port: int, memory: str) -> dict[str, str]:
    return {
        "FUNC_HANDLER": function.handler.function,
        "MOD_NAME": function.handler.module,
        "FUNC_TIMEOUT": function.timeout,
        "FUNC_RUNTIME": runtime.name if runtime else function.runtime,
        "FUNC_MEMORY_LIMIT": memory,
        "FUNC_PORT": str(port),
        "KUBELESS_INSTALL_VOLUME": naming.SOURCE_VOLUME,
        "TERMINATION_LOG": _TERMINATION_LOG,
    }


def _env(contract: Mapping[str, str], phase: Mapping[str, str], given: Iterable[JSON]) -> list[JSON]:
    """The contract's variables first, so that others may refer to them; no one may set them otherwise."""
    entries = [{"name": name, "value": value} for name, value in phase.items()]
    own = [{"name": name, "value": value} for name, value in contract.items()]
    rest = [entry for entry in _by_key([*entries, *given], "name") if entry.get("name") not in contract]
    return own + rest


def _mounts(given: JSON, *, prebuilt: bool) -> list[JSON]:
    mounts: list[JSON] = list(given.get("volumeMounts") or [])
    if all(mount.get("mountPath") != "/tmp" for mount in mounts):  # noqa: S108 - the pod's own
        mounts.append({"name": _SCRATCH_VOLUME, "mountPath": "/tmp"})  # noqa: S108
    if not prebuilt:
        mounts.append({"name": _FUNCTION_VOLUME, "mountPath": naming.SOURCE_VOLUME})
    return _by_key(mounts, "mountPath")


# ---- the containers that provision


def _provisioners(function: Function, config: Config, runtime: Runtime | None, container: JSON) -> list[JSON]:
    if runtime is None:
        raise InvalidSpec("spec.runtime", "is not known, and spec.deployment names no image either")
    dependency_file = runtime.dependency_file or DEFAULT_DEPENDENCY_FILE
    installed_from = f"{naming.SOURCE_VOLUME}/{dependency_file}"
    source_file = naming.source_file(function.handler.module, runtime.suffix)
    contract = {
        **_contract(function, runtime, naming.PORT, memory_limit(container)),
        "KUBELESS_DEPS_FILE": installed_from,
    }

    def step(name: str, phase: Phase, arguments: list[str], *, source: bool = False) -> JSON:
        mounts = [
            {"name": _FUNCTION_VOLUME, "mountPath": naming.SOURCE_VOLUME},
            {"name": _SCRATCH_VOLUME, "mountPath": "/tmp"},  # noqa: S108 - the pod's own
        ]
        if source:
            mounts.append({"name": _SOURCE_VOLUME, "mountPath": SOURCE_MOUNT})
        made: JSON = {
            "name": name,
            "image": phase.image,
            # What a user sets for the installation, such as PIP_INDEX_URL or a proxy, is set for the function.
            "env": _env(contract, phase.env, container["env"]),
            "volumeMounts": mounts,
            "securityContext": container["securityContext"],
            "terminationMessagePolicy": container["terminationMessagePolicy"],
        }
        if phase.command:
            made["command"] = list(phase.command)
        else:
            made["args"] = arguments
        # A pod asks for the largest of its init containers, so this asks for nothing more.
        for field in ("resources", "imagePullPolicy"):
            if field in container:
                made[field] = container[field]
        return made

    prepare = [
        "prepare",
        "--source",
        f"{SOURCE_MOUNT}/{source_file}",
        "--content-type",
        function.content_type.text,
        "--file-name",
        source_file,
        "--target",
        naming.SOURCE_VOLUME,
    ]
    if function.checksum:
        prepare += ["--checksum", function.checksum]
    if function.deps.strip():
        prepare += ["--deps", f"{SOURCE_MOUNT}/{dependency_file}"]
    if function.needs_install:
        prepare += ["--deps-name", dependency_file]
    steps = [step("prepare", Phase(config.provision_image), prepare, source=True)]
    if function.needs_install:
        if runtime.installation is None:
            raise InvalidSpec(
                "spec.deps",
                f"cannot be installed: the catalogue has no image for the phase installation of {runtime.name}",
            )
        install = ["install", "--requirements", installed_from, "--target", naming.SOURCE_VOLUME]
        steps.append(step("install", runtime.installation, install))
    if runtime.compilation is not None:
        steps.append(step("compile", runtime.compilation, []))
    return steps


# ---- the pod


def _defaults(function: Function, container: JSON, given: JSON) -> JSON:
    defaults: JSON = {
        "securityContext": _LOCKED_DOWN_POD,
        "terminationGracePeriodSeconds": grace_seconds(function, container),
    }
    if not given.get("serviceAccountName") and not given.get("serviceAccount"):
        defaults["automountServiceAccountToken"] = False
    return defaults


def grace_seconds(function: Function, container: Mapping[str, Any]) -> int:
    """For the slowest call that may be in flight, the time in which endpoints forget the pod, and the exit."""
    text = next((e.get("value") for e in container.get("env") or [] if e.get("name") == "FUNC_DRAIN_SECONDS"), None)
    try:
        drain = float(text) if text else DRAIN_SECONDS
    except ValueError:
        drain = DRAIN_SECONDS  # the runtime refuses it, in its own words
    if not math.isfinite(drain) or drain < 0:
        drain = DRAIN_SECONDS
    return math.ceil(function.timeout_seconds + drain) + EXIT_MARGIN_SECONDS


def _pull_secrets(config: Config, runtime: Runtime | None) -> list[JSON]:
    names = [config.provision_image_secret, *(runtime.image_pull_secrets if runtime else ())]
    return [{"name": name} for name in dict.fromkeys(names) if name]


def _by_key(items: Iterable[JSON], key: str) -> list[JSON]:
    """Later items take the place of earlier ones with the same key."""
    found: dict[Any, JSON] = {}
    for number, item in enumerate(items):
        found[item.get(key, ("", number))] = item
    return list(found.values())
