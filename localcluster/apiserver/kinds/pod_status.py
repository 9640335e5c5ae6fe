"""The status of a pod: addresses in both of their forms, and what may not happen to its containers."""

from __future__ import annotations

from typing import Any

from localcluster.apiserver.errors import FieldError, duplicate, forbidden_field, invalid_value
from localcluster.apiserver.kinds import formats
from localcluster.apiserver.kinds.formats import check
from localcluster.apiserver.kinds.pod_defaults import drop_empty

JSON = dict[str, Any]

_OMITTED = (
    "phase", "conditions", "message", "reason", "nominatedNodeName", "hostIP", "hostIPs", "podIP", "podIPs",
    "initContainerStatuses", "containerStatuses", "ephemeralContainerStatuses", "qosClass", "resize",
    "resourceClaimStatuses", "observedGeneration",
)  # fmt: skip
_STATUSES = ("initContainerStatuses", "containerStatuses", "ephemeralContainerStatuses")
_SYSTEM_CONDITIONS = ("PodScheduled", "Ready", "Initialized")
_ONE_PER_FAMILY = "may specify no more than one IP for each IP family"


def default_pod_status(status: JSON) -> None:
    """What Go's types make of a status: the addresses in both forms, and fields that are always there."""
    drop_empty(status, _OMITTED)
    for single, several in (("podIP", "podIPs"), ("hostIP", "hostIPs")):
        first = next((entry.get("ip") for entry in status.get(several) or ()), None)
        # The single one comes first: an old writer knows no other. Lists of host addresses are left as they are.
        if single == "podIP" and status.get(single) and status[single] != first:
            status[several] = [{"ip": status[single]}]
        elif single == "podIP" and first and not status.get(single):
            status[single] = first
    for condition in status.get("conditions") or ():
        for name in ("lastProbeTime", "lastTransitionTime"):
            condition.setdefault(name, None)
        drop_empty(condition, ("reason", "message", "observedGeneration"))
    for kind in _STATUSES:
        for container in status.get(kind) or ():
            _default_container_status(container)


def _default_container_status(status: JSON) -> None:
    for name, value in (("ready", False), ("restartCount", 0), ("image", ""), ("imageID", "")):
        status.setdefault(name, value)
    for name in ("state", "lastState"):
        if status.get(name) is None:
            status[name] = {}
        for kind in ("running", "terminated"):
            if (detail := status[name].get(kind)) is not None:
                detail.setdefault("startedAt", None)
                if kind == "terminated":
                    detail.setdefault("finishedAt", None)
                    detail.setdefault("exitCode", 0)


def validate_pod_status(new: JSON, old: JSON) -> list[FieldError]:
    """Errors of a write to ``/status`` of a pod."""
    status, before = new.get("status") or {}, old.get("status") or {}
    errors: list[FieldError] = []
    for i, condition in enumerate(status.get("conditions") or ()):
        kind = condition.get("type", "")
        if kind not in _SYSTEM_CONDITIONS:
            errors += check(f"metadata.conditions[{i}].Type", kind, formats.qualified_name(kind))
    node = status.get("nominatedNodeName", "")
    if node and node != before.get("nominatedNodeName", ""):
        errors += check("status.nominatedNodeName", node, formats.dns1123_subdomain(node))
    policy = old["spec"].get("restartPolicy", "Always")
    sidecars = {c.get("name") for c in old["spec"].get("initContainers") or () if c.get("restartPolicy") == "Always"}
    restarting = {c.get("name") for c in old["spec"].get("containers") or () if c.get("restartPolicy")}
    errors += _transitions(status, before, "containerStatuses", policy, restarting)
    errors += _transitions(status, before, "initContainerStatuses", policy, sidecars)
    errors += _transitions(status, before, "ephemeralContainerStatuses", "Never", set())
    errors += _addresses(status.get("podIPs") or [], "status.podIPs")
    return errors + _host_addresses(status)


def _transitions(status: JSON, before: JSON, kind: str, policy: str, exempt: set[Any]) -> list[FieldError]:
    if policy == "Always":
        return []
    errors: list[FieldError] = []
    for i, was in enumerate(before.get(kind) or ()):
        ended = (was.get("state") or {}).get("terminated")
        if ended is None or was.get("name") in exempt or (ended.get("exitCode") and policy == "OnFailure"):
            continue
        for now in status.get(kind) or ():
            if now.get("name") == was.get("name") and (now.get("state") or {}).get("terminated") is None:
                detail = "may not be transitioned to non-terminated state"
                errors.append(forbidden_field(f"status.{kind}[{i}].state", detail))
    return errors


def _host_addresses(status: JSON) -> list[FieldError]:
    addresses = status.get("hostIPs") or []
    if not addresses:
        return []
    errors: list[FieldError] = []
    first = addresses[0].get("ip", "")
    if status.get("hostIP", "") != first:
        errors.append(invalid_value("status.hostIPs[0].ip", first, "must be equal to `hostIP`"))
    return errors + _addresses(addresses, "status.hostIPs")


def _addresses(entries: list[JSON], path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    texts = [entry.get("ip", "") for entry in entries]
    for i, text in enumerate(texts):
        errors += check(f"{path}[{i}]", text, formats.ip(text))
    if len(texts) > 1:
        versions = {address.version for text in texts if (address := formats.parse_ip(text)) is not None}
        if versions != {4, 6} or len(texts) > 2:
            shown = [{"IP": text} for text in texts]
            errors.append(invalid_value(path, shown, _ONE_PER_FAMILY))
        for i, text in enumerate(texts):
            if text in texts[:i]:
                errors.append(duplicate(f"{path}[{i}]", {"IP": text}))
    return errors
