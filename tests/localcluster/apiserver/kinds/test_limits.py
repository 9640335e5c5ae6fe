"""LimitRanges and ResourceQuotas."""

from typing import Any

import pytest

from tests.localcluster.apiserver.kinds.error_tables import rows
from tests.localcluster.apiserver.kinds.written import Written

RANGE, QUOTA = Written("", "LimitRange"), Written("", "ResourceQuota")


def limits(**limit: Any) -> dict[str, Any]:
    return {"spec": {"limits": [limit]}}


def test_containers_get_defaults_from_bounds() -> None:
    made = RANGE.created(limits(type="Container", max={"cpu": "2"}, min={"memory": "1"}, defaultRequest={"cpu": "1"}))
    assert made["spec"]["limits"][0]["default"] == {"cpu": "2"}
    assert made["spec"]["limits"][0]["defaultRequest"] == {"memory": "1", "cpu": "1"}
    assert "default" not in RANGE.created(limits(type="Pod", max={"cpu": "2"}))["spec"]["limits"][0]


@pytest.mark.parametrize(("limit", "expected"), rows("limits", "bad_limits"))
def test_bad_limits(limit: dict[str, Any], expected: list[str]) -> None:
    assert RANGE.create_errors(limits(**limit)) == expected


def test_each_type_once() -> None:
    twice = {"spec": {"limits": [{"type": "Pod"}, {"type": "Pod"}]}}
    assert RANGE.create_errors(twice) == ['spec.limits[1].type: Duplicate value: "Pod"']


def test_quotas() -> None:
    good = {"count/deployments.apps": "1", "requests.nvidia.com/gpu": "1", "requests.storage": "1Gi", "pods": "1"}
    assert QUOTA.create_errors({"spec": {"hard": good}}) == []
    assert QUOTA.create_errors({"spec": {"hard": {"pods": "1500m"}}}) == [
        'spec.hard[pods]: Invalid value: "1500m": must be an integer'
    ]


@pytest.mark.parametrize(("spec", "expected"), rows("limits", "scopes"))
def test_scopes(spec: dict[str, Any], expected: list[str]) -> None:
    assert QUOTA.create_errors({"spec": spec}) == expected


def test_scopes_stay() -> None:
    assert QUOTA.update_errors({"spec": {"scopes": ["BestEffort"]}}, {"spec": {}}) == [
        "spec.scopes: Invalid value: null: field is immutable"
    ]
