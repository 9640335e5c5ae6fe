"""One Function's reconcile: read it, make what it wants, write what differs, report."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from controller import ownership, status
from controller.configuration import COMPONENT, Configuration
from controller.live_objects import Children, Key, LiveObjects, key_of
from controller.ownership import Leaving, NameConflict
from controller.reasons import Condition, Reason
from controller.refusals import explain
from controller.resources import children as resources
from controller.resources.metadata import REVISION_LABEL
from controller.status import Verdict
from kubeless.api import function as functions
from kubeless.api.config import Config
from kubeless.api.errors import InvalidSpec
from kubeless.api.errors import Reason as SpecReason
from kubeless.api.function import Function
from kubeless.api.metadata import Metadata
from kubeless.cluster import AlreadyExists, ApiError, Cluster, NotFound, Resource, is_up_to_date, resource_of
from kubeless.cluster.events import create_event
from kubeless.cluster.resources import CONFIG_MAPS, EVENTS, FUNCTIONS, HORIZONTAL_POD_AUTOSCALERS

JSON = dict[str, Any]

FIELD_MANAGER = "kubeless-controller"
HANDED_OVER = "kubeless-controller-handover"
"""Field manager of replicas that the controller has let go: a field that nobody has falls back to its default."""
LONG_WAIT_SECONDS = 8.0
"""How long a pod may take to start its first container before it is asked what it waits for."""
LOOK_AGAIN_SECONDS = 15.0

_log = logging.getLogger(__name__)


class Stopped(Exception):
    """A reconcile ended before its objects were all written; the Function's status says why.

    `later`: it may come right by itself.
    """

    def __init__(self, step: Condition, reason: str, message: str, *, later: bool) -> None:
        super().__init__(message)
        self.step = step
        self.reason = reason
        self.message = message
        self.later = later


class Reconciler:
    """Brings about what Functions want. One Function must not be reconciled twice at the same time."""

    def __init__(
        self,
        cluster: Cluster,
        known: LiveObjects,
        children: Children,
        configuration: Configuration,
        look_again: Callable[[Key, float], None],
    ) -> None:
        """`known` are the Functions; `look_again` has one reconciled after so many seconds."""
        self._cluster = cluster
        self._functions = known
        self._children = children
        self._configuration = configuration
        self._look_again = look_again

    async def reconcile(self, key: Key) -> bool:
        """Whether it is done; False to try again later. Raises ClusterError where only that is left to do."""
        obj = self._functions.get(key)
        if obj is None or obj["metadata"].get("deletionTimestamp"):
            return True
        config = self._configuration.current
        if config is not None and config.functions_namespace not in ("", key[0]):
            await self._say_not_served(obj, config)
            return True
        deployment = self._children.deployments.get(key)
        try:
            if config is None:
                raise Stopped(Condition.ACCEPTED, SpecReason.INVALID_CONFIG, self._configuration.problem, later=False)
            function, wanted = self._make(obj, config, deployment)
            deployment, service = await self._write(function, wanted)
        except Leaving as leaving:
            _log.info("%s/%s: %s", *key, leaving)
            verdict = Verdict(Condition.READY, "Unknown", Reason.CLEANING_UP, str(leaving))
            await self._report(obj, [verdict], None, None)
            return False
        except Stopped as stopped:
            if config is None and (obj.get("status") or {}).get("observedGeneration") == obj["metadata"]["generation"]:
                # It was served by a configuration that cannot be read at the moment.
                return True
            verdicts = status.refused(stopped.step, stopped.reason, stopped.message, deployment)
            await self._report(obj, verdicts, deployment, None)
            return not stopped.later
        pods = self._children.pods.of_function(key)
        notice = wanted.runtime.notice if wanted.runtime else ""
        hindrance = await self._hindrance(key, deployment, pods)
        verdicts = status.deployed(function, deployment, service, pods, notice=notice, hindrance=hindrance)
        served_by = wanted.runtime.runtime.name if wanted.runtime else ""
        await self._report(obj, verdicts, deployment, served_by)
        if status.is_rolled_out(deployment):
            await self._drop_old_revisions(function, wanted.revision)
        return True

    def _make(self, obj: JSON, config: Config, deployment: JSON | None) -> tuple[Function, resources.Children]:
        selector = None
        if deployment is not None:
            selector = ((deployment.get("spec") or {}).get("selector") or {}).get("matchLabels")
        try:
            function = functions.parse(obj)
            return function, resources.make_children(function, config, selector)
        except InvalidSpec as error:
            raise Stopped(Condition.ACCEPTED, error.reason, str(error), later=False) from None

    # ---- writing

    async def _write(self, function: Function, wanted: resources.Children) -> tuple[JSON, JSON]:
        """The Deployment and the Service as they are after that."""
        live = await self._find(function, wanted.applied)
        due = [obj for obj in wanted.applied if not _is_current(live.get(_id(obj)), obj)]
        if due and (_id(wanted.deployment) in live or function.service or function.horizontal_pod_autoscaler):
            # What was refused after another part had been written would leave a mix of two versions.
            await self._try_out([obj for obj in due[1:] if obj is not wanted.config_map])
        if wanted.revision is not None:
            await self._ensure_revision(function, wanted.revision)
        for obj in due:
            if obj is wanted.deployment and (before := live.get(_id(obj))):
                await self._hand_over_replicas(before, obj)
            live[_id(obj)] = await self._apply(obj)
        if wanted.autoscaler is None:
            await self._drop_autoscaler(function)
        return live[_id(wanted.deployment)], live[_id(wanted.service)]

    async def _find(self, function: Function, wanted: list[JSON]) -> dict[tuple[str, str], JSON]:
        """What there is of the wanted objects. Raises Stopped for one that is not ours, Leaving for one that goes."""
        key = (function.namespace, function.name)
        found = {_id(obj): self._children.of(resource_of(obj)).get(key) for obj in wanted}
        absent = [obj for obj in wanted if found[_id(obj)] is None]
        # What is not ours has not our labels, and so is not among what is followed.
        read = await asyncio.gather(
            *(self._cluster.find(resource_of(obj), function.name, function.namespace) for obj in absent)
        )
        for obj, answer in zip(absent, read, strict=True):
            found[_id(obj)] = {**answer, "apiVersion": obj["apiVersion"], "kind": obj["kind"]} if answer else None
        live = {name: obj for name, obj in found.items() if obj is not None}
        for obj in live.values():
            try:
                ownership.check(obj, function)
            except NameConflict as conflict:
                raise Stopped(Condition.DEPLOYED, Reason.NAME_CONFLICT, str(conflict), later=True) from None
        return live

    async def _apply(self, obj: JSON, *, dry_run: bool = False) -> JSON:
        try:
            answer = await self._cluster.apply(obj, field_manager=FIELD_MANAGER, dry_run=dry_run)
        except ApiError as error:
            if refusal := explain(error, obj):
                raise Stopped(_step(refusal.reason), refusal.reason, refusal.message, later=refusal.later) from None
            raise
        if not dry_run:
            self._children.of(resource_of(obj)).observe(answer)
        return answer

    async def _try_out(self, wanted: list[JSON]) -> None:
        await asyncio.gather(*(self._apply(obj, dry_run=True) for obj in wanted))

    async def _ensure_revision(self, function: Function, revision: JSON) -> None:
        live = self._children.config_maps.get(key_of(revision))
        if live is None:
            try:
                live = await self._cluster.create(revision)
                self._children.config_maps.observe(live)
                return
            except AlreadyExists:
                live = await self._cluster.get(CONFIG_MAPS, *reversed(key_of(revision)))
            except ApiError as error:
                if refusal := explain(error, revision):
                    raise Stopped(_step(refusal.reason), refusal.reason, refusal.message, later=refusal.later) from None
                raise
        live = {"kind": revision["kind"], **live}
        try:
            ownership.check(live, function)
        except NameConflict as conflict:
            raise Stopped(Condition.DEPLOYED, Reason.NAME_CONFLICT, str(conflict), later=True) from None
        if live.get("data") != revision["data"] or not ownership.is_owned(live, function):
            raise Leaving(f"the ConfigMap {key_of(revision)[1]} is not what it should be")

    async def _hand_over_replicas(self, live: JSON, wanted: JSON) -> None:
        """Let go of replicas without losing their number
        (https://kubernetes.io/docs/reference/using-api/server-side-apply/#transferring-ownership).
        """
        if "replicas" in wanted["spec"] or not _owns_replicas(live):
            return
        handed: JSON = {
            "apiVersion": wanted["apiVersion"],
            "kind": wanted["kind"],
            "metadata": {"name": wanted["metadata"]["name"], "namespace": wanted["metadata"]["namespace"]},
            "spec": {"replicas": status.wanted_replicas(live)},
        }
        await self._cluster.apply(handed, field_manager=HANDED_OVER)

    async def _drop_autoscaler(self, function: Function) -> None:
        live = self._children.autoscalers.get((function.namespace, function.name))
        if live is not None and ownership.is_owned(live, function) and _is_applied(live):
            await self._delete(HORIZONTAL_POD_AUTOSCALERS, live)

    async def _drop_old_revisions(self, function: Function, current: JSON | None) -> None:
        keep = key_of(current) if current else None
        for key in self._children.config_maps.keys_of_function((function.namespace, function.name)):
            # The names are told apart first: there is mostly nothing to drop, and reading an object costs.
            if key in (keep, (function.namespace, function.name)):
                continue
            live = self._children.config_maps.get(key)
            if live and REVISION_LABEL in live["metadata"]["labels"] and ownership.is_owned(live, function):
                await self._delete(CONFIG_MAPS, live)

    async def _delete(self, resource: Resource, live: JSON) -> None:
        namespace, name = key_of(live)
        await self._cluster.delete(resource, name, namespace, uid=live["metadata"]["uid"])
        self._children.of(resource).forget(live)

    # ---- reporting

    async def _hindrance(self, key: Key, deployment: JSON, pods: list[JSON]) -> str:
        """What Events say of a pod that has been waiting for long; looked for again until it waits no more."""
        if (pod := status.waiting_pod(deployment, pods)) is None:
            return ""
        waited = (datetime.now(UTC) - datetime.fromisoformat(pod["metadata"]["creationTimestamp"])).total_seconds()
        if waited < LONG_WAIT_SECONDS:
            self._look_again(key, LONG_WAIT_SECONDS - waited + 1)
            return ""
        self._look_again(key, LOOK_AGAIN_SECONDS)
        of_pod = f"involvedObject.uid={pod['metadata']['uid']},type=Warning"
        events = await self._cluster.list(EVENTS, key[0], field_selector=of_pod)
        newest = max(events, key=lambda event: str(event.get("lastTimestamp") or ""), default={})
        return str(newest.get("message") or "")

    async def _report(self, obj: JSON, verdicts: list[Verdict], deployment: JSON | None, served_by: str | None) -> None:
        made = status.make_status(obj, verdicts, deployment, served_by, datetime.now(UTC))
        before = obj.get("status") or {}
        if made == before:
            return
        gone = dict.fromkeys(name for name in before if name not in made)
        namespace, name = key_of(obj)
        try:
            answer = await self._cluster.patch_status(FUNCTIONS, name, namespace, {**gone, **made})
        except NotFound:
            return
        if _wants(answer) == _wants(obj):
            # Otherwise it changed meanwhile, and the watch brings it: what is known already is not looked at again.
            self._functions.observe(without_managed_fields(answer))
        about = Metadata.parse(functions.KIND, obj).object_reference()
        for kind, reason, message in status.news(obj, made):
            _log.info("%s/%s: %s: %s", namespace, name, reason, message.splitlines()[0])
            await create_event(
                self._cluster, about, "Warning" if kind == "Warning" else "Normal", reason, message, component=COMPONENT
            )

    async def _say_not_served(self, obj: JSON, config: Config) -> None:
        """Only where nobody said anything yet: another installation may serve that namespace."""
        if (obj.get("status") or {}).get("conditions"):
            return
        message = (
            f"kubeless-config's functions-namespace is {config.functions_namespace}: functions of other namespaces are"
            " not served; create the function there, or ask an administrator to change the setting"
        )
        verdicts = status.refused(Condition.ACCEPTED, Reason.NOT_SERVED, message, None)
        await self._report(obj, verdicts, None, None)


def without_managed_fields(obj: JSON) -> JSON:
    """A Function without the part that the controller does not read."""
    metadata = {name: value for name, value in obj["metadata"].items() if name != "managedFields"}
    return {**obj, "metadata": metadata}


def _wants(function: JSON) -> tuple[Any, ...]:
    metadata = function["metadata"]
    return function.get("spec"), metadata.get("labels"), metadata["uid"], metadata.get("deletionTimestamp")


def _id(obj: JSON) -> tuple[str, str]:
    return obj["kind"], obj["metadata"]["name"]


def _is_current(live: JSON | None, wanted: JSON) -> bool:
    return live is not None and is_up_to_date(live, wanted, FIELD_MANAGER)


def _step(reason: str) -> Condition:
    return Condition.ACCEPTED if reason == SpecReason.INVALID_SPEC else Condition.DEPLOYED


def _is_applied(live: JSON) -> bool:
    entries = live["metadata"].get("managedFields") or []
    return any(entry.get("manager") == FIELD_MANAGER and entry.get("operation") == "Apply" for entry in entries)


def _owns_replicas(live: JSON) -> bool:
    for entry in live["metadata"].get("managedFields") or []:
        if entry.get("manager") == FIELD_MANAGER and entry.get("operation") == "Apply" and not entry.get("subresource"):
            return "f:replicas" in ((entry.get("fieldsV1") or {}).get("f:spec") or {})
    return False
