"""Creating and deleting many pods for an owner: in growing batches, so that a quota is not hammered, with events."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from localcluster.client import ApiStatusError
from localcluster.controllers.manager import Controller
from localcluster.informer import Informer

JSON = dict[str, Any]

MAX_PODS_AT_ONCE = 500


async def in_growing_batches(count: int, act: Callable[[int], Awaitable[None]]) -> tuple[int, BaseException | None]:
    """Call `act` with 0 … count-1, first one, then 2, 4 … at the same time, until a batch has a failure.

    Returns how many succeeded and the first failure.
    """
    done, batch = 0, 1
    started = 0
    while started < count:
        batch = min(batch, count - started)
        results = await asyncio.gather(*(act(started + i) for i in range(batch)), return_exceptions=True)
        failures = [result for result in results if isinstance(result, BaseException)]
        done += batch - len(failures)
        if failures:
            return done, failures[0]
        started += batch
        batch *= 2
    return done, None


async def create_pods(controller: Controller, owner: JSON, pods: Informer, wanted: Sequence[JSON]) -> Exception | None:
    """Create them with events about `owner`; the first failure, none if the namespace is on its way out."""
    namespace = owner["metadata"]["namespace"]

    async def create(index: int) -> None:
        try:
            made = await pods.create(wanted[index], namespace)
        except ApiStatusError as error:
            if not error.has_cause("NamespaceTerminating"):
                controller.warning(owner, "FailedCreate", f"Error creating: {error.message}")
            raise
        controller.normal(owner, "SuccessfulCreate", f"Created pod: {made['metadata']['name']}")

    return _counts(await in_growing_batches(min(len(wanted), MAX_PODS_AT_ONCE), create))


async def delete_pods(controller: Controller, owner: JSON, pods: Informer, surplus: Sequence[JSON]) -> Exception | None:
    """Delete them with events about `owner`; the first failure."""

    async def delete(index: int) -> None:
        name = surplus[index]["metadata"]["name"]
        try:
            await pods.delete(surplus[index])
        except ApiStatusError as error:
            controller.warning(owner, "FailedDelete", f"Error deleting: {error.message}")
            raise
        controller.normal(owner, "SuccessfulDelete", f"Deleted pod: {name}")

    results = await asyncio.gather(*(delete(i) for i in range(len(surplus))), return_exceptions=True)
    return _counts((0, next((r for r in results if isinstance(r, BaseException)), None)))


def _counts(result: tuple[int, BaseException | None]) -> Exception | None:
    failure = result[1]
    if failure is not None and not isinstance(failure, Exception):
        raise failure
    if isinstance(failure, ApiStatusError) and failure.has_cause("NamespaceTerminating"):
        return None
    return failure
