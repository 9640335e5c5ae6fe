"""What keeps a function's pod from serving, in words for the function's author."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from controller.reasons import Condition, Reason

JSON = dict[str, Any]

_IMAGE_REASONS = {"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "ImageInspectError"}
_CONTAINER_REASONS = {"CreateContainerConfigError", "CreateContainerError", "RunContainerError"}
_STEPS = {
    "prepare": "the source could not be prepared",
    "install": "the dependencies could not be installed",
    "compile": "the function could not be compiled",
}
_LOG_HINT = "kubectl logs deployment/{name} -c {container} has the log"


@dataclass(frozen=True)
class Failure:
    """`step` is the condition that is False by it, besides Ready."""

    step: Condition
    reason: Reason
    message: str


def find_failure(pods: Iterable[Mapping[str, Any]], function_name: str) -> Failure | None:
    """Of pods of one version, the first failure, looked for in the newest pod first."""
    newest = sorted(pods, key=lambda pod: str(pod["metadata"].get("creationTimestamp") or ""), reverse=True)
    for pod in newest:
        if failure := _of_pod(pod, function_name):
            return failure
    return None


def _of_pod(pod: Mapping[str, Any], function_name: str) -> Failure | None:
    status = pod.get("status") or {}
    for state in status.get("initContainerStatuses") or []:
        if failure := _of_container(state, function_name, provisioning=state["name"] in _STEPS):
            return failure
    states = sorted(status.get("containerStatuses") or [], key=lambda state: state["name"] != function_name)
    for state in states:
        if failure := _of_container(state, function_name, provisioning=False):
            return failure
    if status.get("reason") == "Evicted":
        return Failure(Condition.READY, Reason.EVICTED, f"the pod was evicted: {status.get('message', '')}")
    for condition in status.get("conditions") or []:
        if condition["type"] == "PodScheduled" and condition.get("reason") == "Unschedulable":
            message = f"no node can take the pod: {condition.get('message', '')}"
            return Failure(Condition.READY, Reason.UNSCHEDULABLE, message)
    return None


def _of_container(state: Mapping[str, Any], function_name: str, *, provisioning: bool) -> Failure | None:
    step = Condition.PROVISIONED if provisioning else Condition.READY
    name = state["name"]
    waiting = (state.get("state") or {}).get("waiting") or {}
    reason, words = waiting.get("reason", ""), waiting.get("message", "")
    if reason in _IMAGE_REASONS:
        message = f"the image {state.get('image', '')} cannot be pulled: {words or reason}"
        return Failure(step, Reason.IMAGE_NOT_PULLED, message)
    if reason in _CONTAINER_REASONS:
        message = f"the container {name} cannot be started: {words or reason}"
        return Failure(step, Reason.CONTAINER_NOT_CREATED, message)
    if state.get("ready"):
        return None
    ended = (state.get("state") or {}).get("terminated") or (state.get("lastState") or {}).get("terminated")
    if not ended:
        return None
    return _of_end(name, ended, function_name, provisioning=provisioning, looping=reason == "CrashLoopBackOff")


def _of_end(
    name: str, ended: Mapping[str, Any], function_name: str, *, provisioning: bool, looping: bool
) -> Failure | None:
    step = Condition.PROVISIONED if provisioning else Condition.READY
    code = ended.get("exitCode") or 0
    hint = _LOG_HINT.format(name=function_name, container=name)
    what = _STEPS[name] if provisioning else f"the container {name} ended"
    if ended.get("reason") == "OOMKilled":
        message = f"{what}: it needed more memory than its limit; raise resources.limits.memory in spec.deployment"
        return Failure(step, Reason.OUT_OF_MEMORY, message)
    if code == 0:
        # It ended as it was told to; again and again that is a probe's doing.
        message = f"the container {name} is not healthy and is started again and again; {hint}"
        return Failure(step, Reason.NOT_HEALTHY, message) if looping else None
    said = summary_first(ended.get("message") or "")
    if provisioning:
        words = (
            f"{what} (exit code {code}); {hint}" if not said else said if said.startswith(what) else f"{what}: {said}"
        )
        return Failure(step, Reason.PROVISIONING_FAILED, words)
    if said:
        return Failure(step, Reason.HANDLER_FAILED, said)
    signal = f"by signal {code - 128}" if code > 128 else f"with exit code {code}"
    return Failure(step, Reason.HANDLER_FAILED, f"the container {name} ended {signal}; {hint}")


def summary_first(termination_message: str) -> str:
    """The last line of a termination message says why; what was before it comes after."""
    *details, summary = termination_message.strip().splitlines() or [""]
    return "\n".join([summary.strip(), *(line.rstrip() for line in details)])
