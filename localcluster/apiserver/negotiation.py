"""Content negotiation: JSON or YAML, and whether as the object itself, as a table or as metadata only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import orjson
import yaml

from localcluster.apiserver.errors import APIError

JSON = dict[str, Any]

ACCEPTED = ("application/json", "application/yaml", "application/vnd.kubernetes.protobuf")
_STREAMS = (*ACCEPTED, "application/json;stream=watch", "application/vnd.kubernetes.protobuf;stream=watch")
_TRANSFORMS = ("Table", "PartialObjectMetadata", "PartialObjectMetadataList")


@dataclass(frozen=True, slots=True)
class Form:
    """How an answer is written. `transform`: empty, Table, PartialObjectMetadata or PartialObjectMetadataList."""

    media: str = "application/json"
    transform: str = ""
    pretty: bool = False

    def write(self, obj: Any) -> bytes:
        if self.media == "application/yaml":
            return yaml.dump(obj, Dumper=_DUMPER, default_flow_style=False, allow_unicode=True).encode()
        if self.pretty:
            return orjson.dumps(obj, option=orjson.OPT_INDENT_2) + b"\n"
        return orjson.dumps(obj) + b"\n"


_DUMPER: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


def negotiate(accept: str, pretty: bool = False) -> Form:
    """The first form of an Accept header that can be served. Raises APIError 406."""
    if not accept or accept == "*/*":
        return Form(pretty=pretty)
    transformed_only = False
    for clause in accept.split(","):
        media, *options = (part.strip() for part in clause.split(";"))
        if media in ("*/*", "application/*"):
            media = "application/json"
        if media not in ("application/json", "application/yaml"):
            continue
        options_by_name = dict(option.partition("=")[::2] for option in options)
        transform = options_by_name.get("as", "")
        if transform:
            right = options_by_name.get("g") == "meta.k8s.io" and options_by_name.get("v") in ("v1", "v1beta1")
            if transform not in _TRANSFORMS or not right:
                transformed_only = True
                continue
        return Form(media, transform, pretty)
    if transformed_only:
        message = f"only the following media types are accepted: {', '.join(ACCEPTED)}"
        raise APIError(406, "NotAcceptable", message)
    message = f"406: Not Acceptable\n\nAvailable representations: {', '.join(_STREAMS)}"
    raise APIError(406, "NotAcceptable", message, {})
