"""podFailurePolicy and successPolicy of Jobs
(https://kubernetes.io/docs/concepts/workloads/controllers/job/#pod-failure-policy)."""

from __future__ import annotations

from typing import Any

from localcluster.controllers.job import indexes

JSON = dict[str, Any]


def matched_rule(policy: JSON | None, pod: JSON) -> tuple[str, str]:
    """The action of the first rule that a failed pod matches and, for FailJob, the message; ``Count`` without one."""
    for number, rule in enumerate((policy or {}).get("rules") or ()):
        why = _matched_exit_code(rule.get("onExitCodes"), pod) or _matched_condition(rule.get("onPodConditions"), pod)
        if why:
            pod_key = f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"
            return rule["action"], f"{why.format(pod=pod_key)} matching {rule['action']} rule at index {number}"
    return "Count", ""


def _matched_exit_code(wanted: JSON | None, pod: JSON) -> str:
    if not wanted:
        return ""
    status = pod.get("status", {})
    for container in [*(status.get("containerStatuses") or ()), *(status.get("initContainerStatuses") or ())]:
        ended = container.get("state", {}).get("terminated")
        if ended is None or wanted.get("containerName", container["name"]) != container["name"]:
            continue
        code = ended.get("exitCode", 0)
        # NotIn never matches success.
        if (code in wanted["values"]) if wanted["operator"] == "In" else (code != 0 and code not in wanted["values"]):
            return f"Container {container['name']} for pod {{pod}} failed with exit code {code}"
    return ""


def _matched_condition(patterns: list[JSON] | None, pod: JSON) -> str:
    for pattern in patterns or ():
        for condition in pod.get("status", {}).get("conditions") or ():
            if condition["type"] == pattern["type"] and condition["status"] == pattern.get("status", "True"):
                return f"Pod {{pod}} has condition {condition['type']}"
    return ""


def success_message(job: JSON, done: set[int]) -> str:
    """Which rule of the successPolicy is met; empty for none."""
    policy = job["spec"].get("successPolicy")
    if not policy or not indexes.is_indexed(job):
        return ""
    for number, rule in enumerate(policy.get("rules") or ()):
        if rule.get("succeededIndexes") is not None:
            wanted = indexes.parse(rule["succeededIndexes"], job["spec"]["completions"])
            met = len(wanted & done) >= rule.get("succeededCount", len(wanted))
        else:
            met = len(done) >= rule.get("succeededCount", job["spec"]["completions"])
        if met:
            return f"Matched rules at index {number}"
    return ""
