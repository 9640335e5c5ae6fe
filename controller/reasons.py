"""The words for machines in Functions' status and Events; those for a wrong spec are in `kubeless.api.errors`."""

from __future__ import annotations

from enum import StrEnum


class Condition(StrEnum):
    """Types of conditions: Ready, and the steps that lead to it."""

    READY = "Ready"
    ACCEPTED = "Accepted"
    DEPLOYED = "Deployed"
    PROVISIONED = "Provisioned"
    RUNTIME_REPLACED = "RuntimeReplaced"


class Reason(StrEnum):
    """Why a condition is as it is. `Ready` is False for what somebody must repair, Unknown for what is under way."""

    READY = "Ready"
    SCALED_TO_ZERO = "ScaledToZero"
    ACCEPTED = "Accepted"
    APPLIED = "Applied"
    PROVISIONED = "Provisioned"
    RUNTIME_REPLACED = "RuntimeReplaced"

    DEPLOYING = "Deploying"
    PROVISIONING = "Provisioning"
    ROLLING_OUT = "RollingOut"
    CLEANING_UP = "CleaningUp"

    NOT_SERVED = "NamespaceNotServed"
    NAME_CONFLICT = "NameConflict"
    QUOTA_EXCEEDED = "QuotaExceeded"
    REFUSED = "Refused"
    FORBIDDEN = "ControllerForbidden"
    PROVISIONING_FAILED = "ProvisioningFailed"
    HANDLER_FAILED = "HandlerFailed"
    OUT_OF_MEMORY = "OutOfMemory"
    NOT_HEALTHY = "NotHealthy"
    IMAGE_NOT_PULLED = "ImageNotPulled"
    CONTAINER_NOT_CREATED = "ContainerNotCreated"
    POD_NOT_CREATED = "PodNotCreated"
    UNSCHEDULABLE = "Unschedulable"
    EVICTED = "Evicted"
    TOO_SLOW = "ProgressDeadlineExceeded"
