"""The API server's refusals in words for a Function's author."""

from __future__ import annotations

import pytest

from controller.refusals import explain
from kubeless.cluster import errors
from kubeless.cluster.errors import ApiError

DEPLOYMENT = {"kind": "Deployment", "metadata": {"name": "hello"}}
SERVICE = {"kind": "Service", "metadata": {"name": "hello"}}
TYPED = "failed to create typed patch object (ns/hello; apps/v1, Kind=Deployment): "


def refused(code: int, message: str, reason: str = "") -> ApiError:
    return errors.from_status({"code": code, "message": message, "reason": reason})


@pytest.mark.parametrize(
    ("error", "obj", "reason", "words", "later"),
    [
        (
            refused(500, TYPED + ".spec.template.spec.containerz: field not declared in schema"),
            DEPLOYMENT,
            "InvalidSpec",
            "spec.deployment.spec.template.spec.containerz: is not a field of a Deployment",
            False,
        ),
        (
            refused(500, TYPED + ".spec.prots: field not declared in schema"),
            SERVICE,
            "InvalidSpec",
            "spec.service.prots: is not a field of a Service",
            False,
        ),
        (
            refused(500, TYPED + ".spec.replicas: expected numeric, got string"),
            DEPLOYMENT,
            "InvalidSpec",
            "spec.deployment is not a Deployment: .spec.replicas: expected numeric",
            False,
        ),
        (
            refused(422, 'Deployment "hello" is invalid: spec.x: Required value', "Invalid"),
            DEPLOYMENT,
            "Refused",
            "spec.x: Required value",
            False,
        ),
        (
            refused(422, "nodePort: Invalid value: 30000: provided port is already allocated", "Invalid"),
            SERVICE,
            "Refused",
            "30000",
            True,
        ),
        (
            refused(403, 'services "hello" is forbidden: exceeded quota: few', "Forbidden"),
            SERVICE,
            "QuotaExceeded",
            "exceeded quota: few",
            True,
        ),
        (refused(403, 'User "x" cannot patch', "Forbidden"), SERVICE, "ControllerForbidden", "cannot patch", True),
    ],
)
def test_what_a_refusal_means(error: ApiError, obj: dict[str, object], reason: str, words: str, later: bool) -> None:
    refusal = explain(error, obj)
    assert refusal is not None
    assert (refusal.reason, refusal.later) == (reason, later)
    assert words in refusal.message


@pytest.mark.parametrize(
    "error",
    [
        refused(409, "the object has been modified", "Conflict"),
        refused(429, "too many requests"),
        refused(500, "etcdserver: leader changed"),
        refused(404, "namespaces not found", "NotFound"),
        refused(403, "unable to create new content in namespace x because it is being terminated", "Forbidden"),
    ],
)
def test_what_only_trying_again_helps(error: ApiError) -> None:
    assert explain(error, SERVICE) is None
