"""The catalogue of runtimes: which images prepare, build and run the functions of a language."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from kubeless.api.errors import InvalidSpec, Reason
from kubeless.api.reading import JSON, Fields, described

PHASES = ("installation", "compilation", "runtime")

_RUNTIME = re.compile(r"([a-z][a-z-]*?)([0-9]+(?:\.[0-9]+)*)?", re.IGNORECASE)
_LANGUAGES_OF_KUBELESS = ("python", "nodejs", "ruby", "php", "go", "java", "dotnetcore", "ballerina", "jvm")
_REFUSED = {
    ("python", 2): "Python 2 has had no corrections since 2020 and is not served; port the function to Python 3",
}


@dataclass(frozen=True)
class Phase:
    """One container's part in a function's pod.

    Attributes:
        command: () runs the image's own entry point. A text in the catalogue is a command line for the image's shell,
            as in Kubeless; a list is run as it is. Either is the administrator's; nothing of a Function is in it.
    """

    image: str
    command: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Runtime:
    """A version of a language in the catalogue.

    Attributes:
        name: what a Function's `spec.runtime` says: language and version, such as ``python3.11``.
        dependency_file: such as ``requirements.txt``; "" if the language has none.
        suffix: of source files, such as ``.py``.
        liveness_probe: of Kubernetes' Probe, {} for the default one.
    """

    language: str
    version: str
    dependency_file: str
    suffix: str
    runtime: Phase
    installation: Phase | None = None
    compilation: Phase | None = None
    image_pull_secrets: tuple[str, ...] = ()
    liveness_probe: JSON = field(default_factory=dict)

    @property
    def name(self) -> str:
        return f"{self.language}{self.version}"


@dataclass(frozen=True)
class ResolvedRuntime:
    """What serves a function. `notice` is "" or says that it is not the version that was asked for."""

    requested: str
    runtime: Runtime
    notice: str = ""


def parse_catalogue(content: Any, path: str, registry: str = "") -> tuple[Runtime, ...]:
    """The entries of `runtime-images`. `registry` is put before images that name no registry or folder of one.

    Raises InvalidSpec.
    """
    if content is None:
        return ()
    if not isinstance(content, list):
        raise _invalid(path, f"must be a list of languages, not {described(content)}")
    runtimes = [
        runtime for number, entry in enumerate(content) for runtime in _language(f"{path}[{number}]", entry, registry)
    ]
    names = [runtime.name for runtime in runtimes]
    if repeated := next((name for name in names if names.count(name) > 1), ""):
        raise _invalid(path, f"has the runtime {repeated} twice; remove one of them")
    return tuple(runtimes)


def _language(path: str, entry: Any, registry: str) -> Iterable[Runtime]:
    fields = _known(path, entry, {"ID", "depName", "fileNameSuffix", "versions", "livenessProbeInfo", "compiled"})
    language = fields.required("ID", "ID: python")
    for number, version in enumerate(_items(fields, "versions")):
        yield _version(f"{path}.versions[{number}]", version, language, fields, registry)


def _version(path: str, entry: Any, language: str, shared: Fields, registry: str) -> Runtime:
    fields = _known(path, entry, {"name", "version", "images", "imagePullSecrets"})
    phases: dict[str, Phase] = {}
    for number, item in enumerate(_items(fields, "images")):
        at = f"{path}.images[{number}]"
        image = _known(at, item, {"phase", "image", "command", "env"})
        name = image.text("phase")
        if name not in PHASES or name in phases:
            wrong = "is there twice" if name in phases else f'must be one of {", ".join(PHASES)}, not "{name}"'
            raise _invalid(image.at("phase"), wrong)
        phases[name] = Phase(
            image=in_registry(image.required("image", "image: kubeless-python:3.11"), registry),
            command=_command(image),
            env=_env(image),
        )
    if "runtime" not in phases:
        raise _invalid(f"{path}.images", "has no image for the phase runtime, which runs the function")
    version = fields.content.get("version")
    if not isinstance(version, str) or not version:
        raise _invalid(fields.at("version"), 'must be text in quotes, such as "3.11"')
    return Runtime(
        language=language,
        version=version,
        dependency_file=shared.text("depName"),
        suffix=shared.text("fileNameSuffix"),
        image_pull_secrets=tuple(_pull_secret(fields, secret) for secret in _items(fields, "imagePullSecrets")),
        liveness_probe=shared.object("livenessProbeInfo"),
        **phases,
    )


def _known(path: str, value: Any, names: set[str]) -> Fields:
    fields = Fields.of(path, value)
    if unknown := next((name for name in fields.content if name not in names), None):
        raise _invalid(fields.at(unknown), f"is not a field of the catalogue; there are {', '.join(sorted(names))}")
    return fields


def _items(fields: Fields, name: str) -> list[Any]:
    value = fields.content.get(name) or []
    if not isinstance(value, list):
        raise _invalid(fields.at(name), f"must be a list, not {described(value)}")
    return value


def _command(image: Fields) -> tuple[str, ...]:
    value = image.content.get("command")
    if isinstance(value, list) and all(isinstance(word, str) for word in value):
        return tuple(value)
    line = image.text("command")
    return ("sh", "-c", line) if line else ()


def _env(image: Fields) -> dict[str, str]:
    env = image.inner("env").content
    for name, value in env.items():
        if not isinstance(value, str):
            raise _invalid(f"{image.at('env')}.{name}", f"must be text in quotes, not {described(value)}")
    return dict(env)


def _pull_secret(fields: Fields, value: Any) -> str:
    """Kubeless wrote an object with `imageSecret`; a plain name is taken too."""
    name = value.get("imageSecret") or value.get("ImageSecret") if isinstance(value, Mapping) else value
    if not isinstance(name, str) or not name:
        raise _invalid(
            fields.at("imagePullSecrets"), "must be a list of names of Secrets, or of objects with imageSecret"
        )
    return name


def in_registry(image: str, registry: str) -> str:
    """`image`, in `registry` unless it says itself where it is."""
    return f"{registry.rstrip('/')}/{image}" if registry and "/" not in image else image


def resolve(runtimes: Iterable[Runtime], requested: str, field: str = "spec.runtime") -> ResolvedRuntime:
    """What serves `requested`: the entry of that name, or for an older version the nearest one of its language.

    Raises InvalidSpec with UNKNOWN_RUNTIME, or with UNSUPPORTED_RUNTIME for what is known but not served.
    """
    runtimes = sorted(runtimes, key=lambda runtime: (runtime.language, _number(runtime.version)))
    for runtime in runtimes:
        if runtime.name == requested:
            return ResolvedRuntime(requested, runtime)
    known = ", ".join(runtime.name for runtime in runtimes) or "none (kubeless-config has no runtime-images)"
    match = _RUNTIME.fullmatch(requested)
    language, version = (match[1], match[2] or "") if match else (requested, "")
    of_language = [runtime for runtime in runtimes if runtime.language == language]
    if version and (refusal := _REFUSED.get((language, _number(version)[0]))):
        newest = f" and set runtime: {of_language[-1].name}" if of_language else ""
        raise InvalidSpec(field, f'"{requested}": {refusal}{newest}', Reason.UNSUPPORTED_RUNTIME)
    if not of_language and language in _LANGUAGES_OF_KUBELESS:
        raise InvalidSpec(
            field,
            f'"{requested}": {language} is not shipped yet. There is: {known}. An administrator can add it to'
            " runtime-images in kubeless-config, or name an image that has the function in it in spec.deployment",
            Reason.UNSUPPORTED_RUNTIME,
        )
    newer = [runtime for runtime in of_language if version and _number(runtime.version) > _number(version)]
    if not newer:
        raise InvalidSpec(field, f'"{requested}" is not known; there is: {known}', Reason.UNKNOWN_RUNTIME)
    served = newer[0]
    notice = (
        f"{requested} is not shipped any more; {served.name} serves the function. Test it there and set"
        f" runtime: {served.name}"
    )
    return ResolvedRuntime(requested, served, notice)


def _number(version: str) -> tuple[int, ...]:
    """`3.11` in the order of versions; a part that is no number counts as 0."""
    return tuple(int(part) if part.isdigit() else 0 for part in version.split("."))


def _invalid(field: str, message: str) -> InvalidSpec:
    return InvalidSpec(field, message, Reason.INVALID_CONFIG)
