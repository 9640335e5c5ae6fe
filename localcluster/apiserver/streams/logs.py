"""pods/log: checked here, read from the kubelet of the pod's node."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import aiohttp
from aiohttp import web

from localcluster.apiserver.errors import APIError, FieldError, bad_request, internal, invalid, invalid_value
from localcluster.apiserver.errors import forbidden_field as forbidden
from localcluster.apiserver.streams.backends import Backends, container_of, relay, unreachable

JSON = dict[str, Any]

PASSED_ON = ("follow", "previous", "timestamps", "sinceSeconds", "sinceTime", "tailLines", "limitBytes", "stream")
MAX_ERROR_BYTES = 2000


async def answer(request: web.BaseRequest, through: Backends, namespace: str, name: str) -> web.StreamResponse:
    """Raises APIError as the real server does for bad options, unknown containers, and what the kubelet refuses."""
    query = request.query
    if errors := check_options(query):
        raise invalid("", "PodLogOptions", name, errors)
    pod = through.pod(namespace, name)
    container = container_of(pod, query.get("container", ""))
    node_name = pod["spec"].get("nodeName")
    if not node_name:
        return web.Response(status=204)
    url = f"{through.kubelet_url(node_name)}/containerLogs/{namespace}/{name}/{container}"
    options = {key: query[key] for key in PASSED_ON if query.get(key)}
    try:
        async with through.session.get(url, params=options, ssl=through.kubelet_tls) as upstream:
            if upstream.status >= 300:
                raise refused(
                    upstream.status,
                    (await upstream.content.read(MAX_ERROR_BYTES)).decode("utf-8", "replace"),
                    "pods/log",
                    name,
                )
            response = web.StreamResponse(headers={"Content-Type": "text/plain; charset=utf-8"})
            return await relay(request, upstream, response)
    except (TimeoutError, aiohttp.ClientError, OSError) as error:
        raise unreachable(url, error) from error


def check_options(query: Mapping[str, str]) -> list[FieldError]:
    """Field errors of PodLogOptions. Raises APIError 400 for what is no number."""
    errors: list[FieldError] = []
    for key, least, text in (
        ("tailLines", 0, "must be greater than or equal to 0"),
        ("limitBytes", 1, "must be greater than 0"),
        ("sinceSeconds", 1, "must be greater than 0"),
    ):
        if query.get(key):
            try:
                value = int(query[key])
            except ValueError:
                raise bad_request(f'strconv.ParseInt: parsing "{query[key]}": invalid syntax') from None
            if value < least:
                errors.append(invalid_value(key, value, text))
    if query.get("sinceSeconds") and query.get("sinceTime"):
        errors.append(forbidden("", "at most one of `sinceTime` or `sinceSeconds` may be specified"))
    return errors


def refused(code: int, text: str, resource: str, name: str) -> APIError:
    """A kubelet's answer of failure as the API server words it."""
    if code == 400:
        return bad_request(text)
    if code == 404:
        message = f"the server could not find the requested resource ( {resource} {name})"
        details = {"name": name, "kind": resource, "causes": [{"reason": "UnexpectedServerResponse", "message": text}]}
        return APIError(404, "NotFound", message, details)
    return internal(text)
