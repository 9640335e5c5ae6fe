"""Function: a handler's source, what it needs, and how it is deployed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast

from kubeless.api.errors import InvalidSpec, Reason
from kubeless.api.metadata import Metadata
from kubeless.api.reading import JSON, Fields

KIND = "Function"
PLURAL = "functions"

DEFAULT_TIMEOUT = "180"
MAX_SOURCE_BYTES = 1024 * 1024
"""What etcd takes of one object by default, and Kubernetes of one ConfigMap
(https://kubernetes.io/docs/concepts/configuration/configmap/#motivation)."""

_HANDLER = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_$-]+")
_CHECKSUM = re.compile(r"sha256:[0-9a-fA-F]{64}")
_TIMEOUT = re.compile(r"[0-9]{1,7}(\.[0-9]{1,3})?")
_URL = re.compile(r"https?://[^\s/]+\S*", re.IGNORECASE)

Origin = Literal["text", "base64", "url"]
Archive = Literal["", "zip", "compressedtar"]


@dataclass(frozen=True)
class Handler:
    """`module.function`: the module names the source file."""

    module: str
    function: str

    def __str__(self) -> str:
        return f"{self.module}.{self.function}"


@dataclass(frozen=True)
class ContentType:
    """What `spec.function` holds.

    Attributes:
        text: as it was written, for the provisioner.
        archive: "" for one plain file.
        brings_deps: the archive has the dependency file in it, so `deps` is not used.
    """

    text: str
    origin: Origin
    archive: Archive = ""
    brings_deps: bool = False


@dataclass(frozen=True)
class Function:
    """A Function that can be served. Raw objects (`deployment`, `service`, `horizontal_pod_autoscaler`) are as their
    author wrote them, without nulls and status; {} stands for none.

    Attributes:
        source: `spec.function`: text, base64 or a URL, by `content_type`.
        checksum: "" or ``sha256:<hex>``, in lower case.
        timeout: seconds as text, as containers get it.
    """

    metadata: Metadata
    handler: Handler
    runtime: str
    source: str
    content_type: ContentType
    checksum: str
    deps: str
    timeout: str
    deployment: JSON
    service: JSON
    horizontal_pod_autoscaler: JSON

    @property
    def name(self) -> str:
        return self.metadata.name

    @property
    def namespace(self) -> str:
        return self.metadata.namespace

    @property
    def labels(self) -> Mapping[str, str]:
        return self.metadata.labels

    @property
    def timeout_seconds(self) -> float:
        return float(self.timeout)

    @property
    def needs_install(self) -> bool:
        """Whether there is a dependency file to install from."""
        return bool(self.deps.strip()) or self.content_type.brings_deps

    @property
    def prebuilt_image(self) -> str:
        """The image of the deployment's first container, which has the function in it already; "" if there is none.

        As in Kubeless: nothing is provisioned into such a container.
        """
        containers = pod_spec(self.deployment).get("containers") or [{}]
        return str(containers[0].get("image") or "")


def pod_spec(deployment: JSON) -> JSON:
    """`spec.template.spec` of a Deployment, {} if it has none."""
    spec: JSON = ((deployment.get("spec") or {}).get("template") or {}).get("spec") or {}
    return spec


def parse(obj: Mapping[str, Any]) -> Function:
    """Raises InvalidSpec for the first field that cannot be served.

    Whether the runtime exists is for `kubeless.api.config.Config.runtime` to say.
    """
    spec = Fields.of("spec", obj.get("spec"))
    content_type = parse_content_type(spec.text("function-content-type"), spec.at("function-content-type"))
    source = spec.text("function")
    if content_type.origin == "url" and not _URL.fullmatch(source.strip()):
        raise InvalidSpec(
            spec.at("function"),
            "must be a URL that starts with http:// or https://, because function-content-type is"
            f' "{content_type.text}"; for source text in place use function-content-type: text',
            Reason.INVALID_URL,
        )
    deps = spec.text("deps")
    _check_size(spec, source, deps)
    return Function(
        metadata=Metadata.parse(KIND, obj),
        handler=parse_handler(spec.required("handler", "handler: hello.handler"), spec.at("handler")),
        runtime=spec.required("runtime", "runtime: python3.11").strip(),
        source=source,
        content_type=content_type,
        checksum=_checksum(spec),
        deps=deps,
        timeout=_timeout(spec),
        deployment=_deployment(spec),
        service=spec.object("service"),
        horizontal_pod_autoscaler=_autoscaler(spec),
    )


def parse_handler(text: str, field: str = "spec.handler") -> Handler:
    """Raises InvalidSpec."""
    if not _HANDLER.fullmatch(text):
        dots = text.count(".")
        wrong = (
            "has no dot" if dots == 0 else f"has {dots} dots" if dots > 1 else "has characters that a name cannot have"
        )
        raise InvalidSpec(
            field,
            f'"{text}" {wrong}; write the module and the function with one dot between them: the function "handler"'
            ' of the file hello.py is "hello.handler"',
            Reason.INVALID_HANDLER,
        )
    module, _, function = text.partition(".")
    return Handler(module, function)


def parse_content_type(text: str, field: str = "spec.function-content-type") -> ContentType:
    """A content type with its suffixes in any order; "" means text. Raises InvalidSpec."""

    def wrong(what: str) -> InvalidSpec:
        return InvalidSpec(field, f'"{text}" {what}', Reason.INVALID_CONTENT_TYPE)

    text = text.strip() or "text"
    origin, *suffixes = text.split("+")
    archives = [suffix for suffix in suffixes if suffix in ("zip", "compressedtar")]
    repeated = len(suffixes) != len(set(suffixes)) or len(archives) > 1
    unknown = [suffix for suffix in suffixes if suffix not in ("zip", "compressedtar", "deps")]
    if origin not in ("text", "base64", "url") or unknown or repeated:
        raise wrong(
            "is not known; it is text, base64 or url, with +zip or +compressedtar for an archive and +deps for one that"
            " brings its dependency file, such as base64+zip or url+compressedtar+deps"
        )
    if origin == "text" and archives:
        raise wrong(f"cannot be: an archive is no text; encode it and use base64+{archives[0]}")
    if "deps" in suffixes and not archives:
        raise wrong(
            "cannot be: only an archive can bring its dependency file; add +zip or +compressedtar, or use spec.deps"
        )
    return ContentType(text, cast(Origin, origin), cast(Archive, archives[0] if archives else ""), "deps" in suffixes)


def _checksum(spec: Fields) -> str:
    checksum = spec.text("checksum").strip()
    if checksum and not _CHECKSUM.fullmatch(checksum):
        raise InvalidSpec(
            spec.at("checksum"),
            f'"{checksum}" is not of the form sha256:<64 hexadecimal digits>; `sha256sum FILE` prints the digits',
            Reason.INVALID_CHECKSUM,
        )
    return checksum.lower()


def _timeout(spec: Fields) -> str:
    value = spec.content.get("timeout")
    text = str(value) if isinstance(value, int | float) and not isinstance(value, bool) else spec.text("timeout")
    text = text.strip() or DEFAULT_TIMEOUT
    if not _TIMEOUT.fullmatch(text) or float(text) <= 0:
        raise InvalidSpec(
            spec.at("timeout"),
            f'"{text}" is not a number of seconds greater than 0; for example timeout: "{DEFAULT_TIMEOUT}"',
            Reason.INVALID_TIMEOUT,
        )
    return text


def _check_size(spec: Fields, source: str, deps: str) -> None:
    size = len(source.encode()) + len(deps.encode())
    if size > MAX_SOURCE_BYTES:
        raise InvalidSpec(
            spec.at("function"),
            f"function and deps are {size} bytes together; Kubernetes stores at most 1 MiB ({MAX_SOURCE_BYTES} bytes)"
            " in one object. Put the source behind a URL (function-content-type: url, url+zip or url+compressedtar) or"
            " build an image and name it in spec.deployment",
            Reason.SOURCE_TOO_LARGE,
        )


def _deployment(spec: Fields) -> JSON:
    deployment = spec.object("deployment")
    deployment.pop("status", None)
    field = spec.at("deployment")
    containers = Fields.of(f"{field}.spec.template.spec", _descend(field, deployment)).content.get("containers")
    if containers is not None and (
        not isinstance(containers, list) or not all(isinstance(container, dict) for container in containers)
    ):
        raise InvalidSpec(f"{field}.spec.template.spec.containers", "must be a list of containers")
    return deployment


def _descend(field: str, deployment: JSON) -> Any:
    fields = Fields.of(field, deployment)
    for name in ("spec", "template"):
        fields = fields.inner(name)
    return fields.content.get("spec")


def _autoscaler(spec: Fields) -> JSON:
    """{} also for the empty one that Kubeless's tools wrote into every manifest."""
    autoscaler = spec.object("horizontalPodAutoscaler")
    autoscaler.pop("status", None)
    inner = Fields.of(spec.at("horizontalPodAutoscaler.spec"), autoscaler.get("spec"))
    return autoscaler if inner.content.get("maxReplicas") or inner.content.get("metrics") else {}
