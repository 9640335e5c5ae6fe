"""All that is wanted for one Function, in the order in which it is written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from controller.resources.autoscaler import make_autoscaler
from controller.resources.configmap import make_config_map, make_data, make_revision
from controller.resources.deployment import make_deployment, prebuilt_image
from controller.resources.service import make_service
from kubeless.api.catalogue import ResolvedRuntime
from kubeless.api.config import Config
from kubeless.api.errors import InvalidSpec
from kubeless.api.function import Function

JSON = dict[str, Any]


@dataclass(frozen=True)
class Children:
    """The wanted objects of a Function.

    Attributes:
        revision: the ConfigMap that the pods mount; None for a prebuilt image.
        autoscaler: None if there should be none.
        runtime: what serves the function; None for a prebuilt image of an unknown runtime.
    """

    revision: JSON | None
    deployment: JSON
    service: JSON
    autoscaler: JSON | None
    config_map: JSON
    runtime: ResolvedRuntime | None

    @property
    def applied(self) -> list[JSON]:
        """What is brought about by server-side apply: what is refused most easily comes first, so that nothing of a
        version is there when a part of it cannot be.
        """
        return [obj for obj in (self.deployment, self.service, self.autoscaler, self.config_map) if obj is not None]


def make_children(function: Function, config: Config, selector: Mapping[str, str] | None = None) -> Children:
    """Raises InvalidSpec for what the catalogue does not serve and for fields that cannot be used.

    `selector` is that of the Deployment which is there already.
    """
    prebuilt = bool(prebuilt_image(function, config))
    try:
        resolved = config.runtime(function.runtime)
    except InvalidSpec:
        if not prebuilt:
            raise
        resolved = None
    runtime = resolved.runtime if resolved else None
    data = make_data(function, runtime.suffix if runtime else "", runtime.dependency_file if runtime else "")
    revision = None if prebuilt else make_revision(function, data)
    mounted = revision["metadata"]["name"] if revision else ""
    return Children(
        revision=revision,
        deployment=make_deployment(function, config, runtime, mounted, selector),
        service=make_service(function, config),
        autoscaler=make_autoscaler(function),
        config_map=make_config_map(function, data),
        runtime=resolved,
    )
