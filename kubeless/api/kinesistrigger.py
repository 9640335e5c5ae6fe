"""KinesisTrigger: a shard of a stream of AWS whose records call a function."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kubeless.api.metadata import Metadata
from kubeless.api.reading import Fields

KIND = "KinesisTrigger"
PLURAL = "kinesistriggers"


@dataclass(frozen=True)
class KinesisTrigger:
    """`secret` names the Secret with the access key; `endpoint` is "" for AWS itself."""

    metadata: Metadata
    function_name: str
    stream: str
    region: str
    shard: str
    secret: str
    endpoint: str


def parse(obj: Mapping[str, Any]) -> KinesisTrigger:
    """Raises InvalidSpec."""
    spec = Fields.of("spec", obj.get("spec"))
    return KinesisTrigger(
        metadata=Metadata.parse(KIND, obj),
        function_name=spec.required("function-name", "function-name: hello"),
        stream=spec.required("stream", "stream: orders"),
        region=spec.required("aws-region", "aws-region: eu-central-1"),
        shard=spec.required("shard", "shard: shardId-000000000000"),
        secret=spec.required("secret", "secret: aws-credentials"),
        endpoint=spec.text("endpoint"),
    )
