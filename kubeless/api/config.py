"""`kubeless-config`: what the administrator sets for all functions, and the catalogue of runtimes."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from kubeless.api.catalogue import ResolvedRuntime, Runtime, in_registry, parse_catalogue, resolve
from kubeless.api.documents import read_document
from kubeless.api.errors import InvalidSpec, Reason
from kubeless.api.kubernetes_fields import unknown_field
from kubeless.api.reading import JSON, Fields, described, without_nulls

DEFAULT_NAMESPACE = "kubeless"
DEFAULT_NAME = "kubeless-config"
PROVISION_IMAGE = "kubeless-provision:3.11"
SERVICE_TYPES = ("ClusterIP", "NodePort", "LoadBalancer", "ExternalName")

_TRUE = ("1", "t", "true", "yes", "on")
_FALSE = ("0", "f", "false", "no", "off")


@dataclass(frozen=True)
class Config:
    """The settings of one installation. Images are complete: `image-registry` is in them already.

    Attributes:
        deployment: a Deployment that is merged under every function's, {} for none.
        functions_namespace: the only one whose functions are served; "" for all.
        provision_image_secret: name of the Secret for pulling it, "" for none.
    """

    runtimes: tuple[Runtime, ...] = ()
    deployment: JSON = field(default_factory=dict)
    service_type: str = "ClusterIP"
    ingress_enabled: bool = False
    functions_namespace: str = ""
    provision_image: str = PROVISION_IMAGE
    provision_image_secret: str = ""
    enable_build_step: bool = False
    builder_image: str = ""
    builder_image_secret: str = ""
    function_registry_tls_verify: bool = True
    image_registry: str = ""

    def runtime(self, name: str) -> ResolvedRuntime:
        """What serves `spec.runtime: name`. Raises InvalidSpec for what is unknown or refused."""
        return resolve(self.runtimes, name)


def parse(config_map: Mapping[str, Any]) -> Config:
    """The ConfigMap's `data`; keys that are not known here are left to whoever wrote them. Raises InvalidSpec."""
    data = Fields.of("", config_map.get("data"))
    registry = data.text("image-registry").strip()
    service_type = data.text("service-type", "ClusterIP").strip()
    if service_type not in SERVICE_TYPES:
        raise _invalid("service-type", f'must be one of {", ".join(SERVICE_TYPES)}, not "{service_type}"')
    return Config(
        runtimes=parse_catalogue(
            read_document("runtime-images", data.text("runtime-images")), "runtime-images", registry
        ),
        deployment=_deployment(data),
        service_type=service_type,
        ingress_enabled=_flag(data, "ingress-enabled", False),
        functions_namespace=data.text("functions-namespace").strip(),
        provision_image=in_registry(data.text("provision-image", PROVISION_IMAGE).strip(), registry),
        provision_image_secret=data.text("provision-image-secret").strip(),
        enable_build_step=_flag(data, "enable-build-step", False),
        builder_image=in_registry(image, registry) if (image := data.text("builder-image").strip()) else "",
        builder_image_secret=data.text("builder-image-secret").strip(),
        function_registry_tls_verify=_flag(data, "function-registry-tls-verify", True),
        image_registry=registry,
    )


def location(
    environment: Mapping[str, str] = os.environ, definition: Mapping[str, Any] | None = None
) -> tuple[str, str]:
    """Namespace and name of the ConfigMap, from the environment, else the annotations of the Functions' definition."""
    annotations = ((definition or {}).get("metadata") or {}).get("annotations") or {}
    namespace = environment.get("KUBELESS_NAMESPACE") or annotations.get("kubeless.io/namespace") or DEFAULT_NAMESPACE
    name = environment.get("KUBELESS_CONFIG") or annotations.get("kubeless.io/config") or DEFAULT_NAME
    return namespace, name


def _deployment(data: Fields) -> JSON:
    content = read_document("deployment", data.text("deployment"))
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise _invalid("deployment", f"must be a Deployment, not {described(content)}")
    deployment: JSON = without_nulls(content)
    if unknown := unknown_field(deployment, "V1Deployment"):
        raise _invalid(f"deployment.{unknown}", "is not a field of a Deployment")
    deployment.pop("status", None)
    return deployment


def _flag(data: Fields, name: str, default: bool) -> bool:
    word = data.text(name).strip().lower()
    if not word:
        return default
    if word not in (*_TRUE, *_FALSE):
        raise _invalid(name, f'must be "true" or "false", not "{word}"')
    return word in _TRUE


def _invalid(field_name: str, message: str) -> InvalidSpec:
    return InvalidSpec(field_name, message, Reason.INVALID_CONFIG)
